"""What KubeRay does with spec.suspend (since 1.7), as pure functions: delete everything, say so, start anew later.

Once begun, a suspension runs to its end, whatever the spec says meanwhile.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from kubeairunway.objects.conditions import Condition, find_condition
from kubeairunway_dev.standins.kuberay_status import INITIALIZING, READY, UPGRADE, make_half, merge_rows, with_time

if TYPE_CHECKING:
    from datetime import datetime

    from kubeairunway.objects.resources import Json

SUSPENDING: Final = "Suspending"
SUSPENDED: Final = "Suspended"
ROLLBACK: Final = "RollbackInProgress"


class Suspension(Enum):
    """Where a RayService stands."""

    NONE = "none"
    REQUESTED = "requested"
    UNDER_WAY = "under way"
    COMPLETE = "complete"
    RESUMED = "resumed"


def find_suspension(service: Json) -> Suspension:
    """Return where a RayService stands, from its conditions and its spec."""
    rows = service.get("status", {}).get("conditions")
    asked = bool(service["spec"].get("suspend"))

    def holds(name: str) -> bool:
        row = find_condition(rows, name)
        return row is not None and row["status"] == "True"

    if holds(SUSPENDED):
        return Suspension.COMPLETE if asked else Suspension.RESUMED
    if holds(SUSPENDING):
        return Suspension.UNDER_WAY
    return Suspension.REQUESTED if asked else Suspension.NONE


def make_status(service: Json, suspension: Suspension, now: datetime, *, empty: bool) -> Json:
    """Return the status of a RayService that is being suspended or resumed; `empty` says whether nothing is left."""
    before = service.get("status", {})
    rows = before.get("conditions") or []
    generation = before.get("observedGeneration", 0)
    if suspension is Suspension.REQUESTED:
        words = "Spec.Suspend is true; will delete all Kubernetes resources owned by this RayService."
        wanted = [Condition(SUSPENDING, "True", "SuspendRequested", words), *_calm("SuspendInProgress", "suspending")]
        generation = service["metadata"]["generation"]
    elif suspension is Suspension.UNDER_WAY and empty:
        done = "All owned resources have been deleted."
        wanted = [
            Condition(SUSPENDING, "False", "SuspendComplete", done),
            Condition(SUSPENDED, "True", "SuspendComplete", done),
            *_calm("SuspendComplete", "suspended"),
        ]
    elif suspension is Suspension.UNDER_WAY:
        words = "Waiting for all Kubernetes resources owned by this RayService to be deleted."
        wanted = [Condition(SUSPENDING, "True", "SuspendInProgress", words)]
    elif suspension is Suspension.RESUMED:
        words = "RayService is initializing after resuming from suspend."
        wanted = [
            Condition(SUSPENDED, "False", "Resumed", "Spec.Suspend is false; RayService has resumed."),
            Condition(READY, "False", INITIALIZING, words),
            Condition(UPGRADE, "False", INITIALIZING, words),
        ]
        # Their times start anew, even where their status stays.
        rows = [row for row in rows if row["type"] not in {READY, UPGRADE}]
        generation = service["metadata"]["generation"]
    else:
        return dict(before)
    aged = {**service, "metadata": {**service["metadata"], "generation": generation}, "status": {"conditions": rows}}
    status = {
        "observedGeneration": generation,
        "activeServiceStatus": make_half("", None, {}),
        "pendingServiceStatus": make_half("", None, {}),
        "conditions": merge_rows(aged, wanted, now),
    }
    return with_time(status, before, now)


def _calm(reason: str, participle: str) -> list[Condition]:
    """Return the conditions that say that nothing else happens."""
    return [
        Condition(READY, "False", reason, f"RayService is {participle}."),
        Condition(UPGRADE, "False", reason, "No upgrade in progress."),
        Condition(ROLLBACK, "False", reason, "No rollback in progress."),
    ]
