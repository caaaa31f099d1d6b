"""Bursts of KAITO's Workspaces and what follows them; every function starts afresh or says what it continues."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.bench.cluster import DEPLOYMENTS, Requests, count_requests, measured_cluster, open_client, settle
from tests.bench.load import create_deployments, make_namespace, repeat_writes, report_ready, run_all
from tests.bench.process import Controller, Usage
from tests.bench.targets import WORKSPACE
from tests.bench.timeline import Latency, Timeline, watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from kubeairunway.kube.client import Client

LIMIT = 1200.0  # seconds until a burst counts as lost
SAMPLES = 100  # upstream changes measured one by one
BURST_BESIDE = 1000  # deployments created beside them
CHANGE_EVERY = 0.05  # seconds between changes beside a burst: all of them fall into it
RAW_SAMPLES = 1000
NAMESPACE = "burst"


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """A burst of deployments: from the first POST until the last is Deploying, then until the last is Running."""

    size: int
    seconds: float
    rendered_seconds: float
    to_object: Latency
    to_status: Latency
    running_seconds: float
    upstream_to_status: Latency
    until_deploying: Requests
    until_running: Requests
    usage: Usage
    cpu: float
    samples: list[tuple[dict[str, Any], dict[str, Any]]] = field(repr=False)

    @property
    def rate(self) -> float:
        """Deployments a second, create to status."""
        return self.size / self.seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """The same deployments afterwards: a restart, upstream changes alone and beside a burst, then nothing."""

    deployments: int
    start_seconds: float
    start_requests: Requests
    idle_upstream: Latency
    busy_upstream: Latency
    idle_deployments: int
    idle_seconds: float
    idle_requests: Requests


@asynccontextmanager
async def _bench_cluster() -> AsyncIterator[tuple[Client, Path]]:
    with measured_cluster([WORKSPACE]) as cluster:
        async with open_client(cluster.kubeconfig) as client:
            yield client, cluster.kubeconfig


async def measure_burst(size: int, log: Path, *, idle: float = 0.0) -> tuple[Burst, Rest | None]:
    """A burst on a fresh cluster; with `idle` seconds also what follows it."""
    async with _bench_cluster() as (client, kubeconfig):
        await make_namespace(client, NAMESPACE)
        async with watching(client, NAMESPACE) as timeline:
            async with Controller(kubeconfig, log) as controller:
                burst = await _run_burst(client, NAMESPACE, size, timeline, controller)
            return burst, await _measure_rest(client, kubeconfig, log, timeline, idle) if idle else None


async def _measure_rest(client: Client, kubeconfig: Path, log: Path, timeline: Timeline, idle: float) -> Rest:
    """A restart with what the burst left, then changes, then nothing."""
    before, deployments = await count_requests(client), len(timeline.created)
    async with Controller(kubeconfig, log) as controller:
        await asyncio.sleep(10)
        start_requests = await count_requests(client) - before
        idle_upstream = await _change_one_by_one(client, timeline)
        busy_upstream = await _change_during_burst(client, timeline)
        before = await settle(client, LIMIT)
        await asyncio.sleep(idle)
        return Rest(
            deployments=deployments,
            start_seconds=controller.start_seconds,
            start_requests=start_requests,
            idle_upstream=idle_upstream,
            busy_upstream=busy_upstream,
            idle_deployments=len(timeline.created),
            idle_seconds=idle,
            idle_requests=await count_requests(client) - before,
        )


async def measure_raw(samples: list[tuple[dict[str, Any], dict[str, Any]]]) -> float:
    """The user's POST and the same three writes, by the same client with no controller: deployments a second.

    The watches of the other measurement are there too, so that both pay for them.
    """
    async with _bench_cluster() as (client, _):
        await make_namespace(client, "raw")
        async with watching(client, "raw"):
            return len(samples) / await repeat_writes(client, "raw", samples)


async def _run_burst(client: Client, namespace: str, size: int, timeline: Timeline, controller: Controller) -> Burst:
    before, cpu = await count_requests(client), controller.usage().cpu
    began = time.monotonic()
    await create_deployments(client, namespace, range(size), created=timeline.created)
    await timeline.wait(lambda: len(timeline.deploying) == size, LIMIT)
    deployed = max(timeline.deploying.values())
    spent = controller.usage().cpu - cpu
    middle = await count_requests(client)
    samples = await _read_samples(client, namespace)
    middle_again = await count_requests(client)
    reported: dict[str, float] = {}
    await run_all(_reporter(client, namespace, name, reported) for name in sorted(timeline.created))
    await timeline.wait(lambda: len(timeline.running) == size, LIMIT)
    after = await count_requests(client)
    return Burst(
        size=size,
        seconds=deployed - began,
        rendered_seconds=max(timeline.rendered.values()) - began,
        to_object=Latency.of(timeline.rendered, timeline.created),
        to_status=Latency.of(timeline.deploying, timeline.created),
        running_seconds=max(timeline.running.values()) - min(reported.values()),
        upstream_to_status=Latency.of(timeline.running, reported),
        until_deploying=middle - before,
        until_running=(middle - before) + (after - middle_again),
        usage=controller.usage(),
        cpu=spent,
        samples=samples,
    )


def _reporter(client: Client, namespace: str, name: str, reported: dict[str, float]) -> Callable[[], Any]:
    async def report() -> None:
        reported[name] = await report_ready(client, namespace, name)

    return report


async def _read_samples(client: Client, namespace: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    pages = client.list_pages(DEPLOYMENTS, namespace=namespace, limit=RAW_SAMPLES)
    deployments = [item async for page in pages for item in page.items][:RAW_SAMPLES]
    pages = client.list_pages(WORKSPACE.primary, namespace=namespace, limit=RAW_SAMPLES)
    kind = WORKSPACE.primary
    workspaces = {item["metadata"]["name"]: item async for page in pages for item in page.items}
    return [
        (
            {**item, "apiVersion": DEPLOYMENTS.api_version, "kind": DEPLOYMENTS.kind},
            {**workspaces[item["metadata"]["name"]], "apiVersion": kind.api_version, "kind": kind.kind},
        )
        for item in deployments
    ]


async def _prepare_changes(client: Client, timeline: Timeline, count: int) -> list[str]:
    """More deployments, up to Deploying: those whose upstream reports next."""
    size = len(timeline.created)
    await create_deployments(client, NAMESPACE, range(size, size + count), created=timeline.created)
    await timeline.wait(lambda: len(timeline.deploying) == size + count, LIMIT)
    await asyncio.sleep(1)
    return sorted(timeline.created)[-count:]


async def _change_one_by_one(client: Client, timeline: Timeline) -> Latency:
    """One after the other on an otherwise idle cluster: from upstream's report to Running."""
    reported: dict[str, float] = {}
    for name in await _prepare_changes(client, timeline, SAMPLES):
        reported[name] = await report_ready(client, NAMESPACE, name)
        await timeline.wait(partial(timeline.running.__contains__, name), 30)
    return Latency.of(timeline.running, reported)


async def _change_during_burst(client: Client, timeline: Timeline) -> Latency:
    """The same while users create deployments as fast as the API server takes them."""
    names = await _prepare_changes(client, timeline, SAMPLES)
    size = len(timeline.created)
    numbers = range(size, size + BURST_BESIDE)
    burst = asyncio.create_task(create_deployments(client, NAMESPACE, numbers, created=timeline.created))
    reported: dict[str, float] = {}
    for name in names:
        reported[name] = await report_ready(client, NAMESPACE, name)
        await asyncio.sleep(CHANGE_EVERY)
    await burst
    await timeline.wait(lambda: len(timeline.deploying) == size + BURST_BESIDE, LIMIT)
    await timeline.wait(lambda: all(name in timeline.running for name in names), LIMIT)
    return Latency.of(timeline.running, reported)
