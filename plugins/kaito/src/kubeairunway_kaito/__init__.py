"""KAITO as a provider of KubeAIRunway: this module has the hooks and nothing else.

What can be data is in `catalog`; `placement` picks kind and nodes, `arguments` the engine's arguments, and
`validate`, `render` and `status` each answer the hook of that name.
"""

from collections.abc import Iterator

from kubeairunway.plugin import Observed, Problem, Provider, Rendering, Report, Request, hookimpl
from kubeairunway_kaito.catalog import PROVIDER
from kubeairunway_kaito.render import render_deployment
from kubeairunway_kaito.status import read_status
from kubeairunway_kaito.validate import find_problems


@hookimpl
def provider() -> Provider:
    """What KAITO offers."""
    return PROVIDER


@hookimpl
def validate(request: Request) -> Iterator[Problem]:
    """What KAITO cannot do for this deployment, though it carries the fields."""
    return find_problems(request)


@hookimpl
def render(request: Request) -> Rendering:
    """An InferenceSet with its Service, or a Workspace; before either, the ConfigMap of vLLM's arguments."""
    return render_deployment(request)


@hookimpl
def status(request: Request, observed: Observed) -> Report:
    """What KAITO says of the InferenceSet or Workspace."""
    return read_status(request, observed)
