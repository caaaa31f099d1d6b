"""The whole decision with the core, offline: what a user gets told, and when a deployment is Ready."""

from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from kubeairunway.testing.offline import OfflineDecision, deployment
from kubeairunway_kuberay.catalog import RAY_CLUSTER, RAY_SERVICE

GPU = {"gpu": {"count": 1}}
ROLES = {"prefill": {"replicas": 2, "gpu": {"count": 1}}, "decode": {"gpu": {"count": 2}}}
APART = {"serving": {"mode": "disaggregated"}, "scaling": ROLES, "resources": {}}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "SGLang": ({"engine": {"type": "sglang"}}, "spec.engine.type"),
    "TensorRT-LLM": ({"engine": {"type": "trtllm"}}, "spec.engine.type"),
    "llama.cpp": ({"engine": {"type": "llamacpp"}}, "spec.engine.type"),
    "no GPU": ({"resources": {"gpu": {"count": 0}}}, "spec.resources.gpu.count"),
    "custom source": ({"model": {"id": "org/model", "source": "custom"}}, "spec.model.source"),
    "raw arguments": ({"engine": {"type": "vllm", "extraArgs": ["--x"]}}, "spec.engine.extraArgs"),
    "memory in disaggregated mode": ({**APART, "resources": {"memory": "8Gi"}}, "spec.resources.memory"),
    "one role alone": (
        {**APART, "scaling": {**ROLES, "decode": {"replicas": 0, "gpu": {"count": 1}}}},
        "spec.scaling.decode.replicas",
    ),
    "an option of another name": ({"provider": {"overrides": {"heads": {}}}}, "spec.provider.overrides.heads"),
    "an option of another type": (
        {"provider": {"overrides": {"head": {"rayStartParams": {"num-cpus": 2}}}}},
        "spec.provider.overrides.head.rayStartParams.num-cpus",
    ),
}


def decide(change: Mapping[str, Any] | None = None, **rest: Any) -> OfflineDecision:
    rest.setdefault("name", "demo")
    return deployment("kuberay", **{"model": {"id": "org/model"}, "resources": GPU, **(change or {})}, **rest)


@pytest.mark.parametrize("case", REFUSED)
def test_what_kuberay_cannot_express_is_refused_by_name(case: str) -> None:
    change, path = REFUSED[case]
    decision = decide(change)
    assert path in {problem.path for problem in decision.errors}
    assert decision.objects == ()


def test_without_a_refused_field_the_same_deployment_is_rendered() -> None:
    assert [row["kind"] for row in decide().objects] == ["RayService"]
    assert [row["kind"] for row in decide(APART).objects] == ["RayService"]
    assert decide().primary["apiVersion"] == "ray.io/v1"


