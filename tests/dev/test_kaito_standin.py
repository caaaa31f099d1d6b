"""The stand-in for KAITO against a real API server: its CRDs and its operator."""

from __future__ import annotations

import asyncio
import copy
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.objects.conditions import find_condition
from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS, kaito, program
from kubeairunway_dev.standins.installation import make_objects
from kubeairunway_dev.standins.kaito_objects import OPERATOR
from kubeairunway_dev.standins.switches import Switches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.cluster

DELAY = 0.6


@pytest.fixture(scope="module")
def cluster() -> Iterator[ControlPlane]:
    """A control plane of its own: other tests put the real CRDs of the same names into the shared one."""
    with ControlPlane(nodes=1, gpus=2, crds=[CRDS]) as started:
        yield started


@pytest.fixture(scope="module")
def operator(cluster: ControlPlane) -> str:
    """The stand-in as a program beside the cluster; returns its name."""
    program = [sys.executable, "-m", "kubeairunway_dev.standins.kaito", f"--delay={DELAY}", "--pods"]
    cluster.start_beside("kaito", program)
    return "kaito"


def make_workspace(name: str, **inference: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "Workspace",
        "metadata": {"name": name, "namespace": "default"},
        "resource": {"labelSelector": {"matchLabels": {"nvidia.com/gpu.present": "true"}}},
        "inference": inference or {"preset": {"name": "phi-4"}},
    }


