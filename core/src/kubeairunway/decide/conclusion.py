"""From a plan and what its writes answered to the status to write and the events to record.

Phase, conditions and Ready are derived here, once for all providers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from kubeairunway.decide.ownership import describe_conflict
from kubeairunway.decide.plan import EVENT_NORMAL, EVENT_WARNING, EventNote, Outcome, Phase, Plan, Stage, StepKind
from kubeairunway.model.reasons import ConditionType, EventReason, Reason
from kubeairunway.objects.conditions import Condition, ConditionStatus, find_condition, merge_conditions
from kubeairunway.objects.resources import Json
from kubeairunway.plugin import Report, State

MAX_STATUS_MESSAGE = 4096
"""Bound of status.message in the CRD."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The whole status to write (None: it stands already), events, and whether to try again soon."""

    status: Json | None
    events: tuple[EventNote, ...] = ()
    retry: bool = False


def conclude(deployment: Mapping[str, Any], plan: Plan, outcomes: Sequence[Outcome], now: datetime) -> Conclusion:
    """What to report once the steps of a plan have been tried, up to the first that failed."""
    failure = next((outcome for outcome in outcomes if outcome.error), None)
    before = deployment.get("status") or {}
    told = () if _keeps_old(plan, failure) else plan.events
    events = (*told, *_events_of(outcomes, failure, before))
    if plan.stage is None:
        return Conclusion(None, events, retry=failure is not None)
    stage = plan.stage
    if _keeps_old(plan, failure):
        stage = replace(stage, blocked=None, serving_on=True)
    wanted = _build_status(deployment, before, stage, outcomes, failure, now)
    return Conclusion(None if wanted == before else wanted, events, retry=failure is not None and not failure.conflict)


def _keeps_old(plan: Plan, failure: Outcome | None) -> bool:
    """Whether a name that is taken kept the old primary from being deleted, so that it serves on."""
    blocked = plan.stage.blocked if plan.stage is not None else None
    return failure is not None and failure.conflict and blocked is not None and blocked.reason == Reason.RECREATING


def _events_of(outcomes: Sequence[Outcome], failure: Outcome | None, before: Mapping[str, Any]) -> list[EventNote]:
    created = [
        f"{outcome.step.kind.name} '{outcome.step.name}'"
        for outcome in outcomes
        if outcome.step.action is StepKind.CREATE and not outcome.error
    ]
    events = [EventNote(EVENT_NORMAL, EventReason.RESOURCE_CREATED, f"Created {', '.join(created)}")] if created else []
    if failure is not None and not failure.transient:
        reason = EventReason.RESOURCE_CONFLICT if failure.conflict else EventReason.RESOURCE_REFUSED
        condition = _failure_condition(failure)
        shown = find_condition(before.get("conditions"), ConditionType.RESOURCE_CREATED) or {}
        if (shown.get("reason"), shown.get("message")) != (condition.reason, condition.message):
            events.append(EventNote(EVENT_WARNING, reason, condition.message))
    return events


def _build_status(
    deployment: Mapping[str, Any],
    before: Mapping[str, Any],
    stage: Stage,
    outcomes: Sequence[Outcome],
    failure: Outcome | None,
    now: datetime,
) -> Json:
    generation = int(deployment["metadata"].get("generation") or 0)
    shown = max(int(before.get("observedGeneration", 0)), 0) if stage.paused else generation
    exists = stage.exists or any(
        outcome.step.primary and outcome.step.action is StepKind.CREATE and not outcome.error for outcome in outcomes
    )
    ready = _ready_condition(stage, failure, exists=exists)
    failed = exists and stage.blocked is None and failure is None and has_failed(stage)
    conditions = [
        *stage.conditions,
        *_created_condition(stage, failure, exists=exists),
        ready,
        *_progress_conditions(stage, ready, failed=failed),
    ]
    phase = Phase.FAILED if failed else _phase(stage, before, ready, exists=exists)
    status: Json = {
        **stage.fields,
        "phase": str(phase),
        "message": ready.message[:MAX_STATUS_MESSAGE],
        "observedGeneration": shown,
        "conditions": merge_conditions(conditions, before.get("conditions"), generation=shown, now=now),
    }
    status.update(_figures(stage, before, exists=exists))
    if stage.provider or stage.resource:
        status["provider"] = {**stage.provider, **(stage.resource if exists or stage.recorded else {})}
    return status


def _ready_condition(stage: Stage, failure: Outcome | None, *, exists: bool) -> Condition:
    if stage.blocked is not None:
        return stage.blocked
    if failure is not None:
        cause = _failure_condition(failure)
        return _ready(cause.reason, cause.message)
    if not exists or stage.report is None:
        return _ready(Reason.DEPLOYMENT_IN_PROGRESS, "Created; waiting for the provider to report")
    return _judge_report(stage, stage.report)


