"""The root cause with the real scheduler, quota, admission and garbage collector; kubelet alone is stood in for."""

from __future__ import annotations

import time
from typing import Any

ERROR = {"terminated": {"exitCode": 1, "reason": "Error", "message": "ValueError: no such model"}}
KILLED = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}
QUIET_SECONDS = 6
"""How long a quiet controller is watched."""


def test_a_model_that_asks_for_more_gpus_than_there_are_says_how_many_are_free(desk: Any, now: Any) -> None:
    since = now()
    desk.deploy("huge", resources={"gpu": {"count": 8}})
    desk.deploy("wide", resources={"gpu": {"count": 6}})
    message = desk.reads("huge", "WaitingForGPU", "8 free in all")
    pod = desk.pod("huge")
    assert message.startswith(
        f"Pod '{pod}' needs 8 x nvidia.com/gpu on one node; the largest free is 4 of 4 on node-0; 8 free in all: "
        "0/2 nodes are available: 2 Insufficient nvidia.com/gpu"
    )
    desk.reads("wide", "WaitingForGPU", "needs 6 x nvidia.com/gpu on one node; the largest free is 4 of 4")
    asked = desk.requests(since)
    assert asked["list", "nodes"] == 1
    assert asked["list", "pods"] <= 2
    desk.plane.add_nodes(1, 8, prefix="big")
    try:
        desk.until(lambda: "True" in {desk.ready(name)[0] for name in ("huge", "wide")}, "one of them runs", 30)
        done = next(name for name in ("huge", "wide") if desk.ready(name)[0] == "True")
        assert desk.ready(done)[2] == "All replicas are ready"
    finally:
        desk.delete("huge", "wide")
        desk.kubectl("delete", "node", "big-0")


def test_a_selector_that_no_node_fits_is_no_wait_for_gpus(desk: Any) -> None:
    desk.deploy("lost", nodeSelector={"zone": "nowhere"})
    desk.reads("lost", "Unschedulable", "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector")
    desk.delete("lost")


def test_a_quota_is_named_and_its_room_is_used_once_it_grows(desk: Any) -> None:
    desk.apply("v1", "ResourceQuota", "team-gpus", spec={"hard": {"requests.nvidia.com/gpu": "1"}})
    desk.deploy("greedy", resources={"gpu": {"count": 2}})
    message = desk.reads("greedy", "QuotaExceeded", "ReplicaSet 'greedy-")
    assert message.endswith(
        "cannot make its pods: ResourceQuota 'team-gpus' is exceeded: requested requests.nvidia.com/gpu=2, "
        "used: requests.nvidia.com/gpu=0, limited: requests.nvidia.com/gpu=1"
    )
    desk.apply("v1", "ResourceQuota", "team-gpus", spec={"hard": {"requests.nvidia.com/gpu": "2"}})
    desk.runs("greedy", 60)
    desk.delete("greedy")


def test_pod_security_that_refuses_the_pods_is_named(desk: Any) -> None:
    desk.kubectl("label", "namespace", desk.namespace, "pod-security.kubernetes.io/enforce=restricted")
    desk.deploy("plain")
    desk.reads("plain", "AdmissionDenied", 'cannot make its pods: violates PodSecurity "restricted:latest"')
    desk.kubectl("label", "namespace", desk.namespace, "pod-security.kubernetes.io/enforce-")
    desk.runs("plain", 60)
    desk.delete("plain")


def test_a_secret_that_does_not_exist_is_named_before_any_container_needs_it(desk: Any, now: Any) -> None:
    since = now()
    desk.deploy("gated", resources={"gpu": {"count": 8}}, secrets={"huggingFaceToken": "hf"})
    desk.reads("gated", "SecretMissing", "Secret 'hf' does not exist; spec.secrets.huggingFaceToken needs its key")
    desk.kubectl("create", "secret", "generic", "hf", "-n", desk.namespace, "--from-literal=HF_TOKEN=x")
    desk.reads("gated", "WaitingForGPU", "needs 8 x nvidia.com/gpu")
    assert {verb for verb, place in desk.requests(since) if place == "secrets"} == {"get"}
    desk.delete("gated")


def test_what_kubelet_would_say_of_a_container_is_told_and_goes_when_it_is_well(desk: Any, now: Any) -> None:
    names = ("pull", "token", "load", "crash", "memory")
    for name in names:
        desk.deploy(name, resources={"gpu": {"count": 1}, "memory": "8Gi"})
    for name in names:
        desk.runs(name)
    pull = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image: not found"}}
    desk.turns("pull", pull, "ImagePull", "cannot pull image 'engine': Back-off pulling image: not found")
    token = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "token" not found'}}
    desk.turns("token", token, "SecretMissing", "needs Secret 'token', which does not exist")
    running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    desk.turns("load", running, "ModelDownload", "is downloading or loading the model")
    crashed = "ended with exit code 1 (Error), restarted 3 times: ValueError: no such model"
    desk.turns("crash", BACK_OFF, "CrashLoop", crashed, last=ERROR, restarts=3)
    starved = "container 'vllm' ran out of memory (limit 8Gi), restarted 4 times"
    desk.turns("memory", BACK_OFF, "OutOfMemory", starved, last=KILLED, restarts=4)
    since = now()
    time.sleep(QUIET_SECONDS)  # the thing under test is that nothing is asked for in this time
    assert set(desk.requests(since)) <= {("patch", "leases"), ("patch", "inferenceproviderconfigs/status")}
    desk.delete(*names)


def test_a_deployment_that_starts_well_costs_no_more_writes_for_all_this(desk: Any, now: Any) -> None:
    since = now()
    desk.deploy("well")
    desk.runs("well")
    asked = desk.requests(since)
    assert (asked["patch", "modeldeployments"], asked["create", "deployments"], asked["create", "services"]) == (
        1,
        1,
        1,
    )
    assert asked["patch", "modeldeployments/status"] <= 2
    desk.delete("well")
