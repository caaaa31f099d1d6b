"""What a process remembers of a deployment after a pass."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from kubeairunway.decide.changes import recent_repairs
from kubeairunway.decide.plan import Memory, Outcome, Plan, Repairs, StepKind
from kubeairunway.objects.digests import digest


def remember(memory: Memory, plan: Plan, outcomes: Sequence[Outcome], now: datetime, *, uid: str = "") -> Memory:
    """The memory after the steps of a plan were tried: repairs made, statuses seen in answers, deletions asked for.

    `uid` is the deployment's.
    """
    repairs, statuses = dict(memory.repairs), dict(memory.statuses)
    tried = set(memory.deletion_tried)
    for outcome in outcomes:
        step = outcome.step
        if step.action is StepKind.DELETE:
            tried.add(step.uid)
        elif outcome.obj is not None and not outcome.error:
            meta = outcome.obj["metadata"]
            if step.primary:
                statuses = {meta["uid"]: digest(outcome.obj.get("status") or {})}
            if step.repair:
                old = repairs.get((step.kind, step.name), Repairs())
                times = (*recent_repairs(old.times, now), now)
                # What was just created has not been repaired yet, so nothing about it is settled.
                answer = old.settled if step.action is StepKind.CREATE else (meta["uid"], meta["resourceVersion"])
                repairs[step.kind, step.name] = Repairs(answer, times, outcome.writer)
    if plan.finalizer is False:
        return Memory()
    granted = (uid, plan.granted) if plan.granted else memory.granted
    return replace(memory, repairs=repairs, statuses=statuses, deletion_tried=frozenset(tried), granted=granted)
