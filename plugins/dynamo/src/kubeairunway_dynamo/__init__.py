"""NVIDIA Dynamo as a provider of KubeAIRunway: this module has the hooks and nothing else.

What can be data is in `catalog`; `components` says which workers there are, `arguments` builds their command lines,
and `validate`, `render` and `status` each answer the hook of that name.
"""

from collections.abc import Iterator

from kubeairunway.plugin import Observed, Problem, Provider, Rendering, Report, Request, hookimpl
from kubeairunway_dynamo.catalog import PROVIDER
from kubeairunway_dynamo.render import render_deployment
from kubeairunway_dynamo.status import read_status
from kubeairunway_dynamo.validate import find_problems


@hookimpl
def provider() -> Provider:
    """What Dynamo offers."""
    return PROVIDER


@hookimpl
def validate(request: Request) -> Iterator[Problem]:
    """What Dynamo cannot do for this deployment, though it carries the fields."""
    return find_problems(request)


@hookimpl
def render(request: Request) -> Rendering:
    """A DynamoGraphDeployment; before it, the claims of the volumes that have a size."""
    return render_deployment(request)


@hookimpl
def status(request: Request, observed: Observed) -> Report:
    """What Dynamo's operator says of the graph."""
    return read_status(request, observed)
