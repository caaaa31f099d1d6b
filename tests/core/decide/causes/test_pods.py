"""What one pod shows, as a table: each state that Kubernetes puts a pod in, and the cause that is read in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.decide.causes.evidence import Around, Capacity
from kubeairunway.decide.causes.pods import find_pod_causes
from kubeairunway.decide.causes.trim import trim_pod

if TYPE_CHECKING:
    from collections.abc import Callable

GPU = "nvidia.com/gpu"
LACKING = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: 0/2 nodes are available: 2 No victims."
RAN = {"exitCode": 1, "reason": "Error", "message": "Traceback\nValueError: no such model\n"}
KILLED = {"exitCode": 137, "reason": "OOMKilled"}
Row = tuple["Callable[[Any], Any]", str, str]

CASES: dict[str, Row] = {
    "waits for GPUs": (
        lambda make: make.unscheduled(LACKING),
        "WaitingForGPU",
        "needs 8 x nvidia.com/gpu on one node: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu",
    ),
    "GPUs among what lacks": (
        lambda make: make.unscheduled("0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient nvidia.com/gpu."),
        "WaitingForGPU",
        "1 Insufficient cpu, 2 Insufficient nvidia.com/gpu",
    ),
    "too little CPU": (
        lambda make: make.unscheduled("0/2 nodes are available: 2 Insufficient cpu."),
        "Unschedulable",
        "fits on no node: 0/2 nodes are available: 2 Insufficient cpu",
    ),
    "another resource of a longer name": (
        lambda make: make.unscheduled("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.shared."),
        "Unschedulable",
        "2 Insufficient nvidia.com/gpu.shared",
    ),
    "a taint": (
        lambda make: make.unscheduled("0/1 nodes are available: 1 node(s) had untolerated taint {a: b}."),
        "Unschedulable",
        "1 node(s) had untolerated taint {a: b}",
    ),
    "gated, without a message": (
        lambda make: make.pod(
            node="", conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]
        ),
        "Unschedulable",
        "fits on no node: SchedulingGated",
    ),
    "a claim that is not there": (
        lambda make: make.unscheduled('0/1 nodes are available: persistentvolumeclaim "cache" not found.'),
        "DependencyMissing",
        "needs PersistentVolumeClaim 'cache', which does not exist",
    ),
    "image pull": (
        lambda make: make.with_container(
            state={"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "engine:1": denied'}}
        ),
        "ImagePull",
        "cannot pull image 'engine:1': Back-off pulling image \"engine:1\": denied",
    ),
    "image pull, first time": (
        lambda make: make.with_container(state={"waiting": {"reason": "ErrImagePull"}}, image=""),
        "ImagePull",
        "cannot pull image 'engine:1': ErrImagePull",
    ),
    "image name": (
        lambda make: make.with_container(state={"waiting": {"reason": "InvalidImageName", "message": "bad name"}}),
        "ImagePull",
        "bad name",
    ),
    "image of an init container": (
        lambda make: make.pod(
            initContainerStatuses=[make.container(state={"waiting": {"reason": "ErrImagePull", "message": "no"}})],
            containerStatuses=[make.container(state={"waiting": {"reason": "PodInitializing"}})],
        ),
        "ImagePull",
        "no",
    ),
    "secret": (
        lambda make: make.with_container(
            state={"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "hf" not found'}}
        ),
        "SecretMissing",
        "needs Secret 'hf', which does not exist",
    ),
    "key of a secret": (
        lambda make: make.with_container(
            state={
                "waiting": {
                    "reason": "CreateContainerConfigError",
                    "message": "couldn't find key HF_TOKEN in Secret ml/hf",
                }
            }
        ),
        "SecretMissing",
        "needs key 'HF_TOKEN' of Secret 'hf', which has no such key",
    ),
    "config map": (
        lambda make: make.with_container(
            state={"waiting": {"reason": "CreateContainerConfigError", "message": 'configmap "app" not found'}}
        ),
        "DependencyMissing",
        "needs ConfigMap 'app', which does not exist",
    ),
    "key of a config map": (
        lambda make: make.with_container(
            state={
                "waiting": {"reason": "CreateContainerConfigError", "message": "couldn't find key k in ConfigMap ml/a"}
            }
        ),
        "DependencyMissing",
        "needs key 'k' of ConfigMap 'a', which has no such key",
    ),
    "another config error": (
        lambda make: make.with_container(
            state={"waiting": {"reason": "CreateContainerConfigError", "message": "runAsNonRoot"}}
        ),
        "DependencyMissing",
        "cannot start container 'engine': runAsNonRoot",
    ),
    "no such program": (
        lambda make: make.with_container(state={"waiting": {"reason": "RunContainerError", "message": "no such file"}}),
        "CrashLoop",
        "cannot start container 'engine': no such file",
    ),
    "crash loop": (
        lambda make: make.with_container(
            state={"waiting": {"reason": "CrashLoopBackOff"}}, last={"terminated": RAN}, restarts=4, phase="Running"
        ),
        "CrashLoop",
        "container 'engine' ended with exit code 1 (Error), restarted 4 times: Traceback ValueError: no such model",
    ),
    "crash loop with code 0": (
        lambda make: make.with_container(
            state={"waiting": {"reason": "CrashLoopBackOff"}},
            last={"terminated": {"exitCode": 0, "reason": "Completed"}},
            restarts=2,
        ),
        "CrashLoop",
        "ended with exit code 0 (Completed), restarted 2 times",
    ),
    "crash loop that says nothing": (
        lambda make: make.with_container(state={"waiting": {"reason": "CrashLoopBackOff"}}, restarts=1),
        "CrashLoop",
        "container 'engine' keeps ending, restarted 1 time",
    ),
    "just crashed": (
        lambda make: make.with_container(state={"terminated": RAN}),
        "CrashLoop",
        "container 'engine' ended with exit code 1 (Error): Traceback",
    ),
    "runs again after a crash": (
        lambda make: make.with_container(state={"running": {}}, last={"terminated": RAN}, restarts=1, phase="Running"),
        "CrashLoop",
        "restarted 1 time",
    ),
    "out of memory": (
        lambda make: make.with_container(
            state={"waiting": {"reason": "CrashLoopBackOff"}}, last={"terminated": KILLED}, restarts=3
        ),
        "OutOfMemory",
        "container 'engine' ran out of memory (limit 64Gi), restarted 3 times",
    ),
    "out of memory, for good": (
        lambda make: make.with_container(state={"terminated": KILLED}, phase="Failed"),
        "OutOfMemory",
        "container 'engine' ran out of memory (limit 64Gi)",
    ),
    "evicted for memory": (
        lambda make: make.pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
        "OutOfMemory",
        "was evicted: The node was low on resource: memory.",
    ),
    "evicted for disk": (
        lambda make: make.pod(phase="Failed", reason="Evicted", message="low on ephemeral-storage"),
        "Unschedulable",
        "was put off its node: Evicted: low on ephemeral-storage",
    ),
    "loads": (
        lambda make: make.with_container(state={"running": {}}, started=True, phase="Running"),
        "ModelDownload",
        "is downloading or loading the model",
    ),
    "loads, before its startup probe": (
        lambda make: make.with_container(state={"running": {"startedAt": "x"}}, started=False, phase="Running"),
        "ModelDownload",
        "is downloading or loading the model",
    ),
    "an init container downloads": (
        lambda make: make.pod(
            initContainerStatuses=[make.container(state={"running": {}})],
            containerStatuses=[make.container(state={"waiting": {"reason": "PodInitializing"}})],
        ),
        "ModelDownload",
        "is downloading or loading the model",
    ),
}

SILENT: dict[str, Callable[[Any], Any]] = {
    "ready": lambda make: make.pod(
        phase="Running",
        conditions=[{"type": "Ready", "status": "True"}],
        containerStatuses=[make.container(state={"running": {}}, last={"terminated": RAN}, restarts=9)],
    ),
    "being deleted": lambda make: (
        make.with_container(state={"terminated": RAN})
        | {"metadata": {"name": "x", "deletionTimestamp": "2026-03-01T11:59:59Z"}}
    ),
    "succeeded": lambda make: make.with_container(state={"terminated": {"exitCode": 0}}, phase="Succeeded"),
    "not yet looked at by the scheduler": lambda make: make.pod(node="", phase="Pending"),
    "scheduled, nothing begun": lambda make: make.pod(phase="Pending"),
    "its container is made": lambda make: make.with_container(state={"waiting": {"reason": "ContainerCreating"}}),
    "init container has done its work after a crash": lambda make: make.pod(
        initContainerStatuses=[
            make.container(state={"terminated": {"exitCode": 0}}, last={"terminated": RAN}, restarts=2)
        ]
    ),
    "container is ready, a gate is not": lambda make: make.with_container(
        state={"running": {}}, ready=True, phase="Running"
    ),
    "a container that crashed is ready again": lambda make: make.with_container(
        state={"running": {}}, last={"terminated": RAN}, restarts=2, ready=True, phase="Running"
    ),
    "failed without a word": lambda make: make.pod(phase="Failed"),
}


def causes_of(make: Any, pod: Any, events: Any = (), capacity: Capacity | None = None) -> list[tuple[str, str]]:
    """What is found in a pod, and in what is kept of it."""
    around = Around({GPU: 8}, capacity, make.now)
    whole = [(str(cause.reason), cause.message) for cause in find_pod_causes(pod, events, around)]
    kept = [(str(cause.reason), cause.message) for cause in find_pod_causes(trim_pod(pod), events, around)]
    assert whole == kept
    return whole


@pytest.mark.parametrize("name", CASES)
def test_a_pod_shows_its_cause(make: Any, name: str) -> None:
    build, reason, words = CASES[name]
    found = causes_of(make, build(make))
    assert found[0][0] == reason
    assert words in found[0][1]


@pytest.mark.parametrize("name", SILENT)
def test_a_pod_that_is_well_or_at_its_beginning_or_end_shows_none(make: Any, name: str) -> None:
    assert causes_of(make, SILENT[name](make)) == []


def test_what_the_scheduler_says_of_preemption_is_left_out(make: Any) -> None:
    ((_, message),) = causes_of(make, make.unscheduled(LACKING))
    assert message.endswith("2 Insufficient nvidia.com/gpu")


def test_gpus_that_were_not_asked_for_are_no_wait_for_gpus(make: Any) -> None:
    pod = make.unscheduled(LACKING)
    pod["spec"]["containers"][0]["resources"] = {}
    assert [reason for reason, _ in causes_of(make, pod)] == ["Unschedulable"]


def test_another_extended_resource_that_lacks_is_no_wait_for_gpus(make: Any) -> None:
    pod = make.unscheduled("0/2 nodes are available: 2 Insufficient rdma/hca.")
    pod["spec"]["containers"][0]["resources"]["limits"]["rdma/hca"] = "1"
    assert [reason for reason, _ in causes_of(make, pod)] == ["Unschedulable"]


@pytest.mark.parametrize(
    ("event", "state", "expected"),
    [
        ({"message": 'MountVolume.SetUp failed: secret "tls" not found'}, {}, "SecretMissing"),
        ({"message": 'MountVolume.SetUp failed: configmap "app" not found'}, {}, "DependencyMissing"),
        ({"message": "Multi-Attach error", "reason": "FailedAttachVolume"}, {}, "DependencyMissing"),
        ({"message": "x", "seen": "2026-03-01T11:54:00Z"}, {}, ""),
        ({"message": "x", "seen": None}, {}, ""),
        ({"message": "x", "reason": "Unhealthy"}, {}, ""),
        ({"message": "x"}, {"running": {}}, "ModelDownload"),
    ],
    ids=["secret", "config map", "attach", "six minutes old", "no time", "another reason", "started since"],
)
def test_a_mount_that_fails_counts_while_nothing_has_started(
    make: Any, event: dict[str, Any], state: dict[str, Any], expected: str
) -> None:
    pod = make.with_container(state=state or {"waiting": {"reason": "ContainerCreating"}})
    events = [make.event(event.pop("message"), **{"reason": "FailedMount", "kind": "Pod", **event})]
    assert [reason for reason, _ in causes_of(make, pod, events)] == [expected] * bool(expected)


def test_the_schedulers_event_counts_where_the_condition_is_not_there_yet(make: Any) -> None:
    event = make.event(LACKING, reason="FailedScheduling", kind="Pod")
    assert [reason for reason, _ in causes_of(make, make.pod(node=""), [event])] == ["WaitingForGPU"]
    assert causes_of(make, make.pod(), [event]) == []
    scheduled = make.pod(node="", conditions=[{"type": "PodScheduled", "status": "True"}])
    assert causes_of(make, scheduled, [event]) == []


def test_words_of_others_are_bounded_and_in_one_line(make: Any) -> None:
    ended = {"exitCode": 2, "message": "a\x1b[31m" + "x\n" * 5000 + "the end"}
    ((_, message),) = causes_of(make, make.with_container(state={"terminated": ended}))
    assert message.endswith("x the end")
    assert len(message) < 600
    assert message.isprintable()
