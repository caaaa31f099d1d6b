"""Deployments of several providers side by side, a namespace for each: memory, latency and requests of one controller.

All installed providers are loaded, whichever are measured. Upstream is played by the stand-ins of `kubeairunway_dev`
and, for vLLM's Deployments, by `tests.bench.rollouts`; no pod runs. Every function starts from a fresh cluster.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tests.bench.audit import AuditLog, Request
from tests.bench.cluster import DEPLOYMENTS, make_account, measured_cluster, open_client, settle
from tests.bench.load import create_deployments, make_namespace, run_all
from tests.bench.process import Controller, StandIns
from tests.bench.timeline import Latency, Timeline, watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from tests.bench.targets import Target

    from kubeairunway.kube.client import Client

LIMIT = 3600.0  # seconds until a step counts as lost
LOOK_SECONDS = 30.0  # how often is looked whether all processes still run
CHANGE_LIMIT = 30.0
REPLICAS = 2  # what a deployment is scaled to

Requests = dict[str, list[Request]]
"""By the name of a phase, in their order."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What one controller process holds for so many deployments that are all Running."""

    deployments: int
    rss: float  # MiB, when nothing happens any more
    peak: float  # MiB, ever so far
    seconds: float  # until all that were added were Running


class Fleet:
    """A cluster with a controller; `stand_ins` play upstream while they are entered."""

    def __init__(
        self,
        client: Client,
        controller: Controller,
        *,
        timelines: dict[Target, Timeline],
        stand_ins: StandIns,
        audit: AuditLog,
    ) -> None:
        self.client = client
        self.controller = controller
        self.timelines = timelines
        self.stand_ins = stand_ins
        self.audit = audit

    async def deploy(self, count: int) -> None:
        """Create so many more deployments, the same number for each provider where that works out."""
        shares = [count // len(self.timelines)] * len(self.timelines)
        shares[0] += count - sum(shares)
        for (target, timeline), share in zip(self.timelines.items(), shares, strict=True):
            size = len(timeline.created)
            numbers = range(size, size + share)
            await create_deployments(self.client, target.namespace, numbers, created=timeline.created, target=target)

    async def wait(self, reached: Callable[[Timeline], bool]) -> None:
        """Return when something holds for every provider.

        Raises TimeoutError with the provider's name, and RuntimeError when a process that it takes has ended.
        """
        deadline = time.monotonic() + LIMIT
        for target, timeline in self.timelines.items():
            done = partial(reached, timeline)
            while not done():
                try:
                    await timeline.wait(done, LOOK_SECONDS)
                except TimeoutError as error:
                    self.controller.check()
                    self.stand_ins.check()
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"{target.provider}: {error}") from error

    async def change_all(self, change: Callable[[Target, str], Awaitable[object]]) -> None:
        """Do something with every deployment, as users do."""

        def piece(target: Target, name: str) -> Callable[[], Awaitable[None]]:
            async def run() -> None:
                await change(target, name)

            return run

        pairs = ((target, name) for target, timeline in self.timelines.items() for name in sorted(timeline.created))
        await run_all(piece(target, name) for target, name in pairs)


@asynccontextmanager
async def _open_fleet(targets: Sequence[Target], log: Path, *, audit: bool = False) -> AsyncIterator[Fleet]:
    with measured_cluster(targets, audit=audit) as cluster:
        account = make_account(cluster)
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(open_client(cluster.kubeconfig))
            timelines = {}
            for target in targets:
                await make_namespace(client, target.namespace)
                timelines[target] = await stack.enter_async_context(watching(client, target.namespace, target))
            controller = await stack.enter_async_context(Controller(account, log))
            stand_ins = StandIns([target.standin for target in targets], cluster.kubeconfig, log)
            yield Fleet(
                client,
                controller,
                timelines=timelines,
                stand_ins=stand_ins,
                audit=AuditLog(cluster.layout.audit_log),
            )


