"""From what each rendered object needs to the writes that give it, in order."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from kubeairunway.decide.changes import Change, Need
from kubeairunway.decide.ownership import is_cached_whole
from kubeairunway.decide.plan import EVENT_WARNING, EventNote, Step, StepKind
from kubeairunway.model import names
from kubeairunway.model.reasons import EventReason
from kubeairunway.objects.digests import digest
from kubeairunway.objects.resources import Json
from kubeairunway.plugin import Kind

_SHOWN_PATHS = 5


def plan_steps(changes: Iterable[Change], namespace: str) -> Iterator[Step]:
    """Creates, applies and repairs, in the order of the rendering."""
    for change in changes:
        if change.need is Need.CREATE:
            yield _create_step(change, namespace)
        elif change.need in {Need.APPLY, Need.REPAIR}:
            yield _apply_step(change, namespace)


def changes_something(steps: Iterable[Step]) -> bool:
    """Whether these writes bring another revision: not if they repair, or clear up what an earlier one left."""
    return any(not step.repair and (step.action is not StepKind.DELETE or step.primary) for step in steps)


def plan_obsolete(owned: Mapping[tuple[Kind, str], Json], changes: Iterable[Change]) -> Iterator[Step]:
    """Deletes for objects of ours that the rendering no longer has; primaries have a way of their own."""
    rendered = {(change.rendered.kind, change.rendered.name) for change in changes}
    for (kind, name), obj in owned.items():
        meta = obj["metadata"]
        is_primary = names.IDENTITY in (meta.get("annotations") or {})
        if (kind, name) not in rendered and not is_primary and not meta.get("deletionTimestamp"):
            yield Step(
                action=StepKind.DELETE,
                kind=kind,
                api_version=obj["apiVersion"],
                name=name,
                namespace=meta["namespace"],
                uid=meta["uid"],
            )


def drift_events(changes: Iterable[Change]) -> Iterator[EventNote]:
    """One event per object that somebody changed or deleted."""
    for change in changes:
        if change.need is Need.REPAIR:
            shown = ", ".join(change.paths[:_SHOWN_PATHS]) + (", ..." if len(change.paths) > _SHOWN_PATHS else "")
            yield _drift(change, f"was changed at {shown}; what was asked for is applied again")
        elif change.lost and change.need is Need.CREATE:
            # Of Kubernetes' own kinds only those with our label are seen.
            how = "was deleted" if is_cached_whole(change.rendered.kind) else f"was deleted or lost {names.MANAGED_BY}"
            yield _drift(change, f"{how}; it is put back")


def _drift(change: Change, what: str) -> EventNote:
    rendered = change.rendered
    return EventNote(EVENT_WARNING, EventReason.DRIFT_DETECTED, f"{rendered.kind.name} '{rendered.name}' {what}")


def _create_step(change: Change, namespace: str) -> Step:
    rendered = change.rendered
    return Step(
        action=StepKind.CREATE,
        kind=rendered.kind,
        api_version=rendered.api_version,
        name=rendered.name,
        namespace=namespace,
        body=_mark_status(rendered.body, {}) if rendered.primary else rendered.body,
        primary=rendered.primary,
        check_first=not is_cached_whole(rendered.kind),
        repair=change.lost,
        claims=rendered.claims,
    )


def _apply_step(change: Change, namespace: str) -> Step:
    rendered, live = change.rendered, change.live or {}
    body = rendered.body
    if rendered.primary:
        body = _mark_status(body, live.get("status") or {})
    uid: str = live["metadata"]["uid"]
    return Step(
        action=StepKind.APPLY,
        kind=rendered.kind,
        api_version=rendered.api_version,
        name=rendered.name,
        namespace=namespace,
        body={**body, "metadata": {**body["metadata"], "uid": uid}},
        uid=uid,
        primary=rendered.primary,
        repair=change.need is Need.REPAIR,
        paths=change.paths,
    )


def _mark_status(body: Json, status: Mapping[str, Any]) -> Json:
    # Not part of the hash: it says over which status this revision was sent, for upstreams that name no generation.
    meta = body["metadata"]
    annotations = {**meta["annotations"], names.APPLIED_OVER: digest(status)}
    return {**body, "metadata": {**meta, "annotations": annotations}}
