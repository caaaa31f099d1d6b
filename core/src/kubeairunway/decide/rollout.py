"""Bringing the cluster to what was rendered: in place where it can be, else delete, wait until gone, create."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from kubeairunway.decide.changes import Change, Need, find_change, mark_lost
from kubeairunway.decide.deletion import delete_step
from kubeairunway.decide.existing import Primary, Recorded, find_primaries
from kubeairunway.decide.facts import ProviderFacts
from kubeairunway.decide.ownership import annotation, describe_conflict, describe_owner, is_cached_whole, is_owned
from kubeairunway.decide.plan import EVENT_NORMAL, EVENT_WARNING, Claim, EventNote, Repairs, Snapshot, Step
from kubeairunway.decide.rendering import Rendered
from kubeairunway.decide.stages import carry_conditions, ready
from kubeairunway.decide.steps import drift_events, plan_obsolete, plan_steps
from kubeairunway.model import names
from kubeairunway.model.reasons import ConditionType, EventReason, Reason
from kubeairunway.objects.conditions import Condition
from kubeairunway.objects.times import format_time, parse_time

STUCK_AFTER = timedelta(minutes=5)
"""How long a recreate waits for the old object before it is called stuck; it is never forced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """What a rollout does now, and what the status has to say of it.

    `current`: the primary that lives shows this revision. `replaced`: another object is still in its place, so what
    upstream reports is not about this revision. `exists`, `recorded`, `blocked`, `stalled`, `serving_on`: see Stage.
    """

    identity: str
    steps: tuple[Step, ...] = ()
    events: tuple[EventNote, ...] = ()
    conditions: tuple[Condition, ...] = ()
    blocked: Condition | None = None
    stalled: bool = False
    serving_on: bool = False
    exists: bool = False
    recorded: bool = False
    replaced: bool = False
    current: bool = False
    after: float | None = None


def plan_rollout(
    snapshot: Snapshot, objects: tuple[Rendered, ...], recorded: Recorded, facts: ProviderFacts, *, settled: bool
) -> Rollout:
    """Plan the next writes; `settled` says that the primary is proved and runs, so that leftovers may go."""
    uid = snapshot.deployment["metadata"]["uid"]
    changes = tuple(_find_change(snapshot, rendered, uid) for rendered in objects)
    primary = next(change for change in changes if change.rendered.primary)
    identity = annotation(primary.rendered.body, names.IDENTITY)
    stale = _find_stale(snapshot, primary)
    conflict = next((change for change in changes if change.need is Need.CONFLICT), None)
    if conflict is not None and all(not old.deleting_since for old, _ in stale):
        return _plan_conflict(snapshot, conflict, identity, exists=bool(stale) or _is_ours(primary, uid))
    if stale:
        return _plan_recreate(snapshot, stale, changes, identity, facts)
    known = recorded.identity == identity and bool(recorded.kind)
    if not _is_made_anew(snapshot):
        changes = tuple(_find_lost(snapshot, change, known=known) for change in changes)
    primary = next(change for change in changes if change.rendered.primary)
    exists = primary.live is not None
    contested = next(_contested(changes, snapshot.now), None)
    missed = next(_contested(filter(_is_missed, changes), snapshot.now), None)
    namespace = snapshot.deployment["metadata"]["namespace"]
    obsolete = plan_obsolete(snapshot.owned, changes) if settled and primary.need is Need.NOTHING else ()
    return Rollout(
        identity=identity,
        steps=(*plan_steps(changes, namespace), *obsolete),
        events=tuple(drift_events(changes)),
        conditions=(contested,) if contested else (),
        blocked=ready(Reason.DRIFT_CONTESTED, missed.message) if missed else None,
        exists=exists,
        recorded=exists or known,
        current=exists and (primary.need is Need.NOTHING or (primary.need in _DRIFTED and not _is_missed(primary))),
        after=min((change.wait for change in changes if change.wait), default=None),
    )


