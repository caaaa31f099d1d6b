"""Prometheus metrics: counters and histograms of the process, and figures of deployments read off the cache.

docs/observability.md has them all: `kubeairunway_provider_selection` is a counter without the `_total` that the
client library insists on, and per-object figures would cost a sample object each in it, so both are written here.
"""

from __future__ import annotations

from collections import Counter as Tally
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from kubeairunway.errors import HookTimeoutError, PluginError
from kubeairunway.model.reasons import ConditionType
from kubeairunway.objects.conditions import find_condition

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from kubeairunway.objects.resources import Resource

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PREFIX: Final = "kubeairunway_"


class QueueMetrics:
    """The work queue's observer."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._depth = Gauge(f"{PREFIX}workqueue_depth", "Deployments waiting for a worker.", registry=registry)
        self._wait = Histogram(
            f"{PREFIX}workqueue_wait_seconds", "Time from news to a worker.", buckets=SECONDS, registry=registry
        )
        self._work = Histogram(
            f"{PREFIX}workqueue_work_seconds", "Time a worker takes.", buckets=SECONDS, registry=registry
        )
        self._crashes = Counter(f"{PREFIX}workqueue_crashes", "Passes that ended in a bug of ours.", registry=registry)

    def queued(self, depth: int) -> None:
        """The number of waiting keys is now this."""
        self._depth.set(depth)

    def started(self, waited: float) -> None:
        """A worker took a key that had waited so many seconds."""
        self._depth.dec()
        self._wait.observe(waited)

    def finished(self, seconds: float, error: BaseException | None) -> None:
        """A handler ended."""
        self._work.observe(seconds)
        if error is not None:
            self._crashes.inc()


class Telemetry:
    """All metrics of one process. `deployments` gives the objects as they are now, at each scrape."""

    def __init__(self, deployments: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
        # A gauge beside each counter and histogram that nothing reads; the library types all its functions but this.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self.queue = QueueMetrics(registry)
        self._deployments = deployments
        self._selections: Tally[tuple[str, str]] = Tally()

        def count(name: str, text: str, labels: tuple[str, ...]) -> Counter:
            return Counter(PREFIX + name, text, labels, registry=registry)

        def time(name: str, text: str, labels: tuple[str, ...]) -> Histogram:
            return Histogram(PREFIX + name, text, labels, buckets=SECONDS, registry=registry)

        self._passes = time("reconciliation_duration_seconds", "Duration of a pass.", ("provider",))
        self._errors = count("reconciliation_errors", "Passes or writes that failed.", ("provider", "error_type"))
        self._repairs = count("drift_repaired", "Objects brought back to what was asked for.", ("provider", "kind"))
        self._timeouts = count("finalizer_timeouts", "Deletions that upstream held beyond the limit.", ("provider",))
        self._requests = count("api_requests", "Requests to the API server.", ("verb", "resource", "code"))
        self._latency = time("api_request_duration_seconds", "Duration of API requests.", ("verb",))
        self._watches = count("watches_opened", "Watches opened: one each, more when they restart.", ("resource",))
        self._hooks = time("hook_duration_seconds", "Duration of provider hooks.", ("provider", "hook"))
        self._hook_errors = count("hook_errors", "Provider hooks that failed.", ("provider", "hook", "error_type"))
        self._rule_errors = count("rule_errors", "Selection rules that had no verdict.", ("provider", "rule"))
        self._packages = Gauge(f"{PREFIX}packages", "Provider packages by state.", ("state",), registry=registry)
        self._policies = Gauge(f"{PREFIX}policies", "Policy packages by state.", ("state",), registry=registry)
        self._leading = Gauge(f"{PREFIX}leader", "1 while this process holds the Lease.", registry=registry)

    def passed(self, provider: str, seconds: float) -> None:
        """A pass ended."""
        self._passes.labels(provider).observe(seconds)

    def failed(self, provider: str, error_type: str) -> None:
        """A pass or one of its writes failed."""
        self._errors.labels(provider, error_type).inc()

    def selected(self, provider: str, reason: str) -> None:
        """A deployment got its provider: "explicit" or "auto"."""
        self._selections[provider, reason] += 1

    def repaired(self, provider: str, kind: str) -> None:
        """Drift was undone."""
        self._repairs.labels(provider, kind).inc()

    def gave_up(self, provider: str) -> None:
        """A deployment went although its primary had not."""
        self._timeouts.labels(provider).inc()

    def requested(self, verb: str, resource: Resource | None, status: int, seconds: float) -> None:
        """An API request was answered; status 0: it was not. A client's `observe`."""
        self._requests.labels(verb, resource.plural if resource else "discovery", str(status or "none")).inc()
        self._latency.labels(verb).observe(seconds)

    def watch_opened(self, path: str) -> None:
        """A watch was opened on this path."""
        self._watches.labels(path.rpartition("/")[2]).inc()

    def hooked(self, provider: str, hook: str, seconds: float, error: PluginError | None) -> None:
        """A hook returned, or failed."""
        self._hooks.labels(provider, hook).observe(seconds)
        if error is not None:
            kind = "timeout" if isinstance(error, HookTimeoutError) else "error"
            self._hook_errors.labels(provider, hook, kind).inc()

    def rule_failed(self, provider: str, rule: str) -> None:
        """A selection rule did not compile or had no verdict."""
        self._rule_errors.labels(provider, rule).inc()

    def set_packages(self, states: Iterable[str]) -> None:
        """The states of all installed packages."""
        for state, number in Tally(states).items():
            self._packages.labels(state).set(number)

    def set_policies(self, states: Iterable[str]) -> None:
        """The states of all installed policies."""
        for state, number in Tally(states).items():
            self._policies.labels(state).set(number)

    def set_leading(self, *, leading: bool) -> None:
        """Whether this process holds the Lease."""
        self._leading.set(1 if leading else 0)

    def render(self) -> bytes:
        """Everything in Prometheus' text format."""
        own = (*_render_selections(self._selections), *_render_deployments(self._deployments()))
        return generate_latest(self.registry) + "\n".join((*own, "")).encode()


