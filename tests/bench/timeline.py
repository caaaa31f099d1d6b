"""When each deployment reached what: read from watches, so that nothing is asked of the API server for it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.bench.cluster import DEPLOYMENTS
from tests.bench.targets import WORKSPACE

from kubeairunway.kube.informer import EventKind, Informer
from kubeairunway.objects.conditions import find_condition

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from tests.bench.targets import Target

    from kubeairunway.kube.client import Client

Times = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A distribution in seconds."""

    p50: float
    p99: float

    @classmethod
    def of(cls, ends: Mapping[str, float], starts: Mapping[str, float]) -> Self:
        """From the moments at which the same names ended and started."""
        values = [ends[name] - starts[name] for name in starts if name in ends]
        return cls(p50=percentile(values, 0.5), p99=percentile(values, 0.99))


class Timeline:
    """Moments (monotonic seconds) at which each deployment of one namespace was created, rendered and reported."""

    def __init__(self) -> None:
        self.created: Times = {}
        self.rendered: Times = {}
        self.deploying: Times = {}
        self.running: Times = {}
        self.phases: dict[str, tuple[str, float]] = {}
        """The phase as it is, and since when; a deployment that is gone has none."""
        self.proved: dict[str, int] = {}
        """The newest generation that was Ready."""
        self._changed = asyncio.Event()

    def see_deployment(self, _kind: EventKind, old: Any, new: Any) -> None:
        """Note what a deployment's status says."""
        self._changed.set()
        if new is None:
            self.phases.pop(old["metadata"]["name"], None)
            return
        name, status = new["metadata"]["name"], new.get("status") or {}
        phase, now = status.get("phase", ""), time.monotonic()
        if phase != self.phases.get(name, ("", 0.0))[0]:
            self.phases[name] = (phase, now)
        if phase in {"Deploying", "Running"}:
            self.deploying.setdefault(name, now)
        if phase == "Running":
            self.running.setdefault(name, now)
        ready = find_condition(status.get("conditions"), "Ready")
        if ready is not None and ready["status"] == "True":
            self.proved[name] = max(self.proved.get(name, 0), ready.get("observedGeneration", 0))

    def see_primary(self, _kind: EventKind, _old: Any, new: Any) -> None:
        """Note that a provider object is there."""
        if new is not None:
            self.rendered.setdefault(new["metadata"]["name"], time.monotonic())
            self._changed.set()

    def is_running(self, name: str) -> bool:
        """Whether a deployment is Running now."""
        return self.phases.get(name, ("", 0.0))[0] == "Running"

    def is_not_running(self, name: str) -> bool:
        """Whether a deployment is anything else now."""
        return not self.is_running(name)

    async def wait(self, reached: Callable[[], bool], limit: float) -> None:
        """Return when `reached` holds. Raises TimeoutError with the counts after `limit` seconds."""
        deadline = time.monotonic() + limit
        while not reached():
            self._changed.clear()
            left = deadline - time.monotonic()
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                counts = f"{len(self.rendered)} rendered, {len(self.deploying)} deploying, {len(self.running)} running"
                raise TimeoutError(f"not reached after {limit:.0f} s: {counts}") from None


@asynccontextmanager
async def watching(client: Client, namespace: str, target: Target = WORKSPACE) -> AsyncIterator[Timeline]:
    """Watch the deployments and provider objects of a namespace."""
    timeline = Timeline()
    informers = [
        Informer(client, DEPLOYMENTS, namespace=namespace, on_event=timeline.see_deployment),
        Informer(client, target.primary, namespace=namespace, on_event=timeline.see_primary),
    ]
    tasks = [asyncio.create_task(informer.run()) for informer in informers]
    for informer in informers:
        await informer.wait_synced(30)
    try:
        yield timeline
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of the values do not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
