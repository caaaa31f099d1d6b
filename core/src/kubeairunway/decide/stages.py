"""The stages that are the same whoever finds them: what the last status keeps when nothing new is known."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypedDict

from kubeairunway.decide.explanation import short
from kubeairunway.decide.selection import Decision
from kubeairunway.model.problems import Problem
from kubeairunway.model.reasons import ConditionType, Reason
from kubeairunway.model.spec import Spec
from kubeairunway.objects.conditions import Condition, ConditionStatus
from kubeairunway.objects.resources import Json

_CARRIED = ("engine", "selection", "objects")
CHOICE_CONDITIONS = (
    ConditionType.VALIDATED,
    ConditionType.ENGINE_SELECTED,
    ConditionType.PROVIDER_SELECTED,
    ConditionType.PROVIDER_COMPATIBLE,
)


MAX_SHOWN = 5
"""Problems that one condition message names."""


class DesiredReplicas(TypedDict):
    """The part of a stage that says how many replicas are asked for."""

    desired: int
    roles: dict[str, int]


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


def describe_problems(problems: Iterable[Problem]) -> str:
    """The first problems in one message; how many more there are is said."""
    rows = [f"{problem.path}: {problem.message}" if problem.path else problem.message for problem in problems]
    rest = f"; and {len(rows) - MAX_SHOWN} more" if len(rows) > MAX_SHOWN else ""
    return "; ".join(rows[:MAX_SHOWN]) + rest


def desired_replicas(spec: Spec) -> DesiredReplicas:
    """How many replicas a spec asks for; by role when disaggregated."""
    if spec.serving.mode == "aggregated":
        return {"desired": spec.scaling.replicas, "roles": {}}
    roles = {"prefill": spec.scaling.prefill, "decode": spec.scaling.decode}
    counts = {name: role.replicas for name, role in roles.items() if role is not None}
    return {"desired": sum(counts.values()), "roles": counts}


def validated(problems: Iterable[Problem]) -> Condition:
    """Validated=True, with the warnings there are."""
    warnings = [problem for problem in problems if problem.warning]
    message = "The spec is valid" + (f", but: {describe_problems(warnings)}" if warnings else "")
    return Condition(ConditionType.VALIDATED, "True", Reason.VALIDATION_PASSED, message)


def choice_conditions(decision: Decision, problems: Iterable[Problem], *, refused: str = "") -> tuple[Condition, ...]:
    """What was chosen and whether it fits; `refused` says why the provider cannot run it."""
    conditions = [
        validated(problem for problem in problems if problem not in decision.advice),  # those are events
        Condition(
            ConditionType.ENGINE_SELECTED, _verdict(decision.engine), decision.engine_reason, decision.engine_message
        ),
        Condition(
            ConditionType.PROVIDER_SELECTED,
            _verdict(decision.provider),
            decision.provider_reason,
            decision.provider_message,
        ),
    ]
    if decision.refused_by:
        conditions.append(Condition(ConditionType.ADMITTED, "False", decision.refused_by, refused))
    if refused and not decision.refused_by:
        reason = Reason.INCOMPATIBLE_CONFIGURATION
        conditions.append(Condition(ConditionType.PROVIDER_COMPATIBLE, "False", reason, refused))
    elif decision.provider:
        text = f"Provider {decision.provider} can run it"
        conditions.append(Condition(ConditionType.PROVIDER_COMPATIBLE, "True", Reason.COMPATIBILITY_VERIFIED, text))
    if decision.unavailable:
        conditions.append(unavailable(decision))
    return tuple(conditions)


def unavailable(decision: Decision) -> Condition:
    """ProviderAvailable=False: the provider in charge cannot do its part now."""
    return Condition(ConditionType.PROVIDER_AVAILABLE, "False", decision.unavailable, decision.unavailable_message)


def _verdict(chosen: str | None) -> ConditionStatus:
    return "True" if chosen else "False"


def choice_fields(decision: Decision, deployment: Mapping[str, Any]) -> Json:
    """`status.engine` and `status.selection` of a choice; while it is kept, the reasons it was made for stay."""
    before = (deployment.get("status") or {}).get("selection") or {}
    stays = decision.kept and before.get("provider") == decision.provider
    fields: Json = {"selection": before if stays else short(decision.explanation)}
    if decision.engine:
        fields["engine"] = {"type": decision.engine, "selectedReason": decision.engine_message}
    return fields


def choice_provider(decision: Decision, identity: str) -> dict[str, str]:
    """`status.provider` of a choice, without the object that is not there yet."""
    if not decision.provider:
        return {}
    chosen = {"name": decision.provider, "selectedReason": decision.why or decision.provider_message}
    return {**chosen, "identity": identity} if identity else chosen


def ready(reason: str, message: str, status: ConditionStatus = "False") -> Condition:
    """A Ready condition."""
    return Condition(ConditionType.READY, status, reason, message)
