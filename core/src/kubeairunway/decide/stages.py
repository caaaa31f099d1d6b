"""The stages that are the same whoever finds them: what the last status keeps when nothing new is known."""

from collections.abc import Collection, Mapping
from typing import Any

from kubeairunway.model.reasons import ConditionType, Reason
from kubeairunway.objects.conditions import Condition, ConditionStatus
from kubeairunway.objects.resources import Json

_CARRIED = ("engine", "selection", "objects")
CHOICE_CONDITIONS = (
    ConditionType.VALIDATED,
    ConditionType.ENGINE_SELECTED,
    ConditionType.PROVIDER_SELECTED,
    ConditionType.PROVIDER_COMPATIBLE,
)


def carry_fields(deployment: Mapping[str, Any]) -> Json:
    """What the status says of the choice, as it is."""
    status = deployment.get("status") or {}
    return {key: status[key] for key in _CARRIED if key in status}


def carry_provider(deployment: Mapping[str, Any]) -> Json:
    """`status.provider`, as it is."""
    provider: Json = (deployment.get("status") or {}).get("provider") or {}
    return provider


def carry_conditions(deployment: Mapping[str, Any], types: Collection[str]) -> tuple[Condition, ...]:
    """Conditions of these types, as they are."""
    rows = (deployment.get("status") or {}).get("conditions") or ()
    return tuple(
        Condition(row["type"], row["status"], row["reason"], row.get("message", ""))
        for row in rows
        if row["type"] in types
    )


def ready(reason: Reason, message: str, status: ConditionStatus = "False") -> Condition:
    """A Ready condition."""
    return Condition(ConditionType.READY, status, reason, message)
