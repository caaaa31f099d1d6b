"""What the stand-in for KubeRay makes of RayServices and RayClusters, without a cluster."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from kubeairunway_dev.standins import kuberay_objects as ray
from kubeairunway_dev.standins import kuberay_status, kuberay_suspend
from kubeairunway_dev.standins.kuberay_objects import Pair
from kubeairunway_dev.standins.kuberay_status import Nodes
from kubeairunway_dev.standins.kuberay_suspend import Suspension

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 1, 2, 3, 5, 0, tzinfo=UTC)
SERVE = "applications:\n- name: llm\n  deployments: [{name: A}]\n- import_path: x\n"


def make_service(active: str = "", pending: str = "", name: str = "s", **status: Any) -> dict[str, Any]:
    limits = {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "2"}
    head = {"spec": {"containers": [{"name": "ray-head", "image": "x"}]}}
    worker = {
        "metadata": {"labels": {"team": "nlp", "ray.io/group": "forged"}},
        "spec": {"containers": [{"name": "ray-worker", "resources": {"limits": limits}}]},
    }
    group = {"groupName": "gpu-workers", "replicas": 2, "minReplicas": 1, "maxReplicas": 4, "template": worker}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": name, "namespace": "ns", "uid": "u1", "generation": 4, "labels": {"l": "v"}},
        "spec": {
            "serveConfigV2": SERVE,
            "rayClusterConfig": {"headGroupSpec": {"template": head}, "workerGroupSpecs": [group]},
        },
        "status": {
            "activeServiceStatus": {"rayClusterName": active} if active else {},
            "pendingServiceStatus": {"rayClusterName": pending} if pending else {},
            **status,
        },
    }


def change(service: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(service)
    *parents, last = [int(step) if step.isdecimal() else step for step in path.split("/")]
    target: Any = changed["spec"]["rayClusterConfig"]
    for step in parents:
        target = target[step]
    target[last] = value
    return changed


def make_cluster(service: dict[str, Any], name: str, **status: Any) -> dict[str, Any]:
    cluster = ray.make_cluster(service, name)
    return {**cluster, "metadata": {**cluster["metadata"], "uid": f"uid-{name}", "generation": 1}, "status": status}


GROUP = "workerGroupSpecs/0"


@pytest.mark.parametrize(
    ("path", "value", "in_place"),
    [
        pytest.param(f"{GROUP}/replicas", 5, True, id="replicas"),
        pytest.param(f"{GROUP}/minReplicas", 0, True, id="fewest"),
        pytest.param(f"{GROUP}/maxReplicas", 9, True, id="most"),
        pytest.param(f"{GROUP}/scaleStrategy", {"workersToDelete": ["w"]}, True, id="an autoscaler's list"),
        pytest.param(f"{GROUP}/template/spec/tolerations", [{"key": "k"}], True, id="a queue's tolerations"),
        pytest.param("upgradeStrategy", {"type": "Recreate"}, True, id="upgrade strategy"),
        pytest.param("suspend", True, True, id="suspend"),
        pytest.param(f"{GROUP}/template/spec/nodeSelector", {"a": "b"}, False, id="worker pods"),
        pytest.param("headGroupSpec/template/metadata", {"annotations": {"a": "b"}}, False, id="head pod"),
        pytest.param("rayVersion", "2.55.0", False, id="Ray's version"),
        pytest.param(f"{GROUP}/groupName", "other", False, id="name of a group"),
        pytest.param("workerGroupSpecs", [], False, id="a group less"),
    ],
)
def test_only_scaling_is_done_in_place(path: str, value: Any, *, in_place: bool) -> None:
    service = make_service()
    cluster = make_cluster(service, "s-one")
    assert ray.suits(cluster, change(service, path, value)["spec"]["rayClusterConfig"]) is in_place


def test_a_further_group_of_workers_at_the_end_is_added_in_place() -> None:
    service = make_service()
    config = copy.deepcopy(service["spec"]["rayClusterConfig"])
    config["workerGroupSpecs"].append({**config["workerGroupSpecs"][0], "groupName": "more"})
    assert ray.suits(make_cluster(service, "s-one"), config)
    config["workerGroupSpecs"].reverse()
    assert not ray.suits(make_cluster(service, "s-one"), config)


NEW = ray.name_cluster(make_service())


@pytest.mark.parametrize(
    ("before", "clusters", "serving", "after"),
    [
        pytest.param(Pair(), {}, set(), Pair("", NEW), id="nothing yet"),
        pytest.param(Pair("", "p"), {}, set(), Pair("", "p"), id="named, not made"),
        pytest.param(Pair("", "p"), {"p": "same"}, set(), Pair("", "p"), id="starting"),
        pytest.param(Pair("", "p"), {"p": "same"}, {"p"}, Pair("p"), id="serves at last"),
        pytest.param(Pair("a"), {"a": "same"}, {"a"}, Pair("a"), id="at rest"),
        pytest.param(Pair("a"), {"a": "other"}, {"a"}, Pair("a", NEW), id="changed"),
        pytest.param(Pair("a", "p"), {"a": "other", "p": "same"}, {"a"}, Pair("a", "p"), id="upgrade under way"),
        pytest.param(Pair("a", "p"), {"a": "other", "p": "same"}, {"p"}, Pair("p"), id="upgrade done"),
        pytest.param(Pair("a", "p"), {"a": "other", "p": "other"}, {"p"}, Pair("a", NEW), id="changed again"),
        pytest.param(Pair("a"), {}, set(), Pair("a", NEW), id="cluster deleted by somebody"),
    ],
)
def test_a_successor_is_made_beside_and_takes_over_when_it_serves(
    before: Pair, clusters: dict[str, str], serving: set[str], after: Pair
) -> None:
    service = make_service(before.active, before.pending)
    made = {"same": service, "other": change(service, "rayVersion", "2.0.0")}
    found = {name: make_cluster(made[kind], name) for name, kind in clusters.items()}
    assert ray.choose_pair(service, found, serving) == after


def test_each_generation_s_cluster_has_a_name_of_its_own() -> None:
    service = make_service()
    later = {**service, "metadata": {**service["metadata"], "generation": 5}}
    assert ray.name_cluster(later) != NEW
    assert (NEW[:2], len(NEW)) == ("s-", 7)


def test_pods_are_labelled_as_kuberay_s_and_keep_their_names() -> None:
    cluster = make_cluster(make_service(), "s-one")
    plans = list(ray.plan_pods(cluster))
    assert [plan.group for plan in plans] == ["headgroup", "gpu-workers", "gpu-workers"]
    assert len({plan.name for plan in plans}) == 3
    assert [plan.name for plan in ray.plan_pods(cluster)] == [plan.name for plan in plans]
    assert [plan.name[:-5] for plan in plans] == ["s-one-head-", *["s-one-gpu-workers-worker-"] * 2]
    labels = ray.make_pod(cluster, plans[1])["metadata"]["labels"]
    assert labels == {
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": "kuberay-operator",
        "ray.io/is-ray-node": "yes",
        "ray.io/identifier": "s-one-worker",
        "ray.io/serve": "true",
        "ray.io/cluster": "s-one",
        "ray.io/node-type": "worker",
        "ray.io/group": "gpu-workers",
        "team": "nlp",
    }
    assert ray.make_pod(cluster, plans[0])["metadata"]["labels"]["ray.io/node-type"] == "head"


def test_services_lead_to_one_cluster() -> None:
    head, serve = ray.make_services(make_service(), "s-one")
    assert (head["metadata"]["name"], serve["metadata"]["name"]) == ("s-head-svc", "s-serve-svc")
    assert serve["spec"]["selector"] == {"ray.io/cluster": "s-one", "ray.io/serve": "true"}
    assert head["spec"]["selector"]["ray.io/node-type"] == "head"
    assert head["spec"]["clusterIP"] == "None"
    assert "clusterIP" not in serve["spec"]


@pytest.mark.parametrize(
    ("name", "refused"),
    [("a" * 47, False), ("a" * 48, True), ("1a", True), ("a.b", True), ("a-1", False)],
)
def test_names_are_refused_as_kuberay_refuses_them(name: str, *, refused: bool) -> None:
    assert bool(ray.find_objection(make_service(name=name))) is refused


@pytest.mark.parametrize(
    ("before", "nodes", "state", "provisioned", "head"),
    [
        pytest.param("", Nodes(), "", "False", "False", id="starting"),
        pytest.param("", Nodes(head=True, workers=1), "", "False", "True", id="a worker is missing"),
        pytest.param("", Nodes(head=True, workers=2), "ready", "True", "True", id="complete"),
        pytest.param("ready", Nodes(head=True, workers=1), "ready", "True", "True", id="a worker went"),
        pytest.param("ready", Nodes(workers=2), "ready", "True", "False", id="the head went"),
    ],
)
def test_a_cluster_that_was_ready_once_never_takes_that_back(
    before: str, nodes: Nodes, state: str, provisioned: str, head: str
) -> None:
    old = {"state": before, "conditions": [{"type": "RayClusterProvisioned", "status": "True"}]} if before else {}
    status = kuberay_status.make_cluster_status(make_cluster(make_service(), "s-one", **old), nodes, NOW)
    rows = {row["type"]: row["status"] for row in status["conditions"]}
    assert (status.get("state", ""), rows["RayClusterProvisioned"], rows["HeadPodReady"]) == (state, provisioned, head)


def test_a_cluster_counts_workers_and_what_they_ask_for() -> None:
    status = kuberay_status.make_cluster_status(make_cluster(make_service(), "s-one"), Nodes(head=True, workers=2), NOW)
    found = {key: value for key, value in status.items() if key.startswith(("desired", "min", "max", "ready"))}
    assert found == {
        "desiredWorkerReplicas": 2,
        "minWorkerReplicas": 1,
        "maxWorkerReplicas": 4,
        "readyWorkerReplicas": 2,
        "desiredCPU": "1",
        "desiredGPU": "4",
        "desiredMemory": "2147483648",
        "desiredTPU": "0",
    }
    assert kuberay_status.format_amount(1500) == "1500m"


def read_rows(status: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {row["type"]: (row["status"], row["reason"]) for row in status["conditions"]}


@pytest.mark.parametrize(
    ("ready", "pair", "endpoints", "rows"),
    [
        pytest.param(
            "",
            Pair("", "p"),
            0,
            {"Ready": ("False", "Initializing"), "UpgradeInProgress": ("False", "Initializing")},
            id="starting",
        ),
        pytest.param(
            "",
            Pair("a"),
            3,
            {"Ready": ("True", "NonZeroServeEndpoints"), "UpgradeInProgress": ("False", "NoPendingCluster")},
            id="serves",
        ),
        pytest.param(
            "True",
            Pair("a", "p"),
            3,
            {
                "Ready": ("True", "NonZeroServeEndpoints"),
                "UpgradeInProgress": ("True", "BothActivePendingClustersExist"),
            },
            id="upgrade",
        ),
        pytest.param(
            "True",
            Pair("a"),
            0,
            {"Ready": ("False", "ZeroServeEndpoints"), "UpgradeInProgress": ("False", "NoPendingCluster")},
            id="nobody answers any more",
        ),
    ],
)
def test_a_service_is_ready_while_anything_answers(
    ready: str, pair: Pair, endpoints: int, rows: dict[str, tuple[str, str]]
) -> None:
    before = [{"type": "Ready", "status": ready, "reason": "NonZeroServeEndpoints"}] if ready else []
    service = make_service(conditions=before)
    status = kuberay_status.make_service_status(service, pair, {}, endpoints=endpoints, now=NOW)
    assert read_rows(status) == rows
    assert status["observedGeneration"] == 4
    assert status.get("numServeEndpoints", 0) == endpoints
    assert status.get("serviceStatus", "") == ("Running" if endpoints else "")


def test_what_is_not_said_again_stays_with_its_generation() -> None:
    first = kuberay_status.make_service_status(make_service(), Pair("", "p"), {}, endpoints=0, now=NOW)
    later = {**make_service(**first), "metadata": {**make_service()["metadata"], "generation": 9}}
    second = kuberay_status.make_service_status(later, Pair("", "p"), {}, endpoints=0, now=LATER)
    assert second["observedGeneration"] == 9
    assert {row["observedGeneration"] for row in second["conditions"]} == {4}


def test_the_time_moves_only_with_the_rest() -> None:
    first = kuberay_status.make_service_status(make_service(), Pair("a"), {}, endpoints=2, now=NOW)
    assert kuberay_status.make_service_status(make_service(**first), Pair("a"), {}, endpoints=2, now=LATER) == first
    moved = kuberay_status.make_service_status(make_service(**first), Pair("a"), {}, endpoints=3, now=LATER)
    assert moved["lastUpdateTime"] == "2026-01-02T03:05:00Z"


def test_applications_are_those_of_the_config() -> None:
    failed = kuberay_status.make_applications(make_service(), "DEPLOY_FAILED", "no module")
    assert set(failed) == {"llm", "default"}
    assert failed["llm"]["message"] == "no module"
    running = kuberay_status.make_applications(make_service(), "RUNNING")
    assert running["llm"] == {"status": "RUNNING", "serveDeploymentStatuses": {"A": {"status": "HEALTHY"}}}


def test_a_refused_service_is_not_said_to_be_observed() -> None:
    service = {**make_service(), "status": {}}
    status = kuberay_status.make_refusal(service, "too long", NOW)
    assert read_rows(status) == {"Ready": ("False", "ValidationFailed")}
    assert "observedGeneration" not in status


HELD, OFF = {"status": "True"}, {"status": "False"}


@pytest.mark.parametrize(
    ("asked", "rows", "found"),
    [
        pytest.param(False, {}, Suspension.NONE, id="runs"),
        pytest.param(True, {}, Suspension.REQUESTED, id="asked"),
        pytest.param(True, {"Suspending": HELD}, Suspension.UNDER_WAY, id="under way"),
        pytest.param(False, {"Suspending": HELD}, Suspension.UNDER_WAY, id="runs to its end"),
        pytest.param(True, {"Suspending": OFF, "Suspended": HELD}, Suspension.COMPLETE, id="complete"),
        pytest.param(False, {"Suspending": OFF, "Suspended": HELD}, Suspension.RESUMED, id="resumed"),
        pytest.param(True, {"Suspended": OFF}, Suspension.REQUESTED, id="asked again"),
    ],
)
def test_a_suspension_runs_to_its_end(asked: bool, rows: dict[str, Any], found: Suspension) -> None:  # noqa: FBT001 - a table
    service = make_service(conditions=[{"type": name, **row} for name, row in rows.items()])
    service["spec"]["suspend"] = asked
    assert kuberay_suspend.find_suspension(service) is found


def test_a_suspension_forgets_the_clusters_first_and_says_when_they_are_gone() -> None:
    service = make_service("a")
    asked = kuberay_suspend.make_status(service, Suspension.REQUESTED, NOW, empty=False)
    assert "rayClusterName" not in asked["activeServiceStatus"]
    assert read_rows(asked)["Suspending"] == ("True", "SuspendRequested")
    waits = kuberay_suspend.make_status(make_service(**asked), Suspension.UNDER_WAY, NOW, empty=False)
    assert read_rows(waits)["Suspending"] == ("True", "SuspendInProgress")
    done = kuberay_suspend.make_status(make_service(**waits), Suspension.UNDER_WAY, NOW, empty=True)
    assert read_rows(done)["Suspended"] == ("True", "SuspendComplete")
    assert read_rows(done)["Ready"] == ("False", "SuspendComplete")
    same = kuberay_suspend.make_status(make_service(**done), Suspension.COMPLETE, LATER, empty=True)
    assert same == make_service(**done)["status"]
    again = kuberay_suspend.make_status(make_service(**done), Suspension.RESUMED, LATER, empty=True)
    assert read_rows(again)["Ready"] == ("False", "Initializing")
    assert {row["lastTransitionTime"] for row in again["conditions"] if row["type"] == "Ready"} == {
        "2026-01-02T03:05:00Z"
    }
