"""Engine arguments: which of them a field of the spec sets already, and which are given twice.

An argument that a field sets is refused, since two values for one flag leave it to each engine which one counts.
`tensor-parallel-size` is no field's: it follows from the GPUs unless it is given, and then wins.
"""

from collections.abc import Iterator, Mapping

from kubeairunway.model.problems import Problem
from kubeairunway.model.spec import ENGINE_TITLES, EngineName, Spec

_EVERYWHERE = {
    "model": "model.id",
    "served-model-name": "model.servedName",
    "trust-remote-code": "engine.trustRemoteCode",
    "host": "",
    "port": "",
}

OWNED: Mapping[EngineName, Mapping[str, str]] = {
    "vllm": {
        **_EVERYWHERE,
        "max-model-len": "engine.contextLength",
        "enable-prefix-caching": "engine.enablePrefixCaching",
        "enforce-eager": "engine.enforceEager",
    },
    "sglang": {
        **_EVERYWHERE,
        "model-path": "model.id",
        "context-length": "engine.contextLength",
        "disable-radix-cache": "engine.enablePrefixCaching",
        "disable-cuda-graph": "engine.enforceEager",
    },
    "trtllm": {**_EVERYWHERE, "model-path": "model.id"},
    "llamacpp": {
        **_EVERYWHERE,
        "hf-repo": "model.id",
        "alias": "model.servedName",
        "ctx-size": "engine.contextLength",
        "context-size": "engine.contextLength",
        "address": "",
    },
}
"""Each engine's spelling of what a field sets; an empty field is where the server listens, the provider's to say.

llama.cpp is served by its own server and by LocalAI, whose spellings are here as well.
"""

SHARED: Mapping[str, str] = _EVERYWHERE
"""What holds before an engine is chosen."""


def flag_name(token: str) -> str | None:
    """The name of the flag that a raw argument sets; None for values and single-dash options."""
    return token[2:].split("=", 1)[0] if token.startswith("--") and len(token) > len("--") else None


def canonical_flag(name: str) -> str:
    """A flag's name as every engine's parser understands it: dashes and underscores are the same."""
    return name.replace("_", "-").lower()


def owning_field(name: str, engine: EngineName | None) -> str | None:
    """The field that sets a flag, with or without `no-` in front; "" if the provider does, None if the flag is free."""
    owned = OWNED[engine] if engine else SHARED
    flag = canonical_flag(name)
    return owned.get(flag, owned.get(flag.removeprefix("no-")))


def check_owned(spec: Spec, engine: EngineName | None) -> Iterator[Problem]:
    """Refuse the arguments that a field of the spec sets, in that engine's spelling."""
    for name in sorted(spec.engine.args):
        field = owning_field(name, engine)
        if field is not None:
            yield _owned(f"spec.engine.args.{name}", name, field, engine)
    for index, token in enumerate(spec.engine.extra_args):
        flag = flag_name(token)
        field = owning_field(flag, engine) if flag else None
        if flag and field is not None:
            yield _owned(f"spec.engine.extraArgs[{index}]", flag, field, engine)


def _owned(path: str, name: str, field: str, engine: EngineName | None) -> Problem:
    title = ENGINE_TITLES[engine] if engine else "engine"
    if field:
        message = f'the {title} argument "{name}" is set by spec.{field}; set that field and remove the argument'
    else:
        message = (
            f'the {title} argument "{name}" is set by the provider, which knows where the server listens; remove it'
        )
    return Problem(path, "ArgumentOwned", message)


def check_twice(spec: Spec) -> Iterator[Problem]:
    """Refuse flags that are given twice: in both lists, or in `args` under two spellings."""
    given: dict[str, str] = {}
    for name in sorted(spec.engine.args):
        flag = canonical_flag(name)
        if flag in given:
            message = f'"{given[flag]}" and "{name}" in spec.engine.args are the same launch flag; keep one of them'
            yield Problem("spec.engine.args", "DuplicateArgument", message)
        given.setdefault(flag, name)
    for token in spec.engine.extra_args:
        flag_of = flag_name(token)
        if flag_of and canonical_flag(flag_of) in given:
            message = (
                f'launch flag "{flag_of}" is set in both spec.engine.args and spec.engine.extraArgs ("{token}");'
                " set it in exactly one place so the engine does not receive conflicting values"
            )
            yield Problem("spec.engine.extraArgs", "DuplicateArgument", message)
