"""What is kept of pods and events: little, and enough."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubeairunway.decide.causes.trim import trim_event, trim_pod


def test_of_a_pod_that_is_ready_little_more_than_its_labels_is_kept(make: Any) -> None:
    pod = make.pod(phase="Running", conditions=[{"type": "Ready", "status": "True"}, {"type": "Initialized"}])
    pod["metadata"] |= {"annotations": {"a": "b" * 5000}, "resourceVersion": "7", "namespace": "ml"}
    pod["metadata"]["ownerReferences"] = [{"uid": "job"}, {"uid": "rs", "controller": True, "kind": "ReplicaSet"}]
    assert trim_pod(pod) == {
        "metadata": {
            "name": "llm-0",
            "namespace": "ml",
            "uid": "uid-llm-0",
            "resourceVersion": "7",
            "creationTimestamp": make.born,
            "labels": {"app": "llm"},
            "ownerReferences": [{"uid": "rs", "controller": True}],
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


def test_no_environment_no_command_and_no_volume_is_kept(make: Any) -> None:
    pod = make.with_container(state={"waiting": {"reason": "ErrImagePull", "message": "m" * 9000}})
    pod["spec"]["containers"][0] |= {"env": [{"name": "A", "value": "private"}], "args": ["private"]}
    pod["spec"]["volumes"] = [{"name": "private"}]
    pod["spec"]["containers"][0]["resources"]["limits"]["cpu"] = "4"
    kept = trim_pod(pod)
    assert "private" not in json.dumps(kept)
    assert kept["spec"]["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": "8", "memory": "64Gi"}}
    assert len(json.dumps(kept)) < 3000


@pytest.mark.parametrize(
    ("kind", "reason", "message", "kept"),
    [
        ("Pod", "FailedMount", "x", True),
        ("Pod", "FailedAttachVolume", "x", True),
        ("Pod", "FailedScheduling", "x", True),
        ("Pod", "BackOff", "exceeded quota: q", False),
        ("Pod", "Unhealthy", "x", False),
        ("ReplicaSet", "FailedCreate", "x", True),
        ("Job", "FailedCreate", "x", True),
        ("RayCluster", "FailedToCreateWorkerPod", "pods is forbidden: exceeded quota: q", True),
        ("Workspace", "Whatever", 'admission webhook "a" denied the request: b', True),
        ("Deployment", "ProgressDeadlineExceeded", "x", False),
        ("Node", "Rebooted", "x", False),
    ],
)
def test_only_events_that_may_tell_a_cause_are_kept(
    make: Any,
    kind: str,
    reason: str,
    message: str,
    kept: bool,  # noqa: FBT001 - the expected verdict
) -> None:
    trimmed = trim_event(make.event(message, reason=reason, kind=kind))
    assert ("involvedObject" in trimmed) is kept
    assert trimmed["metadata"]["resourceVersion"] == "7"


@pytest.mark.parametrize(
    ("times", "last"),
    [
        ({"seen": "2026-01-01T00:00:05Z"}, "2026-01-01T00:00:05Z"),
        ({"seen": None, "eventTime": "2026-01-01T00:00:06.000000Z"}, "2026-01-01T00:00:06.000000Z"),
        (
            {"seen": None, "eventTime": "2026-01-01T00:00:06Z", "series": {"lastObservedTime": "2026-01-01T00:09:00Z"}},
            "2026-01-01T00:09:00Z",
        ),
        ({"seen": None}, ""),
    ],
    ids=["counted", "of the new API", "a series", "none"],
)
def test_an_event_has_the_time_it_was_last_seen(make: Any, times: dict[str, Any], last: str) -> None:
    assert trim_event(make.event("x", **times))["lastTimestamp"] == last
