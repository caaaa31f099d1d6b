"""What the stand-in for Dynamo makes of graphs, without a cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kubeairunway_dev.standins import dynamo_objects as dynamo
from kubeairunway_dev.standins.dynamo_objects import Counts, Trouble
from kubeairunway_dev.standins.owned import stamp

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def make_graph(**status: Any) -> dict[str, Any]:
    container = {"name": "main", "image": "x:1.4.0", "resources": {"limits": {"nvidia.com/gpu": "2"}}}
    template = {"metadata": {"labels": {"team": "nlp"}}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": "g", "namespace": "ns", "uid": "u1", "generation": 3},
        "spec": {
            "components": [
                {"name": "Frontend", "type": "frontend"},
                {"name": "VllmWorker", "type": "worker", "replicas": 2, "podTemplate": template},
            ]
        },
        "status": status,
    }


def make_alpha() -> dict[str, Any]:
    return {
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": "g", "namespace": "ns", "uid": "u1", "generation": 3},
        "spec": {
            "services": {
                "Decode": {
                    "componentType": "worker",
                    "subComponentType": "decode",
                    "replicas": 0,
                    "resources": {"limits": {"gpu": "2", "gpuType": "amd.com/gpu", "memory": "1Gi"}},
                    "envs": [{"name": "A", "value": "1"}],
                    "envFromSecret": "token",
                    "extraPodMetadata": {"labels": {"team": "nlp"}},
                    "extraPodSpec": {"nodeSelector": {"a": "b"}, "mainContainer": {"image": "x:1"}},
                }
            }
        },
    }


def test_components_are_read_in_both_versions() -> None:
    frontend, worker = dynamo.list_components(make_graph())
    assert (frontend.name, frontend.type, frontend.replicas) == ("Frontend", "frontend", 1)
    assert (worker.name, worker.type, worker.replicas) == ("VllmWorker", "worker", 2)
    (decode,) = dynamo.list_components(make_alpha())
    assert (decode.name, decode.type, decode.sub_type, decode.replicas) == ("Decode", "worker", "decode", 0)


def test_a_service_of_v1alpha1_becomes_an_ordinary_pod() -> None:
    graph = make_alpha()
    (decode,) = dynamo.list_components(graph)
    template = dynamo.make_deployment(graph, decode)["spec"]["template"]
    assert template["spec"] == {
        "nodeSelector": {"a": "b"},
        "containers": [
            {
                "name": "main",
                "image": "x:1",
                "resources": {"limits": {"amd.com/gpu": "2", "memory": "1Gi"}},
                "env": [{"name": "A", "value": "1"}],
                "envFrom": [{"secretRef": {"name": "token"}}],
            }
        ],
    }
    assert template["metadata"]["labels"]["team"] == "nlp"
    assert template["metadata"]["labels"]["nvidia.com/dynamo-sub-component-type"] == "decode"


def test_gpus_without_a_type_are_nvidia_s() -> None:
    assert dynamo.read_resources({"gpu": "1", "custom": {"x/y": "2"}}) == {"nvidia.com/gpu": "1", "x/y": "2"}


def test_pods_carry_the_graph_s_labels_and_services_find_them() -> None:
    graph = make_graph()
    _, worker = dynamo.list_components(graph)
    deployment, service = dynamo.make_deployment(graph, worker), dynamo.make_service(graph, worker)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels == {
        "team": "nlp",
        "nvidia.com/dynamo-graph-deployment-name": "g",
        "nvidia.com/dynamo-component": "VllmWorker",
        "nvidia.com/dynamo-component-type": "worker",
        "nvidia.com/dynamo-namespace": "ns-g",
        "nvidia.com/selector": "g-vllmworker",
    }
    assert deployment["metadata"]["name"] == service["metadata"]["name"] == "g-vllmworker"
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"]
    assert service["metadata"]["ownerReferences"][0]["uid"] == "u1"
    assert service["spec"]["ports"][0]["port"] == 9090


def test_the_frontend_s_service_has_the_port_that_models_are_asked_at() -> None:
    graph = make_graph()
    service = dynamo.make_service(graph, dynamo.list_components(graph)[0])
    assert (service["metadata"]["name"], service["spec"]["ports"][0]["port"]) == ("g-frontend", 8000)


FULL_UP = Trouble.NO_CAPACITY
FULL = Counts(replicas=2, updated=2, ready=2, available=2)


@pytest.mark.parametrize(
    ("counts", "unschedulable", "trouble"),
    [
        pytest.param(FULL, None, None, id="all there"),
        pytest.param(FULL, "old pod", None, id="all there and one too many that waits"),
        pytest.param(Counts(), None, Trouble.NO_PODS, id="none there"),
        pytest.param(Counts(replicas=2, updated=2, ready=1, available=1), None, Trouble.NO_PODS, id="one not ready"),
        pytest.param(Counts(replicas=2, updated=2), "no GPUs", Trouble.NO_CAPACITY, id="no node"),
        pytest.param(Counts(replicas=3, updated=1, ready=2, available=2), None, Trouble.UPDATING, id="old pods"),
        pytest.param(Counts(replicas=3, updated=3, ready=3, available=3), None, Trouble.NO_PODS, id="one too many"),
        pytest.param(Counts(replicas=2, updated=2, ready=2), None, Trouble.NO_PODS, id="not available yet"),
    ],
)
def test_a_component_is_ready_with_exactly_its_pods(
    counts: Counts, unschedulable: str | None, trouble: Trouble | None
) -> None:
    worker = dynamo.list_components(make_graph())[1]
    found = dynamo.find_trouble(worker, counts, unschedulable)
    assert (None if found is None else found[0]) == trouble


@pytest.mark.parametrize(
    ("troubles", "fail", "state", "reason"),
    [
        pytest.param({}, "", "successful", "all_resources_are_ready", id="ready"),
        pytest.param({}, "boom", "failed", "failed_to_reconcile_the_resources", id="failed"),
        pytest.param({"a": Trouble.NO_PODS}, "", "pending", "pods_not_ready", id="pods"),
        pytest.param(
            {"a": Trouble.NO_CAPACITY, "b": Trouble.NO_CAPACITY}, "", "pending", "insufficient_capacity", id="two"
        ),
        pytest.param(
            {"a": Trouble.NO_CAPACITY, "b": Trouble.UPDATING}, "", "pending", "mixed_not_ready_reasons", id="mix"
        ),
        pytest.param({"a": Trouble.STARTING}, "", "pending", "some_resources_are_not_ready", id="starting"),
    ],
)
def test_a_graph_is_what_its_components_are(troubles: dict[str, Trouble], fail: str, state: str, reason: str) -> None:
    verdict = dynamo.judge({name: (trouble, "why") for name, trouble in troubles.items()}, fail=fail)
    assert (verdict.state, verdict.reason) == (state, reason)
    assert all(f"{name}: why" in verdict.message for name in troubles)


def test_a_status_has_state_condition_and_counts_of_one_generation() -> None:
    counts = {"Frontend": Counts(), "VllmWorker": FULL}
    status = dynamo.make_status(make_graph(), counts, dynamo.judge({}, fail=""), NOW)
    assert (status["state"], status["observedGeneration"]) == ("successful", 3)
    assert [(row["type"], row["status"], row["observedGeneration"]) for row in status["conditions"]] == [
        ("Ready", "True", 3)
    ]
    assert status["components"]["VllmWorker"] == {
        "componentKind": "Deployment",
        "componentNames": ["g-vllmworker"],
        "replicas": 2,
        "updatedReplicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
    }
    alpha = dynamo.make_status(make_alpha(), {"Decode": Counts()}, dynamo.judge({}, fail="x"), NOW)
    assert alpha["services"]["Decode"]["componentName"] == "g-decode"
    assert "components" not in alpha


def test_a_deployment_of_an_older_revision_updates_nothing() -> None:
    graph = make_graph()
    worker = dynamo.list_components(graph)[1]
    wanted = dynamo.make_deployment(graph, worker)
    counts = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
    live = stamp(wanted)
    live = {**live, "metadata": {**live["metadata"], "generation": 1}, "status": counts}
    assert dynamo.count_deployment(wanted, live) == FULL
    assert dynamo.count_deployment(wanted, None) == Counts()
    unseen = {**live, "metadata": {**live["metadata"], "generation": 2}}
    assert dynamo.count_deployment(wanted, unseen).updated == 0
    other = {**wanted, "spec": {**wanted["spec"], "replicas": 5}}
    assert dynamo.count_deployment(other, live).updated == 0


def test_played_pods_serve_on_until_the_new_ones_do() -> None:
    worker = dynamo.list_components(make_graph())[1]
    before = {"VllmWorker": {"readyReplicas": 3}}
    assert dynamo.count_played(worker, before, ready=False) == Counts(replicas=3, updated=0, ready=3, available=3)
    assert dynamo.count_played(worker, {}, ready=False) == Counts(replicas=2)
    assert dynamo.count_played(worker, before, ready=True) == FULL


def test_defaults_are_what_was_left_out_and_only_that() -> None:
    paths = {item["path"]: item["value"] for item in dynamo.list_defaults(make_graph())}
    assert paths == {
        "/metadata/annotations": {},
        "/metadata/annotations/nvidia.com~1dynamo-operator-origin-version": "1.4.0",
        "/spec/components/0/replicas": 1,
        "/spec/components/0/minAvailable": 1,
        "/spec/components/1/minAvailable": 1,
    }
    noted = make_alpha()
    noted["metadata"]["annotations"] = {dynamo.ORIGIN_VERSION: "1.1.0"}
    assert dynamo.list_defaults(noted) == []


@pytest.mark.parametrize(
    ("status", "settled"),
    [
        pytest.param({"state": "successful", "observedGeneration": 3}, True, id="this revision"),
        pytest.param({"state": "successful", "observedGeneration": 2}, False, id="an older one"),
        pytest.param({"state": "pending", "observedGeneration": 3}, False, id="not ready"),
        pytest.param({}, False, id="nothing said"),
    ],
)
def test_a_restarted_stand_in_waits_only_for_what_is_new(status: dict[str, Any], *, settled: bool) -> None:
    assert dynamo.is_settled(make_graph(**status)) is settled
