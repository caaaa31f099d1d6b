"""The passes of a controller over one deployment, played through on values: what it would write, one plan at a time.

Each plan is the controller's own. Played are the answers: the API server does what it is asked, what is deleted goes
away, and upstream proves every revision.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from kubeairunway.decide.conclusion import conclude
from kubeairunway.decide.deployment import plan_deployment
from kubeairunway.decide.expressions import Expressions
from kubeairunway.decide.ownership import describe_owner, is_below, is_owned
from kubeairunway.decide.plan import Outcome, Plan, Snapshot, Step, StepKind
from kubeairunway.decide.stages import desired_replicas
from kubeairunway.model import names
from kubeairunway.model.problems import Problem
from kubeairunway.objects.resources import Json
from kubeairunway.plugin import Bid, Kind, Observed, Rendering, Report, Request, State
from kubeairunway.plugin.calls import HookCalls

MAX_PASSES = 8
"""A recreate with leftovers takes four: delete, create, clear up, nothing."""

Key = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class Course:
    """The plans in order, up to the first that writes nothing, and the world after them.

    `conflict` is an object that stands in the way of the last plan, so that it writes nothing.
    """

    plans: tuple[Plan, ...]
    end: Snapshot
    conflict: Outcome | None = None

    @property
    def steps(self) -> tuple[tuple[int, Step], ...]:
        """Every write with the number of its pass; what only undoes drift is left out."""
        done = self.plans[:-1] if self.conflict else self.plans
        return tuple((number, step) for number, plan in enumerate(done) for step in plan.steps if not step.repair)


def follow_passes(snapshot: Snapshot, calls: HookCalls, expressions: Expressions) -> Course:
    """Play the passes through from this moment on. Never raises for what users, providers or upstream can do wrong."""
    proving = _Proving(calls)
    plans: list[Plan] = []
    while len(plans) < MAX_PASSES:
        plan = plan_deployment(snapshot, proving, expressions)
        plans.append(plan)
        conflict = next(_find_conflicts(snapshot, plan.steps), None)
        outcomes = (conflict,) if conflict else tuple(Outcome(step, _answer(snapshot, step)) for step in plan.steps)
        snapshot = _advance(snapshot, plan, outcomes)
        if conflict or not outcomes:
            return Course(tuple(plans), snapshot, conflict)
    return Course(tuple(plans), snapshot)


@dataclass(frozen=True, slots=True)
class _Proving:
    """The provider's hooks, but for `status`: upstream has acted on what stands, and all of it serves."""

    calls: HookCalls

    def validate(self, provider: str, request: Request) -> tuple[Problem, ...]:
        return self.calls.validate(provider, request)

    def select(self, provider: str, request: Request) -> Bid | None:
        return self.calls.select(provider, request)

    def render(self, provider: str, request: Request) -> Rendering:
        return self.calls.render(provider, request)

    def status(self, provider: str, request: Request, observed: Observed) -> Report:  # noqa: ARG002 - the hook's own signature
        wanted = desired_replicas(request.spec)
        generation = observed.primary.get("metadata.generation", 0)
        return Report(state=State.RUNNING, generation=generation, ready=wanted["desired"], roles=wanted["roles"])


def _find_conflicts(snapshot: Snapshot, steps: tuple[Step, ...]) -> Iterator[Outcome]:
    """Claims that somebody else's object stands for; they are looked up before anything is written."""
    uid = snapshot.deployment["metadata"]["uid"]
    for step in steps:
        for kind, api_version, name in step.claims:
            live = snapshot.find(kind, name)
            if live is not None and not is_owned(live, uid) and not is_below(live, step.kind, step.name):
                claim = replace(step, kind=kind, api_version=api_version, name=name, claims=())
                yield Outcome(claim, obj=live, error="Conflict", message=describe_owner(live), conflict=True)


def _answer(snapshot: Snapshot, step: Step) -> Json | None:
    if step.action is StepKind.DELETE:
        return None
    old = snapshot.owned.get((step.kind, step.name)) or {}
    before = old.get("metadata") or {}
    meta = {
        **before,
        **step.body["metadata"],
        "uid": before.get("uid") or f"new-{step.kind.name}-{step.name}".lower(),
        "resourceVersion": f"{before.get('resourceVersion', '')}+",
        "generation": int(before.get("generation") or 0) + 1,
    }
    return {**old, **step.body, "metadata": meta}


def _advance(snapshot: Snapshot, plan: Plan, outcomes: tuple[Outcome, ...]) -> Snapshot:
    conclusion = conclude(snapshot.deployment, plan, outcomes, snapshot.now)
    deployment = snapshot.deployment
    if plan.finalizer:
        meta = deployment["metadata"]
        deployment = {
            **deployment,
            "metadata": {**meta, "finalizers": [*(meta.get("finalizers") or ()), names.FINALIZER]},
        }
    if conclusion.status is not None:
        deployment = {**deployment, "status": conclusion.status}
    owned = dict(snapshot.owned)
    gone: set[Key] = set()
    for outcome in outcomes:
        key = outcome.step.kind, outcome.step.name
        if outcome.error:
            continue
        if outcome.obj is None:
            owned.pop(key, None)
            gone.add(key)
        else:
            owned[key] = outcome.obj
    return _with_objects(replace(snapshot, deployment=deployment), owned, frozenset(gone))


def _with_objects(snapshot: Snapshot, owned: Mapping[Key, Json], gone: frozenset[Key]) -> Snapshot:
    before = snapshot.find

    def find(kind: Kind, name: str) -> Json | None:
        if (kind, name) in gone:
            return None
        return owned.get((kind, name)) or before(kind, name)

    return replace(snapshot, owned=MappingProxyType(dict(owned)), find=find)