def _judge_report(stage: Stage, report: Report) -> Condition:
    if is_serving(stage):
        if stage.desired == 0:
            return _ready(Reason.SCALED_TO_ZERO, "Scaled to zero, as asked", "True")
        return _ready(Reason.DEPLOYMENT_READY, "All replicas are ready", "True")
    failed = has_failed(stage)
    if stage.cause is not None and not (failed and stage.cause.reason == Reason.MODEL_DOWNLOAD):
        return _ready(stage.cause.reason, stage.cause.message)
    if failed:
        return _ready(Reason.UPSTREAM_ERROR, report.message or "The provider reports a failure without a reason")
    return _ready(Reason.DEPLOYMENT_IN_PROGRESS, _progress_message(stage, report))


def is_serving(stage: Stage) -> bool:
    """Whether upstream's report makes the deployment Ready: it runs, proved for this revision, with all replicas."""
    report = stage.report
    return report is not None and report.state is State.RUNNING and stage.proved and not _missing(stage, report)


def has_failed(stage: Stage) -> bool:
    """Whether upstream says that this revision failed."""
    report = stage.report
    return report is not None and report.state is State.FAILED and (stage.proved or report.generation is None)


def _ready(reason: str, message: str, status: ConditionStatus = "False") -> Condition:
    return Condition(ConditionType.READY, status, reason, message)


def _missing(stage: Stage, report: Report) -> bool:
    if stage.roles:
        return any(report.roles.get(role, 0) < count for role, count in stage.roles.items())
    return report.ready < stage.desired


def _progress_message(stage: Stage, report: Report) -> str:
    if not stage.proved:
        text = "The provider has not acted on this revision yet"
    elif not _missing(stage, report):
        text = "Enough replicas are ready, but the provider is not done yet"
    elif stage.roles:
        counts = (f"{report.roles.get(role, 0)} of {count} {role}" for role, count in sorted(stage.roles.items()))
        text = f"{', '.join(counts)} workers are ready"
    else:
        text = f"{report.ready} of {stage.desired} replicas are ready"
    return f"{text}: {report.message}" if report.message else text


def _failure_condition(failure: Outcome) -> Condition:
    step = failure.step
    what = f"{step.kind.name} '{step.name}'"
    if failure.conflict:
        reason, message = Reason.RESOURCE_CONFLICT, describe_conflict(step.kind.name, step.name, failure.message)
    elif failure.transient:
        reason, message = Reason.RESOURCE_FAILED, f"Could not {step.action} {what}, trying again: {failure.message}"
    else:
        reason, message = Reason.RESOURCE_REFUSED, f"The API server refused to {step.action} {what}: {failure.message}"
    return Condition(ConditionType.RESOURCE_CREATED, "False", reason, message)


def _created_condition(stage: Stage, failure: Outcome | None, *, exists: bool) -> list[Condition]:
    if stage.terminating:
        return []
    if failure is not None:
        return [_failure_condition(failure)]
    if stage.blocked is not None and stage.blocked.reason in _NOT_CREATED:
        blocked = stage.blocked
        return [Condition(ConditionType.RESOURCE_CREATED, "False", blocked.reason, blocked.message)]
    if exists:
        return [Condition(ConditionType.RESOURCE_CREATED, "True", Reason.RESOURCE_CREATED, "All objects exist")]
    return [Condition(ConditionType.RESOURCE_CREATED, "False", Reason.RESOURCE_PENDING, "Nothing is created yet")]


_NOT_CREATED = frozenset({Reason.RESOURCE_CONFLICT, Reason.RECREATING, Reason.DELETION_STUCK})


def _progress_conditions(stage: Stage, ready: Condition, *, failed: bool) -> list[Condition]:
    stalled = stage.stalled or failed or ready.reason == Reason.RESOURCE_REFUSED
    settled = ready.status != "False" or stage.paused
    reconciling = not stalled and not settled
    quiet = (Reason.DEPLOYMENT_SETTLED, "")
    cause = (ready.reason, ready.message)
    return [
        Condition(ConditionType.RECONCILING, "True" if reconciling else "False", *(cause if reconciling else quiet)),
        Condition(ConditionType.STALLED, "True" if stalled else "False", *(cause if stalled else quiet)),
    ]


def _phase(stage: Stage, before: Mapping[str, Any], ready: Condition, *, exists: bool) -> Phase:
    if stage.terminating:
        return Phase.TERMINATING
    if stage.serving_on and before.get("phase") in set(Phase):
        return Phase(before["phase"])
    if not exists:
        return Phase.PENDING
    if ready.status == "True":
        return Phase.RUNNING
    return Phase.DEPLOYING


def _figures(stage: Stage, before: Mapping[str, Any], *, exists: bool) -> Json:
    report = stage.report
    if report is None:
        kept = {key: before[key] for key in ("replicas", "selector", "endpoint") if key in before}
        fresh: Json = {"replicas": {"desired": stage.desired, "ready": 0, "available": 0}}
        return kept if stage.serving_on or stage.terminating else fresh
    ready = report.ready if stage.proved and exists else 0
    available = report.ready if report.available is None else report.available
    figures: Json = {"replicas": {"desired": stage.desired, "ready": ready, "available": available}}
    if report.pods:
        figures["selector"] = report.pods
    if report.service:
        figures["endpoint"] = {"service": report.service, "port": report.port}
    return figures
