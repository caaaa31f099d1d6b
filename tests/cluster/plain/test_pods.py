"""A model without any operator: pods that the real scheduler places, on simulated nodes where they run."""

from __future__ import annotations

import json
import shlex
from typing import Any

TEAR_DOWN_SECONDS = 30
"""The garbage collector's time to follow, on a busy machine."""


def test_a_deployment_runs_scales_changes_heals_and_goes(desk: Any) -> None:
    """One test, since each step is about the deployment as the one before left it."""
    storage = {"volumes": [{"name": "weights", "purpose": "modelCache", "size": "1Gi", "storageClassName": ""}]}
    desk.deploy("qwen", model={"id": "org/model", "servedName": "it's", "storage": storage})
    bind_claim(desk, "qwen-weights")
    status = desk.ready("qwen", seconds=30)
    assert status["provider"]["name"] == "vllm"
    assert status["endpoint"] == {"service": "qwen", "port": 8000}
    assert status["replicas"] == {"desired": 1, "ready": 1, "available": 1}
    (pod,) = desk.pods("qwen")
    assert (pod["status"]["phase"], pod["spec"]["containers"][0]["resources"]["limits"]) == (
        "Running",
        {"nvidia.com/gpu": "1"},
    )
    assert pod["spec"]["nodeName"]
    check_call(desk)
    check_scale(desk)
    check_surge(desk)
    check_drift(desk)
    check_identity(desk)
    desk.kubectl("delete", "md", "qwen", "--timeout=20s")
    for kind in ("deployments", "replicasets", "pods", "services"):
        desk.until(lambda: not desk.find(kind), f"no {kind} are left", TEAR_DOWN_SECONDS)  # noqa: B023 - waited for here
    desk.until(lambda: "deletionTimestamp" in desk.get("pvc", "qwen-weights")["metadata"], "the claim is told to go")


def bind_claim(desk: Any, name: str, size: str = "1Gi") -> None:
    """Do what the volume binder does, which this cluster does not run: give the claim a volume."""
    volume = f"volume-of-{name}"
    wanted = f"persistentvolumeclaim/{name}"
    desk.until(lambda: wanted in desk.kubectl("get", "pvc", "-o", "name"), "the claim is made")
    claim = desk.get("pvc", name)
    ref = {"kind": "PersistentVolumeClaim", "namespace": "plain", "name": name, "uid": claim["metadata"]["uid"]}
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteMany"],
        "hostPath": {"path": "/none"},
        "claimRef": ref,
    }
    meta = {"name": volume}
    desk.plane.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": spec})
    bound = {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}
    desk.patch("pvc", name, {"metadata": bound, "spec": {"volumeName": volume}})
    for kind, which in (("pvc", name), ("pv", volume)):
        status = {"phase": "Bound"} | ({"capacity": {"storage": size}} if kind == "pvc" else {})
        patch = json.dumps({"status": status})
        desk.kubectl("patch", kind, which, "--subresource=status", "--type=merge", "-p", patch)


def check_call(desk: Any) -> None:
    call = json.loads(desk.cli("explain", "qwen", "-o", "json"))["call"]
    forward = shlex.split(call["portForward"])
    assert forward[:2] == ["kubectl", f"--kubeconfig={desk.plane.kubeconfig}"]
    assert forward[2:] == ["port-forward", "-n", "plain", "service/qwen", "8080:8000"]
    assert json.loads(shlex.split(call["curl"])[-1])["model"] == "it's"
    assert call["portForward"] in desk.cli("explain", "qwen")


def check_scale(desk: Any) -> None:
    for replicas, reason in ((3, "DeploymentReady"), (0, "ScaledToZero"), (2, "DeploymentReady")):
        desk.kubectl("scale", "md", "qwen", f"--replicas={replicas}")
        status = desk.ready("qwen", reason)
        assert status["replicas"] == dict.fromkeys(("desired", "ready", "available"), replicas)
        assert len(desk.pods("qwen")) == replicas
    assert "call" not in json.loads(desk.cli("explain", "qwen", "-o", "json")) or desk.pods("qwen")


def check_surge(desk: Any) -> None:
    uid = desk.get("deployment", "qwen")["metadata"]["uid"]
    old = {pod["metadata"]["name"] for pod in desk.pods("qwen")}
    desk.patch("md", "qwen", {"spec": {"env": [{"name": "NEW", "value": "yes"}]}})
    desk.ready("qwen")
    left = desk.pods("qwen")
    assert len(left) == 2
    assert not old & {pod["metadata"]["name"] for pod in left}, "Ready while a pod of the old revision serves"
    assert all({"name": "NEW", "value": "yes"} in pod["spec"]["containers"][0]["env"] for pod in left)
    assert desk.get("deployment", "qwen")["metadata"]["uid"] == uid, "changed in place"


