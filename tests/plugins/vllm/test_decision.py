"""The whole decision with the core, offline: what is chosen, what a user gets told, and when a deployment is Ready."""

from typing import Any

import pytest

from kubeairunway.testing.offline import OfflineDecision, deployment
from kubeairunway_vllm.catalog import provider

GPU = {"gpu": {"count": 1}}
SAMPLES: dict[str, Any] = {
    "model.id": "other/model-2",
    "model.servedName": "other",
    "model.storage.volumes": [{"name": "weights", "claimName": "weights", "mountPath": "/weights"}],
    "engine.contextLength": 4096,
    "engine.trustRemoteCode": True,
    "engine.args": {"dtype": "half"},
    "engine.image": "registry.example.com/other:1",
    "engine.enablePrefixCaching": False,
    "engine.enforceEager": True,
    "engine.extraArgs": ["--raw"],
    "scaling.replicas": 3,
    "resources.gpu.count": 2,
    "resources.memory": "8Gi",
    "resources.cpu": "4",
    "image": "registry.example.com/other:2",
    "env": [{"name": "A", "value": "b"}],
    "podTemplate.metadata.labels": {"team": "nlp"},
    "podTemplate.metadata.annotations": {"note": "x"},
    "secrets.huggingFaceToken": "hf-token",
    "nodeSelector": {"pool": "a"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
}
WITH_IMAGE = {"model.source": "custom", "resources.gpu.type": "amd.com/gpu"}
"""What needs an image of the user's."""


def decide(**change: Any) -> OfflineDecision:
    return deployment("vllm", name="demo", **{"model": {"id": "org/model"}, "resources": GPU, **change})


def nest(path: str, value: Any) -> dict[str, Any]:
    for step in reversed(path.split(".")):
        value = {step: value}
    found: dict[str, Any] = value
    return found


def specs(decision: OfflineDecision) -> list[Any]:
    """What is rendered, our own labels and marks left out: those follow some fields by themselves."""
    assert decision.errors == ()
    return [(row["kind"], row["metadata"]["name"], row["spec"]) for row in decision.objects]


@pytest.mark.parametrize("path", SAMPLES)
def test_a_carried_field_reaches_the_pods(path: str) -> None:
    before = decide()
    assert specs(before.change(**nest(path, SAMPLES[path]))) != specs(before)


@pytest.mark.parametrize("path", WITH_IMAGE)
def test_a_carried_field_that_needs_an_image_reaches_the_pods(path: str) -> None:
    before = decide(image="registry.example.com/own:1")
    assert specs(before.change(**nest(path, WITH_IMAGE[path]))) != specs(before)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no GPU": ({"resources": {}, "engine": {"type": "vllm"}}, "spec.resources.gpu.count"),
    "gateway": ({"gateway": {"enabled": True}}, "spec.gateway.enabled"),
    "another engine": ({"engine": {"type": "sglang"}}, "spec.engine.type"),
    "port": ({"engine": {"args": {"port": "9000"}}}, "spec.engine.args.port"),
    "host": ({"engine": {"extraArgs": ["--host=127.0.0.1"]}}, "spec.engine.extraArgs[0]"),
    "parallelism twice": (
        {"engine": {"args": {"tensor-parallel-size": "4"}, "extraArgs": ["--tensor_parallel_size=2"]}},
        "spec.engine.extraArgs",
    ),
    "strategy": ({"provider": {"overrides": {"strategy": "none"}}}, "spec.provider.overrides.strategy"),
    "startup": ({"provider": {"overrides": {"startupSeconds": 5}}}, "spec.provider.overrides.startupSeconds"),
    "deadline": (
        {"provider": {"overrides": {"progressDeadlineSeconds": 5}}},
        "spec.provider.overrides.progressDeadlineSeconds",
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


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_cannot_do_is_refused_by_name(case: str) -> None:
    change, path = REFUSED[case]
    decision = decide(**change)
    assert decision.objects == ()
    told = {problem.path for problem in decision.errors} or {decision.explanation.message}
    assert path in told or any("engine" in text or "GPU" in text or "mode" in text for text in told)


def test_it_is_chosen_without_rules_and_outranked_by_whoever_has_one() -> None:
    assert provider().auto_select
    assert provider().rules == ()
    assert not hasattr(__import__("kubeairunway_vllm"), "select")


def test_claims_come_first_and_the_service_last() -> None:
    volumes = [{"name": "weights", "purpose": "modelCache", "size": "1Gi"}]
    decision = decide(model={"id": "org/model", "storage": {"volumes": volumes}})
    named = [(row["kind"], row["metadata"]["name"]) for row in decision.objects]
    assert named == [("PersistentVolumeClaim", "demo-weights"), ("Deployment", "demo"), ("Service", "demo")]
    claim = decision.object("PersistentVolumeClaim", "weights")["spec"]
    assert claim == {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}


def counts(replicas: int, updated: int, ready: int, *, seen: int) -> dict[str, Any]:
    return {
        "observedGeneration": seen,
        "replicas": replicas,
        "updatedReplicas": updated,
        "readyReplicas": ready,
        "availableReplicas": ready,
    }


READY: dict[str, tuple[dict[str, Any], bool]] = {
    "all of this generation": (counts(2, 2, 2, seen=2), True),
    "all, as seen before the change": (counts(2, 2, 2, seen=1), False),
    "an old pod is left": (counts(3, 2, 3, seen=2), False),
    "none is new yet": (counts(2, 0, 2, seen=2), False),
    "one is not ready": (counts(2, 2, 1, seen=2), False),
    "nothing said": ({}, False),
}


@pytest.mark.parametrize("case", READY)
def test_ready_means_that_every_pod_is_of_this_revision_and_serves(case: str) -> None:
    status, ready = READY[case]
    seen = decide(scaling={"replicas": 2}).observe(generation=2, status=status)
    assert seen.ready is ready
    assert seen.endpoint == {"service": "demo", "port": 8000}


def test_zero_replicas_are_ready_when_no_pod_is_left() -> None:
    decision = decide(scaling={"replicas": 0})
    assert decision.observe(status=counts(1, 1, 1, seen=1)).ready is False
    assert decision.observe(status={"observedGeneration": 1}).condition("Ready")["reason"] == "ScaledToZero"


@pytest.mark.parametrize(
    ("kind", "reason", "verdict"),
    [("ReplicaFailure", "FailedCreate", "True"), ("Progressing", "ProgressDeadlineExceeded", "False")],
)
def test_a_failure_is_told_in_kubernetes_own_words(kind: str, reason: str, verdict: str) -> None:
    row = {"type": kind, "status": verdict, "reason": reason, "message": "because of x"}
    seen = decide().observe(status={**counts(0, 0, 0, seen=1), "conditions": [row]})
    assert seen.phase == "Failed"
    assert "because of x" in seen.message


def test_names_as_long_as_a_label_are_taken_and_longer_ones_refused() -> None:
    for length, paths in ((63, set()), (64, {"metadata.name"})):
        decision = deployment("vllm", name="a" * length, model={"id": "org/model"}, resources=GPU)
        assert {problem.path for problem in decision.errors} == paths
