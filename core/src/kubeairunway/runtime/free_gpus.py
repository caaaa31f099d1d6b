"""What nodes have free, counted while a deployment waits for GPUs and at no other time."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from kubeairunway.decide.causes.capacity import count_capacity, read_node, read_usage
from kubeairunway.errors import ApiError, KubeError
from kubeairunway.objects.resources import Json, Resource
from kubeairunway.runtime.pods import PODS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kubeairunway.decide.causes.evidence import Capacity
    from kubeairunway.kube.client import Client

NODES: Final = Resource("", "v1", "Node", "nodes", namespaced=False)

EVERY_SECONDS: Final = 30.0
"""No two counts come closer together, however many deployments wait."""

SLOWEST_SECONDS: Final = 300.0
"""Counts that find no difference come more and more seldom, down to this."""

log = logging.getLogger(__name__)


class FreeGpus:
    """Lists nodes and the pods bound to them. `on_change()` is called when what is free changed, or cannot be known."""

    def __init__(self, client: Client, tasks: asyncio.TaskGroup, *, on_change: Callable[[], None]) -> None:
        self._client = client
        self._tasks = tasks
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._not_before = 0.0
        self._counted = self._failed = False
        self.capacity: Capacity | None = None

    @property
    def pending(self) -> bool:
        """Whether the first count of all is under way."""
        return self._task is not None and not self._counted

    def need(self, *, waiting: bool) -> None:
        """Count as long as something waits."""
        if waiting and self._task is None:
            self._task = self._tasks.create_task(self._run(), name="free GPUs")
        elif not waiting and self._task is not None:
            self._task.cancel()
            self._task = None

    def hint(self) -> None:
        """Something happened to those that wait: count again, if the last count is old enough."""
        self._news.set()

    async def _run(self) -> None:
        loop, pause = asyncio.get_running_loop(), EVERY_SECONDS
        while True:
            await asyncio.sleep(self._not_before - loop.time())
            self._not_before = loop.time() + EVERY_SECONDS
            self._news.clear()
            changed = await self._count() or not self._counted
            self._counted = True
            pause = EVERY_SECONDS if changed else min(2 * pause, SLOWEST_SECONDS)
            if changed:
                self._on_change()
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _count(self) -> bool:
        """Count once; whether anything is different from before."""
        before, failed = self.capacity, self._failed
        try:
            at = datetime.now(UTC)
            nodes = [facts async for node in self._list(NODES) if (facts := read_node(node)) is not None]
            bound = self._list(PODS, fields="spec.nodeName!=")
            usages = [usage async for pod in bound if (usage := read_usage(pod)) is not None]
        except KubeError as error:
            level = logging.INFO if isinstance(error, ApiError) else logging.WARNING
            log.log(level, "free GPUs cannot be counted: %s", error)
            self.capacity, self._failed = None, True
        else:
            self.capacity, self._failed = count_capacity(nodes, usages, at), False
        old, new = before and before.nodes, self.capacity and self.capacity.nodes
        return old != new or failed != self._failed

    async def _list(self, resource: Resource, *, fields: str = "") -> AsyncIterator[Json]:
        async for page in self._client.list_pages(resource, fields=fields):
            for item in page.items:
                yield item
            await asyncio.sleep(0)
