"""What pods say of themselves, as pure functions, and what a kubelet would say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeairunway.objects.conditions import find_condition
from kubeairunway.objects.times import format_time

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from kubeairunway.objects.resources import Json


def is_ready(pod: Json) -> bool:
    """Return whether a pod is ready and not about to go."""
    ready = find_condition(pod.get("status", {}).get("conditions"), "Ready")
    return ready is not None and ready["status"] == "True" and "deletionTimestamp" not in pod["metadata"]


def find_unschedulable(pods: Iterable[Json]) -> str | None:
    """Return the scheduler's message if it finds no node for one of the pods."""
    for pod in pods:
        scheduled = find_condition(pod.get("status", {}).get("conditions"), "PodScheduled")
        if scheduled is not None and scheduled.get("reason") == "Unschedulable":
            return str(scheduled.get("message", ""))
    return None


def make_ready(now: datetime) -> Json:
    """Return the status patch that a kubelet would write for a running pod."""
    ready = {"type": "Ready", "status": "True", "lastTransitionTime": format_time(now)}
    return {"status": {"phase": "Running", "conditions": [ready]}}