def test_a_volume_with_a_size_has_its_claim_first() -> None:
    volume = {"name": "weights", "purpose": "modelCache", "size": "100Gi"}
    decision = decide({"model": {"id": "org/model", "storage": {"volumes": [volume]}}})
    assert [(row["kind"], row["metadata"]["name"]) for row in decision.objects] == [
        ("PersistentVolumeClaim", "demo-weights"),
        ("RayService", "demo"),
    ]
    (worker,) = decision.primary["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (mounted,) = worker["template"]["spec"]["volumes"]
    assert mounted["persistentVolumeClaim"]["claimName"] == "demo-weights"


def test_longer_names_than_kuberay_bears_are_refused() -> None:
    for length, refused in ((RAY_SERVICE.max_name, False), (RAY_SERVICE.max_name + 1, True)):
        decision = decide(name="a" * length)
        assert ("metadata.name" in {problem.path for problem in decision.errors}) is refused


def test_a_name_that_begins_with_a_digit_is_refused() -> None:
    assert [problem.path for problem in decide(name="1demo").errors] == ["metadata.name"]


def test_options_reach_the_head() -> None:
    options = {"head": {"resources": {"cpu": "8"}, "rayStartParams": {"num-cpus": "2"}}}
    head = decide({"provider": {"overrides": options}}).primary["spec"]["rayClusterConfig"]["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "2"
    assert head["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] == "8"


def test_settings_of_the_administrator_reach_the_pods() -> None:
    cluster = decide(settings={"image": "mirror/ray-llm:2.56.0-py312"}).primary["spec"]["rayClusterConfig"]
    assert cluster["rayVersion"] == "2.56.0"
    assert cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["image"] == "mirror/ray-llm:2.56.0-py312"


def test_the_served_name_is_the_last_part_of_the_id() -> None:
    (application,) = yaml.safe_load(decide().primary["spec"]["serveConfigV2"])["applications"]
    (model,) = application["args"]["llm_configs"]
    assert model["model_loading_config"] == {"model_id": "model", "model_source": "org/model"}


def said(
    state: str = "RUNNING", *, observed: int = 2, workers: int = 1, ready: str = "True", pending: str = ""
) -> dict[str, Any]:
    row = {"type": "Ready", "status": ready, "reason": "r", "message": "m", "observedGeneration": observed}
    applications = {"llm": {"status": state, "message": "the cause" if state != "RUNNING" else ""}}
    active = {
        "rayClusterName": "demo-1",
        "applicationStatuses": applications,
        "rayClusterStatus": {"readyWorkerReplicas": workers},
    }
    status = {"conditions": [row], "observedGeneration": observed, "activeServiceStatus": active}
    return status | ({"pendingServiceStatus": {"rayClusterName": pending}} if pending else {})


READY_CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "this generation serves": (said(), True),
    "an older generation serves": (said(observed=1), False),
    "the application loads": (said("DEPLOYING"), False),
    "the application is unhealthy": (said("UNHEALTHY"), False),
    "a worker is missing": (said(workers=0), False),
    "no endpoint": (said(ready="False"), False),
    "a new cluster is coming": (said(pending="demo-2"), False),
}


@pytest.mark.parametrize("case", READY_CASES)
def test_ready_is_proved(case: str) -> None:
    status, expected = READY_CASES[case]
    seen = decide().observe(generation=2, status=status)
    assert seen.ready is expected
    assert seen.endpoint == {"service": "demo-serve-svc", "port": 8000}


def test_the_old_cluster_is_available_while_the_new_one_starts() -> None:
    seen = decide().observe(generation=2, status=said(pending="demo-2"))
    assert seen.replicas == {"desired": 1, "ready": 0, "available": 1}
    assert "the new RayCluster does not serve yet" in seen.message


def test_a_failed_application_is_a_failure_with_its_cause() -> None:
    seen = decide().observe(generation=2, status=said("DEPLOY_FAILED"))
    assert (seen.phase, seen.message, seen.condition("Stalled")["status"]) == ("Failed", "the cause", "True")
    older = decide().observe(generation=3, status=said("DEPLOY_FAILED"))
    assert older.phase == "Deploying"


def test_a_refused_service_is_a_failure_whatever_generation_it_knows() -> None:
    row = {"type": "Ready", "status": "False", "reason": "ValidationFailed", "message": "no such strategy"}
    seen = decide().observe(generation=2, status={"conditions": [row]})
    assert (seen.phase, seen.message) == ("Failed", "no such strategy")


def test_all_roles_have_to_serve() -> None:
    decision = decide(APART)
    assert decision.observe(generation=2, status=said(workers=3)).ready is True
    assert decision.observe(generation=2, status=said(workers=2)).ready is False


def test_zero_is_ready_when_nothing_is_left() -> None:
    decision = decide({"scaling": {"replicas": 0}})
    row = {"type": "Suspended", "status": "True", "reason": "SuspendComplete", "message": "gone"}
    left = {"metadata": {"name": "demo-1"}}
    assert decision.observe(status={"conditions": [row]}).ready is True
    assert decision.observe(status={"conditions": [row]}, children={RAY_CLUSTER: (left,)}).ready is False
    assert decision.observe(status=said(observed=1)).ready is False


def test_the_cause_that_a_cluster_has_is_told() -> None:
    row = {"type": "ReplicaFailure", "status": "True", "reason": "r", "message": "exceeded quota"}
    child = {"metadata": {"name": "demo-1"}, "status": {"conditions": [row]}}
    seen = decide().observe(generation=2, status=said("DEPLOYING", ready="False"), children={RAY_CLUSTER: (child,)})
    assert "the cause" in seen.message
    quiet = {"pendingServiceStatus": {"rayClusterName": "demo-1"}, "observedGeneration": 2}
    seen = decide().observe(generation=2, status=quiet, children={RAY_CLUSTER: (child,)})
    assert "demo-1: exceeded quota" in seen.message
