"""What the stand-in for KAITO makes of Workspaces and InferenceSets, without a cluster."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kubeairunway_dev.standins import kaito_objects as kaito
from kubeairunway_dev.standins import pods
from kubeairunway_dev.standins.kaito_objects import Stage

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 1, 2, 3, 5, 0, tzinfo=UTC)


def make_workspace(**status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": "w", "namespace": "ns", "uid": "u1", "generation": 3, "labels": {kaito.CREATED_BY: "s"}},
        "resource": {"count": 2, "labelSelector": {"matchLabels": {"nvidia.com/gpu.present": "true"}}},
        "inference": {"preset": {"name": "phi-4"}},
        "status": status,
    }


def make_set(replicas: int, **status: Any) -> dict[str, Any]:
    template = {
        "metadata": {"labels": {"team": "nlp"}, "annotations": {"a": "b"}},
        "resource": {"partition": {"mode": "mig"}},
        "inference": {"preset": {"name": "phi-4"}},
    }
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "InferenceSet",
        "metadata": {"name": "s", "namespace": "ns", "uid": "u0", "generation": 5},
        "spec": {"replicas": replicas, "labelSelector": {"matchLabels": {"x": "y"}}, "template": template},
        "status": status,
    }


def make_child(uid: str, *, ready: bool, deleting: bool = False) -> dict[str, Any]:
    meta = {"uid": uid} | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if deleting else {})
    condition = {"type": "WorkspaceSucceeded", "status": "True" if ready else "False"}
    return {"metadata": meta, "status": {"conditions": [condition]}}


@pytest.mark.parametrize(
    ("stage", "state", "statuses"),
    [
        pytest.param(Stage.NO_NODES, "Pending", "False False False False", id="no nodes yet"),
        pytest.param(Stage.NO_INFERENCE, "Pending", "True True False False", id="nodes, no inference"),
        pytest.param(Stage.READY, "Ready", "True True True True", id="ready"),
        pytest.param(Stage.FAILED, "Failed", "True True False False", id="failed"),
    ],
)
def test_a_workspace_says_how_far_it_is(stage: Stage, state: str, statuses: str) -> None:
    status = kaito.make_workspace_status(make_workspace(), stage, NOW)
    assert status["state"] == state
    assert [row["type"] for row in status["conditions"]] == [
        "NodesReady",
        "ResourceReady",
        "InferenceReady",
        "WorkspaceSucceeded",
    ]
    assert [row["status"] for row in status["conditions"]] == statuses.split()
    assert {row["observedGeneration"] for row in status["conditions"]} == {3}


@pytest.mark.parametrize(("before", "after"), [("", "Pending"), ("Pending", "Pending"), ("Ready", "NotReady")])
def test_a_workspace_is_not_ready_only_after_it_was_ready(before: str, after: str) -> None:
    status = kaito.make_workspace_status(make_workspace(state=before), Stage.NO_INFERENCE, NOW)
    assert status["state"] == after


def test_transition_times_move_only_with_a_condition() -> None:
    first = kaito.make_workspace_status(make_workspace(), Stage.NO_INFERENCE, NOW)
    second = kaito.make_workspace_status(make_workspace(**first), Stage.READY, LATER)
    times = {row["type"]: row["lastTransitionTime"] for row in second["conditions"]}
    assert times["NodesReady"] == "2026-01-02T03:04:05Z"
    assert times["InferenceReady"] == "2026-01-02T03:05:00Z"


def test_the_scheduler_s_reason_stands_on_the_inference_condition() -> None:
    message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    found = pods.find_unschedulable([{"status": {}}, {"status": {"conditions": [condition]}}])
    assert found == message
    status = kaito.make_workspace_status(make_workspace(), Stage.NO_INFERENCE, NOW, ("Unschedulable", found))
    inference = next(row for row in status["conditions"] if row["type"] == "InferenceReady")
    assert (inference["reason"], inference["message"]) == ("Unschedulable", message)


@pytest.mark.parametrize(
    ("replicas", "ready", "counts", "condition"),
    [
        pytest.param(2, [True, True], {"replicas": 2, "readyReplicas": 2}, "True", id="all ready"),
        pytest.param(2, [True, False], {"replicas": 2, "readyReplicas": 1}, "False", id="one of two"),
        pytest.param(2, [], {"replicas": 2}, "False", id="zero ready is left out"),
        pytest.param(0, [], {}, "True", id="scaled to zero"),
    ],
)
def test_a_set_counts_its_ready_workspaces(
    replicas: int, ready: list[bool], counts: dict[str, int], condition: str
) -> None:
    children = [make_child(str(index), ready=value) for index, value in enumerate(ready)]
    status = kaito.make_set_status(make_set(replicas), children, NOW)
    assert {name: status[name] for name in ("replicas", "readyReplicas") if name in status} == counts
    assert status["selector"] == "inferenceset.kaito.sh/created-by=s"
    row = status["conditions"][0]
    assert (row["type"], row["status"], row["observedGeneration"]) == ("InferenceSetReady", condition, 5)


def test_surplus_workspaces_go_unready_first_and_those_already_going_count() -> None:
    children = [
        make_child("ready", ready=True),
        make_child("going", ready=True, deleting=True),
        make_child("waiting", ready=False),
        make_child("ready too", ready=True),
    ]
    assert [child["metadata"]["uid"] for child in kaito.choose_surplus(children, 2)] == ["waiting"]
    assert kaito.choose_surplus(children, 3) == []


def test_a_child_is_labelled_owned_and_made_of_the_template() -> None:
    child = kaito.make_child(make_set(1), "s-abcde")
    meta = child["metadata"]
    assert meta["name"] == "s-abcde"
    assert meta["labels"] == {"team": "nlp", "inferenceset.kaito.sh/created-by": "s"}
    assert meta["annotations"] == {"a": "b"}
    assert [(owner["kind"], owner["uid"], owner["controller"]) for owner in meta["ownerReferences"]] == [
        ("InferenceSet", "u0", True)
    ]
    assert child["resource"] == {"labelSelector": {"matchLabels": {"x": "y"}}, "partition": {"mode": "mig"}}
    assert child["inference"] == {"preset": {"name": "phi-4"}}


def test_a_service_leads_port_80_to_5000_of_the_first_pod() -> None:
    service = kaito.make_service(make_workspace())
    assert service["metadata"]["name"] == "w"
    assert service["spec"]["ports"] == [{"name": "http", "port": 80, "targetPort": 5000, "protocol": "TCP"}]
    assert service["spec"]["selector"]["statefulset.kubernetes.io/pod-name"] == "w-0"


def test_pods_carry_both_labels_and_run_where_the_selector_says() -> None:
    spec = kaito.make_stateful_set(make_workspace())["spec"]
    assert spec["replicas"] == 2
    assert spec["template"]["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "1"}
    assert spec["template"]["metadata"]["labels"] == {"kaito.sh/workspace": "w", kaito.CREATED_BY: "s"}
    assert spec["template"]["spec"]["nodeSelector"] == {"nvidia.com/gpu.present": "true"}


def test_a_preset_takes_all_gpus_of_the_nodes_it_may_run_on() -> None:
    workspace = make_workspace()
    workspace["resource"]["labelSelector"]["matchLabels"]["nvidia.com/gpu.count"] = "8"
    container = kaito.make_stateful_set(workspace)["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "8"}


def test_a_template_s_own_containers_are_run() -> None:
    containers = [{"name": "model", "image": "x"}]
    workspace = make_workspace()
    workspace["inference"] = {"template": {"metadata": {"labels": {"k": "v"}}, "spec": {"containers": containers}}}
    template = kaito.make_stateful_set(workspace)["spec"]["template"]
    assert template["spec"]["containers"] == containers
    assert template["metadata"]["labels"]["k"] == "v"


def test_further_children_have_names_that_are_free_and_the_same_each_time() -> None:
    names = [child["metadata"]["name"] for child in kaito.make_children(make_set(3), (), 3)]
    assert len(set(names)) == 3
    assert all(len(name) == len("s-xxxxx") for name in names)
    further = kaito.make_children(make_set(3), {names[0], names[2]}, 1)
    assert [child["metadata"]["name"] for child in further] == [names[1]]


def test_a_failure_is_told_in_the_state_and_the_summary() -> None:
    status = kaito.make_workspace_status(make_workspace(), Stage.FAILED, NOW, ("", "no such model"))
    row = next(row for row in status["conditions"] if row["type"] == "WorkspaceSucceeded")
    assert (row["status"], row["reason"], row["message"]) == ("False", "workspaceFailed", "no such model")


def test_what_is_filled_in_is_not_filled_in_again() -> None:
    bare = make_set(1)
    (operation,) = kaito.list_defaults(bare)
    assert operation["path"] == "/spec/updateStrategy"
    assert kaito.list_defaults({**bare, "spec": {**bare["spec"], "updateStrategy": operation["value"]}}) == []
