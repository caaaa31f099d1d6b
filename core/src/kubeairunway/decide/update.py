"""What an edit of a deployment comes to, as values: `explain --diff` shows them, and the REST preview will."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from kubeairunway.model.problems import Problem


class How(StrEnum):
    """How a change is carried out, the mildest first."""

    NOTHING = "nothing"  # no object changes
    IN_PLACE = "inPlace"
    SURGE = "surge"  # in place, and upstream runs old and new side by side
    CREATE = "create"  # nothing is there yet
    RECREATE = "recreate"  # delete, wait until gone, create
    REFUSED = "refused"  # nobody here can carry it out: what runs serves on
    WAITS = "waits"  # what it comes to is not known before something else happens


class Downtime(StrEnum):
    """When the model does not serve because of a change."""

    NONE = "none"
    ROLLING = "rolling"  # none: upstream replaces replicas one after the other, or set by set
    RESTART = "restart"  # in place, but all that serves ends before anything new starts
    UNTIL_READY = "untilReady"  # from the deletion of the primary until the new one is ready
    SCALED_TO_ZERO = "scaledToZero"  # from then on, as asked


class Action(StrEnum):
    """What becomes of one rendered object."""

    CREATED = "created"
    CHANGED = "changed"
    RECREATED = "recreated"
    DELETED = "deleted"


class Moment(StrEnum):
    """When an object is written."""

    AT_ONCE = "atOnce"
    WHEN_GONE = "whenGone"  # when the old primary is gone
    WHEN_READY = "whenReady"  # when the new revision is proved and runs


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectChange:
    """What becomes of one rendered object; `paths` has what changes in it, `why` the reason why it cannot stay.

    `surge` has those of the paths whose change makes upstream run old and new side by side, with `surge_replicas` more
    than asked for. `ends_first`: so many old replicas end before their successors start, and there is no surge.
    """

    action: Action
    api_version: str
    kind: str
    name: str
    when: Moment = Moment.AT_ONCE
    paths: tuple[str, ...] = ()
    surge: tuple[str, ...] = ()
    surge_replicas: int = 0
    ends_first: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field of the spec, its values, and what changing it alone comes to.

    `together`: alone it would be refused, so what is said of it is said of the whole.
    """

    path: str
    before: Any
    after: Any
    how: How
    objects: tuple[ObjectChange, ...] = ()
    reason: str = ""
    together: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """Why nothing is written for now: a reason of conditions, and a message."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Who serves; empty where nobody does."""

    provider: str = ""
    engine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuNeed:
    """GPUs by the name of the extended resource, zeros left out."""

    before: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    meanwhile: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    after: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """All that an edit comes to.

    `held` says why it does not begin yet; with `how` WAITS what it comes to is not known before. `stops`: it begins,
    and then does not go on until something else happens; `objects` ends with what is done by then. `generation`: the
    stored spec differs, so that at least the status is written. `kept` has fields that the file does not name and
    that stay. `pending`: the controller has not yet carried out what is asked for now, so that is in it as well.
    `earlier`: what is asked for now is refused, so what runs is of an earlier revision, whose GPUs are not known.
    """

    how: How
    generation: bool
    reason: str = ""
    held: Held | None = None
    stops: Held | None = None
    fields: tuple[FieldChange, ...] = ()
    objects: tuple[ObjectChange, ...] = ()
    before: Choice = Choice()
    after: Choice = Choice()
    downtime: Downtime = Downtime.NONE
    gpus: GpuNeed = GpuNeed()
    problems: tuple[Problem, ...] = ()
    kept: tuple[str, ...] = ()
    pending: bool = False
    earlier: bool = False
