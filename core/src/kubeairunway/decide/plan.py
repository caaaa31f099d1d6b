"""What goes into a decision and what comes out of it, as data.

`Snapshot` is the deployment and the facts around it at one moment. `Plan` is what to do, in order. What the writes
answered comes back as `Outcome`s, and `decide/conclusion.py` turns plan and outcomes into the status to write.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal

from kubeairunway.decide.admission import Admission
from kubeairunway.decide.causes.evidence import NO_EVIDENCE, Cause, Evidence, Wanted
from kubeairunway.decide.facts import ProviderFacts
from kubeairunway.model.problems import Problem
from kubeairunway.model.reasons import EventReason
from kubeairunway.objects.conditions import Condition
from kubeairunway.objects.resources import Json
from kubeairunway.plugin import Kind, Report

EVENT_NORMAL: Literal["Normal"] = "Normal"
EVENT_WARNING: Literal["Warning"] = "Warning"


@dataclass(frozen=True, slots=True)
class Repairs:
    """What this process remembers of its repairs of one object; see drift.py.

    `settled` is (uid, resourceVersion) of the answer to a repair: the same pair is never repaired again.
    `times` are the moments of recent repairs, oldest first; `writer` is the field manager that made the last one due.
    """

    settled: tuple[str, str] = ("", "")
    times: tuple[datetime, ...] = ()
    writer: str = ""


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process remembers of one deployment between passes; losing it costs a repeated check, no more.

    `repairs` is keyed by (kind, object name). `statuses` has, by object uid, the digest of the status that stood in
    the answer to our last write that changed the object. `deletion_tried` holds uids of objects we asked to delete.
    `granted` is the deployment's uid and a digest of what policies let pass last.
    """

    repairs: Mapping[tuple[Kind, str], Repairs] = field(default_factory=lambda: MappingProxyType({}))
    statuses: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    deletion_tried: frozenset[str] = frozenset()
    granted: tuple[str, str] = ("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The world of one deployment at one moment.

    `find` returns the live object of a declared kind by name in the deployment's namespace, ours or not, as far as
    it is cached; `owned` has the objects that are ours by kind and name, whichever loaded provider declared the kind;
    `children` what upstream made below the primary. `conflicts` names objects known to be foreign from earlier writes.
    `look_below` says what is known of the pods that a label selector matches, and of warnings about them.
    """

    deployment: Json
    providers: Mapping[str, ProviderFacts]
    now: datetime
    owned: Mapping[tuple[Kind, str], Json] = field(default_factory=lambda: MappingProxyType({}))
    find: Callable[[Kind, str], Json | None] = lambda _kind, _name: None
    children: Mapping[Kind, tuple[Json, ...]] = field(default_factory=lambda: MappingProxyType({}))
    conflicts: Mapping[tuple[Kind, str], str] = field(default_factory=lambda: MappingProxyType({}))
    look_below: Callable[[str], Evidence] = lambda _selector: NO_EVIDENCE
    memory: Memory = Memory()
    admission: Admission | None = None  # None: no policy is installed
    deletion_limit: float = 300.0  # seconds from deletionTimestamp until the finalizer goes


Claim = tuple[Kind, str, str]
"""Kind, apiVersion and name of an object that upstream will make below a primary."""


class StepKind(StrEnum):
    """What one step does to one object."""

    CREATE = "create"  # POST; an object that is there already is a conflict unless it is ours
    APPLY = "apply"  # server-side apply in place, bound to uid
    DELETE = "delete"  # with uid precondition


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One write of a provider object. `body` is what is sent (create, apply); `uid` binds apply and delete.

    `check_first` asks for a read before creating, because the kind is not cached in whole and a foreign object of
    that name must stop the plan before anything is created. `repair` marks an apply or a create that undoes drift, and
    `paths` what had drifted, or, where a primary is deleted, why it cannot stay. `claims` are looked up before anything
    is created, too: one that is there and neither ours nor below an object of this kind and name is a conflict.
    """

    action: StepKind
    kind: Kind
    api_version: str
    name: str
    namespace: str
    body: Json = field(default_factory=dict)
    uid: str = ""
    primary: bool = False
    check_first: bool = False
    claims: tuple[Claim, ...] = ()
    repair: bool = False
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one step answered: the object as it is now, or why not.

    `error` is Kubernetes' reason ("AlreadyExists", "Forbidden", "Invalid", ...) or "Transport"; `conflict` marks an
    object of that name that is not ours; `transient` that trying again may help by itself.
    """

    step: Step
    obj: Json | None = None
    error: str = ""
    message: str = ""
    conflict: bool = False
    transient: bool = False
    writer: str = ""  # the field manager that made a repair due, if it is known


@dataclass(frozen=True, slots=True)
class EventNote:
    """An event to record on the deployment."""

    type: Literal["Normal", "Warning"]
    reason: EventReason
    message: str


class Phase(StrEnum):
    """Where a deployment stands, in one word."""

    PENDING = "Pending"
    DEPLOYING = "Deploying"
    RUNNING = "Running"
    FAILED = "Failed"
    TERMINATING = "Terminating"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Facts from which a status is written, before the writes of the plan are known to have succeeded.

    `blocked` is a root cause that stands in the way whatever upstream says (an invalid spec, a conflict, ...):
    the Ready condition to show. `stalled` says that only a change by somebody mends it. `cause` is what was found below
    the primary while it does not serve.
    """

    conditions: tuple[Condition, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))  # engine, selection, objects
    provider: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))  # status.provider, chosen
    resource: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # status.provider, once created
    recorded: bool = False  # the primary existed for this identity, whether it does now or not
    desired: int = 0
    roles: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    report: Report | None = None
    proved: bool = False
    exists: bool = False  # the primary is there already
    revision: bool = True  # this generation is what the objects show, or will once the steps are done
    blocked: Condition | None = None
    cause: Cause | None = None
    stalled: bool = False
    paused: bool = False
    terminating: bool = False
    serving_on: bool = False  # what runs is left as it is: the phase stays what it was


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to do for one deployment, in this order: finalizer, steps, status, events.

    `finalizer`: True adds ours first, False removes it last (and no status follows). `after` asks for another pass
    in so many seconds, where time itself changes the decision (deletion clock, repair back-off). `wanted` is what to
    look for below the primary because it does not serve; None: it does, or there is nothing to look at.
    """

    stage: Stage | None = None
    finalizer: bool | None = None
    steps: tuple[Step, ...] = ()
    events: tuple[EventNote, ...] = ()
    after: float | None = None
    wanted: Wanted | None = None
    problems: tuple[Problem, ...] = ()
    provider: str = ""
    rule_errors: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: MappingProxyType({}))
    decision: Any = None  # decide.selection.Decision, for explain
    granted: str = ""  # what policies have just let pass, see Memory
    objects: tuple[Json, ...] = ()  # everything that was rendered, in order, whether it is there already or not
    forget: tuple[str, str, str] | None = None  # (apiVersion, kind, name) of a primary no loaded package knows
