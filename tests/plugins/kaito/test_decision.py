"""The whole decision with the core, offline: what a user gets told, and when a deployment is Ready."""

from collections.abc import Mapping
from typing import Any

import pytest

from kubeairunway.testing.offline import OfflineDecision, deployment
from kubeairunway_kaito.catalog import INFERENCE_SET, WORKSPACE

GPU = {"gpu": {"count": 1}}
ONLY_WORKSPACE = {"resource": "Workspace"}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "vLLM, trustRemoteCode": ({"engine": {"type": "vllm", "trustRemoteCode": True}}, "spec.engine.trustRemoteCode"),
    "vLLM, enforceEager": ({"engine": {"type": "vllm", "enforceEager": True}}, "spec.engine.enforceEager"),
    "vLLM, no prefix caching": (
        {"engine": {"type": "vllm", "enablePrefixCaching": False}},
        "spec.engine.enablePrefixCaching",
    ),
    "vLLM, raw arguments": ({"engine": {"type": "vllm", "extraArgs": ["--x"]}}, "spec.engine.extraArgs"),
    "vLLM, image": ({"engine": {"type": "vllm"}, "image": "x/y:1"}, "spec.image"),
    "vLLM, engine image": ({"engine": {"type": "vllm", "image": "x/y:1"}}, "spec.engine.image"),
    "vLLM, memory": ({"engine": {"type": "vllm"}, "resources": {**GPU, "memory": "8Gi"}}, "spec.resources.memory"),
    "vLLM, cpu": ({"engine": {"type": "vllm"}, "resources": {**GPU, "cpu": "8"}}, "spec.resources.cpu"),
    "vLLM, AMD": (
        {"engine": {"type": "vllm"}, "resources": {"gpu": {"count": 1, "type": "amd.com/gpu"}}},
        "spec.resources.gpu.type",
    ),
    "vLLM, env": ({"engine": {"type": "vllm"}, "env": [{"name": "A", "value": "b"}]}, "spec.env"),
    "vLLM, tolerations": ({"engine": {"type": "vllm"}, "tolerations": [{"operator": "Exists"}]}, "spec.tolerations"),
    "vLLM, pod labels": (
        {"engine": {"type": "vllm"}, "podTemplate": {"metadata": {"labels": {"a": "b"}}}},
        "spec.podTemplate.metadata.labels",
    ),
    "vLLM, custom source": (
        {"engine": {"type": "vllm"}, "model": {"id": "org/model", "source": "custom"}},
        "spec.model.source",
    ),
    "vLLM, bare flag": ({"engine": {"type": "vllm", "args": {"enable-lora": ""}}}, "spec.engine.args.enable-lora"),
    "any engine, env on a GPU": ({"env": [{"name": "A", "value": "b"}]}, "spec.env"),
    "Workspace, replicas": (
        {"provider": {"overrides": ONLY_WORKSPACE}, "scaling": {"replicas": 2}},
        "spec.scaling.replicas",
    ),
    "Workspace, no replicas": (
        {"provider": {"overrides": ONLY_WORKSPACE}, "scaling": {"replicas": 0}},
        "spec.scaling.replicas",
    ),
    "disaggregated": (
        {
            "serving": {"mode": "disaggregated"},
            "scaling": {"prefill": {"gpu": {"count": 1}}, "decode": {"gpu": {"count": 1}}},
            "resources": {},
        },
        "spec.serving.mode",
    ),
}


def decide(change: Mapping[str, Any] | None = None, **rest: Any) -> OfflineDecision:
    return deployment(
        "kaito", name="demo", **{"model": {"id": "org/model"}, "resources": GPU, **(change or {})}, **rest
    )


@pytest.mark.parametrize("case", REFUSED)
def test_what_kaito_cannot_express_is_refused_by_name(case: str) -> None:
    change, path = REFUSED[case]
    decision = decide(change)
    assert path in {problem.path for problem in decision.errors}
    assert decision.objects == ()


