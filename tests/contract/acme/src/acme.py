"""Acme ModelServer for KubeAIRunway."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from kubeairunway import plugin
from kubeairunway.plugin import Bid, Engine, Manifest, Observed, Problem, Rendering, Report, Request, State, hookimpl

SERVER = plugin.Kind(group="serving.acme.dev", name="ModelServer", versions=("v1",), recreate=("spec.model",))
STATES = {"Starting": State.PROGRESSING, "Serving": State.RUNNING, "Broken": State.FAILED}
CARRIES = frozenset({"model.id", "engine.contextLength", "resources.gpu", "scaling.replicas"})
LARGE = plugin.Rule(name="large", condition="spec.resources.gpu.count >= 8", priority=60)


@dataclass(frozen=True)
class Overrides:
    cache: Literal["none", "local", "shared"] = "local"
    """Where weights are kept."""


@hookimpl
def provider() -> plugin.Provider:
    engines = (Engine(name="vllm", carries=CARRIES),)
    kinds = (SERVER, plugin.SERVICE)
    return plugin.Provider(name="acme", contract=1, kinds=kinds, engines=engines, rules=(LARGE,), overrides=Overrides)


@hookimpl
def validate(request: Request) -> Iterator[Problem]:
    gpus = request.spec.resources.gpu.count
    if gpus & (gpus - 1):
        yield Problem("spec.resources.gpu.count", "PowerOfTwo", f"{gpus} GPUs cannot be split; use 1, 2, 4 or 8")
    if request.name[0].isdigit():
        yield Problem("metadata.name", "NoServiceName", "a Service's name starts with a letter; rename the deployment")


@hookimpl
def select(request: Request) -> Bid | None:
    return Bid(80, "Acme's own models") if request.spec.model.id.startswith("acme/") else None


@hookimpl
def render(request: Request) -> Rendering:
    spec, gpu = request.spec, request.spec.resources.gpu
    server = {"model": spec.model.id, "replicas": spec.scaling.replicas, "cache": request.overrides.cache}
    server["gpus"] = {"resource": gpu.type, "count": gpu.count}
    if spec.engine.context_length is not None:
        server["maxTokens"] = spec.engine.context_length
    service = {"selector": {"acme.dev/server": request.name}, "ports": [{"name": "http", "port": 8000}]}
    return Rendering(Manifest(SERVER, {"spec": server}), after=(Manifest(plugin.SERVICE, {"spec": service}),))


@hookimpl
def status(request: Request, observed: Observed) -> Report:
    live, most = observed.primary, request.spec.scaling.replicas
    state, text = STATES.get(live.get("status.phase", ""), State.WAITING), live.condition("Healthy").get("message", "")
    seen, ready = (max(0, live.get(f"status.{field}", 0)) for field in ("observedGeneration", "ready"))
    return Report(state=state, generation=seen, ready=min(ready, most), service=request.name, port=8000, message=text)