async def measure_memory(targets: Sequence[Target], log: Path, sizes: Sequence[int]) -> AsyncIterator[Memory]:
    """Yield what one controller process holds at each size, from small to large."""
    async with _open_fleet(targets, log) as fleet:
        with fleet.stand_ins:
            there = 0
            for size in sorted(sizes):
                began = time.monotonic()
                await fleet.deploy(size - there)
                await fleet.wait(lambda timeline: len(timeline.running) == len(timeline.created))
                seconds, there = time.monotonic() - began, size
                await settle(fleet.client, LIMIT)
                fleet.stand_ins.check()
                yield Memory(size, fleet.controller.usage().rss, fleet.controller.peak, seconds)


async def measure_latency(targets: Sequence[Target], log: Path, each: int) -> dict[str, Latency]:
    """From upstream's report to Running, one deployment after the other on an otherwise idle cluster, by provider.

    The stand-ins bring all to Running and end. Then each object's status is taken away, which makes its deployment
    Deploying, and written again as the stand-in had written it: that write is the change.
    """
    async with _open_fleet(targets, log) as fleet:
        with fleet.stand_ins:
            await fleet.deploy(each * len(targets))
            await fleet.wait(lambda timeline: len(timeline.running) == len(timeline.created))
            await settle(fleet.client, LIMIT)
        return {
            target.provider: await _measure_changes(fleet.client, target, timeline)
            for target, timeline in fleet.timelines.items()
        }


async def _measure_changes(client: Client, target: Target, timeline: Timeline) -> Latency:
    reported: dict[str, float] = {}
    ended: dict[str, float] = {}
    for name in sorted(timeline.created):
        status = (await client.get(target.primary, name, target.namespace))["status"]
        await _write_status(client, target, name, None)
        await timeline.wait(partial(timeline.is_not_running, name), CHANGE_LIMIT)
        reported[name] = time.monotonic()
        await _write_status(client, target, name, status)
        await timeline.wait(partial(timeline.is_running, name), CHANGE_LIMIT)
        ended[name] = timeline.phases[name][1]
    return Latency.of(ended, reported)


async def _write_status(client: Client, target: Target, name: str, status: object) -> None:
    await client.merge_patch(target.primary, name, target.namespace, {"status": status}, subresource="status")


async def count_phases(targets: Sequence[Target], log: Path, *, each: int, idle: float) -> Requests:
    """What the controller asks of the API server in each phase of a deployment's life, for `each` of every provider.

    A phase ends when nothing has been asked for a while, so it has all that follows from it.
    """
    namespaces = {target.namespace for target in targets}
    found: Requests = {}
    async with _open_fleet(targets, log, audit=True) as fleet:
        fleet.audit.read()
        await fleet.deploy(each * len(targets))
        await fleet.wait(lambda timeline: len(timeline.deploying) == len(timeline.created))
        found["create -> Deploying"] = await fleet.audit.settle(namespaces, LIMIT)
        with fleet.stand_ins:
            await fleet.wait(lambda timeline: len(timeline.running) == len(timeline.created))
            found["Deploying -> Running"] = await fleet.audit.settle(namespaces, LIMIT)
            await asyncio.sleep(idle)
            found["idle"] = fleet.audit.read()
            await fleet.change_all(partial(_scale, fleet.client))
            await fleet.wait(lambda timeline: len([one for one in timeline.proved.values() if one > 1]) == each)
            found["scale"] = await fleet.audit.settle(namespaces, LIMIT)
            await fleet.change_all(partial(_delete, fleet.client))
            await fleet.wait(lambda timeline: not timeline.phases)
            found["delete"] = await fleet.audit.settle(namespaces, LIMIT)
            fleet.stand_ins.check()
    return found


async def _scale(client: Client, target: Target, name: str) -> object:
    patch = {"spec": {"replicas": REPLICAS}}
    return await client.merge_patch(DEPLOYMENTS, name, target.namespace, patch, subresource="scale")


async def _delete(client: Client, target: Target, name: str) -> object:
    live = await client.get(DEPLOYMENTS, name, target.namespace)
    return await client.delete(DEPLOYMENTS, name, target.namespace, uid=live["metadata"]["uid"])