def test_without_a_refused_field_the_same_deployment_is_rendered() -> None:
    assert [row["kind"] for row in decide().objects] == ["ConfigMap", "InferenceSet", "Service"]


def test_a_bare_model_id_is_enough() -> None:
    decision = deployment("kaito", name="demo", model={"id": "org/model"})
    assert decision.errors == ()
    assert decision.spec.engine.type == "llamacpp"
    assert [row["kind"] for row in decision.objects] == ["InferenceSet", "Service"]


@pytest.mark.parametrize(("model", "engine"), [("org/model", "vllm"), ("org/model-GGUF", "llamacpp")])
def test_with_a_gpu_the_engine_is_the_one_that_reads_the_model(model: str, engine: str) -> None:
    assert decide({"model": {"id": model}}).spec.engine.type == engine


def test_a_workspace_that_needs_no_config_is_one_object() -> None:
    decision = deployment("kaito", name="demo", model={"id": "org/model"}, provider={"overrides": ONLY_WORKSPACE})
    assert [row["kind"] for row in decision.objects] == ["Workspace"]


@pytest.mark.parametrize(
    ("kind", "change"), [(INFERENCE_SET, {}), (WORKSPACE, {"provider": {"overrides": ONLY_WORKSPACE}})]
)
def test_longer_names_than_upstream_bears_are_refused(kind: Any, change: dict[str, Any]) -> None:
    for length, refused in ((kind.max_name, False), (kind.max_name + 1, True)):
        decision = deployment("kaito", name="a" * length, model={"id": "org/model"}, **change)
        assert ("metadata.name" in {problem.path for problem in decision.errors}) is refused


def set_status(ready: int, *, generation: int, verdict: str = "True") -> dict[str, Any]:
    row = {"type": "InferenceSetReady", "status": verdict, "reason": "r", "message": "m"}
    return {"readyReplicas": ready, "conditions": [{**row, "observedGeneration": generation}]}


@pytest.mark.parametrize(
    ("ready", "observed", "expected"), [(2, 2, True), (2, 1, False), (1, 2, False), (3, 2, True), (0, 2, False)]
)
def test_a_set_is_ready_when_this_generation_has_all_replicas(ready: int, observed: int, expected: bool) -> None:  # noqa: FBT001 - a table's column
    seen = decide({"scaling": {"replicas": 2}}).observe(generation=2, status=set_status(ready, generation=observed))
    assert seen.ready is expected
    assert seen.endpoint == {"service": "demo-api", "port": 80}


def test_a_set_at_zero_is_ready_when_no_workspace_is_left() -> None:
    decision = decide({"scaling": {"replicas": 0}})
    child = {"metadata": {"name": "demo-x"}, "status": {"state": "Pending"}}
    status = set_status(0, generation=1)
    assert decision.observe(status=status, children={WORKSPACE: (child,)}).ready is False
    assert decision.observe(status=status).ready is True


@pytest.mark.parametrize(
    ("state", "observed", "expected"), [("Ready", 2, True), ("Ready", 1, False), ("NotReady", 2, False), ("", 2, True)]
)
def test_a_workspace_is_ready_when_it_says_so_of_this_generation(state: str, observed: int, expected: bool) -> None:  # noqa: FBT001 - a table's column
    row = {
        "type": "WorkspaceSucceeded",
        "status": "True",
        "reason": "r",
        "message": "m",
        "observedGeneration": observed,
    }
    decision = decide({"provider": {"overrides": ONLY_WORKSPACE}})
    assert decision.observe(generation=2, status={"state": state, "conditions": [row]}).ready is expected


def test_the_cause_that_kaito_found_is_told() -> None:
    row = {"status": "False", "observedGeneration": 1}
    crash = {**row, "type": "InferenceReady", "reason": "ContainerOOMKilled", "message": "out of memory"}
    child = {"metadata": {"name": "demo-x"}, "status": {"state": "Pending", "conditions": [crash]}}
    seen = decide().observe(status=set_status(0, generation=1, verdict="False"), children={WORKSPACE: (child,)})
    assert "demo-x: out of memory" in seen.message