def check_drift(desk: Any) -> None:
    desk.kubectl("scale", "deployment", "qwen", "--replicas=5")
    desk.patch("service", "qwen", {"spec": {"selector": {"app": "other"}}})

    def undone() -> bool:
        service = desk.get("service", "qwen")["spec"]["selector"]
        return bool(desk.get("deployment", "qwen")["spec"]["replicas"] == 2 and "app" not in service)

    desk.until(undone, "scale and selector are put back", 5)
    desk.ready("qwen")
    events = desk.plane.get("events", "-n", "plain")["items"]
    assert {row["reason"] for row in events} >= {"DriftDetected", "ProviderSelected"}


def check_identity(desk: Any) -> None:
    """Another model is another Deployment; the claim stays, and the Service no longer leads to the old pods."""
    before, claim = desk.get("deployment", "qwen"), desk.get("pvc", "qwen-weights")
    desk.patch("md", "qwen", {"spec": {"model": {"id": "org/other"}}})
    desk.ready("qwen")
    after = desk.get("deployment", "qwen")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert desk.get("pvc", "qwen-weights")["metadata"]["uid"] == claim["metadata"]["uid"]
    old, new = (obj["spec"]["selector"]["matchLabels"] for obj in (before, after))
    assert old != new
    assert desk.get("service", "qwen")["spec"]["selector"] == new


def test_more_gpus_than_there_are_are_waited_for(desk: Any) -> None:
    desk.deploy("large", scaling={"replicas": 2}, resources={"gpu": {"count": 5}})
    desk.until(lambda: desk.get("md", "large").get("status", {}).get("replicas", {}).get("ready") == 1, "one fits", 30)
    status = desk.get("md", "large")["status"]
    assert status["phase"] == "Deploying"
    assert "call" not in json.loads(desk.cli("explain", "large", "-o", "json"))
    desk.kubectl("scale", "md", "large", "--replicas=1")
    desk.ready("large")
    desk.kubectl("delete", "md", "large", "--timeout=20s")


def test_a_foreign_deployment_is_a_conflict_that_ends_by_itself(desk: Any) -> None:
    desk.kubectl("create", "deployment", "taken", "--image=registry.example.com/x", "--replicas=0")
    desk.deploy("taken")

    def conflict() -> bool:
        rows = desk.get("md", "taken").get("status", {}).get("conditions", ())
        return any((row["type"], row["reason"]) == ("Ready", "ResourceConflict") for row in rows)

    desk.until(conflict, "the conflict is told")
    assert desk.kubectl("get", "service", "taken", check=False).count("NotFound") == 1, "nothing is made beside it"
    desk.kubectl("delete", "deployment", "taken")
    desk.ready("taken")
    desk.kubectl("delete", "md", "taken", "--timeout=20s")


def test_a_claim_that_somebody_made_larger_is_kept_as_it_is(desk: Any) -> None:
    """It cannot shrink, and to make it anew would be to delete what it holds."""
    body = {"provisioner": "example.com/none", "allowVolumeExpansion": True}
    desk.plane.apply({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "grows"}, **body})
    volume = {"name": "data", "mountPath": "/data", "size": "1Gi", "storageClassName": "grows"}
    model = {"id": "org/model", "storage": {"volumes": [volume]}}
    desk.deploy("store", model=model, scaling={"replicas": 0})
    bind_claim(desk, "store-data")
    desk.ready("store", "ScaledToZero")
    claim = desk.get("pvc", "store-data")
    desk.patch("pvc", "store-data", {"spec": {"resources": {"requests": {"storage": "2Gi"}}}})
    desk.kubectl("patch", "pvc", "store-data", "--subresource=status", "--type=merge", "-p", GROWN)
    # A change that reaches the claim, too: its label names where the model comes from.
    desk.patch("md", "store", {"spec": {"model": {"source": "custom"}, "image": "registry.example.com/x:1"}})
    label = "kubeairunway.ai/model-source"
    desk.until(lambda: desk.get("pvc", "store-data")["metadata"]["labels"][label] == "custom", "the label changes")
    desk.ready("store", "ScaledToZero")
    after = desk.get("pvc", "store-data")
    assert after["metadata"]["uid"] == claim["metadata"]["uid"]
    assert after["spec"]["resources"]["requests"] == {"storage": "2Gi"}
    events = desk.plane.get("events", "-n", "plain")["items"]
    assert [row for row in events if row["reason"] == "DriftDetected" and "store-data" in row["message"]] == []
    desk.kubectl("delete", "md", "store", "--timeout=20s")


GROWN = json.dumps({"status": {"capacity": {"storage": "2Gi"}}})
