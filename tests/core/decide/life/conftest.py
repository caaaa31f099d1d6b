"""A world small enough to hold in a dict: it stands in for the API server where only decisions are tested."""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubeairunway.decide.causes.evidence import NO_EVIDENCE
from kubeairunway.decide.conclusion import Conclusion, conclude
from kubeairunway.decide.deployment import plan_deployment
from kubeairunway.decide.expressions import Expressions
from kubeairunway.decide.facts import ProviderFacts
from kubeairunway.decide.memory import remember
from kubeairunway.decide.ownership import is_owned
from kubeairunway.decide.plan import Memory, Outcome, Plan, Snapshot, Step, StepKind
from kubeairunway.errors import HookError
from kubeairunway.model import names
from kubeairunway.plugin import (
    SERVICE,
    Bid,
    Engine,
    Kind,
    Manifest,
    Observed,
    Problem,
    Provider,
    Rendering,
    Report,
    Request,
    State,
)

SERVER = Kind(
    group="serving.acme.dev", name="ModelServer", versions=("v1",), recreate=("spec.model", "spec.gpus"), max_name=30
)
CLUSTER = Kind(group="serving.acme.dev", name="ModelCluster", versions=("v1",))
STATES = {"Starting": State.PROGRESSING, "Serving": State.RUNNING, "Broken": State.FAILED}
START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def acme(name: str = "acme", **changes: Any) -> Provider:
    carries = frozenset({"model.id", "model.source", "engine.contextLength", "resources.gpu", "scaling.replicas"})
    values: dict[str, Any] = {
        "name": name,
        "contract": 1,
        "kinds": (SERVER, CLUSTER, SERVICE),
        "engines": (Engine(name="vllm", carries=carries, cpu=True),),
    }
    return Provider(**{**values, **changes})


@dataclass
class Hooks:
    """What the provider's hooks do; a test changes them."""

    fail: set[str] = field(default_factory=set)
    with_service: bool = True
    generation: bool = True
    claims: tuple[tuple[Kind, str], ...] = ()

    def _check(self, provider: str, hook: str) -> None:
        if hook in self.fail:
            raise HookError(provider, hook, "KeyError: 'x' (acme.py:12)")

    def validate(self, provider: str, request: Request) -> tuple[Problem, ...]:
        self._check(provider, "validate")
        if request.spec.resources.gpu.count == 3:
            return (Problem("spec.resources.gpu.count", "PowerOfTwo", "3 GPUs cannot be split; use 1, 2, 4 or 8"),)
        return ()

    def select(self, provider: str, request: Request) -> Bid | None:
        self._check(provider, "select")
        return Bid(50, "its own") if request.spec.model.id.startswith(provider) else None

    def render(self, provider: str, request: Request) -> Rendering:
        self._check(provider, "render")
        spec = request.spec
        kind = CLUSTER if spec.engine.context_length else SERVER
        body = {"spec": {"model": spec.model.id, "replicas": spec.scaling.replicas, "memory": "1Gi"}}
        body["spec"]["gpus"] = spec.resources.gpu.count
        after = (Manifest(SERVICE, {"spec": {"ports": [{"port": 80}]}}, suffix="api"),) if self.with_service else ()
        return Rendering(Manifest(kind, body), after=after, claims=self.claims)

    def status(self, provider: str, request: Request, observed: Observed) -> Report:
        self._check(provider, "status")
        server = observed.primary
        generation = server.get("status.observedGeneration", 0) if self.generation else None
        ready = server.get("status.ready", 0)
        return Report(
            state=STATES.get(server.get("status.phase", ""), State.WAITING),
            generation=generation,
            ready=ready,
            service=f"{request.name}-api",
            port=80,
            pods=f"server={request.name}",
            message=server.get("status.message", ""),
        )


