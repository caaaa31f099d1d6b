"""Bursts: measured and printed with the goals beside them."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from tests.bench.scenarios import Burst, Rest, measure_burst, measure_raw

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from tests.bench.cluster import Requests
    from tests.bench.report import Report

RATIO_SIZE = 1000
SIZES = (100, 300, 1000, 10000)


async def print_bursts(report: Report, options: argparse.Namespace, log: Path) -> None:
    """Measure and print bursts of the sizes that were asked for, and compare them."""
    sizes: list[int] = options.sizes or list(SIZES)
    bursts: dict[int, Burst] = {}
    for size in sizes:
        idle = options.idle if size == RATIO_SIZE else 0.0
        burst, rest = await measure_burst(size, log, idle=idle)
        bursts[size] = burst
        _print_burst(report, burst)
        if rest is not None:
            _print_rest(report, rest)
    if RATIO_SIZE in bursts and options.rounds:
        await _compare(report, bursts[RATIO_SIZE], options.rounds, log)
    if min(sizes) <= 300 and max(sizes) >= 10000:
        small = bursts[300] if 300 in bursts else bursts[min(bursts)]
        large = bursts[max(bursts)]
        report.figure(
            "time per deployment, largest burst / 300",
            (large.seconds / large.size) / (small.seconds / small.size),
            goal=1.2,
            judge=True,
        )


async def _compare(report: Report, first: Burst, rounds: int, log: Path) -> None:
    report.say("the same writes without a controller")
    rates, raws = [first.rate], []
    for index in range(rounds):
        raws.append(await measure_raw(first.samples))
        if index + 1 < rounds:
            rates.append((await measure_burst(RATIO_SIZE, log))[0].rate)
    report.figure("raw: POST and the same three writes", median(raws), "/s")
    report.figure("with the controller", median(rates), "/s")
    report.ratio("throughput of 1,000 / raw", median(rates) / median(raws), 0.75)


def _print_burst(report: Report, burst: Burst) -> None:
    size = burst.size
    report.say(f"burst of {size}")
    report.figure(f"{size}: create -> provider object", size / burst.rendered_seconds, "/s")
    report.figure(f"{size}: create -> status", burst.rate, "/s")
    report.figure(f"{size}: create -> provider object p50", burst.to_object.p50, "s")
    report.figure(f"{size}: create -> provider object p99", burst.to_object.p99, "s")
    report.figure(f"{size}: create -> status p50", burst.to_status.p50, "s")
    report.figure(f"{size}: create -> status p99", burst.to_status.p99, "s")
    report.figure(f"{size}: upstream ready -> Running, all at once", size / burst.running_seconds, "/s")
    report.figure(f"{size}: upstream ready -> Running p99 in that burst", burst.upstream_to_status.p99, "s")
    report.figure(f"{size}: controller CPU per deployment until Deploying", burst.cpu / size * 1000, "ms")
    goal = {1000: 150.0, 10000: 400.0}.get(size)
    report.figure(f"{size}: controller RSS", burst.usage.rss, "MiB", goal=goal)
    report.figure(
        f"{size}: writes per deployment until Deploying, POST not counted",
        _writes(burst.until_deploying) / size - 1,
        goal=3.01,
        judge=True,
    )
    report.figure(
        f"{size}: writes per deployment until Running", (_writes(burst.until_running) / size) - 2, goal=4.01, judge=True
    )
    for (verb, resource), count in sorted(burst.until_running.items()):
        report.say(f"    {verb:<8}{resource:<34}{count / size:>8.3f} per deployment")


def _writes(requests: Requests) -> int:
    """Writes but events (they are not part of the goal), Leases and heartbeats."""
    mine = ("modeldeployments", "workspaces")
    reads = {"GET", "LIST"}
    return sum(
        count for (verb, name), count in requests.items() if verb not in reads and name.partition("/")[0] in mine
    )


def _print_rest(report: Report, rest: Rest) -> None:
    report.figure("upstream change -> status p50, idle", rest.idle_upstream.p50, "s")
    report.figure("upstream change -> status p99, idle", rest.idle_upstream.p99, "s", goal=0.1)
    report.figure("upstream change -> status p50, during a burst", rest.busy_upstream.p50, "s")
    report.figure("upstream change -> status p99, during a burst", rest.busy_upstream.p99, "s", goal=1.0)
    quiet = {key: count for key, count in rest.idle_requests.items() if _about_deployments(key)}
    report.figure(
        f"requests about {rest.idle_deployments} idle deployments in {rest.idle_seconds:.0f} s",
        sum(quiet.values()),
        goal=0,
        judge=True,
    )
    for (verb, resource), count in sorted(rest.idle_requests.items()):
        report.say(f"    {verb:<8}{resource:<34}{count:>8d} in {rest.idle_seconds:.0f} s")
    report.figure(f"start to ready with {rest.deployments} deployments", rest.start_seconds, "s", goal=2.0)
    writes = sum(
        count for key, count in rest.start_requests.items() if _about_deployments(key) and key[0] not in {"GET", "LIST"}
    )
    report.figure("writes about deployments at that start", writes, goal=0, judge=True)


def _about_deployments(key: tuple[str, str]) -> bool:
    return key[1].partition("/")[0] in {"modeldeployments", "workspaces", "events", "configmaps", "services"}
