"""KubeRay as a provider of KubeAIRunway: this module has the hooks and nothing else.

What can be data is in `catalog`; `groups` says what is asked of Ray, `arguments` and `serve` make the application,
`cluster` the pods, and `validate`, `render` and `status` each answer the hook of that name.
"""

from collections.abc import Iterator

from kubeairunway.plugin import Observed, Problem, Provider, Rendering, Report, Request, hookimpl
from kubeairunway_kuberay.catalog import PROVIDER
from kubeairunway_kuberay.render import render_deployment
from kubeairunway_kuberay.status import read_status
from kubeairunway_kuberay.validate import find_problems


@hookimpl
def provider() -> Provider:
    """What KubeRay offers."""
    return PROVIDER


@hookimpl
def validate(request: Request) -> Iterator[Problem]:
    """What KubeRay cannot do for this deployment, though it carries the fields."""
    return find_problems(request)


@hookimpl
def render(request: Request) -> Rendering:
    """A RayService; before it, a claim for each volume with a size."""
    return render_deployment(request)


@hookimpl
def status(request: Request, observed: Observed) -> Report:
    """What KubeRay says of the RayService and of its newest RayCluster."""
    return read_status(request, observed)
