"""vLLM's command line: what the fields of the spec say, then the user's own arguments."""

from collections.abc import Iterator

from kubeairunway.plugin import Request

PORT = 8000
"""Where vLLM listens in the pod, and the Service outside."""
PARALLELISM = {f"{kind}-parallel-size" for kind in ("tensor", "pipeline", "data")} | {"-tp", "-pp", "-dp"}
"""Flags that spread a model over GPUs: where one is given, the number of GPUs decides nothing."""


def build_command(request: Request) -> list[str]:
    """The command with the model; empty without a model id, where the image knows by itself what to serve."""
    model = request.spec.model.id
    return ["vllm", "serve", model] if model else []


def build_arguments(request: Request) -> list[str]:
    """All arguments: address and fields first, then `engine.args` sorted by name, then `engine.extraArgs` as given."""
    engine = request.spec.engine
    own = (f"--{key}={engine.args[key]}" if engine.args[key] else f"--{key}" for key in sorted(engine.args))
    return [*_field_arguments(request), *own, *engine.extra_args]


def _field_arguments(request: Request) -> Iterator[str]:
    spec = request.spec
    yield from ("--host=0.0.0.0", f"--port={PORT}")
    if spec.model.served_name:
        yield f"--served-model-name={spec.model.served_name}"
    if spec.engine.context_length is not None:
        yield f"--max-model-len={spec.engine.context_length}"
    if spec.engine.trust_remote_code:
        yield "--trust-remote-code"
    if spec.engine.enforce_eager:
        yield "--enforce-eager"
    yield "--enable-prefix-caching" if spec.engine.enable_prefix_caching else "--no-enable-prefix-caching"
    if spec.resources.gpu.count > 1 and PARALLELISM.isdisjoint(_given_flags(request)):
        yield f"--tensor-parallel-size={spec.resources.gpu.count}"


def _given_flags(request: Request) -> Iterator[str]:
    """The flags that the user gives, in one spelling: vLLM reads `--tensor_parallel_size` like the one with dashes."""
    yield from (name.replace("_", "-").lower() for name in request.spec.engine.args)
    for token in request.spec.engine.extra_args:
        flag = token.split("=", 1)[0]
        yield flag.removeprefix("--").replace("_", "-").lower() if flag.startswith("--") else flag
