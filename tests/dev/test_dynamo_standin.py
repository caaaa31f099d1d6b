"""The stand-in for Dynamo against a real API server: its CRD in both guises, and its operator."""

from __future__ import annotations

import copy
import json
import re
import sys
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.objects.conditions import find_condition
from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS
from kubeairunway_dev.standins.definitions import make_dynamo_1_1

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.dev.conftest import Wait

pytestmark = pytest.mark.cluster

PROGRAM = [sys.executable, "-m", "kubeairunway_dev.standins.dynamo"]
IMAGE = "nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.4.0"
LABEL = "nvidia.com/dynamo-graph-deployment-name"


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """Two nodes with two GPUs each, and the stand-in with pods beside them."""
    with ControlPlane(nodes=2, gpus=2, crds=[CRDS]) as started:
        started.start_beside("dynamo", [*PROGRAM, "--delay=0.4", "--pods", "--defaults"])
        yield started


def make_component(name: str, kind: str, gpus: int = 0, **fields: Any) -> dict[str, Any]:
    limits = {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {}
    container = {"name": "main", "image": IMAGE, "resources": limits}
    return {"name": name, "type": kind, "podTemplate": {"spec": {"containers": [container]}}, **fields}


def make_graph(name: str, gpus: int = 1, replicas: int = 1) -> dict[str, Any]:
    return {
        "apiVersion": "nvidia.com/v1beta1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "backendFramework": "vllm",
            "components": [
                make_component("Frontend", "frontend"),
                make_component("VllmWorker", "worker", gpus, replicas=replicas),
            ],
        },
    }


def read_status(cluster: ControlPlane, name: str) -> dict[str, Any]:
    status: dict[str, Any] = cluster.get("dgd", name).get("status", {})
    return status


def is_at(cluster: ControlPlane, name: str, state: str, generation: int = 0) -> bool:
    status = read_status(cluster, name)
    return status.get("state") == state and status.get("observedGeneration", 0) >= generation


