"""The stand-in for KubeRay against a real API server: clusters, upgrades, scaling, failures."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.objects.conditions import find_condition
from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.dev.conftest import Wait

pytestmark = pytest.mark.cluster

PROGRAM = [sys.executable, "-m", "kubeairunway_dev.standins.kuberay"]
DELAY = "stand-in.kubeairunway.ai/delay"
CONFIG = "applications:\n- name: llm\n  import_path: ray.serve.llm:build_openai_app\n"


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """Two nodes with two GPUs each, and the stand-in with pods beside them."""
    with ControlPlane(nodes=2, gpus=2, crds=[CRDS]) as started:
        started.start_beside("kuberay", [*PROGRAM, "--delay=0.6", "--pods"])
        yield started


def make_service(name: str, *, gpus: int = 1, workers: int = 1, image: str = "ray:1", config: str = CONFIG) -> Any:
    limits = {"limits": {"nvidia.com/gpu": str(gpus)}}
    head = {"spec": {"containers": [{"name": "ray-head", "image": image}]}}
    worker = {"spec": {"containers": [{"name": "ray-worker", "image": image, "resources": limits}]}}
    scale = {"replicas": workers, "minReplicas": workers, "maxReplicas": workers}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "serveConfigV2": config,
            "rayClusterConfig": {
                "headGroupSpec": {"rayStartParams": {"dashboard-host": "0.0.0.0"}, "template": head},  # noqa: S104 - data
                "workerGroupSpecs": [{"groupName": "gpu-workers", "template": worker, **scale}],
            },
        },
    }


def read_status(cluster: ControlPlane, name: str) -> dict[str, Any]:
    status: dict[str, Any] = cluster.get("rayservice", name).get("status", {})
    return status


def read_condition(cluster: ControlPlane, name: str, kind: str) -> tuple[str, str, int]:
    row = find_condition(read_status(cluster, name).get("conditions"), kind)
    return ("", "", 0) if row is None else (row["status"], row["reason"], row["observedGeneration"])


def read_names(cluster: ControlPlane, name: str) -> tuple[str, str]:
    status = read_status(cluster, name)
    active, pending = (status.get(half, {}).get("rayClusterName", "") for half in HALVES)
    return active, pending


HALVES = ("activeServiceStatus", "pendingServiceStatus")


def serves(cluster: ControlPlane, name: str) -> bool:
    return read_status(cluster, name).get("serviceStatus") == "Running"


def list_workers(cluster: ControlPlane, ray_cluster: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = cluster.get("pods", "-l", f"ray.io/cluster={ray_cluster},ray.io/group=gpu-workers")[
        "items"
    ]
    return items


def test_a_service_starts_a_cluster_of_pods_and_leads_to_it(cluster: ControlPlane, wait_for: Wait) -> None:
    service = make_service("a")
    service["metadata"]["annotations"] = {DELAY: "60"}
    cluster.apply(service)
    wait_for(lambda: read_names(cluster, "a")[1] != "")
    assert read_names(cluster, "a")[0] == ""
    assert read_condition(cluster, "a", "Ready")[:2] == ("False", "Initializing")
    cluster.kubectl("annotate", "rayservice", "a", f"{DELAY}-")
    wait_for(lambda: serves(cluster, "a"))
    active, pending = read_names(cluster, "a")
    assert (active[:2], len(active), pending) == ("a-", 7, "")
    assert read_condition(cluster, "a", "Ready")[:2] == ("True", "NonZeroServeEndpoints")
    assert read_condition(cluster, "a", "UpgradeInProgress")[:2] == ("False", "NoPendingCluster")
    status = read_status(cluster, "a")
    assert status["numServeEndpoints"] == 2
    assert status["activeServiceStatus"]["applicationStatuses"]["llm"]["status"] == "RUNNING"
    assert status["activeServiceStatus"]["rayClusterStatus"]["state"] == "ready"
    assert status["pendingServiceStatus"]["rayClusterStatus"]["desiredGPU"] == "0"

    ray_cluster = cluster.get("raycluster", active)
    assert ray_cluster["metadata"]["labels"]["ray.io/originated-from-cr-name"] == "a"
    pods = cluster.get("pods", "-l", f"ray.io/cluster={active}")["items"]
    assert sorted(pod["metadata"]["labels"]["ray.io/node-type"] for pod in pods) == ["head", "worker"]
    serve = cluster.get("service", "a-serve-svc")["spec"]
    assert serve["selector"] == {"ray.io/cluster": active, "ray.io/serve": "true"}
    assert [port["port"] for port in serve["ports"]] == [8000]
    assert cluster.get("service", "a-head-svc")["spec"]["clusterIP"] == "None"

    cluster.kubectl("delete", "rayservice", "a", "--timeout=30s")
    wait_for(lambda: not cluster.get("pods", "-l", f"ray.io/cluster={active}")["items"])


def test_workers_and_applications_change_in_place_and_the_rest_in_a_second_cluster(
    cluster: ControlPlane, wait_for: Wait
) -> None:
    cluster.apply(make_service("b"))
    wait_for(lambda: serves(cluster, "b"))
    first = read_names(cluster, "b")[0]

    cluster.apply(make_service("b", workers=2))
    wait_for(lambda: read_status(cluster, "b").get("numServeEndpoints") == 3)
    assert read_names(cluster, "b") == (first, "")
    assert len(list_workers(cluster, first)) == 2

    cluster.kubectl("annotate", "rayservice", "b", f"{DELAY}=60")
    cluster.apply(make_service("b", workers=2, config=CONFIG.replace("llm\n", "other\n")))

    def read_applications() -> dict[str, str]:
        found = read_status(cluster, "b")["activeServiceStatus"].get("applicationStatuses", {})
        return {name: item["status"] for name, item in found.items()}

    wait_for(lambda: read_applications() == {"other": "DEPLOYING"})
    assert serves(cluster, "b")
    cluster.kubectl("annotate", "rayservice", "b", f"{DELAY}-")
    wait_for(lambda: read_applications() == {"other": "RUNNING"})
    assert read_names(cluster, "b") == (first, "")

    cluster.kubectl("annotate", "rayservice", "b", f"{DELAY}=60")
    cluster.apply(make_service("b", image="ray:2"))
    wait_for(lambda: read_names(cluster, "b")[1] != "")
    second = read_names(cluster, "b")[1]
    assert read_names(cluster, "b")[0] == first
    assert serves(cluster, "b")
    assert read_condition(cluster, "b", "UpgradeInProgress")[:2] == ("True", "BothActivePendingClustersExist")
    assert "applicationStatuses" not in read_status(cluster, "b")["activeServiceStatus"]
    cluster.kubectl("annotate", "rayservice", "b", f"{DELAY}-")
    wait_for(lambda: read_names(cluster, "b") == (second, ""))
    assert cluster.get("service", "b-serve-svc")["spec"]["selector"]["ray.io/cluster"] == second
    wait_for(lambda: cluster.kubectl("get", "raycluster", first, check=False).returncode != 0)
    assert serves(cluster, "b")
    cluster.kubectl("delete", "rayservice", "b", "--timeout=30s")


def test_an_upgrade_for_which_there_are_no_gpus_leaves_the_old_cluster_serving(
    cluster: ControlPlane, wait_for: Wait
) -> None:
    cluster.apply(make_service("c"))
    wait_for(lambda: serves(cluster, "c"))
    first = read_names(cluster, "c")[0]
    cluster.apply(make_service("c", gpus=3))

    def read_pods() -> list[str]:
        pods = list_workers(cluster, read_names(cluster, "c")[1] or "none")
        rows = (find_condition(pod.get("status", {}).get("conditions"), "PodScheduled") for pod in pods)
        return [row["reason"] for row in rows if row is not None and "reason" in row]

    wait_for(lambda: read_pods() == ["Unschedulable"])
    assert read_names(cluster, "c")[0] == first
    assert serves(cluster, "c")
    # A third config replaces the cluster that never served.
    cluster.apply(make_service("c", gpus=2))
    wait_for(lambda: read_names(cluster, "c")[0] not in {first, ""} and read_names(cluster, "c")[1] == "")
    assert cluster.get("service", "c-serve-svc")["spec"]["selector"]["ray.io/cluster"] != first
    wait_for(lambda: len(cluster.get("rayclusters", "-l", "ray.io/originated-from-cr-name=c")["items"]) == 1)
    cluster.kubectl("delete", "rayservice", "c", "--timeout=30s")


def test_a_deployment_that_fails_is_told_by_its_application_and_recovers(cluster: ControlPlane, wait_for: Wait) -> None:
    service = make_service("d")
    service["metadata"]["annotations"] = {"stand-in.kubeairunway.ai/fail": "no module vllm_serve"}
    cluster.apply(service)

    def read_application() -> dict[str, Any]:
        pending = read_status(cluster, "d").get("pendingServiceStatus", {})
        found: dict[str, Any] = pending.get("applicationStatuses", {}).get("llm", {})
        return found

    wait_for(lambda: read_application().get("status") == "DEPLOY_FAILED")
    assert read_application()["message"] == "no module vllm_serve"
    assert read_condition(cluster, "d", "Ready")[:2] == ("False", "Initializing")
    cluster.kubectl("annotate", "rayservice", "d", "stand-in.kubeairunway.ai/fail-")
    wait_for(lambda: serves(cluster, "d"))
    cluster.kubectl("delete", "rayservice", "d", "--timeout=30s")


def test_a_name_that_is_too_long_is_refused_in_the_status(cluster: ControlPlane, wait_for: Wait) -> None:
    cluster.apply(make_service("x" * 48))
    wait_for(lambda: read_condition(cluster, "x" * 48, "Ready")[1] == "ValidationFailed")
    assert "observedGeneration" not in read_status(cluster, "x" * 48)


def test_a_suspended_service_has_nothing_left_and_starts_anew(cluster: ControlPlane, wait_for: Wait) -> None:
    cluster.apply(make_service("e"))
    wait_for(lambda: serves(cluster, "e"))
    first = read_names(cluster, "e")[0]
    cluster.kubectl("patch", "rayservice", "e", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    wait_for(lambda: read_condition(cluster, "e", "Suspended")[:2] == ("True", "SuspendComplete"))
    assert read_condition(cluster, "e", "Ready")[:2] == ("False", "SuspendComplete")
    assert read_names(cluster, "e") == ("", "")
    assert cluster.get("rayclusters", "-l", "ray.io/originated-from-cr-name=e")["items"] == []
    assert cluster.kubectl("get", "service", "e-serve-svc", check=False).returncode != 0
    cluster.kubectl("patch", "rayservice", "e", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    wait_for(lambda: serves(cluster, "e"))
    assert read_names(cluster, "e")[0] not in {first, ""}
    assert read_condition(cluster, "e", "Suspended")[:2] == ("False", "Resumed")
    cluster.kubectl("delete", "rayservice", "e", "--timeout=30s")


def test_without_pods_it_only_says_so_and_takes_its_time(wait_for: Wait) -> None:
    with ControlPlane(scheduler=False, crds=[CRDS]) as plane:
        plane.start_beside("kuberay", [*PROGRAM, "--delay=0.3", "--hold", "--defaults"])
        plane.apply(make_service("a", workers=2))
        wait_for(lambda: serves(plane, "a"))
        assert read_status(plane, "a")["numServeEndpoints"] == 3
        assert plane.get("pods")["items"] == []
        # What others fill in is not what anybody applied, and wants no new cluster.
        spec = plane.get("rayservice", "a")["spec"]
        assert spec["upgradeStrategy"] == {"type": "NewCluster"}
        assert spec["rayClusterConfig"]["workerGroupSpecs"][0]["scaleStrategy"] == {"workersToDelete": []}
        assert len(plane.get("rayclusters")["items"]) == 1
        found = ("deployments", "-n", "ray-system", "-l", "app.kubernetes.io/name=kuberay-operator")
        wait_for(lambda: [item["status"].get("readyReplicas") for item in plane.get(*found)["items"]] == [1])
        plane.kubectl("delete", "rayservice", "a", "--wait=false")
        meta = plane.get("rayservice", "a")["metadata"]
        assert meta["finalizers"] == ["stand-in.kubeairunway.ai/hold"]
        assert "deletionTimestamp" in meta
