"""What is measured, one function each; every one starts from a fresh cluster or says what it continues."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.bench.cluster import DEPLOYMENTS, WORKSPACES, Requests, count_requests, measured_cluster, open_client
from tests.bench.load import create_deployments, make_namespace, repeat_writes, report_ready, run_all
from tests.bench.process import Controller, Usage
from tests.bench.timeline import Timeline, percentile, watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from kubeairunway.kube.client import Client

LIMIT = 1200.0  # seconds until a burst counts as lost
IDLE_SAMPLES = 100
RAW_SAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A distribution in seconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, ends: Mapping[str, float], starts: Mapping[str, float]) -> Latency:
        """From the moments at which the same names ended and started."""
        values = [ends[name] - starts[name] for name in starts if name in ends]
        return cls(p50=percentile(values, 0.5), p99=percentile(values, 0.99))


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
    """The same deployments afterwards: one upstream change at a time, then nothing, then a restart."""

    idle_upstream: Latency
    idle_seconds: float
    idle_requests: Requests
    start_seconds: float
    start_requests: Requests


@asynccontextmanager
async def _bench_cluster() -> AsyncIterator[tuple[Client, Path]]:
    with measured_cluster() as cluster:
        async for client in open_client(cluster.kubeconfig):
            yield client, cluster.kubeconfig


async def measure_burst(size: int, log: Path, *, idle: float = 0.0) -> tuple[Burst, Rest | None]:
    """A burst on a fresh cluster; with `idle` seconds also what follows it."""
    async with _bench_cluster() as (client, kubeconfig):
        namespace = "burst"
        await make_namespace(client, namespace)
        async with watching(client, namespace) as timeline:
            async with Controller(kubeconfig, log) as controller:
                burst = await _run_burst(client, namespace, size, timeline, controller)
                if not idle:
                    return burst, None
                idle_upstream = await _change_one_by_one(client, namespace, timeline)
                await asyncio.sleep(3)  # the last status of the last change
                idle_requests = await _requests_during(client, lambda: asyncio.sleep(idle))
            start_requests, start = await _restart(client, kubeconfig, log)
            rest = Rest(
                idle_upstream=idle_upstream,
                idle_seconds=idle,
                idle_requests=idle_requests,
                start_seconds=start,
                start_requests=start_requests,
            )
            return burst, rest


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
    await create_deployments(client, namespace, range(size), timeline.created)
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
    pages = client.list_pages(WORKSPACES, namespace=namespace, limit=RAW_SAMPLES)
    workspaces = {item["metadata"]["name"]: item async for page in pages for item in page.items}
    return [
        (
            {**item, "apiVersion": DEPLOYMENTS.api_version, "kind": DEPLOYMENTS.kind},
            {**workspaces[item["metadata"]["name"]], "apiVersion": WORKSPACES.api_version, "kind": WORKSPACES.kind},
        )
        for item in deployments
    ]


async def _change_one_by_one(client: Client, namespace: str, timeline: Timeline) -> Latency:
    """New deployments, one after the other on an otherwise idle cluster: from upstream's report to Running."""
    size = len(timeline.created)
    await create_deployments(client, namespace, range(size, size + IDLE_SAMPLES), timeline.created)
    await timeline.wait(lambda: len(timeline.deploying) == size + IDLE_SAMPLES, LIMIT)
    await asyncio.sleep(1)
    reported: dict[str, float] = {}
    for name in sorted(timeline.created)[-IDLE_SAMPLES:]:
        reported[name] = await report_ready(client, namespace, name)
        await timeline.wait(partial(timeline.running.__contains__, name), 30)
    return Latency.of(timeline.running, reported)


async def _requests_during(client: Client, work: Callable[[], Any]) -> Requests:
    before = await count_requests(client)
    await work()
    return await count_requests(client) - before


async def _restart(client: Client, kubeconfig: Path, log: Path) -> tuple[Requests, float]:
    before = await count_requests(client)
    async with Controller(kubeconfig, log) as controller:
        await asyncio.sleep(10)
        seconds = controller.start_seconds
        return await count_requests(client) - before, seconds
