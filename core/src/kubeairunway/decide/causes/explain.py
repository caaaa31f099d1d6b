"""Where a decision meets the walker: a plan whose primary does not serve gets its cause, and says what to look for."""

from dataclasses import replace

from kubeairunway.decide.causes.evidence import CAUSES, Cause, Evidence, Wanted
from kubeairunway.decide.causes.walk import find_cause, list_gpus, list_secrets
from kubeairunway.decide.conclusion import is_serving
from kubeairunway.decide.plan import Plan, Snapshot, Stage
from kubeairunway.decide.stages import carry_conditions
from kubeairunway.model.reasons import ConditionType, Reason
from kubeairunway.model.spec import Spec

_COUNTED = frozenset({Reason.WAITING_FOR_GPU, Reason.UNSCHEDULABLE})
"""Causes that a count of free GPUs goes into, or decides between."""


def explain_wait(plan: Plan, snapshot: Snapshot, spec: Spec) -> Plan:
    """The plan with the cause why its primary does not serve, if there is anything to look at; else as it is."""
    stage = plan.stage
    if stage is None or stage.report is None or not _is_waiting(stage):
        return plan
    secrets, gpus, selector = list_secrets(spec), list_gpus(spec), stage.report.pods
    evidence = snapshot.look_below(selector)
    cause = find_cause(evidence, secrets, gpus, words=stage.report.message, now=snapshot.now)
    wanted = Wanted(
        selector=selector,
        secrets=frozenset(ref.name for ref in secrets),
        capacity=cause is not None and _asks_for_capacity(cause, evidence),
    )
    return replace(plan, stage=replace(stage, cause=_prefer_known(cause, evidence, snapshot)), wanted=wanted)


def _is_waiting(stage: Stage) -> bool:
    """Whether it is upstream's turn, and it has not come to its end."""
    waits = stage.exists and stage.blocked is None and not stage.terminating
    return waits and stage.desired > 0 and not is_serving(stage)


def _asks_for_capacity(cause: Cause, evidence: Evidence) -> bool:
    """Whether free GPUs go into the message, or decide whether it is GPUs that lack."""
    return bool(evidence.pods) and cause.reason in _COUNTED


def _prefer_known(cause: Cause | None, evidence: Evidence, snapshot: Snapshot) -> Cause | None:
    """While evidence is first looked up, what the status says already stands: a restart changes nothing."""
    if not evidence.pending:
        return cause
    shown = next(iter(carry_conditions(snapshot.deployment, {ConditionType.READY})), None)
    if shown is None or shown.status != "False" or shown.reason not in CAUSES or shown.reason == Reason.UPSTREAM_ERROR:
        return cause
    known = Cause(Reason(shown.reason), shown.message)
    return known if cause is None or {cause.reason, known.reason} <= _COUNTED else cause