class World:
    """One deployment and the objects around it; `step` is one pass of the controller."""

    def __init__(self) -> None:
        self.now = START
        self.hooks = Hooks()
        self.providers = {"acme": self.facts(acme())}
        self.objects: dict[tuple[Kind, str], dict[str, Any]] = {}
        self.writes: list[tuple[str, str, str]] = []
        self.refuse: dict[tuple[str, str], Outcome | None] = {}
        self.memory = Memory()
        self.evidence = NO_EVIDENCE
        self.events: list[tuple[str, str]] = []
        self.plan = Plan()
        self._version = 10
        self._expressions = Expressions()
        meta = {"name": "llm", "namespace": "ml", "uid": "md-1", "generation": 1}
        self.deployment: dict[str, Any] = {
            "apiVersion": names.API_VERSION,
            "kind": names.MODEL_DEPLOYMENT,
            "metadata": meta,
            "spec": {"model": {"id": "acme/small"}},
            "status": {"observedGeneration": -1},
        }

    def facts(self, provider: Provider, **changes: Any) -> ProviderFacts:
        versions = {kind: kind.versions[0] for kind in provider.kinds}
        return replace(ProviderFacts(name=provider.name, provider=provider, versions=versions), **changes)

    def spec(self, **fields: Any) -> None:
        self.deployment["spec"] = {**self.deployment["spec"], **fields}
        self.deployment["metadata"]["generation"] += 1

    @property
    def status(self) -> dict[str, Any]:
        value: dict[str, Any] = self.deployment["status"]
        return value

    def condition(self, name: str) -> tuple[str, str]:
        row = next((row for row in self.status["conditions"] if row["type"] == name), None)
        return (row["status"], row["reason"]) if row else ("", "")

    @property
    def server(self) -> dict[str, Any]:
        return self.objects[SERVER, "llm"]

    def upstream(self, name: str = "llm", kind: Kind = SERVER, **status: Any) -> None:
        """What the upstream operator writes into the primary's status."""
        live = self.objects[kind, name]
        fresh = {"observedGeneration": live["metadata"]["generation"], **status}
        self.objects[kind, name] = self._touch({**live, "status": fresh})

    def edit(self, kind: Kind, name: str, **fields: Any) -> None:
        """Somebody changes an object's spec behind our back."""
        live = deepcopy(self.objects[kind, name])
        live["spec"].update(fields)
        live["metadata"]["generation"] += 1
        self.objects[kind, name] = self._touch(live)

    def step(self, seconds: float = 1.0) -> Conclusion:
        """One pass: decide, carry out, report."""
        self.now += timedelta(seconds=seconds)
        snapshot = self.snapshot()
        self.plan = plan_deployment(snapshot, self.hooks, self._expressions)
        if self.plan.finalizer:
            self.deployment["metadata"]["finalizers"] = [names.FINALIZER]
            self.writes.append(("finalizer", "ModelDeployment", "llm"))
        outcomes = list(self._carry_out())
        conclusion = conclude(self.deployment, self.plan, outcomes, self.now)
        self.memory = remember(self.memory, self.plan, outcomes, self.now)
        self.events += [(note.reason, note.message) for note in conclusion.events]
        if conclusion.status is not None:
            self.deployment = {**self.deployment, "status": conclusion.status}
            self.writes.append(("status", "ModelDeployment", "llm"))
        if self.plan.finalizer is False:
            self.deployment["metadata"]["finalizers"] = []
        return conclusion

    def settle(self) -> None:
        """Passes until one writes nothing."""
        for _ in range(10):
            before = len(self.writes)
            self.step()
            if len(self.writes) == before:
                return
        pytest.fail(f"still writing after 10 passes: {self.writes[-6:]}")

    def snapshot(self) -> Snapshot:
        uid = self.deployment["metadata"]["uid"]
        owned = {key: obj for key, obj in self.objects.items() if is_owned(obj, uid)}
        return Snapshot(
            deployment=self.deployment,
            providers=self.providers,
            now=self.now,
            owned=owned,
            find=lambda kind, name: self.objects.get((kind, name)),
            look_below=lambda _selector: self.evidence,
            memory=self.memory,
        )

    def _carry_out(self) -> Iterator[Outcome]:
        for step in self.plan.steps:
            outcome = self._answer(step)
            yield outcome
            if outcome.error:
                return

    def _answer(self, step: Step) -> Outcome:
        self.writes.append((str(step.action), step.kind.name, step.name))
        refused = self.refuse.get((str(step.action), step.kind.name))
        if refused is not None:
            return replace(refused, step=step)
        key = step.kind, step.name
        if step.action is StepKind.DELETE:
            finalizers = self.objects[key]["metadata"].get("finalizers")
            if finalizers:
                live = deepcopy(self.objects[key])
                live["metadata"].setdefault("deletionTimestamp", self.now.isoformat())
                self.objects[key] = self._touch(live)
            else:
                del self.objects[key]
            return Outcome(step)
        old = self.objects.get(key)
        meta = {**step.body["metadata"], "uid": old["metadata"]["uid"] if old else f"uid-{self._version}"}
        changed = old is None or {k: v for k, v in step.body.items() if k != "metadata"} != {
            k: v for k, v in old.items() if k not in {"metadata", "status"}
        }
        meta["generation"] = (old["metadata"]["generation"] if old else 0) + changed
        live = {**deepcopy(step.body), "metadata": meta, "status": (old or {}).get("status", {})}
        self.objects[key] = self._touch(live)
        return Outcome(step, self.objects[key])

    def _touch(self, obj: dict[str, Any]) -> dict[str, Any]:
        self._version += 1
        return {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self._version)}}


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def running(world: World) -> World:
    """A deployment that is Running, with nothing left to do."""
    world.step()
    world.upstream(phase="Serving", ready=1)
    world.settle()
    assert world.status["phase"] == "Running"
    world.writes.clear()
    world.events.clear()
    return world
