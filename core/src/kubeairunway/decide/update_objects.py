"""From the passes that an edit takes to what becomes of each rendered object."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from kubeairunway.decide.passes import Course
from kubeairunway.decide.plan import Snapshot, Step, StepKind
from kubeairunway.decide.rendering import value_at
from kubeairunway.decide.rollout import describe_recreate
from kubeairunway.decide.update import Action, How, Moment, ObjectChange
from kubeairunway.model import names
from kubeairunway.model.spec import MAX_REPLICAS
from kubeairunway.objects.compare import contains, find_differences
from kubeairunway.objects.resources import Json
from kubeairunway.plugin import Kind

_Name = tuple[str, str, str]
Paths = tuple[str, ...]


def list_changes(snapshot: Snapshot, course: Course, sent: Iterable[Json]) -> tuple[ObjectChange, ...]:
    """What becomes of each object, in the order in which it is first written.

    `sent` has the objects as they were rendered for what runs; without one its live object says what changes.
    """
    bodies = {_name_body(body): body for body in sent}
    found: dict[_Name, ObjectChange] = {}
    for number, step in course.steps:
        key = step.kind.group, step.kind.name, step.name
        before = found.get(key)
        if step.action is StepKind.DELETE:
            found[key] = _delete(step, number)
        elif before is None or before.action is Action.DELETED:
            live = snapshot.owned.get((step.kind, step.name))
            found[key] = _write(step, number, before, _compare(step, bodies.get(key), live))
    return tuple(found.values())


def judge(changes: Iterable[ObjectChange], *, exists: bool) -> How:
    """How the whole is carried out, given what becomes of the objects."""
    changes = tuple(changes)
    if any(change.why for change in changes):
        return How.RECREATE
    if not changes:
        return How.NOTHING
    if not exists:
        return How.CREATE
    return How.SURGE if any(change.surge for change in changes) else How.IN_PLACE


def _delete(step: Step, number: int) -> ObjectChange:
    at_once = step.primary or not number
    return ObjectChange(
        action=Action.DELETED,
        api_version=step.api_version,
        kind=step.kind.name,
        name=step.name,
        when=Moment.AT_ONCE if at_once else Moment.WHEN_READY,
        why=describe_recreate(step.paths) if step.primary else "",
    )


def _write(
    step: Step, number: int, deleted: ObjectChange | None, differing: tuple[Paths, Paths, Paths]
) -> ObjectChange:
    paths, surge, restart = differing
    if deleted is not None:
        return replace(deleted, action=Action.RECREATED, api_version=step.api_version, paths=paths)
    created = step.action is StepKind.CREATE
    ends_first = 0
    if not created and (surge or restart):
        ends_first = count_ended_first(step.kind, step.body) if surge else 1
    return ObjectChange(
        action=Action.CREATED if created else Action.CHANGED,
        api_version=step.api_version,
        kind=step.kind.name,
        name=step.name,
        when=Moment.WHEN_GONE if number else Moment.AT_ONCE,
        paths=() if created else paths,
        surge=() if created or ends_first else surge,
        surge_replicas=step.kind.surge_replicas,
        ends_first=ends_first,
    )


def count_ended_first(kind: Kind, body: Mapping[str, Any]) -> int:
    """How many replicas of a Deployment end before their successors start; 0 where successors start first.

    That is its strategy's to say, not its kind's: with maxSurge 0, maxUnavailable of them end; with Recreate, all.
    """
    if (kind.group, kind.name) != ("apps", "Deployment"):
        return 0
    strategy = value_at(body, "spec.strategy") or {}
    if strategy.get("type") == "Recreate":
        return MAX_REPLICAS
    rolling = strategy.get("rollingUpdate") or {}
    unavailable = rolling.get("maxUnavailable")
    if rolling.get("maxSurge") not in {0, "0%"}:
        return 0
    return unavailable if isinstance(unavailable, int) else 1  # a share of them is at least one


def _compare(step: Step, sent: Json | None, live: Json | None) -> tuple[Paths, Paths, Paths]:
    """Paths that differ, and which of those that the kind declares: as surge, as restart."""
    new, old = _without_marks(step.body), _without_marks(live or {} if sent is None else sent)
    if sent is None:
        paths = tuple(find_differences(new, old))
    else:
        paths = tuple(dict.fromkeys((*find_differences(new, old), *find_differences(old, new))))

    def differs(path: str) -> bool:
        before, after = value_at(old, path), value_at(new, path)
        return not contains(before, after) if sent is None else before != after

    return paths, tuple(filter(differs, step.kind.surge)), tuple(filter(differs, step.kind.restart))


def _without_marks(body: Mapping[str, Any]) -> Json:
    """An object without what we keep on it for ourselves."""
    meta = body.get("metadata") or {}
    annotations = {
        key: text for key, text in (meta.get("annotations") or {}).items() if not key.startswith(f"{names.GROUP}/")
    }
    kept = {key: value for key, value in meta.items() if key in {"name", "namespace", "labels"}}
    return {**body, "metadata": {**kept, "annotations": annotations}}


def _name_body(body: Mapping[str, Any]) -> _Name:
    group, _, _ = body["apiVersion"].rpartition("/")
    return group, body["kind"], body["metadata"]["name"]
