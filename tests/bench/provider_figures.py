"""What providers cost, each by itself and all in one process: measured and printed with the goals beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.bench import audit, packages
from tests.bench.fleet import count_phases, measure_latency, measure_memory
from tests.bench.targets import TARGETS

from kubeairunway_dev.standins import CRDS

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from tests.bench.audit import Request
    from tests.bench.report import Report
    from tests.bench.targets import Target

MEMORY_SIZES: Final = (0, 1000, 10000)
MEMORY_GOALS: Final = {1000: 150.0, 10000: 400.0}
"""MiB. They were set for a process with KAITO alone."""

LATENCY_EACH: Final = 100
REQUESTS_EACH: Final = 20
LINES: Final = {"kaito": 700, "dynamo": 700, "kuberay": 700, "vllm": 300}
TEMPLATE_LINES: Final = 99
CONFORMANCE_SECONDS: Final = 30.0


async def print_lines(report: Report, options: argparse.Namespace, _log: Path) -> None:
    """Lines of Python of the chosen providers and of the template."""
    report.say("lines of Python that are no tests; code is what is neither blank nor comment")
    for provider in options.providers:
        lines = packages.count_lines(packages.list_sources(provider))
        report.figure(f"{provider}: lines", lines.physical, goal=LINES[provider])
        report.figure(f"{provider}: lines of code", lines.code, goal=LINES[provider])
    if files := packages.list_template():
        lines = packages.count_lines(files)
        report.figure("provider template: lines, with its test", lines.physical, goal=TEMPLATE_LINES)
        report.figure("provider template: lines of code, with its test", lines.code, goal=TEMPLATE_LINES)
    else:
        report.say(f"  provider template: there is no {packages.TEMPLATE.relative_to(packages.ROOT)}")


async def print_conformance(report: Report, options: argparse.Namespace, _log: Path) -> None:
    """The time that the contract's rules take with each of the chosen providers."""
    whose = "the stand-ins'" if packages.choose_crds() == CRDS else "upstream's"
    report.say(f"kubeairunway providers check, with {whose} CRDs")
    for provider in options.providers:
        check = await packages.check_provider(provider)
        report.figure(f"{provider}: conformance suite", check.seconds, "s", goal=CONFORMANCE_SECONDS)
        for remark in check.remarks:
            report.say(f"    {remark}")


async def print_memory(report: Report, options: argparse.Namespace, log: Path) -> None:
    """Memory of one controller process as deployments of the chosen providers become more."""
    targets = _choose(options)
    report.say(f"memory of one process, deployments in equal parts with {', '.join(options.providers)}")
    sizes = sorted({0, *options.sizes}) if options.sizes else MEMORY_SIZES
    async for memory in measure_memory(targets, log, sizes):
        size = memory.deployments
        report.figure(f"{size} deployments Running: RSS", memory.rss, "MiB", goal=MEMORY_GOALS.get(size))
        report.figure(f"{size} deployments Running: RSS at most so far", memory.peak, "MiB")
        if size:
            report.figure(f"{size} deployments Running: until they all were", memory.seconds, "s")


async def print_latency(report: Report, options: argparse.Namespace, log: Path) -> None:
    """From upstream's report to Running, by provider."""
    each = options.each or LATENCY_EACH
    report.say(f"upstream change -> status, {each} deployments of each provider, one after the other")
    for provider, latency in (await measure_latency(_choose(options), log, each)).items():
        report.figure(f"{provider}: upstream change -> status p50", latency.p50, "s")
        report.figure(f"{provider}: upstream change -> status p99", latency.p99, "s", goal=0.1)


async def print_requests(report: Report, options: argparse.Namespace, log: Path) -> None:
    """The controller's requests per deployment and phase, by provider."""
    each = options.each or REQUESTS_EACH
    targets = _choose(options)
    report.say(f"the controller's requests per deployment, {each} of each provider at once")
    phases = await count_phases(targets, log, each=each, idle=options.idle)
    for target in targets:
        for phase, requests in phases.items():
            own = [request for request in requests if request.namespace == target.namespace]
            _print_phase(report, target, f"{phase} {options.idle:.0f} s" if phase == "idle" else phase, own, each)
    report.say("  outside of their namespaces, in all")
    namespaces = {target.namespace for target in targets}
    for phase, requests in phases.items():
        rest = audit.count(request for request in requests if request.namespace not in namespaces)
        words = ", ".join(f"{verb} {resource} {number}" for (verb, resource), number in sorted(rest.items()))
        report.say(f"    {phase:<22}{words or 'none'}")


def _print_phase(report: Report, target: Target, phase: str, requests: list[Request], each: int) -> None:
    reads = [request for request in requests if request.is_read]
    events = sum(request.resource == "events" for request in requests)
    idle = phase.startswith("idle")
    # The finalizer, the status, and one write for each object; then the status again.
    goal = {"create -> Deploying": 2.0 + target.objects, "Deploying -> Running": 1.0}.get(phase, 0.0 if idle else None)
    name = f"{target.provider}: {phase}"
    report.figure(f"{name}: reads", len(reads) / each, goal=0.0 if idle else None, judge=idle)
    writes = len(requests) - len(reads) - events
    report.figure(f"{name}: writes but events", writes / each, goal=goal, judge=idle)
    for (verb, resource), number in sorted(audit.count(requests).items()):
        report.say(f"    {verb:<8}{resource:<34}{number / each:>8.3f} per deployment")


def _choose(options: argparse.Namespace) -> list[Target]:
    return [TARGETS[provider] for provider in options.providers]
