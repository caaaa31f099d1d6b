"""A small provider without a fault; each row of faults.py edits one place of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

from kubeairunway.plugin import (
    CONFIG_MAP,
    SERVICE,
    Engine,
    Kind,
    Manifest,
    Observed,
    Problem,
    Provider,
    Rendering,
    Report,
    Request,
    Rule,
    State,
    hookimpl,
)

SERVER = Kind(
    group="sound.example", name="Server", versions=("v1", "v1beta1"), recreate=("spec.model",), surge=("spec.image",)
)
MONITOR = Kind(group="sound.example", name="Monitor", versions=("v1",), optional=True)
REPLICA = Kind(group="sound.example", name="Replica", versions=("v1",))
CARRIES = frozenset(
    {
        "model.id",
        "engine.args",
        "engine.contextLength",
        "engine.image",
        "image",
        "env",
        "nodeSelector",
        "podTemplate.metadata",
        "resources.gpu",
        "scaling.replicas",
    }
)
STATES = {"Starting": State.PROGRESSING, "Serving": State.RUNNING, "Broken": State.FAILED}
RULES = (Rule(name="large", condition="spec.resources.gpu.count >= 8", priority=60),)


@dataclass(frozen=True)
class Overrides:
    """Options of one deployment."""

    cache: str = "local"
    """Where weights are kept."""
    eager: bool = False
    """Load weights at once."""


@hookimpl
def provider() -> Provider:
    engines = (Engine(name="vllm", carries=CARRIES),)
    kinds = (SERVER, MONITOR, SERVICE, CONFIG_MAP)
    return Provider(
        name="sound", contract=1, kinds=kinds, children=(REPLICA,), engines=engines, rules=RULES, overrides=Overrides
    )


@hookimpl
def validate(request: Request) -> Iterator[Problem]:
    if request.name[0].isdigit():
        yield Problem("metadata.name", "NoServiceName", "a Service's name starts with a letter; rename the deployment")


@hookimpl
def render(request: Request) -> Rendering:
    spec, name = request.spec, request.name
    labels = {"sound.example/server": name}
    pod = spec.pod_template.metadata
    arguments = [f"--{key}={value}" for key, value in sorted(spec.engine.args.items())]
    server = {
        "model": spec.model.id,
        "image": spec.engine.image or spec.image,
        "replicas": spec.scaling.replicas,
        "gpus": {"resource": spec.resources.gpu.type, "count": spec.resources.gpu.count},
        "config": {"name": f"{name}-config", "namespace": request.namespace},
        "cache": request.overrides.cache,
        "eager": request.overrides.eager,
        "env": spec.env,
        "nodeSelector": spec.node_selector,
        "labels": {**pod.labels, **labels},
        "annotations": pod.annotations,
    }
    if spec.engine.context_length is not None:
        server["maxTokens"] = spec.engine.context_length
    service = {"selector": labels, "ports": [{"name": "http", "port": 8000}]}
    config = Manifest(CONFIG_MAP, {"data": {"arguments.json": json.dumps(arguments)}}, "config")
    after = [Manifest(SERVICE, {"spec": service})]
    if MONITOR in request.versions:
        after.append(Manifest(MONITOR, {"spec": {"server": name}}))
    return Rendering(Manifest(SERVER, {"spec": server}, labels=labels), before=(config,), after=tuple(after))


@hookimpl
def status(request: Request, observed: Observed) -> Report:
    live = observed.primary
    desired = request.spec.scaling.replicas
    state = STATES.get(live.get("status.phase", ""), State.WAITING)
    generation = max(0, live.get("status.observedGeneration", 0))
    ready = min(max(0, live.get("status.readyReplicas", 0)), desired)
    message = live.condition("Healthy").get("message", "")
    return Report(
        state=state,
        generation=generation,
        ready=ready,
        pods=f"sound.example/server={request.name}",
        service=request.name,
        port=8000,
        message=message,
    )
