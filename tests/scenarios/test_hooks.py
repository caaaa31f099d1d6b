"""Providers whose hooks fail or hang, in a controller that has others to look after."""

from __future__ import annotations

import threading
import types
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.plugin import Engine, Kind, Manifest, Provider, Rendering, Report, Rule, State, hookimpl
from kubeairunway.plugin.registry import load_registry
from kubeairunway.runtime import hook_errors

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


def find_health(stage: Any, provider: str) -> tuple[str, str]:
    status = (stage.api.get("inferenceproviderconfigs", provider, "") or {}).get("status") or {}
    rows = [row for row in status.get("conditions") or () if row["type"] == "HooksHealthy"]
    assert all(status["ready"] for _ in rows), "whatever its hooks do, the provider stays usable"
    return next(((row["status"], row["message"]) for row in rows), ("", ""))


def count_writes(stage: Any) -> int:
    return sum("inferenceproviderconfigs" in str(call) for call in stage.api.writes)


async def test_the_config_of_a_provider_tells_of_its_hanging_hook_over_restarts_until_it_is_well(
    stage: Any, slow_registry: Registry, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_errors, "QUIET_SECONDS", 2.0)
    stage = type(stage)(slow_registry)
    async with stage.controller():
        await stage.until(lambda: find_health(stage, "slow")[0] == "True", "nothing failed yet")
        for name in ("hangs", "too"):
            await stage.deploy(name, model={"id": "slow/m", "source": "huggingface"})
            await stage.until(lambda name=name: stage.condition("Ready", name)[1] == "ProviderError", "it fails")
        await stage.until(lambda: find_health(stage, "slow")[0] == "False", "the config says so")
        said = find_health(stage, "slow")
        assert said[1].startswith("hook render: "), said
        assert find_health(stage, "acme") == ("True", "")
    written = count_writes(stage)
    async with stage.controller() as operator:
        await stage.until(lambda: operator._hooks._learning is not None, "the new process leads")
        await stage.until(lambda: operator._hooks._learning is None, "and knows")
        assert find_health(stage, "slow") == said
        assert count_writes(stage) == written
        gate.set()
        await stage.until(lambda: find_health(stage, "slow") == ("True", ""), "it recovers by itself", seconds=20)
