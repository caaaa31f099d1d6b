"""What an edit of a deployment comes to, said before it is made, by the very decisions that the controller makes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubeairunway.decide.effective import json_value
from kubeairunway.decide.existing import find_primaries, read_recorded
from kubeairunway.decide.expressions import Expressions
from kubeairunway.decide.ownership import describe_conflict
from kubeairunway.decide.passes import Course, follow_passes
from kubeairunway.decide.plan import Plan, Snapshot
from kubeairunway.decide.update import Choice, FieldChange, Held, How, ObjectChange, Update
from kubeairunway.decide.update_cost import count_gpus, find_downtime
from kubeairunway.decide.update_objects import judge, list_changes
from kubeairunway.decide.wanted import Wanted, without_pause
from kubeairunway.model import names
from kubeairunway.model.documents import Deployment
from kubeairunway.model.paths import changed_paths
from kubeairunway.model.reasons import Reason
from kubeairunway.objects.resources import Json
from kubeairunway.plugin.calls import HookCalls

_PASSING = frozenset({Reason.PAUSED, Reason.PROVIDER_NOT_READY, Reason.PROVIDER_DISABLED})
"""Reasons that hold an edit back and that can be thought away, to say what comes after."""


def preview_update(snapshot: Snapshot, wanted: Wanted, calls: HookCalls, expressions: Expressions) -> Update:
    """What becomes of the deployment of a snapshot once it is as wanted. Never raises for what users can do wrong."""
    return _Preview(snapshot, wanted, calls, expressions).tell()


@dataclass(frozen=True, slots=True)
class _Outlook:
    """The passes from one moment on, and what they come to."""

    course: Course
    how: How
    changes: tuple[ObjectChange, ...] = ()
    reason: str = ""
    held: Held | None = None
    stops: Held | None = None

    @property
    def first(self) -> Plan:
        return self.course.plans[0]


class _Preview:
    """One edit; each method looks at one part of what it comes to."""

    def __init__(self, snapshot: Snapshot, wanted: Wanted, calls: HookCalls, expressions: Expressions) -> None:
        self._now = snapshot
        self._wanted = wanted
        self._calls = calls
        self._expressions = expressions
        self._old = Deployment.from_object(snapshot.deployment).spec
        self._new = Deployment.from_object(wanted.deployment).spec
        self._exists = bool(find_primaries(snapshot))
        present = self._follow(without_pause(snapshot.deployment), ready=True)
        self._sent = present.plans[0].objects
        stage = present.plans[0].stage
        self._earlier = self._exists and not self._sent and stage is not None and stage.stalled
        self._pending = self._exists and bool(present.steps)

    def tell(self) -> Update:
        """The whole."""
        outlook = self._look(self._wanted.deployment, ready=False)
        held = outlook.held
        if held is not None and held.reason in _PASSING:
            after = self._look(without_pause(self._wanted.deployment), ready=True)
            outlook = after if after.held is None else replace(outlook, how=How.WAITS)
        how = outlook.how
        settles = how not in {How.REFUSED, How.WAITS}
        old = self._old if self._exists else None
        new = self._new if settles else old
        return Update(
            how=how,
            generation=self._wanted.deployment["metadata"]["generation"]
            != self._now.deployment["metadata"]["generation"],
            reason=outlook.reason,
            held=held or outlook.held,
            stops=outlook.stops,
            fields=tuple(self._tell_field(path, outlook) for path in changed_paths(self._old, self._new)),
            objects=outlook.changes,
            before=_recorded_choice(self._now) if self._exists else Choice(),
            after=_choice_of(outlook.first) if settles else _recorded_choice(self._now),
            downtime=find_downtime(old, self._new, how, outlook.changes),
            gpus=count_gpus(None if self._earlier else old, new, how, outlook.changes),
            problems=outlook.first.problems,
            kept=self._wanted.kept,
            pending=self._pending,
            earlier=self._earlier,
        )

    # ---- one field ----

    def _tell_field(self, path: str, whole: _Outlook) -> FieldChange:
        before, after = json_value(self._old), json_value(self._new)
        alone = self._look(self._change({path}), ready=True)
        together = alone.how in {How.REFUSED, How.WAITS} and whole.how not in {How.REFUSED, How.WAITS}
        shown = self._without(path, whole) if together else alone
        return FieldChange(
            path=f"spec.{path}",
            before=_value_at(before, path),
            after=_value_at(after, path),
            how=shown.how,
            objects=shown.changes,
            reason=shown.reason,
            together=together,
        )

    def _without(self, path: str, whole: _Outlook) -> _Outlook:
        """What a field that cannot change alone adds to the others: nothing where they come to the same without it."""
        others = {other for other in changed_paths(self._old, self._new) if other != path}
        rest = self._look(self._change(others), ready=True)
        if (rest.how, rest.changes) == (whole.how, whole.changes):
            return replace(whole, how=How.NOTHING, changes=(), reason="")
        return whole

    def _change(self, paths: set[str]) -> Json:
        """The deployment with the new values of these fields alone."""
        spec, new = json_value(self._old), json_value(self._new)
        for path in paths:
            spec = _put(spec, path.split("."), _value_at(new, path))
        meta = self._now.deployment["metadata"]
        meta = {**meta, "generation": int(meta.get("generation") or 0) + 1}
        return without_pause({**self._now.deployment, "metadata": meta, "spec": spec})

    # ---- one course of events ----

    def _look(self, deployment: Json, *, ready: bool) -> _Outlook:
        course = self._follow(deployment, ready=ready)
        first, last = course.plans[0], course.plans[-1]
        changes = list_changes(self._now, course, self._sent)
        how = judge(changes, exists=self._exists)
        reason = next((change.why for change in changes if change.why), "")
        blocked = _find_obstacle(course, last if course.steps else first)
        if blocked is None:
            return _Outlook(course, how, changes, reason)
        if course.steps:  # begun, and then held up: the name of something that it needs is taken, say
            return _Outlook(course, how, changes, reason, stops=blocked)
        if first.stage is not None and first.stage.stalled:
            return _Outlook(course, How.REFUSED, (), blocked.message)
        return _Outlook(course, How.WAITS, (), "", held=blocked)

    def _follow(self, deployment: Json, *, ready: bool) -> Course:
        snapshot = replace(self._now, deployment=deployment)
        if ready:
            snapshot = replace(snapshot, providers=_think_ready(snapshot))
        return follow_passes(snapshot, self._calls, self._expressions)


def _find_obstacle(course: Course, plan: Plan) -> Held | None:
    """What keeps a plan from writing, whatever upstream does."""
    if course.conflict is not None:
        step = course.conflict.step
        return Held(Reason.RESOURCE_CONFLICT, describe_conflict(step.kind.name, step.name, course.conflict.message))
    stage = plan.stage
    if stage is None:
        return None
    if stage.paused:
        return Held(Reason.PAUSED, f"annotation {names.PAUSED} is set, and nothing is written until it is removed")
    if stage.terminating:
        return Held(Reason.TERMINATING, "the deployment is being deleted")
    blocked = stage.blocked
    return Held(blocked.reason, blocked.message) if blocked is not None else None


def _think_ready(snapshot: Snapshot) -> Mapping[str, Any]:
    """The providers as if each that is installed and not broken were ready."""
    return {
        name: replace(facts, ready=True, disabled=False, reason="", message="")
        for name, facts in snapshot.providers.items()
    }


def _recorded_choice(snapshot: Snapshot) -> Choice:
    recorded = read_recorded(snapshot.deployment)
    return Choice(provider=recorded.provider, engine=recorded.engine)


def _choice_of(plan: Plan) -> Choice:
    decision = plan.decision
    return Choice(provider=decision.provider or "", engine=decision.engine or "") if decision else Choice()


def _value_at(spec: Any, path: str) -> Any:  # noqa: ANN401 - JSON of any shape
    for step in path.split("."):
        spec = spec.get(step) if isinstance(spec, Mapping) else None
    return spec


def _put(spec: Mapping[str, Any], path: list[str], value: object) -> Json:
    """The spec with another value at a path; None takes the field out."""
    head, *rest = path
    below = spec.get(head)
    inner = _put(below if isinstance(below, Mapping) else {}, rest, value) if rest else value
    kept = {key: item for key, item in spec.items() if key != head}
    return kept if inner is None else {**kept, head: inner}
