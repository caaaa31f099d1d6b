"""The engine's arguments: vLLM's as KAITO's inference config, llama.cpp's as the runner's command line."""

import hashlib
import re

from kubeairunway.plugin import Request
from kubeairunway_kaito.catalog import INFERENCE_SET
from kubeairunway_kaito.placement import choose_kind

CONFIG_KEY = "inference_config.yaml"
"""The key of the ConfigMap that KAITO reads."""
GGUF_URL = "ggufUrl"
"""The llama.cpp argument that names the file to serve, in place of the model id."""
PORT = 5000
"""Where KAITO's Services send requests: every engine has to listen there."""

CONTEXT_SIZE = "context-size"
"""LocalAI's flag for the context length."""


def build_inference_config(request: Request) -> str:
    """KAITO's inference_config.yaml; empty if the deployment needs none.

    KAITO passes each key and value of the section to vLLM as `--key value`, after its own: ours win. Values are
    quoted, so that YAML leaves them as they are written.
    """
    values = {**request.spec.engine.args, **_field_arguments(request)}
    if not values:
        return ""
    lines = (f"  {_quote(key)}: {_quote(values[key])}\n" for key in sorted(values))
    return "vllm:\n" + "".join(lines)


def name_config(config: str) -> str:
    """The ConfigMap's suffix: it changes with the content, since vLLM reads the file only when it starts."""
    return f"config-{hashlib.sha256(config.encode()).hexdigest()[:10]}"


def build_runner_arguments(request: Request) -> list[str]:
    """The llama.cpp container's arguments: the model first, then LocalAI's flags."""
    model, engine = request.spec.model, request.spec.engine
    arguments = []
    if gguf := engine.args.get(GGUF_URL):
        arguments.append(gguf)
    elif model.source == "huggingface":
        arguments.append(f"huggingface://{model.id}")
    arguments.append(f"--address=:{PORT}")
    if engine.context_length is not None:
        arguments.append(f"--{CONTEXT_SIZE}={engine.context_length}")
    for key in sorted(engine.args.keys() - {GGUF_URL}):
        value = engine.args[key]
        arguments.append(f"--{key}={value}" if value else f"--{key}")
    return [*arguments, *engine.extra_args]


def _field_arguments(request: Request) -> dict[str, str]:
    spec = request.spec
    values = {}
    # Upstream's default is the InferenceSet's name; for a Workspace it is a name of KAITO's catalogue.
    named = choose_kind(request) == INFERENCE_SET and spec.model.served_name == request.name
    if spec.model.served_name and not named:
        values["served-model-name"] = spec.model.served_name
    if spec.engine.context_length is not None:
        values["max-model-len"] = str(spec.engine.context_length)
    return values


def _quote(text: str) -> str:
    escaped = re.sub(r'["\\]', r"\\\g<0>", text)
    return '"' + re.sub(r"[^ -~]", lambda match: f"\\U{ord(match[0]):08X}", escaped) + '"'
