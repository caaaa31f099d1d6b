"""Which keys want attention: each at most once in the line, never two workers on one, later ones on a timer."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from kubeairunway.errors import KubeAIRunwayError
from kubeairunway.kube.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

BACKOFF_BASE: Final = 0.1
BACKOFF_CAP: Final = 60.0
DIRTY_CAP: Final = 1.0
"""Longest backoff in seconds of a key that was added while its handler failed: there is news for it."""

K = TypeVar("K", bound="Hashable")
log = logging.getLogger(__name__)


class Clock(Protocol):
    """Time and timers; the running event loop is one."""

    def time(self) -> float:
        """Return monotonic seconds."""
        ...

    def call_later(self, delay: float, callback: Callable[[], object]) -> Any:  # noqa: ANN401 - a handle with cancel()
        """Call back after a delay in seconds."""
        ...


class Observer(Protocol):
    """What a queue reports, for metrics; every method is called in the event loop and must not block."""

    def queued(self, depth: int) -> None:
        """Tell that the number of waiting keys is now this."""
        ...

    def started(self, waited: float) -> None:
        """Tell that a worker took a key which had waited so many seconds."""
        ...

    def finished(self, seconds: float, error: BaseException | None) -> None:
        """Tell that a handler ended."""
        ...


class WorkQueue(Generic[K]):
    """Hands keys to `handle`, which returns seconds until it wants the key again, or None.

    A key added while it is handled runs once more afterwards, from the tail, so that a key that never rests cannot
    starve the others. A handler that raises is logged and its key comes back after 0.1 s, doubling to 60 s; a success
    resets that. Of several delays for one key the earliest wins, and a key that is started drops its delay.
    """

    def __init__(
        self,
        workers: int,
        handle: Callable[[K], Awaitable[float | None]],
        *,
        observer: Observer | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._workers = workers
        self._handle = handle
        self._observer = observer
        self._given_clock = clock
        self._line: deque[K] = deque()
        self._waiting: dict[K, float] = {}
        self._running: set[K] = set()
        self._dirty: set[K] = set()
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._serial = 0
        self._timer: Any = None
        self._timer_at = float("inf")
        self._backoffs: dict[K, Backoff] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def depth(self) -> int:
        """How many keys wait for a worker now; running and delayed ones are not counted."""
        return len(self._line)

    @property
    def delayed(self) -> int:
        """How many keys have a delay running."""
        return len(self._due)

    def failures(self, key: K) -> int:
        """How many times in a row the key's handler raised."""
        backoff = self._backoffs.get(key)
        return backoff.failures if backoff is not None else 0

    def start(self) -> None:
        """Start the workers in the running loop; keys may have been added before."""
        self._tasks = [asyncio.create_task(self._work(), name=f"worker {n}") for n in range(self._workers)]

    async def stop(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - the answer is a bool, no exception
        """Take nothing new, wait for the handlers that run; after `timeout` seconds cancel them and return false."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        self._wake.set()
        if not self._tasks:
            return True
        _, late = await asyncio.wait(self._tasks, timeout=timeout)
        for task in late:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        return not late

    async def wait_idle(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - the answer is a bool, no exception
        """Wait until nothing waits and nothing runs (delays may be running); false after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

    def add(self, key: K) -> None:
        """Put the key in line unless it is there; a key that is being handled is handled again afterwards."""
        if self._stopping or key in self._waiting:
            return
        if key in self._running:
            self._dirty.add(key)
            return
        self._waiting[key] = self._clock.time()
        self._line.append(key)
        self._idle.clear()
        self._wake.set()
        if self._observer is not None:
            self._observer.queued(len(self._line))

    def add_after(self, key: K, seconds: float) -> None:
        """Put the key in line after a delay, unless an earlier delay is running for it."""
        if self._stopping:
            return
        if seconds <= 0:
            self.add(key)
            return
        when = self._clock.time() + seconds
        if when >= self._due.get(key, float("inf")):
            return
        self._due[key] = when
        self._serial += 1
        heapq.heappush(self._heap, (when, self._serial, key))
        self._set_timer()

    def forget(self, key: K) -> None:
        """Drop what is remembered of a key that is gone: its delay and its failures."""
        self._due.pop(key, None)
        self._backoffs.pop(key, None)

    @property
    def _clock(self) -> Clock:
        if self._given_clock is None:
            self._given_clock = asyncio.get_running_loop()
        return self._given_clock

    def _set_timer(self) -> None:
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)  # replaced by an earlier delay, or dropped
        if not self._heap or self._heap[0][0] >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._heap[0][0]
        self._timer = self._clock.call_later(max(0.0, self._timer_at - self._clock.time()), self._ring)

    def _ring(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        now = self._clock.time()
        while self._heap and self._heap[0][0] <= now:
            when, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == when:
                del self._due[key]
                self.add(key)
        self._set_timer()

    async def _work(self) -> None:
        while not self._stopping:
            if not self._line:
                self._wake.clear()
                await self._wake.wait()
                continue
            key = self._line.popleft()
            await self._process(key)

    async def _process(self, key: K) -> None:
        started = self._clock.time()
        waited = started - self._waiting.pop(key)
        self._due.pop(key, None)
        self._running.add(key)
        if self._observer is not None:
            self._observer.started(waited)
        error: BaseException | None = None
        delay: float | None = None
        try:
            delay = await self._handle(key)
            self._backoffs.pop(key, None)
        except Exception as caught:
            error = caught
            delay = self._backoffs.setdefault(key, Backoff(BACKOFF_BASE, BACKOFF_CAP)).next()
            if isinstance(caught, KubeAIRunwayError):
                log.warning("handling %s failed: %s; again in %.1f s", key, caught, delay)
            else:
                log.exception("handling %s failed; again in %.1f s", key, delay)
        finally:
            self._running.discard(key)
            if self._observer is not None:
                self._observer.finished(self._clock.time() - started, error)
            self._settle(key, delay, failed=error is not None)

    def _settle(self, key: K, delay: float | None, *, failed: bool) -> None:
        """Decide when the key comes back.

        A handler may cause the very events that make its key dirty, so a failing key never runs again at once.
        """
        dirty = key in self._dirty
        self._dirty.discard(key)
        if dirty and not failed:
            self.add(key)
        if delay is not None:
            self.add_after(key, min(delay, DIRTY_CAP) if dirty else delay)
        if not self._line and not self._running:
            self._idle.set()
