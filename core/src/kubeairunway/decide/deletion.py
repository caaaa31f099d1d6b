"""Deleting a deployment: ask the primary to go, wait for it alone, and let the finalizer go at the latest in time.

Owner references take care of every other object once the deployment itself is gone.
"""

from datetime import timedelta

from kubeairunway.decide.existing import Primary, find_primaries, read_recorded
from kubeairunway.decide.plan import EVENT_WARNING, EventNote, Plan, Snapshot, Stage, Step, StepKind
from kubeairunway.decide.stages import carry_fields, carry_provider
from kubeairunway.model import names
from kubeairunway.model.reasons import ConditionType, EventReason, Reason
from kubeairunway.objects.conditions import Condition
from kubeairunway.objects.times import parse_time

LAST_TRY = 10.0  # seconds that a deletion first asked for after the limit gets
FORGET_WAIT = 5.0  # seconds between looks at an object whose kind no loaded package declares


def plan_deletion(snapshot: Snapshot) -> Plan:
    """What to do for a deployment that is being deleted; nothing if our finalizer is not on it."""
    meta = snapshot.deployment["metadata"]
    if names.FINALIZER not in (meta.get("finalizers") or ()):
        return Plan()
    primaries = find_primaries(snapshot)
    forget = _find_unknown(snapshot)
    if not primaries and forget is None:
        return Plan(finalizer=False)
    since = parse_time(meta["deletionTimestamp"]) or snapshot.now
    left = (since + timedelta(seconds=snapshot.deletion_limit) - snapshot.now).total_seconds()
    if left <= 0:
        return _plan_end(snapshot, primaries)
    return Plan(
        stage=_stage(snapshot, primaries),
        steps=tuple(delete_step(primary) for primary in primaries if not primary.deleting_since),
        forget=forget,
        after=min(left, FORGET_WAIT) if forget else left,
    )


def delete_step(primary: Primary) -> Step:
    """Ask one object to go, bound to its uid."""
    meta = primary.obj["metadata"]
    return Step(
        action=StepKind.DELETE,
        kind=primary.kind,
        api_version=primary.obj["apiVersion"],
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        primary=True,
    )


def _find_unknown(snapshot: Snapshot) -> tuple[str, str, str] | None:
    # A package that is gone took its kinds along; the status says what it had created.
    recorded = read_recorded(snapshot.deployment)
    if not recorded.kind:
        return None
    group = recorded.api_version.rpartition("/")[0]
    declared = (kind for facts in snapshot.providers.values() if facts.provider for kind in facts.provider.kinds)
    if any((kind.group, kind.name) == (group, recorded.kind) for kind in declared):
        return None
    return recorded.api_version, recorded.kind, recorded.name


def _plan_end(snapshot: Snapshot, primaries: tuple[Primary, ...]) -> Plan:
    untried = [
        primary
        for primary in primaries
        if not primary.deleting_since and primary.uid not in snapshot.memory.deletion_tried
    ]
    if untried:  # we were away for longer than the limit: one try before the finalizer goes
        return Plan(
            stage=_stage(snapshot, primaries), steps=tuple(delete_step(primary) for primary in untried), after=LAST_TRY
        )
    left = ", ".join(f"{primary.kind.name} '{primary.name}'" for primary in primaries) or "the provider's object"
    note = EventNote(
        EVENT_WARNING,
        EventReason.FINALIZER_TIMEOUT,
        f"{left} was not gone after {snapshot.deletion_limit:.0f} s; the finalizer is removed and it may remain",
    )
    return Plan(finalizer=False, events=(note,))


def _stage(snapshot: Snapshot, primaries: tuple[Primary, ...]) -> Stage:
    waiting = ", ".join(f"{primary.kind.name} '{primary.name}'" for primary in primaries) or "the provider's object"
    ready = Condition(ConditionType.READY, "False", Reason.TERMINATING, f"Waiting for {waiting} to be deleted")
    return Stage(
        fields=carry_fields(snapshot.deployment),
        provider=carry_provider(snapshot.deployment),
        blocked=ready,
        terminating=True,
        exists=True,
    )
