"""The small world of `life`, with policies in it."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.decide.admission import Admission
from kubeairunway.errors import HookError
from kubeairunway.plugin import Peer, Problem, Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeairunway.decide.plan import Snapshot


def _load_life() -> Any:
    spec = importlib.util.spec_from_file_location("life_conftest", Path(__file__).parents[1] / "life" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["life_conftest"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


LIFE = _load_life()


@dataclass
class Policies:
    """Policies by name: what each objects to. `broken` cannot be asked, `failing` fails when it is."""

    rules: dict[str, Callable[[Request, str], list[Problem]]] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    failing: dict[str, str] = field(default_factory=dict)
    wants_peers: bool = False
    calls: list[tuple[str, str, Request]] = field(default_factory=list)

    @property
    def asked(self) -> tuple[str, ...]:
        return tuple(sorted({**self.rules, **self.broken, **self.failing}))

    def obstacle(self, policy: str) -> str:
        return self.broken.get(policy, "")

    def admit(self, policy: str, request: Request, provider: str) -> tuple[Problem, ...]:
        self.calls.append((policy, provider, request))
        if policy in self.failing:
            raise HookError(policy, "admit", self.failing[policy])
        return tuple(self.rules[policy](request, provider))


def refuse(request: Request, provider: str) -> list[Problem]:
    return [Problem("spec.model.id", "No", f"{provider} may not run {request.spec.model.id}")]


def allow(_request: Request, _provider: str) -> list[Problem]:
    return []


def without_gpus(request: Request) -> Request:
    resources = request.spec.resources.model_copy(update={"gpu": type(request.spec.resources.gpu)()})
    return replace(request, spec=request.spec.model_copy(update={"resources": resources}))


class PolicyWorld(LIFE.World):  # type: ignore[misc, name-defined]  # loaded by path
    """One deployment, its objects, and policies; peers are what a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.policies = Policies()
        self.peers: tuple[Peer, ...] = ()
        self.before: Peer | None = None

    def snapshot(self) -> Snapshot:
        admission = Admission(calls=self.policies, peers=self.peers, before=self.before, granted=self.memory.granted[1])
        seen: Snapshot = replace(super().snapshot(), admission=admission)
        return seen

    def message(self, kind: str) -> str:
        row: dict[str, str] = next((row for row in self.status["conditions"] if row["type"] == kind), {})
        return str(row.get("message", ""))

    def run(self) -> None:
        """Until it serves and there is nothing left to do."""
        self.step()
        self.upstream(phase="Serving", ready=1)
        self.settle()
        assert self.status["phase"] == "Running"
        self.writes.clear()
        self.events.clear()
        self.policies.calls.clear()


@pytest.fixture
def world() -> PolicyWorld:
    return PolicyWorld()


@pytest.fixture
def running(world: PolicyWorld) -> PolicyWorld:
    """A deployment that serves, in a world whose policies let everything pass."""
    world.policies.rules["strict"] = allow
    world.run()
    return world


@pytest.fixture
def kit() -> Any:
    """What tests say policies with."""
    return sys.modules[__name__]
