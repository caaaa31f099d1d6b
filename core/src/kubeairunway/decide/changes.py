"""What one rendered object needs, given what lives: nothing, a create, an apply, a repair, or another object."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson

from kubeairunway.decide.ownership import annotation, is_owned
from kubeairunway.decide.plan import Repairs
from kubeairunway.decide.rendering import Rendered, fixed_fields, value_at
from kubeairunway.model import names
from kubeairunway.objects.compare import contains, find_differences
from kubeairunway.objects.quantities import parse_quantity
from kubeairunway.objects.resources import Json

CLAIM = ("", "PersistentVolumeClaim")
CLAIMED = "spec.resources.requests.storage"

CONTEST_WINDOW = timedelta(minutes=1)
CONTEST_REPAIRS = 2  # repairs within the window that are made at once; the third waits
CONTEST_FIRST_WAIT = timedelta(seconds=10)
CONTEST_LONGEST_WAIT = timedelta(minutes=5)


class Need(StrEnum):
    """What is to be done with one object."""

    NOTHING = "nothing"
    CREATE = "create"
    APPLY = "apply"  # a new revision, in place
    REPAIR = "repair"  # somebody changed what we sent
    WAIT = "wait"  # a repair, but not yet: another writer keeps undoing it
    RECREATE = "recreate"  # a new revision that cannot be had in place
    CONFLICT = "conflict"  # an object of that name is not ours
    GOING = "going"  # ours, and being deleted


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The need of one rendered object, with the live one and the paths that it is about."""

    need: Need
    rendered: Rendered
    live: Json | None = None
    paths: tuple[str, ...] = ()
    wait: float = 0.0  # seconds until a contested repair is due
    lost: bool = False  # it was there, and somebody deleted it
    writer: str = ""  # the field manager behind a contest, if it is known


def find_change(rendered: Rendered, live: Json | None, uid: str, repairs: Repairs, now: datetime) -> Change:
    """Compare one rendered object with what lives under its name (None: nothing does)."""
    if live is None:
        return Change(need=Need.CREATE, rendered=rendered)
    if not is_owned(live, uid):
        return Change(need=Need.CONFLICT, rendered=rendered, live=live)
    if live["metadata"].get("deletionTimestamp"):
        return Change(need=Need.GOING, rendered=rendered, live=live)
    rendered = _keep_growth(rendered, live)
    if annotation(live, names.APPLIED_HASH) == rendered.hash:
        # It was sent just like this: whatever differs, our marks included, was edited since and is put back in place.
        return _find_drift(rendered, live, repairs, now)
    if rendered.primary and (paths := find_recreate(rendered, live)):
        return Change(need=Need.RECREATE, rendered=rendered, live=live, paths=paths)
    return Change(need=Need.APPLY, rendered=rendered, live=live)


def _keep_growth(rendered: Rendered, live: Mapping[str, Any]) -> Rendered:
    """A claim of storage with the size that it has got since: it can grow, by whoever's hand, and never shrink."""
    if (rendered.kind.group, rendered.kind.name) != CLAIM:
        return rendered
    asked, given = (parse_quantity(str(value_at(obj, CLAIMED) or "")) for obj in (rendered.body, live))
    if asked is None or given is None or given <= asked:
        return rendered
    spec = rendered.body["spec"]
    requests = {**spec["resources"]["requests"], "storage": value_at(live, CLAIMED)}
    grown = {**spec, "resources": {**spec["resources"], "requests": requests}}
    return replace(rendered, body={**rendered.body, "spec": grown})


def find_recreate(rendered: Rendered, live: Mapping[str, Any]) -> tuple[str, ...]:
    """Why the live primary cannot become the rendered one in place: paths, or "identity"; empty if it can.

    Compared is what was sent then with what would be sent now, never the live values: upstream may normalise those,
    and a provider package may declare more paths in a later release.
    """
    identity = annotation(live, names.IDENTITY)
    if identity and identity != annotation(rendered.body, names.IDENTITY):
        return ("identity",)
    before = _read_fixed(live)
    return tuple(
        path
        for path, mark in fixed_fields(rendered.kind, rendered.body).items()
        if (
            before[path] != mark
            if path in before
            else not contains(value_at(live, path), value_at(rendered.body, path))
        )
    )


def _read_fixed(live: Mapping[str, Any]) -> Mapping[str, str]:
    try:
        marks = orjson.loads(annotation(live, names.FIXED_FIELDS) or "{}")
    except orjson.JSONDecodeError:  # somebody edited it: fall back to the live values
        return {}
    return marks if isinstance(marks, dict) else {}


def _find_drift(rendered: Rendered, live: Json, repairs: Repairs, now: datetime) -> Change:
    meta = live["metadata"]
    paths = tuple(find_differences(rendered.body, live))
    if not paths or repairs.settled == (meta.get("uid"), meta.get("resourceVersion")):
        return Change(need=Need.NOTHING, rendered=rendered, live=live)
    wait = repair_wait(repairs.times, now)
    need = Need.WAIT if wait > 0 else Need.REPAIR
    return Change(need=need, rendered=rendered, live=live, paths=paths, wait=wait, writer=repairs.writer)


def mark_lost(change: Change, repairs: Repairs, now: datetime) -> Change:
    """The need of an object that was created and is gone: a repair like any other, so a contested one waits, too."""
    wait = repair_wait(repairs.times, now)
    return replace(change, need=Need.WAIT if wait > 0 else Need.CREATE, wait=wait, lost=True)


def repair_wait(times: tuple[datetime, ...], now: datetime) -> float:
    """Seconds until the next repair may be made, given when the recent ones were.

    Two within a minute are made at once; from the third on the pause doubles from 10 seconds up to 5 minutes.
    A pause of twice the last wait without drift forgets them all (see `recent_repairs`).
    """
    recent = recent_repairs(times, now)
    if len(recent) < CONTEST_REPAIRS:
        return 0.0
    return max(0.0, (recent[-1] + _pause_after(len(recent)) - now).total_seconds())


def recent_repairs(times: tuple[datetime, ...], now: datetime) -> tuple[datetime, ...]:
    """The repairs of the present contest: a quiet time longer than any pause, and a minute, ends it."""
    limit = 12  # the pause has reached its longest well before
    kept = times[-limit:]
    for index in range(len(kept) - 1, 0, -1):
        if kept[index] - kept[index - 1] > 2 * _pause_after(index) + CONTEST_WINDOW:
            kept = kept[index:]
            break
    if kept and now - kept[-1] > 2 * _pause_after(len(kept)) + CONTEST_WINDOW:
        return ()
    return kept


def _pause_after(count: int) -> timedelta:
    if count < CONTEST_REPAIRS:
        return timedelta(0)
    doubled: int = 2 ** (count - CONTEST_REPAIRS)
    return min(CONTEST_FIRST_WAIT * doubled, CONTEST_LONGEST_WAIT)
