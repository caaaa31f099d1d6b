"""The whole decision with the core, offline: what a user gets told, and when a deployment is Ready."""

from collections.abc import Mapping
from typing import Any

import pytest

from kubeairunway.testing.offline import OfflineDecision, deployment
from kubeairunway_dynamo.catalog import GRAPH

GPU = {"gpu": {"count": 1}}
ROLES = {"prefill": {"gpu": {"count": 1}}, "decode": {"gpu": {"count": 1}}}
DISAGGREGATED = {"serving": {"mode": "disaggregated"}, "scaling": ROLES, "resources": {}}
ALPHA = {(GRAPH.group, GRAPH.name): "v1alpha1"}


def decide(change: Mapping[str, Any] | None = None, **rest: Any) -> OfflineDecision:
    return deployment(
        "dynamo", name="demo", **{"model": {"id": "org/model"}, "resources": GPU, **(change or {})}, **rest
    )


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no GPU": ({"resources": {}}, "spec.resources.gpu.count"),
    "llama.cpp": ({"engine": {"type": "llamacpp"}}, "spec.engine.type"),
    "TensorRT-LLM, disaggregated": ({**DISAGGREGATED, "engine": {"type": "trtllm"}}, "spec.serving.mode"),
    "a role without GPUs": (
        {**DISAGGREGATED, "scaling": {**ROLES, "decode": {"replicas": 1}}},
        "spec.scaling.decode.gpu.count",
    ),
    "a role that is missing": (
        {**DISAGGREGATED, "scaling": {"decode": {"gpu": {"count": 1}}}},
        "spec.scaling.prefill",
    ),
    "CPU of roles": ({**DISAGGREGATED, "resources": {"cpu": "4"}}, "spec.resources.cpu"),
    "memory beside roles": ({**DISAGGREGATED, "resources": {"memory": "4Gi"}}, "spec.resources.memory"),
    "a model inside the image": (
        {"model": {"id": "org/model", "source": "custom"}, "image": "x:1.4.0"},
        "spec.model.source",
    ),
    "TensorRT-LLM, context length": (
        {"engine": {"type": "trtllm", "contextLength": 4096}},
        "spec.engine.contextLength",
    ),
    "TensorRT-LLM, remote code": (
        {"engine": {"type": "trtllm", "trustRemoteCode": True}},
        "spec.engine.trustRemoteCode",
    ),
    "TensorRT-LLM, eager": ({"engine": {"type": "trtllm", "enforceEager": True}}, "spec.engine.enforceEager"),
    "TensorRT-LLM, no prefix caching": (
        {"engine": {"type": "trtllm", "enablePrefixCaching": False}},
        "spec.engine.enablePrefixCaching",
    ),
    "a router that is none": (
        {"provider": {"overrides": {"routerMode": "direct"}}},
        "spec.provider.overrides.routerMode",
    ),
    "no frontend": (
        {"provider": {"overrides": {"frontend": {"replicas": 0}}}},
        "spec.provider.overrides.frontend.replicas",
    ),
    "a quantity that is none": (
        {"provider": {"overrides": {"frontend": {"resources": {"cpu": "much"}}}}},
        "spec.provider.overrides.frontend.resources.cpu",
    ),
    "a version that is none": (
        {"provider": {"overrides": {"runtimeVersion": "1.4"}}},
        "spec.provider.overrides.runtimeVersion",
    ),
    "an option that does not exist": (
        {"provider": {"overrides": {"epp": {}}}},
        "spec.provider.overrides.epp",
    ),
    "a role as argument": ({"engine": {"args": {"disaggregation-mode": "prefill"}}}, "spec.engine.args"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_dynamo_cannot_express_is_refused_by_name(case: str) -> None:
    change, path = REFUSED[case]
    decision = decide(change)
    assert path in {problem.path for problem in decision.errors}
    assert decision.objects == ()


@pytest.mark.parametrize("change", [{}, DISAGGREGATED, {"engine": {"type": "sglang"}}, {"engine": {"type": "trtllm"}}])
def test_without_a_refused_field_it_is_rendered(change: dict[str, Any]) -> None:
    decision = decide(change)
    assert decision.errors == ()
    assert [row["kind"] for row in decision.objects] == ["DynamoGraphDeployment"]


def test_the_object_is_the_deployments_own_in_its_namespace() -> None:
    decision = deployment("dynamo", name="demo", namespace="ml", model={"id": "org/model"}, resources=GPU)
    metadata = decision.primary["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("demo", "ml")
    assert [row["kind"] for row in metadata["ownerReferences"]] == ["ModelDeployment"]


@pytest.mark.parametrize(("served", "version"), [({}, "nvidia.com/v1beta1"), (ALPHA, "nvidia.com/v1alpha1")])
def test_the_version_is_the_best_that_is_served(served: dict[tuple[str, str], str], version: str) -> None:
    decision = decide(served=served)
    assert decision.primary["apiVersion"] == version
    assert ("components" in decision.primary["spec"]) is (version == "nvidia.com/v1beta1")


@pytest.mark.parametrize("change", [{}, DISAGGREGATED])
def test_longer_names_than_grove_bears_are_refused(change: dict[str, Any]) -> None:
    for length, refused in ((37, False), (38, True)):
        spec = {"model": {"id": "org/model"}, "resources": GPU, **change}
        decision = deployment("dynamo", name="a" * length, **spec)
        assert ("metadata.name" in {problem.path for problem in decision.errors}) is refused
        assert bool(decision.objects) is not refused


RULES: dict[str, tuple[dict[str, Any], set[str]]] = {
    "vLLM": ({"engine": {"type": "vllm"}}, {"vllm"}),
    "SGLang": ({"engine": {"type": "sglang"}}, {"sglang"}),
    "TensorRT-LLM": ({"engine": {"type": "trtllm"}}, {"trtllm"}),
    "vLLM, disaggregated": ({"engine": {"type": "vllm"}, **DISAGGREGATED}, {"disaggregated"}),
    "SGLang, disaggregated": ({"engine": {"type": "sglang"}, **DISAGGREGATED}, {"disaggregated", "sglang"}),
}
SCORES = {"vllm": 50, "disaggregated": 90, "sglang": 100, "trtllm": 100}


@pytest.mark.parametrize("case", RULES)
def test_the_rules_that_match(case: str) -> None:
    change, expected = RULES[case]
    (candidate,) = decide(change).explanation.candidates
    assert {rule.name for rule in candidate.rules if rule.outcome == "matched"} == expected
    assert not [rule for rule in candidate.rules if rule.outcome == "error"]
    assert candidate.score == max(SCORES[name] for name in expected)


def test_a_claim_that_is_made_has_the_name_that_the_pods_mount() -> None:
    volumes = [{"name": "weights", "purpose": "modelCache", "size": "10Gi"}]
    decision = decide({"model": {"id": "org/model", "storage": {"volumes": volumes}}})
    claim = decision.object("PersistentVolumeClaim", "weights")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    pod = decision.primary["spec"]["components"][1]["podTemplate"]["spec"]
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": claim["metadata"]["name"]}
    assert {"name": "HF_HOME", "value": "/model-cache"} in pod["containers"][0]["env"]


def row(replicas: int, updated: int, ready: int) -> dict[str, int]:
    return {"replicas": replicas, "updatedReplicas": updated, "readyReplicas": ready}


def status_of(generation: int, *, state: str = "successful", field: str = "components", **rows: Any) -> dict[str, Any]:
    verdict = {"type": "Ready", "status": "True" if state == "successful" else "False", "reason": "r", "message": "m"}
    condition = {**verdict, "observedGeneration": generation}
    return {"state": state, "observedGeneration": generation, "conditions": [condition], field: rows}


F = row(1, 1, 1)
READINESS: dict[str, tuple[dict[str, Any], bool]] = {
    "this generation": (status_of(2, Frontend=F, Worker=row(2, 2, 2)), True),
    "the one before": (status_of(1, Frontend=F, Worker=row(2, 2, 2)), False),
    "one that does not exist": (status_of(3, Frontend=F, Worker=row(2, 2, 2)), False),
    "one replica short": (status_of(2, Frontend=F, Worker=row(2, 2, 1)), False),
    "old pods": (status_of(2, Frontend=F, Worker=row(2, 0, 2)), False),
    "old pods that serve while new ones start": (status_of(2, Frontend=F, Worker=row(4, 2, 2)), False),
    "one old pod beside enough new ones": (status_of(2, Frontend=F, Worker=row(3, 2, 3)), False),
    "one new pod too many": (status_of(2, Frontend=F, Worker=row(3, 3, 3)), True),
    "no frontend": (status_of(2, Frontend=row(1, 1, 0), Worker=row(2, 2, 2)), False),
    "pending": (status_of(2, state="pending", Frontend=F, Worker=row(2, 2, 2)), False),
    "failed": (status_of(2, state="failed", Frontend=F, Worker=row(2, 2, 2)), False),
}


@pytest.mark.parametrize("case", READINESS)
def test_it_is_ready_when_this_generation_serves_with_all_replicas(case: str) -> None:
    status, expected = READINESS[case]
    seen = decide({"scaling": {"replicas": 2}}).observe(generation=2, status=status)
    assert seen.ready is expected
    assert seen.endpoint == {"service": "demo-frontend", "port": 8000}


def test_older_dynamo_is_read_the_same() -> None:
    decision = decide(served=ALPHA)
    old, new = (status_of(generation, field="services", Frontend=F, Worker=row(1, 1, 1)) for generation in (1, 2))
    assert decision.observe(generation=2, status=old).ready is False
    assert decision.observe(generation=2, status=new).ready is True


def test_each_role_has_to_be_there() -> None:
    decision = decide(DISAGGREGATED)
    whole = status_of(1, Frontend=F, Prefill=F, Decode=F)
    assert decision.observe(status=whole).ready is True
    short = decision.observe(status=status_of(1, Frontend=F, Prefill=row(2, 2, 2), Decode=row(1, 1, 0)))
    assert short.ready is False
    assert "0 of 1 decode" in short.message


def test_at_zero_it_is_ready_when_no_pod_is_left() -> None:
    decision = decide({"scaling": {"replicas": 0}})
    ends, gone = (status_of(1, Frontend=row(n, n, 0), Worker=row(n, n, 0)) for n in (1, 0))
    assert decision.observe(status=ends).ready is False
    seen = decision.observe(status=gone)
    assert (seen.ready, seen.condition("Ready")["reason"]) == (True, "ScaledToZero")


def test_dynamos_own_words_are_told() -> None:
    status = status_of(1, state="failed")
    status["conditions"][0]["message"] = "persistentvolumeclaim not found"
    seen = decide().observe(status=status)
    assert (seen.phase, seen.message) == ("Failed", "persistentvolumeclaim not found")
