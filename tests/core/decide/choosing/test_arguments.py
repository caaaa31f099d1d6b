"""Engine arguments that a field sets already, or that are given twice (design point 29)."""

from typing import Any

import pytest

from kubeairunway.decide.arguments import OWNED
from kubeairunway.decide.validation import check_spec
from kubeairunway.model import Spec
from kubeairunway.model.paths import known_paths


def problems(**engine: Any) -> list[tuple[str, str, str]]:
    found = check_spec("model", Spec.model_validate({"model": {"id": "a/b"}, "engine": engine}))
    return [(problem.path, problem.code, problem.message) for problem in found if not problem.warning]


OWN = {
    "vLLM's model": ("vllm", "model", "spec.model.id"),
    "vLLM's served name": ("vllm", "served-model-name", "spec.model.servedName"),
    "vLLM's context length": ("vllm", "max-model-len", "spec.engine.contextLength"),
    "vLLM's context length with underscores": ("vllm", "max_model_len", "spec.engine.contextLength"),
    "vLLM's trust": ("vllm", "trust-remote-code", "spec.engine.trustRemoteCode"),
    "vLLM's prefix caching": ("vllm", "enable-prefix-caching", "spec.engine.enablePrefixCaching"),
    "vLLM's prefix caching, negated": ("vllm", "no-enable-prefix-caching", "spec.engine.enablePrefixCaching"),
    "vLLM's eager mode": ("vllm", "enforce-eager", "spec.engine.enforceEager"),
    "vLLM's port": ("vllm", "port", "the provider"),
    "vLLM's host": ("vllm", "host", "the provider"),
    "SGLang's model": ("sglang", "model-path", "spec.model.id"),
    "SGLang's context length": ("sglang", "context-length", "spec.engine.contextLength"),
    "TensorRT-LLM's model": ("trtllm", "model_path", "spec.model.id"),
    "llama.cpp's context length": ("llamacpp", "ctx-size", "spec.engine.contextLength"),
    "LocalAI's context length": ("llamacpp", "context-size", "spec.engine.contextLength"),
    "llama.cpp's served name": ("llamacpp", "alias", "spec.model.servedName"),
    "llama.cpp's address": ("llamacpp", "address", "the provider"),
    "any engine's model": (None, "model", "spec.model.id"),
    "any engine's port": (None, "port", "the provider"),
}


@pytest.mark.parametrize(("engine", "name", "who"), OWN.values(), ids=OWN.keys())
def test_an_argument_that_something_sets_is_refused(engine: str | None, name: str, who: str) -> None:
    in_args = problems(type=engine, args={name: "x"})
    assert [(path, code) for path, code, _ in in_args] == [(f"spec.engine.args.{name}", "ArgumentOwned")]
    assert who in in_args[0][2]
    in_extra = problems(type=engine, extraArgs=["--other", f"--{name}=x"])
    assert [(path, code) for path, code, _ in in_extra] == [("spec.engine.extraArgs[1]", "ArgumentOwned")]


FREE = {
    "the degree of tensor parallelism": ("vllm", "tensor-parallel-size"),
    "a flag of another engine": ("vllm", "context-length"),
    "a flag that only begins like one": ("vllm", "max-model-length"),
    "vLLM's flag before an engine is chosen": (None, "max-model-len"),
    "a link to a file": ("llamacpp", "ggufUrl"),
}


@pytest.mark.parametrize(("engine", "name"), FREE.values(), ids=FREE.keys())
def test_an_argument_that_nothing_sets_is_taken(engine: str | None, name: str) -> None:
    assert problems(type=engine, args={name: "x"}) == []
    assert problems(type=engine, extraArgs=[f"--{name}", "x"]) == []


TWICE = {
    "in both lists": ({"args": {"a-b": "1"}, "extraArgs": ["--a-b=2"]}, "spec.engine.extraArgs"),
    "in both lists, spelled differently": (
        {"args": {"a_b": "1"}, "extraArgs": ["--a-b", "2"]},
        "spec.engine.extraArgs",
    ),
    "twice in args": ({"args": {"a_b": "1", "a-b": "1"}}, "spec.engine.args"),
}


@pytest.mark.parametrize(("engine", "path"), TWICE.values(), ids=TWICE.keys())
def test_a_flag_that_is_given_twice_is_refused(engine: dict[str, Any], path: str) -> None:
    assert [(where, code) for where, code, _ in problems(**engine)] == [(path, "DuplicateArgument")]


ONCE = {
    "a bare word": {"args": {"a": "1"}, "extraArgs": ["a"]},
    "a short option": {"args": {"a": "1"}, "extraArgs": ["-a"]},
    "the end of options": {"args": {"a": "1"}, "extraArgs": ["--"]},
    "a flag twice in extraArgs, where some engines take lists": {"extraArgs": ["--a", "1", "--a", "2"]},
}


@pytest.mark.parametrize("engine", ONCE.values(), ids=ONCE.keys())
def test_a_clash_is_not_seen_in(engine: dict[str, Any]) -> None:
    assert problems(**engine) == []


def test_every_field_in_the_table_exists() -> None:
    fields = {field for owned in OWNED.values() for field in owned.values() if field}
    assert fields <= known_paths()
