"""New deployments wait for what concerns those that run, but not for ever."""

import asyncio

import pytest

from kubeairunway.runtime import backlog as module
from kubeairunway.runtime.backlog import Backlog


class Queue:
    """A queue whose depth the test decides."""

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth
        self.added: list[str] = []
        self.grown = asyncio.Event()

    def add(self, key: tuple[str, str]) -> None:
        self.added.append(key[1])
        self.depth += 1
        self.grown.set()

    async def grow(self, size: int) -> None:
        async with asyncio.timeout(5):
            while len(self.added) < size:
                self.grown.clear()
                await self.grown.wait()


def keys(*names: str) -> list[tuple[str, str]]:
    return [("ml", name) for name in names]


async def test_a_new_deployment_on_an_idle_cluster_goes_on_at_once() -> None:
    queue = Queue()
    Backlog(batch=4, depth=lambda: queue.depth, add=queue.add).put(keys("a"))
    await asyncio.sleep(0)
    assert queue.added == ["a"]


async def test_a_burst_leaves_room_for_news_and_keeps_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRIP", 60.0)
    queue = Queue()
    backlog = Backlog(batch=2, depth=lambda: queue.depth, add=queue.add)
    backlog.put(keys("a", "b", "c", "d", "a"))
    await queue.grow(2)
    assert len(backlog) == 2
    queue.depth = 1
    await queue.grow(3)
    queue.depth = 0
    await queue.grow(4)
    assert queue.added == ["a", "b", "c", "d"]


async def test_a_queue_that_is_never_short_does_not_starve_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRIP", 0.05)
    queue = Queue(depth=100)
    Backlog(batch=2, depth=lambda: queue.depth, add=queue.add).put(keys("a", "b"))
    await queue.grow(2)
    assert queue.added == ["a", "b"]


async def test_what_is_closed_forgets() -> None:
    queue = Queue(depth=100)
    backlog = Backlog(batch=2, depth=lambda: queue.depth, add=queue.add)
    backlog.put(keys("a"))
    backlog.close()
    assert len(backlog) == 0
