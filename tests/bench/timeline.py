"""When each deployment reached what: read from watches, so that nothing is asked of the API server for it."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from tests.bench.cluster import DEPLOYMENTS, WORKSPACES

from kubeairunway.kube.informer import EventKind, Informer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kubeairunway.kube.client import Client

Times = dict[str, float]


class Timeline:
    """Moments (monotonic seconds) at which each deployment of one namespace was created, rendered and reported."""

    def __init__(self) -> None:
        self.created: Times = {}
        self.rendered: Times = {}
        self.deploying: Times = {}
        self.running: Times = {}
        self.uids: dict[str, str] = {}
        self._changed = asyncio.Event()

    def see_deployment(self, _kind: EventKind, _old: Any, new: Any) -> None:
        """Note what a deployment's status says."""
        if new is None:
            return
        name, phase = new["metadata"]["name"], (new.get("status") or {}).get("phase")
        if phase in {"Deploying", "Running"}:
            self.deploying.setdefault(name, time.monotonic())
        if phase == "Running":
            self.running.setdefault(name, time.monotonic())
        self._changed.set()

    def see_workspace(self, _kind: EventKind, _old: Any, new: Any) -> None:
        """Note that a provider object is there."""
        if new is not None:
            self.rendered.setdefault(new["metadata"]["name"], time.monotonic())
            self.uids[new["metadata"]["name"]] = new["metadata"]["uid"]
            self._changed.set()

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
async def watching(client: Client, namespace: str) -> AsyncIterator[Timeline]:
    """Watch the deployments and Workspaces of a namespace."""
    timeline = Timeline()
    informers = [
        Informer(client, DEPLOYMENTS, namespace=namespace, on_event=timeline.see_deployment),
        Informer(client, WORKSPACES, namespace=namespace, on_event=timeline.see_workspace),
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
