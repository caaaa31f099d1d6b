"""A worker's command line: each engine's own spelling of what the deployment says."""

import json
from collections.abc import Mapping
from types import MappingProxyType

from kubeairunway.plugin import EngineName, Request
from kubeairunway_dynamo.components import Worker, find_flags, read_overrides

PARALLEL = frozenset(
    {"tensor-parallel-size", "tp-size", "tp"}
    | {"pipeline-parallel-size", "pp-size", "pp"}
    | {"data-parallel-size", "dp-size", "dp"}
)
"""Flags by which a user says how GPUs are used; with any of them nothing is derived from the GPU count."""
NIXL = json.dumps({"kv_connector": "NixlConnector", "kv_role": "kv_both"}, separators=(",", ":"))
"""vLLM's connector that moves a prompt's cache from prefill to decode workers."""
_EVENTS = {"publisher": "zmq", "topic": "kv-events"}
KV_EVENTS: Mapping[EngineName, str] = MappingProxyType(
    {
        "vllm": json.dumps({**_EVENTS, "endpoint": "tcp://*:20080", "enable_kv_cache_events": True}),
        "sglang": json.dumps({**_EVENTS, "endpoint": "tcp://*:5557"}),
    }
)
"""Where a worker publishes what its cache holds; Dynamo's worker listens there and tells the router."""
TRANSFER: Mapping[EngineName, Mapping[str, str]] = MappingProxyType(
    {
        "vllm": {"kv-transfer-config": NIXL},
        "sglang": {
            "disaggregation-transfer-backend": "nixl",
            "disaggregation-bootstrap-port": "12345",
            "host": "0.0.0.0",  # noqa: S104 - the other role's pods have to reach this one
        },
    }
)
"""How prefill and decode workers hand over the cache, unless the user gives the same flag."""


def find_given(request: Request) -> frozenset[str]:
    """The flags in `engine.args` and `engine.extraArgs`, without dashes in front and with dashes inside."""
    engine = request.spec.engine
    raw = [token.lstrip("-").partition("=")[0] for token in engine.extra_args if token.startswith("-")]
    return frozenset(name.replace("_", "-").lower() for name in (*engine.args, *raw))


def build_arguments(request: Request, worker: Worker) -> list[str]:
    """The whole command line of one worker: what fields say, what its role needs, then the user's own, sorted."""
    engine = request.spec.engine
    wanted = {**_field_flags(request, worker), **_role_flags(request, worker)}
    ours = [part for flag, value in wanted.items() for part in (f"--{flag}", *([value] if value else []))]
    mine = [f"--{key}={engine.args[key]}" if engine.args[key] else f"--{key}" for key in sorted(engine.args)]
    return [*ours, *mine, *engine.extra_args]


def _field_flags(request: Request, worker: Worker) -> dict[str, str]:
    model, engine, flags = request.spec.model, request.spec.engine, find_flags(request)
    wanted = {flags.model: model.id, "served-model-name": model.served_name}
    if engine.context_length is not None:
        wanted[flags.context_length] = str(engine.context_length)
    switches = {
        "trust-remote-code": engine.trust_remote_code,
        flags.no_prefix_caching: not engine.enable_prefix_caching,
        flags.eager: engine.enforce_eager,
    }
    wanted.update({flag: "" for flag, on in switches.items() if on})
    if worker.gpus > 1 and not PARALLEL & find_given(request):
        wanted[flags.tensor_parallel] = str(worker.gpus)
    return wanted


def _role_flags(request: Request, worker: Worker) -> dict[str, str]:
    engine, given = request.spec.engine.type or "vllm", find_given(request)
    wanted: dict[str, str] = {}
    if worker.role:
        wanted = {"disaggregation-mode": worker.role, **TRANSFER[engine]}
    # Decode workers get their cache from prefill workers, and the router looks at those alone.
    if read_overrides(request).router_mode == "kv" and engine in KV_EVENTS and worker.role != "decode":
        wanted["kv-events-config"] = KV_EVENTS[engine]
    return {flag: value for flag, value in wanted.items() if flag not in given}
