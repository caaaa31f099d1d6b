"""ModelServer of serving.example.com as a provider of KubeAIRunway: what serves a model, and what its status means."""

from collections.abc import Iterator

from kubeairunway import plugin
from kubeairunway.plugin import Engine, Manifest, Observed, Problem, Rendering, Report, Request, State, hookimpl

PRIMARY = plugin.Kind(group="serving.example.com", name="ModelServer", versions=("v1",), recreate=("spec.gpus",))
LABEL = "serving.example.com/deployment"  # on the pods: by it the core finds why one does not start
PORT = 8000
STATES = {"Starting": State.PROGRESSING, "Serving": State.RUNNING, "Failed": State.FAILED}
CARRIES = frozenset({"model.id", "engine.contextLength", "env", "resources.gpu", "scaling.replicas"})


@hookimpl
def provider() -> plugin.Provider:
    """Say what can be served, and which fields of a deployment reach what is rendered."""
    engines = (Engine(name="vllm", carries=CARRIES),)
    return plugin.Provider(name="template", contract=1, kinds=(PRIMARY, plugin.SERVICE), engines=engines)


@hookimpl
def validate(request: Request) -> Iterator[Problem]:
    """Object to what `engines` and `carries` cannot say."""
    gpus = request.spec.resources.gpu.count
    if gpus & (gpus - 1):
        yield Problem("spec.resources.gpu.count", "PowerOfTwo", f"{gpus} GPUs cannot be split; use 1, 2, 4 or 8")


@hookimpl
def render(request: Request) -> Rendering:
    """Turn a deployment into objects; the core adds names, namespace, owner and its own labels."""
    spec, labels = request.spec, {LABEL: request.name}
    server: dict[str, object] = {
        "model": spec.model.id,
        "replicas": spec.scaling.replicas,
        "gpus": {"resource": spec.resources.gpu.type, "count": spec.resources.gpu.count},
        "env": spec.env,
        "podLabels": labels,
    }
    if spec.engine.context_length is not None:
        server["contextLength"] = spec.engine.context_length
    service = {"selector": labels, "ports": [{"name": "http", "port": PORT}]}
    return Rendering(Manifest(PRIMARY, {"spec": server}), after=(Manifest(plugin.SERVICE, {"spec": service}),))


@hookimpl
def status(request: Request, observed: Observed) -> Report:
    """Report what upstream proves; `get` answers with its default for what is missing or of another type."""
    live = observed.primary
    return Report(
        state=STATES.get(live.get("status.phase", ""), State.WAITING),
        generation=max(0, live.get("status.observedGeneration", 0)),
        ready=min(max(0, live.get("status.readyReplicas", 0)), request.spec.scaling.replicas),
        pods=f"{LABEL}={request.name}",
        service=request.name,
        port=PORT,
        message=live.condition("Ready").get("message", ""),
    )