def make_set(name: str, replicas: int) -> dict[str, Any]:
    selector = {"matchLabels": {"nvidia.com/gpu.present": "true"}}
    template = {"metadata": {"labels": {"team": "nlp"}}, "inference": {"preset": {"name": "phi-4"}}}
    return {
        "apiVersion": "kaito.sh/v1beta1",
        "kind": "InferenceSet",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "labelSelector": selector, "template": template},
    }


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def list_children(cluster: ControlPlane, name: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = cluster.get("workspaces", "-l", f"inferenceset.kaito.sh/created-by={name}")["items"]
    return items


def read_status(cluster: ControlPlane, kind: str, name: str) -> dict[str, Any]:
    status: dict[str, Any] = cluster.get(kind, name).get("status", {})
    return status


def test_a_set_becomes_ready_scales_and_goes(cluster: ControlPlane, operator: str) -> None:
    assert operator in cluster.pids
    cluster.apply(make_set("s", 2))
    assert wait_for(lambda: read_status(cluster, "inferenceset", "s").get("readyReplicas") == 2)
    children = list_children(cluster, "s")
    assert len(children) == 2
    assert all(child["metadata"]["ownerReferences"][0]["kind"] == "InferenceSet" for child in children)
    assert all(child["metadata"]["labels"]["team"] == "nlp" for child in children)
    assert all(child["status"]["state"] == "Ready" for child in children)
    services = {item["metadata"]["name"] for item in cluster.get("services")["items"]}
    assert {child["metadata"]["name"] for child in children} <= services
    pods = cluster.get("pods", "-l", "inferenceset.kaito.sh/created-by=s")["items"]
    assert [pod["status"]["phase"] for pod in pods] == ["Running", "Running"]

    cluster.kubectl("scale", "inferenceset", "s", "--replicas=1")

    def is_scaled() -> bool:
        ready = find_condition(read_status(cluster, "inferenceset", "s").get("conditions"), "InferenceSetReady")
        current = ready is not None and (ready["status"], ready["observedGeneration"]) == ("True", 2)
        return current and len(list_children(cluster, "s")) == 1

    assert wait_for(is_scaled)
    cluster.kubectl("delete", "inferenceset", "s", "--timeout=30s")
    assert wait_for(lambda: not list_children(cluster, "s"))


def test_a_workspace_is_pending_first_and_not_ready_after_a_change(cluster: ControlPlane, operator: str) -> None:
    assert operator in cluster.pids
    container = {"name": "model", "image": "none.invalid/x"}
    workspace = make_workspace("w", template={"spec": {"containers": [container]}})
    cluster.apply(set_path(workspace, "metadata.annotations", {"stand-in.kubeairunway.ai/delay": "60"}))
    assert wait_for(lambda: read_status(cluster, "workspace", "w").get("state") == "Pending")
    cluster.apply(workspace)
    assert wait_for(lambda: read_status(cluster, "workspace", "w").get("state") == "Ready")
    cluster.apply(make_workspace("w", template={"spec": {"containers": [{**container, "args": ["--x"]}]}}))

    def is_ready_again() -> bool:
        status = read_status(cluster, "workspace", "w")
        return status["state"] == "Ready" and {row["observedGeneration"] for row in status["conditions"]} == {2}

    assert wait_for(is_ready_again)
    cluster.kubectl("delete", "workspace", "w", "--timeout=30s")


def test_a_workspace_without_a_node_for_its_pods_stays_pending_with_the_reason(
    cluster: ControlPlane, operator: str
) -> None:
    assert operator in cluster.pids
    container = {"name": "model", "image": "none.invalid/x", "resources": {"limits": {"nvidia.com/gpu": 3}}}
    cluster.apply(make_workspace("big", template={"spec": {"containers": [container]}}))

    def read_reason() -> str:
        row = find_condition(read_status(cluster, "workspace", "big").get("conditions"), "InferenceReady")
        return "" if row is None else str(row["reason"])

    assert wait_for(lambda: read_reason() == "Unschedulable")
    assert read_status(cluster, "workspace", "big")["state"] == "Pending"
    cluster.kubectl("delete", "workspace", "big", "--timeout=30s")


def test_the_operator_s_own_deployment_is_ready_where_providers_look_for_it(
    cluster: ControlPlane, operator: str
) -> None:
    assert operator in cluster.pids

    def read_ready() -> list[int]:
        found = cluster.get("deployments", "-n", "kaito-workspace", "-l", "app.kubernetes.io/name=workspace")["items"]
        return [item.get("status", {}).get("readyReplicas", 0) for item in found]

    assert wait_for(lambda: read_ready() == [1])


async def test_without_nodes_it_writes_its_deployment_s_status_itself() -> None:
    with ControlPlane(crds=[CRDS]) as plane:
        # Its pod is there before it is: found by its first list, not by its watch.
        plane.apply(*(body for _, body in make_objects(OPERATOR)))
        assert wait_for(lambda: bool(plane.get("pods", "-n", "kaito-workspace")["items"]))
        stop = asyncio.Event()
        switches = Switches(delay=0.0, defaults=True)
        run = program.run("kaito", kaito.make, kubeconfig=plane.kubeconfig, switches=switches, stop=stop)
        task = asyncio.create_task(run)
        path = "/apis/apps/v1/namespaces/kaito-workspace/deployments/kaito-workspace"

        def is_ready() -> bool:
            answer = plane.request("GET", path)
            return answer.status == 200 and answer.json.get("status", {}).get("availableReplicas") == 1

        assert await asyncio.to_thread(wait_for, is_ready)
        plane.apply(make_set("s", 3))

        def is_complete() -> bool:
            return read_status(plane, "inferenceset", "s").get("readyReplicas") == 3

        assert await asyncio.to_thread(wait_for, is_complete)
        assert len(list_children(plane, "s")) == 3
        assert plane.get("inferenceset", "s")["spec"]["updateStrategy"]["type"] == "RollingUpdate"
        stop.set()
        await task


def set_path(item: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(item)
    *parents, last = path.split(".")
    target = changed
    for name in parents:
        target = target[name]
    target[last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        pytest.param("resource.count", 2, "count cannot be changed", id="count"),
        pytest.param(
            "resource.labelSelector.matchLabels", {"a": "b"}, "labelSelector cannot be changed", id="selector"
        ),
        pytest.param("resource.instanceType", "big", "instanceType cannot be added", id="instance type"),
        pytest.param("resource.partition", {"mode": "mig"}, "partition cannot be added", id="partition"),
        pytest.param("inference.preset.name", "other", "preset cannot be changed", id="preset"),
        pytest.param(
            "inference",
            {"template": {"spec": {"containers": [{"name": "x"}]}}},
            "preset cannot be added",
            id="template",
        ),
        pytest.param("metadata.name", "a.b", "name must be a DNS label", id="dotted name"),
        pytest.param("inference", {"config": "c"}, "give either preset or template", id="neither preset nor template"),
    ],
)
def test_a_workspace_refuses_what_kaito_refuses(cluster: ControlPlane, path: str, value: Any, message: str) -> None:
    workspace = make_workspace("fixed")
    cluster.apply(workspace)
    changed = json.dumps(set_path(workspace, path, value))
    answer = cluster.kubectl("apply", "--server-side", "-f", "-", input=changed, check=False)
    assert answer.returncode == 1
    assert message in answer.stderr


def test_a_workspace_takes_a_new_config_and_both_versions_are_served(cluster: ControlPlane) -> None:
    workspace = make_workspace("changed")
    cluster.apply(workspace)
    cluster.apply(set_path(workspace, "inference.config", "c"))
    assert cluster.get("workspaces.v1alpha1.kaito.sh", "changed")["inference"]["config"] == "c"
