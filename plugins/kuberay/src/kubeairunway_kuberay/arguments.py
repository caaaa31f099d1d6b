"""vLLM's arguments as Ray Serve LLM takes them: keyword arguments with vLLM's own types."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kubeairunway.plugin import Request
from kubeairunway_kuberay.groups import Group

TENSOR, PIPELINE, TRANSFER = "tensor_parallel_size", "pipeline_parallel_size", "kv_transfer_config"
NIXL: Mapping[str, str] = MappingProxyType({"kv_connector": "NixlConnector", "kv_role": "kv_both"})
"""How prefill and decode workers hand over the cache, unless the user says otherwise."""

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "distributed_executor_backend": "Ray Serve LLM runs vLLM on Ray and sets it",
        "disable_log_stats": "Ray Serve LLM needs vLLM's statistics for its metrics and does not start without them",
        "data_parallel": "each replica here is one engine; ask for more replicas",
    }
)
"""Keyword arguments, by how they begin, that would keep the application from starting."""
TEXTS = frozenset({"revision", "tokenizer_revision", "code_revision"})
"""Keyword arguments that are texts also where they look like numbers."""
MOST_BRACKETS = 64
"""More of them in one value are no configuration of vLLM's, and reading them deep down could fail."""
BEYOND_INT64 = 2**63
"""What reads YAML upstream makes an inexact number of integers from here on."""


def name_keyword(name: str, value: str) -> str:
    """The keyword that an argument sets: a bare `no-x` sets `x`."""
    keyword = name.replace("-", "_")
    return keyword.removeprefix("no_") if not value else keyword


def read_arguments(args: Mapping[str, str]) -> dict[str, Any]:
    """`engine.args` by keyword, as vLLM's command line would read them: a bare one is true, `no-x` makes x false."""
    values: dict[str, Any] = {}
    for name in sorted(args):
        text = args[name]
        keyword = name_keyword(name, text)
        bare = keyword == name.replace("-", "_")
        values[keyword] = (text if keyword in TEXTS else _read_value(text)) if text else bare
    return values


def _read_value(text: str) -> Any:  # noqa: ANN401 - JSON of any shape
    """A number, truth value, JSON object or list where the text is one; else the text."""
    if text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if text.count("[") + text.count("{") > MOST_BRACKETS:
        return text
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
    except ValueError:
        return text
    fits = not isinstance(value, int) or abs(value) < BEYOND_INT64
    return value if fits and isinstance(value, int | float | list | dict) else text


def build_engine_kwargs(request: Request, group: Group) -> dict[str, Any]:
    """All keyword arguments of one role's engine; what the user gives is never replaced."""
    engine = request.spec.engine
    given = read_arguments(engine.args)
    stages = given.get(PIPELINE, 1)
    shared = type(stages) is int and 1 <= stages <= group.gpus
    wanted = {
        "enforce_eager": engine.enforce_eager,
        "max_model_len": engine.context_length,
        "trust_remote_code": engine.trust_remote_code,
        # The GPUs of one replica, divided among the stages of a pipeline if the user asks for one.
        TENSOR: group.gpus // stages if shared else group.gpus,
        TRANSFER: dict(NIXL) if group.role else None,
    }
    fields = {name: value for name, value in wanted.items() if value}
    return {"enable_prefix_caching": engine.enable_prefix_caching} | fields | given
