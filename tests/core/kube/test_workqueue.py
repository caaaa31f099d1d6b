"""The work queue's promises, on a clock that the test moves."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.kube.backoff import Backoff
from kubeairunway.kube.workqueue import BACKOFF_CAP, DIRTY_CAP, WorkQueue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SECONDS = 5.0


class Timer:
    def __init__(self, when: float, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback = callback

    def cancel(self) -> None:
        self.when = float("inf")


class FakeClock:
    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object]) -> Any:
        timer = Timer(self.now + delay, callback)
        self.timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            due = sorted((timer for timer in self.timers if timer.when <= until), key=lambda timer: timer.when)
            if not due:
                break
            self.timers.remove(due[0])
            self.now = max(self.now, due[0].when)
            due[0].callback()
        self.now = until


class Harness:
    """A queue whose handler notes what it handles and then does what the test put into `script`."""

    def __init__(self, workers: int) -> None:
        self.clock = FakeClock()
        self.handled: list[str] = []
        self.running: set[str] = set()
        self.most_running = 0
        self.script: dict[str, Callable[[], Any]] = {}
        self.queue: WorkQueue[str] = WorkQueue(workers, self.handle, clock=self.clock)

    async def handle(self, key: str) -> float | None:
        assert key not in self.running, f"two workers on {key}"
        self.running.add(key)
        self.most_running = max(self.most_running, len(self.running))
        self.handled.append(key)
        try:
            act = self.script.get(key)
            result = act() if act is not None else None
            if asyncio.iscoroutine(result):
                result = await result
            return result if isinstance(result, float) else None
        finally:
            self.running.discard(key)

    async def settle(self) -> None:
        assert await self.queue.wait_idle(SECONDS)


@pytest.fixture
async def one() -> AsyncIterator[Harness]:
    harness = Harness(1)
    harness.queue.start()
    yield harness
    await harness.queue.stop(0)


@pytest.fixture
async def four() -> AsyncIterator[Harness]:
    harness = Harness(4)
    harness.queue.start()
    yield harness
    await harness.queue.stop(0)


async def test_a_key_waits_in_line_once_however_often_it_is_added(one: Harness) -> None:
    for _ in range(5):
        one.queue.add("a")
    one.queue.add("b")
    assert one.queue.depth == 2
    await one.settle()
    assert one.handled == ["a", "b"]


async def test_a_key_added_while_it_runs_runs_once_more_and_never_twice_at_a_time(four: Harness) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    async def block() -> None:
        started.set()
        await go.wait()

    four.script["a"] = block
    four.queue.add("a")
    await started.wait()
    for _ in range(3):
        four.queue.add("a")
    assert four.queue.depth == 0
    go.set()
    await four.settle()
    assert four.handled == ["a", "a"]
    assert four.most_running == 1


async def test_different_keys_run_at_the_same_time_up_to_the_number_of_workers(four: Harness) -> None:
    go = asyncio.Event()
    full = asyncio.Event()

    async def block() -> None:
        if len(four.running) == 4:
            full.set()
        await go.wait()

    for number in range(6):
        four.script[f"k{number}"] = block
        four.queue.add(f"k{number}")
    await asyncio.wait_for(full.wait(), SECONDS)
    assert four.queue.depth == 2
    go.set()
    await four.settle()
    assert four.most_running == 4


async def test_a_key_that_never_rests_cannot_starve_the_others(one: Harness) -> None:
    def again() -> None:
        if len(one.handled) < 40:
            one.queue.add("hot")

    one.script["hot"] = again
    one.queue.add("hot")
    for name in ("x", "y", "z"):
        one.queue.add(name)
    await one.settle()
    assert one.handled[:5] == ["hot", "x", "y", "z", "hot"]


async def test_failures_back_off_exponentially_with_jitter_up_to_the_cap(one: Harness) -> None:
    def fail() -> None:
        raise RuntimeError("no")

    one.script["a"] = fail
    one.queue.add("a")
    await one.settle()
    pauses: list[float] = []
    for _ in range(14):
        before, count = one.clock.now, len(one.handled)
        while len(one.handled) == count:
            one.clock.advance(0.01 if not pauses else pauses[-1] / 20)
            await one.settle()
        pauses.append(one.clock.now - before)
    assert 0.07 <= pauses[0] <= 0.12
    assert all(1.0 <= later / earlier <= 4.2 for earlier, later in pairwise(pauses[:9]))
    assert max(pauses) <= BACKOFF_CAP * 1.06
    assert min(pauses[-3:]) >= BACKOFF_CAP * 0.7
    assert len(set(pauses[-3:])) > 1
    assert one.queue.failures("a") == 15


async def test_a_success_resets_the_backoff(one: Harness) -> None:
    outcomes = iter([True, True, True, False, True])

    def act() -> None:
        if next(outcomes):
            raise RuntimeError("no")

    one.script["a"] = act
    one.queue.add("a")
    await one.settle()
    for _ in range(3):
        one.clock.advance(2.0)
        await one.settle()
    assert one.queue.failures("a") == 0
    one.queue.add("a")
    await one.settle()
    one.clock.advance(0.13)
    assert one.queue.depth == 1


async def test_news_shorten_the_backoff_of_a_failing_key_but_never_to_nothing(one: Harness) -> None:
    def fail_dirty() -> None:
        one.queue.add("a")
        raise RuntimeError("no")

    one.script["a"] = fail_dirty
    one.queue.add("a")
    await one.settle()
    for _ in range(12):
        count = len(one.handled)
        assert one.queue.depth == 0
        one.clock.advance(DIRTY_CAP)
        await one.settle()
        assert len(one.handled) > count


async def test_of_several_delays_the_earliest_wins(one: Harness) -> None:
    one.queue.add_after("a", 10.0)
    one.queue.add_after("a", 3.0)
    one.queue.add_after("a", 7.0)
    one.clock.advance(2.9)
    assert one.queue.depth == 0
    one.clock.advance(0.2)
    assert one.queue.depth == 1
    await one.settle()
    one.clock.advance(60.0)
    await one.settle()
    assert one.handled == ["a"]
    assert one.queue.delayed == 0


async def test_delays_of_different_keys_ring_in_their_order(one: Harness) -> None:
    for name, delay in (("late", 9.0), ("soon", 1.0), ("middle", 5.0)):
        one.queue.add_after(name, delay)
    one.clock.advance(10.0)
    await one.settle()
    assert one.handled == ["soon", "middle", "late"]


async def test_a_handler_asks_for_its_key_again_by_returning_seconds(one: Harness) -> None:
    one.script["a"] = lambda: 30.0 if len(one.handled) < 2 else None
    one.queue.add("a")
    await one.settle()
    one.clock.advance(29.0)
    await one.settle()
    assert one.handled == ["a"]
    one.clock.advance(2.0)
    await one.settle()
    assert one.handled == ["a", "a"]


async def test_an_add_overtakes_a_delay_and_cancels_it(one: Harness) -> None:
    one.queue.add_after("a", 5.0)
    one.queue.add("a")
    await one.settle()
    one.clock.advance(60.0)
    await one.settle()
    assert one.handled == ["a"]


async def test_a_forgotten_key_does_not_come_back(one: Harness) -> None:
    one.queue.add_after("a", 5.0)
    one.queue.forget("a")
    one.clock.advance(60.0)
    await one.settle()
    assert one.handled == []


async def test_stop_lets_running_handlers_end_and_takes_nothing_new() -> None:
    harness = Harness(1)
    harness.queue.start()
    started, go = asyncio.Event(), asyncio.Event()

    async def block() -> None:
        started.set()
        await go.wait()

    harness.script["a"] = block
    harness.queue.add("a")
    harness.queue.add("b")
    await started.wait()
    stopping = asyncio.create_task(harness.queue.stop(SECONDS))
    await asyncio.sleep(0)
    harness.queue.add("c")
    go.set()
    assert await stopping is True
    assert harness.handled == ["a"]


async def test_stop_cancels_a_handler_that_does_not_end_in_time() -> None:
    harness = Harness(1)
    harness.queue.start()
    started = asyncio.Event()

    async def block() -> None:
        started.set()
        await asyncio.Event().wait()

    harness.script["a"] = block
    harness.queue.add("a")
    await started.wait()
    assert await harness.queue.stop(0.01) is False
    assert harness.running == set()


async def test_the_observer_sees_depth_waiting_time_and_errors() -> None:
    seen: list[tuple[str, object]] = []

    class Observer:
        def queued(self, depth: int) -> None:
            seen.append(("queued", depth))

        def started(self, waited: float) -> None:
            seen.append(("started", waited))

        def finished(self, seconds: float, error: BaseException | None) -> None:
            assert seconds >= 0
            seen.append(("finished", type(error).__name__))

    clock = FakeClock()

    async def handle(key: str) -> None:
        if key == "bad":
            raise LookupError(key)

    queue: WorkQueue[str] = WorkQueue(1, handle, observer=Observer(), clock=clock)
    queue.add("good")
    queue.add("bad")
    clock.now += 4.0
    queue.start()
    assert await queue.wait_idle(SECONDS)
    await queue.stop()
    assert seen[:2] == [("queued", 1), ("queued", 2)]
    assert ("started", 4.0) in seen
    assert ("finished", "NoneType") in seen
    assert ("finished", "LookupError") in seen


def test_pauses_double_to_the_cap_and_never_pass_it() -> None:
    backoff = Backoff(1.0, 30.0)
    pauses = [backoff.next() for _ in range(2000)]
    assert 0.75 <= pauses[0] <= 1.0
    assert 1.5 <= pauses[1] <= 2.0
    assert max(pauses) <= 30.0
    assert min(pauses[10:]) >= 22.5
    backoff.reset()
    assert backoff.next() <= 1.0
