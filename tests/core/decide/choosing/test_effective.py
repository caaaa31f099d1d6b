"""The effective spec (design point 4)."""

from typing import Any

import pytest

from kubeairunway.decide.effective import cel_view, effective_spec
from kubeairunway.model import Spec


def effective(written: dict[str, Any], engine: Any = "vllm") -> Spec:
    return effective_spec(Spec.model_validate(written), engine, name="chat")


def view(written: dict[str, Any], path: str) -> Any:
    value: Any = cel_view(effective(written))
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def volume(**fields: Any) -> dict[str, Any]:
    return {"model": {"id": "a/b", "storage": {"volumes": [{"name": "v", **fields}]}}}


FIRST = "model.storage.volumes.0"

FILLED = {
    "the engine that was resolved": ({"model": {"id": "a/b"}}, "engine.type", "vllm"),
    "replicas where nothing is said": ({"model": {"id": "a/b"}}, "scaling.replicas", 1),
    "replicas of zero": ({"model": {"id": "a/b"}, "scaling": {"replicas": 0}}, "scaling.replicas", 0),
    "a GPU count where nothing is said": ({"model": {"id": "a/b"}}, "resources.gpu.count", 0),
    "the aggregated mode": ({"model": {"id": "a/b"}}, "serving.mode", "aggregated"),
    "the source": ({"model": {"id": "a/b"}}, "model.source", "huggingface"),
    "the last part of the id as served name": ({"model": {"id": "Qwen/Qwen3-0.6B"}}, "model.servedName", "Qwen3-0.6B"),
    "an id without parts as served name": ({"model": {"id": "gpt2"}}, "model.servedName", "gpt2"),
    "a served name that was given": ({"model": {"id": "a/b", "servedName": "c"}}, "model.servedName", "c"),
    "no served name without an id": ({"model": {"source": "custom"}}, "model.servedName", ""),
    "prefix caching": ({"model": {"id": "a/b"}}, "engine.enablePrefixCaching", True),
    "prefix caching that is off": (
        {"model": {"id": "a/b"}, "engine": {"enablePrefixCaching": False}},
        "engine.enablePrefixCaching",
        False,
    ),
    "replicas of a role": (
        {"model": {"id": "a/b"}, "serving": {"mode": "disaggregated"}, "scaling": {"prefill": {}}},
        "scaling.prefill.replicas",
        1,
    ),
    "the path of a model cache": (volume(purpose="modelCache", claimName="c"), f"{FIRST}.mountPath", "/model-cache"),
    "the path of a compilation cache": (
        volume(purpose="compilationCache", claimName="c"),
        f"{FIRST}.mountPath",
        "/compilation-cache",
    ),
    "a path that was given": (volume(purpose="modelCache", mountPath="/m"), f"{FIRST}.mountPath", "/m"),
    "the purpose": (volume(mountPath="/m"), f"{FIRST}.purpose", "custom"),
    "the claim of a volume with a size": (volume(mountPath="/m", size="1Gi"), f"{FIRST}.claimName", "chat-v"),
    "the access mode of a volume with a size": (
        volume(mountPath="/m", size="1Gi"),
        f"{FIRST}.accessMode",
        "ReadWriteMany",
    ),
    "a claim that was given": (volume(mountPath="/m", claimName="c"), f"{FIRST}.claimName", "c"),
}


@pytest.mark.parametrize(("written", "path", "expected"), FILLED.values(), ids=FILLED.keys())
def test_the_effective_spec_has(written: dict[str, Any], path: str, expected: object) -> None:
    value = view(written, path)
    assert (value, type(value)) == (expected, type(expected))


def test_a_volume_without_a_size_gets_no_access_mode() -> None:
    assert "accessMode" not in view(volume(mountPath="/m", claimName="c"), FIRST)


def test_what_has_no_default_is_absent() -> None:
    seen = cel_view(effective({"model": {"id": "a/b"}}, None))
    assert "type" not in seen["engine"]
    assert "contextLength" not in seen["engine"]
    assert "prefill" not in seen["scaling"]


def test_the_written_spec_is_not_changed() -> None:
    written = Spec.model_validate({"model": {"id": "a/b"}})
    effective_spec(written, "vllm", name="chat")
    assert written == Spec.model_validate({"model": {"id": "a/b"}})


def test_a_complete_spec_is_shared() -> None:
    complete = effective({"model": {"id": "a/b"}})
    assert effective_spec(complete, "vllm", name="chat") is complete


def test_maps_are_sorted_whatever_their_order() -> None:
    one = cel_view(effective({"model": {"id": "a/b"}, "engine": {"args": {"x": "1", "a": "2"}}}))
    assert list(one["engine"]["args"]) == ["a", "x"]