def _find_change(snapshot: Snapshot, rendered: Rendered, uid: str) -> Change:
    key = rendered.kind, rendered.name
    foreign = snapshot.conflicts.get(key)
    live = snapshot.owned.get(key) or snapshot.find(rendered.kind, rendered.name)
    if foreign and live is None:
        return Change(need=Need.CONFLICT, rendered=rendered, paths=(foreign,))
    return find_change(rendered, live, uid, snapshot.memory.repairs.get(key, Repairs()), snapshot.now)


def _find_stale(snapshot: Snapshot, primary: Change) -> tuple[tuple[Primary, tuple[str, ...]], ...]:
    """Primaries of ours that must be gone before the new one is made, each with why."""
    rendered = primary.rendered
    found: list[tuple[Primary, tuple[str, ...]]] = []
    for old in find_primaries(snapshot):
        if (old.kind, old.name) != (rendered.kind, rendered.name):
            found.append((old, ("kind",)))
        elif primary.need in {Need.RECREATE, Need.GOING}:
            found.append((old, primary.paths))
    return tuple(found)


def _plan_recreate(
    snapshot: Snapshot,
    stale: tuple[tuple[Primary, tuple[str, ...]], ...],
    changes: tuple[Change, ...],
    identity: str,
    facts: ProviderFacts,
) -> Rollout:
    going = [old for old, _ in stale if old.deleting_since]
    staying = [(old, paths) for old, paths in stale if not old.deleting_since]
    if staying and not facts.usable:
        message = f"Provider {facts.name} is not ready, so what runs is kept: {facts.message}"
        return Rollout(
            identity=identity,
            blocked=ready(Reason.PROVIDER_NOT_READY, message),
            exists=True,
            recorded=True,
            serving_on=True,
        )
    text = ", ".join(f"{old.kind.name} '{old.name}'" for old, _ in stale)
    stuck, after = _find_stuck(snapshot, going)
    if stuck:
        message = f"{text} does not go away; remove what holds it (its finalizers), it is never forced"
        return Rollout(
            identity=identity,
            blocked=ready(Reason.DELETION_STUCK, message),
            stalled=True,
            exists=True,
            replaced=True,
            events=_stuck_events(snapshot, message),
        )
    message = f"{text} is deleted, and made anew when it is gone"
    return Rollout(
        identity=identity,
        steps=tuple(replace(delete_step(old), paths=paths, claims=_find_names(changes)) for old, paths in staying),
        events=(
            *(_recreate_event(old, paths) for old, paths in staying),
            *_deleted_events(snapshot, going),
        ),
        blocked=ready(Reason.RECREATING, message),
        exists=True,
        replaced=True,
        after=after,
    )


def _find_names(changes: Iterable[Change]) -> tuple[Claim, ...]:
    """Names that the new objects will take and that no cache knows: what runs is not ended for a name that is taken."""
    made = [change.rendered for change in changes if change.live is None]
    own = ((each.kind, each.api_version, each.name) for each in made if not is_cached_whole(each.kind))
    upstreams = (claim for change in changes if change.rendered.primary for claim in change.rendered.claims)
    return tuple(dict.fromkeys((*own, *upstreams)))


def _find_stuck(snapshot: Snapshot, going: Iterable[Primary]) -> tuple[bool, float | None]:
    waits = [
        (since + STUCK_AFTER - snapshot.now).total_seconds()
        for old in going
        if (since := parse_time(old.deleting_since)) is not None
    ]
    left = min(waits, default=STUCK_AFTER.total_seconds())
    return left <= 0, max(left, 1.0)


def _stuck_events(snapshot: Snapshot, message: str) -> tuple[EventNote, ...]:
    shown = carry_conditions(snapshot.deployment, {ConditionType.READY})
    if any(condition.reason == Reason.DELETION_STUCK for condition in shown):
        return ()
    return (EventNote(EVENT_WARNING, EventReason.DELETION_STUCK, message),)


def _deleted_events(snapshot: Snapshot, going: Iterable[Primary]) -> Iterator[EventNote]:
    """One event for a primary that somebody else asked to go."""
    shown = carry_conditions(snapshot.deployment, {ConditionType.READY})
    if any(condition.reason == Reason.RECREATING for condition in shown):
        return
    for old in going:
        if old.uid not in snapshot.memory.deletion_tried:
            text = f"{old.kind.name} '{old.name}' is being deleted; it is created again when it is gone"
            yield EventNote(EVENT_WARNING, EventReason.DRIFT_DETECTED, text)


