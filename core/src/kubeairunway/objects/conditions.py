"""Status conditions: reading one, and carrying transition times from the last list into the next."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from kubeairunway.objects.times import format_time

ConditionStatus = Literal["True", "False", "Unknown"]

MAX_MESSAGE = 32768
"""Longest message that metav1.Condition allows."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as a decision wants it; its transition time follows from the list before it."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""


def find_condition(rows: object, name: str) -> Mapping[str, Any] | None:
    """The condition of that type in a list of status conditions, or None."""
    if not isinstance(rows, Sequence):
        return None
    return next((row for row in rows if isinstance(row, Mapping) and row.get("type") == name), None)


def merge_conditions(
    wanted: Iterable[Condition], before: object, *, generation: int, now: datetime
) -> list[dict[str, Any]]:
    """The list to write: the time of a condition moves only when its status does."""
    rows = []
    for condition in wanted:
        old = find_condition(before, condition.type)
        kept = old is not None and old.get("status") == condition.status and old.get("lastTransitionTime")
        rows.append(
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message[:MAX_MESSAGE],
                "observedGeneration": generation,
                "lastTransitionTime": kept or format_time(now),
            }
        )
    return rows
