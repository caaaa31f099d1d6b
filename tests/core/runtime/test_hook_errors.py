"""Hooks that fail are shown in their provider's config, without a write for each deployment that trips over them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.decide.provider_config import PackageFacts, Upstream
from kubeairunway.errors import HookError, HookTimeoutError
from kubeairunway.model.reasons import ConfigReason
from kubeairunway.plugin import CONTRACT, Provider
from kubeairunway.runtime import hook_errors
from kubeairunway.runtime.heartbeat import ConfigKeeper
from kubeairunway.runtime.hook_errors import HookErrors
from kubeairunway.runtime.measured import MeasuredCalls
from kubeairunway.runtime.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kubeairunway.objects.resources import Json

ACME = PackageFacts(provider=Provider(name="acme", contract=CONTRACT, kinds=(), engines=()), version="1.0")
REQUEST: Any = SimpleNamespace()


class Hooks:
    """Hooks of one provider that fail when told to."""

    def __init__(self) -> None:
        self.failure: Exception | None = None

    def render(self, provider: str, request: object) -> str:
        del provider, request
        if self.failure is not None:
            raise self.failure
        return "objects"

    validate = render


class Desk:
    """A keeper of one config over a client that only counts, and the measured calls that tell it of failures."""

    def __init__(self) -> None:
        self.config: Json = {"metadata": {"name": "acme", "uid": "u", "resourceVersion": "1"}, "spec": {}}
        self.writes: list[Json] = []
        self.wakes = 0
        self.hooks = Hooks()
        self.errors = HookErrors(self.wake)
        rules: Any = SimpleNamespace(of=lambda _name, _texts: {})
        self.keeper = self.make_keeper(rules)
        self.calls: Any = MeasuredCalls(self.hooks, Telemetry(lambda: ()), self.errors)  # type: ignore[arg-type]
        self.task = asyncio.get_running_loop().create_task(self.keeper.run())

    def make_keeper(self, rules: Any) -> ConfigKeeper:
        directory: Any = SimpleNamespace(
            readable=True,
            facts=MappingProxyType({}),
            names=lambda: ("acme",),
            keeps=lambda _name: True,
            package=lambda _name: ACME,
            config=lambda _name: self.config,
            upstream=lambda _name: Upstream(served={}),
            broken=lambda _name: False,
        )
        client: Any = SimpleNamespace(apply_status=self.apply_status)
        overlay: Any = SimpleNamespace(put=self.put)
        return ConfigKeeper(client, directory, overlay, heartbeat=60.0, rules=rules, hooks=self.errors)

    def wake(self) -> None:
        self.wakes += 1
        self.keeper.wake()

    def put(self, _resource: object, answer: Json) -> None:
        self.config = answer

    async def apply_status(self, _resource: object, body: Json) -> Json:
        self.writes.append(body["status"])
        return {**self.config, "status": body["status"]}

    async def call(self, hook: str) -> None:
        """One call from a worker's thread, as decisions make them."""
        with suppress(HookError, HookTimeoutError):
            await asyncio.to_thread(getattr(self.calls, hook), "acme", REQUEST)

    def shown(self) -> tuple[str, str, str]:
        rows = (self.config.get("status") or {}).get("conditions") or ()
        row: Json = next((row for row in rows if row["type"] == "HooksHealthy"), {})
        return row.get("status", ""), row.get("reason", ""), row.get("message", "")


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.005)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    await until(lambda: len(desk.writes) == 1)
    yield desk
    desk.task.cancel()
    await asyncio.gather(desk.task, return_exceptions=True)


async def test_a_provider_whose_hooks_work_is_healthy(desk: Desk) -> None:
    await desk.call("render")
    assert desk.shown() == ("True", ConfigReason.HOOKS_HEALTHY, "")
    assert desk.config["status"]["ready"]


@pytest.mark.parametrize(
    "failure",
    [HookError("acme", "render", "ValueError: no (acme.py:3)"), HookTimeoutError("acme", "render", "not after 2 s")],
    ids=["raised", "overran"],
)
async def test_a_hook_that_fails_is_named_with_its_error_and_the_provider_stays_ready(
    desk: Desk, failure: HookError | HookTimeoutError
) -> None:
    desk.hooks.failure = failure
    await desk.call("render")
    await until(lambda: len(desk.writes) == 2)
    assert desk.shown() == ("False", ConfigReason.HOOK_FAILED, f"hook render: {failure.reason}")
    assert desk.config["status"]["ready"]


async def test_many_failing_deployments_cost_one_write_and_the_cure_another(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_errors, "QUIET_SECONDS", 0.2)
    for number in range(30):
        desk.hooks.failure = HookError("acme", "render", f"KeyError: {number}")
        await desk.call("render")
        desk.hooks.failure = None
        await desk.call("render")
    await until(lambda: desk.shown()[0] == "False")
    assert len(desk.writes) == 2, "one at the start, one for the first failure"
    assert desk.wakes == 1
    await until(lambda: desk.shown()[0] == "True")
    assert len(desk.writes) == 3


async def test_another_hook_that_succeeds_proves_nothing_of_the_one_that_failed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_errors, "QUIET_SECONDS", 0.05)
    desk.errors.fail("acme", "validate", "first")
    desk.errors.fail("acme", "render", "second")
    desk.errors.fail("other", "render", "not ours")
    await desk.call("render")
    await until(lambda: desk.errors.of("acme") == {"validate": "first"})
    await desk.call("render")
    assert desk.shown()[0] == "False"
    await desk.call("validate")
    await until(lambda: desk.shown()[0] == "True")
    assert desk.errors.of("other") == {"render": "not ours"}


async def test_a_leader_that_starts_leaves_what_it_finds_until_it_knows_better(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hook_errors, "QUIET_SECONDS", 0.2)
    desk.hooks.failure = HookError("acme", "render", "of the first term")
    await desk.call("render")
    await until(lambda: desk.shown()[0] == "False")
    writes = len(desk.writes)
    desk.errors.begin()
    desk.keeper.wake()
    desk.hooks.failure = HookError("acme", "render", "of the second term")
    await desk.call("render")
    await until(lambda: desk.errors._learning is None)
    await desk.keeper.keep_all()
    assert desk.shown()[2] == "hook render: of the first term"
    assert len(desk.writes) == writes, "what fails as before is no news"
    desk.errors.begin()
    assert desk.errors.of("acme") is None
    await desk.keeper.keep_all()
    assert desk.shown()[0] == "False"
    await until(lambda: desk.shown()[0] == "True")
    assert len(desk.writes) == writes + 1, "nothing failed any more"


async def test_a_failure_at_the_moment_of_the_cure_stays_shown(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_errors, "QUIET_SECONDS", 0.0)
    desk.errors.fail("acme", "render", "old")
    desk.errors.succeed("acme", "render")
    await asyncio.sleep(0)  # both are taken
    await asyncio.sleep(0)  # the cure comes next in this turn of the loop
    desk.errors.fail("acme", "render", "old")
    taken = asyncio.Event()
    asyncio.get_running_loop().call_soon(taken.set)
    await taken.wait()
    assert desk.errors.of("acme") == {"render": "old"}
    await until(lambda: desk.shown()[0] == "False")