def describe_recreate(paths: tuple[str, ...]) -> str:
    """Why a primary cannot stay, in words, from the paths of the step that deletes it."""
    why: dict[tuple[str, ...], str] = {
        ("identity",): "it is for another model, provider, engine or mode",
        ("kind",): "another kind takes its place",
    }
    return why.get(paths, f"{', '.join(paths)} cannot change in place")


def _recreate_event(old: Primary, paths: tuple[str, ...]) -> EventNote:
    text = f"Deleting {old.kind.name} '{old.name}' to make it anew: {describe_recreate(paths)}"
    return EventNote(EVENT_NORMAL, EventReason.RECREATING, text)


def _is_ours(primary: Change, uid: str) -> bool:
    return primary.live is not None and is_owned(primary.live, uid)


def _plan_conflict(snapshot: Snapshot, conflict: Change, identity: str, *, exists: bool) -> Rollout:
    rendered = conflict.rendered
    owner = conflict.paths[0] if conflict.paths else describe_owner(conflict.live or {})
    message = describe_conflict(rendered.kind.name, rendered.name, owner)
    shown = carry_conditions(snapshot.deployment, {ConditionType.READY})
    known = any((row.reason, row.message) == (Reason.RESOURCE_CONFLICT, message) for row in shown)
    events = () if known else (EventNote(EVENT_WARNING, EventReason.RESOURCE_CONFLICT, message),)
    return Rollout(
        identity=identity,
        events=events,
        blocked=ready(Reason.RESOURCE_CONFLICT, message),
        exists=exists,
        recorded=exists,
        serving_on=exists,
    )


def _find_lost(snapshot: Snapshot, change: Change, *, known: bool) -> Change:
    if change.need is not Need.CREATE or not _was_recorded(snapshot, change, known=known):
        return change
    repairs = snapshot.memory.repairs.get((change.rendered.kind, change.rendered.name), Repairs())
    return mark_lost(change, repairs, snapshot.now)


def _is_made_anew(snapshot: Snapshot) -> bool:
    """Whether the primary is missing because it is being made anew: nobody took it away."""
    shown = carry_conditions(snapshot.deployment, {ConditionType.READY})
    return any(condition.reason in {Reason.RECREATING, Reason.DELETION_STUCK} for condition in shown)


def _was_recorded(snapshot: Snapshot, change: Change, *, known: bool) -> bool:
    rendered = change.rendered
    if rendered.primary:
        return known
    rows = (snapshot.deployment.get("status") or {}).get("objects") or ()
    return known and {"apiVersion": rendered.api_version, "kind": rendered.kind.name, "name": rendered.name} in rows


_DRIFTED = frozenset({Need.WAIT, Need.REPAIR})


def _is_missed(change: Change) -> bool:
    """Whether drift keeps the deployment from being what was asked for: an object is gone, or the primary is another.

    Labels and annotations that somebody changed serve nobody worse meanwhile.
    """
    spoilt = change.rendered.primary and any(not path.startswith("metadata.") for path in change.paths)
    return change.need in _DRIFTED and (change.lost or spoilt)


def _contested(changes: Iterable[Change], now: datetime) -> Iterator[Condition]:
    for change in changes:
        if change.need is Need.WAIT:
            rendered = change.rendered
            # A point in time: seconds left would differ in every pass, and be written each time.
            due = format_time(now + timedelta(seconds=change.wait))
            what = f"{rendered.kind.name} '{rendered.name}'"
            where = f"deleting {what}" if change.lost else f"changing {what} at {', '.join(change.paths[:3])}"
            who = f"Another writer ({change.writer})" if change.writer else "Another writer"
            text = f"{who} keeps {where}; the next repair is due at {due}"
            yield Condition(ConditionType.DRIFT_CONTESTED, "True", Reason.DRIFT_CONTESTED, text)