def _render_selections(selections: Mapping[tuple[str, str], int]) -> Iterator[str]:
    name = f"{PREFIX}provider_selection"
    yield f"# HELP {name} Deployments that got this provider."
    yield f"# TYPE {name} counter"
    for (provider, reason), number in sorted(selections.items()):
        yield f'{name}{{provider="{provider}",reason="{reason}"}} {number}'


def _render_deployments(deployments: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Gauges per deployment and their totals; names and phases need no escaping, the API server saw to that."""
    totals: Tally[tuple[str, str]] = Tally()
    causes: Tally[tuple[str, str]] = Tally()
    phases, replicas = [], []
    for deployment in deployments:
        meta, status = deployment["metadata"], deployment.get("status") or {}
        name, namespace, phase = meta["name"], meta["namespace"], status.get("phase") or "Pending"
        totals[namespace, phase] += 1
        if cause := _find_cause(status):
            causes[namespace, cause] += 1
        where = f'name="{name}",namespace="{namespace}"'
        phases.append(f'{PREFIX}deployment_phase{{{where},phase="{phase}"}} 1')
        counts = status.get("replicas") or {}
        replicas += [
            f'{PREFIX}deployment_replicas{{{where},state="{state}"}} {counts.get(state) or 0}'
            for state in ("desired", "ready", "available")
        ]
    yield f"# HELP {PREFIX}modeldeployment_total Deployments by phase."
    yield f"# TYPE {PREFIX}modeldeployment_total gauge"
    for (namespace, phase), number in sorted(totals.items()):
        yield f'{PREFIX}modeldeployment_total{{namespace="{namespace}",phase="{phase}"}} {number}'
    yield f"# HELP {PREFIX}modeldeployment_not_ready Deployments that are not Ready, by the cause."
    yield f"# TYPE {PREFIX}modeldeployment_not_ready gauge"
    for (namespace, reason), number in sorted(causes.items()):
        yield f'{PREFIX}modeldeployment_not_ready{{namespace="{namespace}",reason="{reason}"}} {number}'
    yield f"# HELP {PREFIX}deployment_phase 1 for the phase that a deployment is in."
    yield f"# TYPE {PREFIX}deployment_phase gauge"
    yield from phases
    yield f"# HELP {PREFIX}deployment_replicas Replicas of a deployment by state."
    yield f"# TYPE {PREFIX}deployment_replicas gauge"
    yield from replicas


def _find_cause(status: Mapping[str, Any]) -> str:
    """The reason of Ready while it is not True; empty where it is, or nothing is known yet."""
    ready = find_condition(status.get("conditions"), ConditionType.READY)
    return str(ready["reason"]) if ready is not None and ready["status"] != "True" else ""
