"""Leader election on a real Lease."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.errors import NotLeaderError
from kubeairunway.kube.client import Client
from kubeairunway.kube.lease import LEASES, LeaderElector
from kubeairunway.objects.resources import Resource
from kubeairunway.objects.times import parse_time

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.core.kube.faults import FaultyTransport

    from kubeairunway.objects.resources import Json

CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps")
NAMESPACES = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
NAMESPACES = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
SECONDS = 20.0


class Candidate:
    """One process that competes: what began and ended, and when."""

    def __init__(self, client: Client, ns: str, identity: str, **options: Any) -> None:
        self.elector = LeaderElector(client, ns, "controller", identity, **options)
        self.identity = identity
        self.history: list[str] = []
        self.stopped_while_leading: list[bool] = []
        self.task: asyncio.Task[None] | None = None

    def start(self) -> Candidate:
        self.task = asyncio.create_task(self.elector.run(self.begin, self.end))
        return self

    async def begin(self) -> None:
        self.history.append("started")

    async def end(self) -> None:
        self.history.append("stopped")
        self.stopped_while_leading.append(self.elector.is_leader)

    @property
    def leads(self) -> bool:
        return self.history[-1:] == ["started"]

    async def sees(self, holder: str) -> None:
        await until(lambda: self.elector.holder == holder)

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)

    async def crash(self) -> None:
        """Vanish as a killed process does: without a release."""

        async def nothing() -> None:
            return

        self.elector._release = nothing  # type: ignore[method-assign]
        await self.stop()


class Ring:
    def __init__(self, client: Client, ns: str) -> None:
        self.client = client
        self.ns = ns
        self.candidates: list[Candidate] = []

    def join(self, identity: str, client: Client | None = None, **options: Any) -> Candidate:
        candidate = Candidate(client or self.client, self.ns, identity, **options).start()
        self.candidates.append(candidate)
        return candidate

    async def lease(self) -> Json:
        return await self.client.get(LEASES, "controller", self.ns)


async def until(condition: Callable[[], bool], seconds: float = SECONDS) -> float:
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - polls memory, so that the elector needs no hook for tests
            await asyncio.sleep(0.01)
    return time.monotonic() - started


@pytest.fixture
async def ring(client: Client, ns: str) -> AsyncIterator[Ring]:
    made = Ring(client, ns)
    yield made
    for candidate in made.candidates:
        await candidate.stop()


async def test_exactly_one_of_three_leads_and_the_lease_names_it(ring: Ring) -> None:
    for name in ("a", "b", "c"):
        ring.join(name)
    await until(lambda: any(candidate.leads for candidate in ring.candidates))
    await asyncio.gather(*(candidate.elector._informer.wait_synced(SECONDS) for candidate in ring.candidates))
    (leader,) = [candidate for candidate in ring.candidates if candidate.leads]
    spec = (await ring.lease())["spec"]
    assert spec["holderIdentity"] == leader.identity
    assert spec["leaseDurationSeconds"] == 15
    assert spec["renewTime"].endswith("Z")
    assert len(spec["renewTime"]) == len("2026-01-01T00:00:00.000000Z")
    assert parse_time(spec["renewTime"]) is not None
    for candidate in ring.candidates:
        if candidate is not leader:
            await candidate.sees(leader.identity)
            with pytest.raises(NotLeaderError, match=candidate.identity):
                candidate.elector.check()
    leader.elector.check()


async def test_after_a_stop_the_next_one_leads_within_two_seconds(ring: Ring) -> None:
    first = ring.join("a")
    await until(lambda: first.leads)
    second = ring.join("b")
    await second.sees("a")
    await first.stop()
    assert first.stopped_while_leading == [True]
    assert not first.elector.is_leader
    assert await until(lambda: second.leads) < 2.0
    assert (await ring.lease())["spec"]["leaseTransitions"] == 1


async def test_after_a_crash_the_next_one_waits_one_lease_and_no_longer(ring: Ring) -> None:
    first = ring.join("a", duration=3.0, renew=1.0)
    await until(lambda: first.leads)
    second = ring.join("b", duration=3.0, renew=1.0)
    await second.sees("a")
    await first.crash()
    assert 1.5 < await until(lambda: second.leads) < 4.5


async def test_the_times_written_in_the_lease_prove_nothing(ring: Ring) -> None:
    first = ring.join("a", duration=3.0, renew=1.0)
    await until(lambda: first.leads)
    await first.crash()
    stamp = {"spec": {"renewTime": "2001-01-01T00:00:00.000000Z", "acquireTime": "2001-01-01T00:00:00.000000Z"}}
    await ring.client.merge_patch(LEASES, "controller", ring.ns, stamp)
    second = ring.join("b", duration=3.0, renew=1.0)
    assert await until(lambda: second.leads) > 2.5


async def test_renewals_keep_the_lease_past_its_duration(ring: Ring) -> None:
    first = ring.join("a", duration=1.5, renew=0.4)
    second = ring.join("b", duration=1.5, renew=0.4)
    await until(lambda: first.leads or second.leads)
    leader, follower = (first, second) if first.leads else (second, first)
    start = (await ring.lease())["spec"]["renewTime"]
    ended = time.monotonic() + 4.0
    await until(lambda: time.monotonic() > ended)
    assert leader.history == ["started"]
    assert follower.history == []
    assert (await ring.lease())["spec"]["renewTime"] > start


async def test_a_leader_that_cannot_renew_stops_writing_before_another_may_lead(
    ring: Ring, transport: FaultyTransport, faults: Any
) -> None:
    lonely = faults.FaultyTransport(transport.inner)
    first = ring.join("a", Client(lonely), duration=3.0, renew=1.0)
    await until(lambda: first.leads)
    second = ring.join("b", duration=3.0, renew=1.0)
    await second.sees("a")
    lonely.plan(*[faults.reset_before] * 500)
    gated = Client(transport, gate=first.elector.check)
    await until(lambda: not first.elector.is_leader)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": ring.ns, "name": "late"}}
    with pytest.raises(NotLeaderError):
        await gated.create(CONFIG_MAPS, body)
    assert not second.leads
    await until(lambda: "stopped" in first.history)
    await until(lambda: second.leads)


async def test_a_blocked_process_does_not_believe_that_it_still_leads(client: Client, ns: str) -> None:
    now = [100.0]
    elector = LeaderElector(client, ns, "controller", "a", clock=lambda: now[0])
    started = asyncio.Event()

    async def begin() -> None:
        started.set()

    async def end() -> None:
        return

    task = asyncio.create_task(elector.run(begin, end))
    await asyncio.wait_for(started.wait(), SECONDS)
    elector.check()
    now[0] += 9.9
    elector.check()
    now[0] += 0.2
    with pytest.raises(NotLeaderError):
        elector.check()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_leader_whose_lease_was_taken_stops(ring: Ring) -> None:
    first = ring.join("a", duration=3.0, renew=0.5)
    await until(lambda: first.leads)
    await ring.client.merge_patch(LEASES, "controller", ring.ns, {"spec": {"holderIdentity": "usurper"}})
    await until(lambda: "stopped" in first.history, 2.0)
    assert not first.elector.is_leader


async def test_a_lease_that_somebody_deletes_or_touches_is_held_again(ring: Ring) -> None:
    first = ring.join("a", duration=3.0, renew=0.5)
    await until(lambda: first.leads)
    await ring.client.merge_patch(LEASES, "controller", ring.ns, {"metadata": {"labels": {"touched": "yes"}}})
    renewed = (await ring.lease())["spec"]["renewTime"]
    ended = time.monotonic() + 1.5
    await until(lambda: time.monotonic() > ended)
    assert (await ring.lease())["spec"]["renewTime"] > renewed
    assert first.history == ["started"]
    await ring.client.delete(LEASES, "controller", ring.ns, uid=(await ring.lease())["metadata"]["uid"])
    await until(lambda: first.history == ["started", "stopped", "started"])


async def test_a_namespace_that_does_not_exist_yet_is_said_and_waited_for(
    client: Client, ns: str, caplog: pytest.LogCaptureFixture
) -> None:
    missing = f"{ns}-later"
    candidate = Candidate(client, missing, "a").start()
    try:
        await until(lambda: f'namespaces "{missing}" not found' in caplog.text)
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": missing}})
        await until(lambda: candidate.leads)
    finally:
        await candidate.stop()


async def test_a_process_that_restarts_under_its_own_identity_leads_at_once(ring: Ring) -> None:
    first = ring.join("a")
    await until(lambda: first.leads)
    await first.crash()
    again = ring.join("a")
    assert await until(lambda: again.leads) < 2.0


async def test_a_namespace_that_comes_late_is_waited_for(ring: Ring) -> None:
    ring.ns += "-late"
    first = ring.join("a")
    assert await first.elector._informer.wait_synced(SECONDS)
    body: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ring.ns}}
    await ring.client.create(NAMESPACES, body)
    assert await until(lambda: first.leads) < 6.0


async def test_an_idle_leader_and_follower_send_renewals_and_nothing_else(
    ring: Ring, transport: FaultyTransport
) -> None:
    leader = ring.join("a", duration=3.0, renew=0.5)
    await until(lambda: leader.leads)
    follower = ring.join("b", duration=3.0, renew=0.5)
    await follower.sees("a")
    transport.sent.clear()
    ended = time.monotonic() + 2.2
    await until(lambda: time.monotonic() > ended)
    assert {method for method, _ in transport.sent} == {"PATCH"}
    assert 3 <= len(transport.sent) <= 5


@pytest.mark.parametrize("renew", [0.0, 7.5, 20.0])
async def test_periods_that_cannot_be_safe_are_refused(client: Client, renew: float) -> None:
    with pytest.raises(ValueError, match="renew"):
        LeaderElector(client, "ns", "controller", "a", renew=renew)