def test_a_graph_runs_in_pods_rolls_what_changed_and_goes(cluster: ControlPlane, wait_for: Wait) -> None:
    cluster.apply(make_graph("g"))
    wait_for(lambda: is_at(cluster, "g", "successful"))
    graph = cluster.get("dgd", "g")
    ready = find_condition(graph["status"]["conditions"], "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("True", "all_resources_are_ready")
    worker = graph["status"]["components"]["VllmWorker"]
    assert (worker["replicas"], worker["readyReplicas"], worker["availableReplicas"]) == (1, 1, 1)
    pods = cluster.get("pods", "-l", f"{LABEL}=g")["items"]
    kinds = {pod["metadata"]["labels"]["nvidia.com/dynamo-component-type"] for pod in pods}
    assert kinds == {"frontend", "worker"}
    service = cluster.get("service", "g-frontend")
    assert [port["port"] for port in service["spec"]["ports"]] == [8000]
    slices = cluster.get("endpointslices", "-l", "kubernetes.io/service-name=g-frontend")["items"]
    assert any(item["endpoints"] for item in slices)

    # What admission fills in is another generation than what was applied.
    generation = graph["metadata"]["generation"]
    assert graph["spec"]["components"][0]["replicas"] == 1
    assert graph["metadata"]["annotations"]["nvidia.com/dynamo-operator-origin-version"] == "1.4.0"

    frontend = cluster.get("deployment", "g-frontend")["metadata"]["generation"]
    changed = make_graph("g", replicas=2)
    changed["spec"]["components"][1]["podTemplate"]["spec"]["containers"][0]["args"] = ["--model", "m"]
    cluster.apply(changed)
    wait_for(lambda: is_at(cluster, "g", "successful", generation + 1))
    workers = cluster.get("pods", "-l", "nvidia.com/dynamo-component=VllmWorker")["items"]
    assert [pod["spec"]["containers"][0]["args"] for pod in workers] == [["--model", "m"]] * 2
    assert cluster.get("deployment", "g-frontend")["metadata"]["generation"] == frontend

    cluster.kubectl("delete", "dgd", "g", "--timeout=30s")
    wait_for(lambda: not cluster.get("pods", "-l", f"{LABEL}=g")["items"])


def test_a_graph_that_no_node_can_run_says_so_and_is_never_successful(cluster: ControlPlane, wait_for: Wait) -> None:
    cluster.apply(make_graph("big", gpus=3))

    def read_reason() -> str:
        row = find_condition(read_status(cluster, "big").get("conditions"), "Ready")
        return "" if row is None else f"{row['reason']} {row['message']}"

    wait_for(lambda: re.match(r"insufficient_capacity .*Insufficient nvidia.com/gpu", read_reason()))
    assert read_status(cluster, "big")["state"] == "pending"
    cluster.kubectl("delete", "dgd", "big", "--timeout=30s")


def test_switches_on_one_object_let_it_fail_recover_and_stay(cluster: ControlPlane, wait_for: Wait) -> None:
    graph = make_graph("odd")
    graph["metadata"]["annotations"] = {"stand-in.kubeairunway.ai/fail": "no planner"}
    cluster.apply(graph)
    wait_for(lambda: is_at(cluster, "odd", "failed"))
    row = find_condition(read_status(cluster, "odd")["conditions"], "Ready")
    assert row is not None
    assert row["message"] == "no planner"
    cluster.kubectl("annotate", "dgd", "odd", "stand-in.kubeairunway.ai/fail-", "stand-in.kubeairunway.ai/hold=true")
    wait_for(lambda: is_at(cluster, "odd", "successful"))
    cluster.kubectl("delete", "dgd", "odd", "--wait=false")
    wait_for(lambda: cluster.get("dgd", "odd")["metadata"].get("finalizers") == ["stand-in.kubeairunway.ai/hold"])
    assert "deletionTimestamp" in cluster.get("dgd", "odd")["metadata"]
    cluster.kubectl("annotate", "dgd", "odd", "stand-in.kubeairunway.ai/hold-")
    wait_for(lambda: cluster.kubectl("get", "dgd", "odd", check=False).returncode != 0)


def test_the_operator_s_own_deployment_is_ready_where_providers_look_for_it(
    cluster: ControlPlane, wait_for: Wait
) -> None:
    found = ("deployments", "-n", "dynamo-system", "-l", "app.kubernetes.io/name=dynamo-operator")
    wait_for(lambda: [item.get("status", {}).get("readyReplicas") for item in cluster.get(*found)["items"]] == [1])


def change(graph: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(graph)
    *parents, last = [int(step) if step.isdecimal() else step for step in path.split("/")]
    target: Any = changed
    for step in parents:
        target = target[step]
    target[last] = value
    return changed


MAIN = "spec/components/1/podTemplate/spec/containers/0"


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        pytest.param("spec/backendFramework", "sglang", "backendFramework cannot be changed", id="framework"),
        pytest.param("spec/components/1/name", "Other", "components cannot be added", id="renamed component"),
        pytest.param("spec/components/1/name", "frontend", "more than upper and lower case", id="name but for case"),
        pytest.param("spec/components/1/name", "W" * 41, "45 characters together", id="long name"),
        pytest.param(f"{MAIN}/image", "example.com/own:latest", "runtimeVersionOverride is required", id="own image"),
        pytest.param(f"{MAIN}/image", "own@sha256:12", "runtimeVersionOverride is required", id="digest"),
        pytest.param(f"{MAIN}/name", "other", "podTemplate needs a container main", id="no main container"),
        pytest.param("spec/components/1/type", "server", "Unsupported value", id="unknown type"),
    ],
)
def test_a_graph_refuses_what_dynamo_refuses(cluster: ControlPlane, path: str, value: Any, message: str) -> None:
    graph = make_graph("fixed", gpus=9)
    cluster.apply(graph)
    answer = cluster.kubectl(
        "apply", "--server-side", "-f", "-", input=json.dumps(change(graph, path, value)), check=False
    )
    assert answer.returncode == 1
    assert message in answer.stderr


def test_an_image_of_one_s_own_is_taken_with_the_version_it_is_made_of(cluster: ControlPlane) -> None:
    graph = change(make_graph("own", gpus=9), f"{MAIN}/image", "example.com/own:latest")
    cluster.apply(change(graph, "spec/components/1/runtimeVersionOverride", "1.4.0"))


def test_of_dynamo_1_1_it_serves_and_speaks_v1alpha1(wait_for: Wait) -> None:
    with ControlPlane(scheduler=False) as plane:
        log = plane.start_beside("dynamo", [*PROGRAM, "--delay=0.2"])
        deployments = ("deployments", "-n", "dynamo-system")
        # The operator is there before its CRD is.
        wait_for(lambda: plane.kubectl("get", *deployments).stdout != "")
        plane.install_crds([make_dynamo_1_1()])
        resources = {"limits": {"gpu": "1"}, "requests": {"gpu": "1"}}
        worker = {"componentType": "worker", "replicas": 2, "resources": resources}
        plane.apply(
            {
                "apiVersion": "nvidia.com/v1alpha1",
                "kind": "DynamoGraphDeployment",
                "metadata": {"name": "g", "namespace": "default"},
                "spec": {"services": {"Frontend": {"componentType": "frontend"}, "VllmWorker": worker}},
            }
        )
        wait_for(lambda: is_at(plane, "g", "successful"))
        row = read_status(plane, "g")["services"]["VllmWorker"]
        assert (row["componentName"], row["readyReplicas"]) == ("g-vllmworker", 2)
        assert plane.get("service", "g-frontend")["spec"]["ports"][0]["port"] == 8000
        assert "successful" in log.read_text()
        assert plane.get("deployments")["items"] == []
