"""Providers whose hooks fail or hang, in a controller that has others to look after."""

from __future__ import annotations

import threading
import types
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.plugin import Engine, Kind, Manifest, Provider, Rendering, Report, Rule, State, hookimpl
from kubeairunway.plugin.registry import load_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeairunway.plugin import Observed, Request
    from kubeairunway.plugin.registry import Registry

THING = Kind(group="serving.acme.dev", name="ModelServer", versions=("v1",))


def make_slow(gate: threading.Event) -> types.ModuleType:
    """A provider that is chosen for models of its own and whose `render` waits for a gate."""

    def provider() -> Provider:
        engines = (Engine(name="vllm", carries=frozenset({"model.id", "resources.gpu", "scaling.replicas"})),)
        rule = Rule(name="own", condition='spec.model.id.startsWith("slow/")', priority=100)
        return Provider(name="slow", contract=1, kinds=(THING,), engines=engines, rules=(rule,))

    def render(request: Request) -> Rendering:
        gate.wait(30)
        return Rendering(Manifest(THING, {"spec": {"model": request.spec.model.id}}))

    def status(request: Request, observed: Observed) -> Report:
        del request, observed
        return Report(state=State.WAITING, generation=0)

    module = types.ModuleType("slow")
    for hook in (provider, render, status):
        setattr(module, hook.__name__, hookimpl(hook))
    return module


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def slow_registry(acme_registry: Registry, gate: threading.Event) -> Iterator[Registry]:
    del acme_registry  # loads the example provider's module
    import sys  # noqa: PLC0415 - only to reach the module that the other fixture loaded

    registry = load_registry(modules={"acme": sys.modules["acme_of_scenarios"], "slow": make_slow(gate)}, deadline=0.3)
    assert set(registry.providers) == {"acme", "slow"}
    yield registry
    registry.close()


async def test_a_hanging_hook_holds_up_nobody_else_and_its_deployment_recovers(
    stage: Any, slow_registry: Registry, gate: threading.Event
) -> None:
    stage = type(stage)(slow_registry)
    async with stage.controller():
        await stage.deploy("hangs", model={"id": "slow/m", "source": "huggingface"})
        await stage.until(lambda: stage.condition("Ready", "hangs")[1] == "ProviderError", "it says why")
        await stage.deploy("fine")
        await stage.until(lambda: stage.phase("fine") == "Deploying", "the other provider works", seconds=2)
        gate.set()
        await stage.until(lambda: stage.phase("hangs") == "Deploying", "it recovers by itself")


async def test_the_log_warns_of_switching_off_what_is_not_installed(
    acme_module: Any, make_stage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    registry = load_registry(modules={"acme": acme_module}, disabled={"acne"})
    async with make_stage(registry).controller():
        pass
    registry.close()
    expected = "provider acne is switched off by flag or environment, but not installed; installed: acme"
    assert expected in [record.message for record in caplog.records if record.levelname == "WARNING"]
