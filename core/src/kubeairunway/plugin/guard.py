"""One thread per provider: every call into a package runs there under a deadline, so that a slow one blocks no other.

A call that overruns cannot be ended from outside. It keeps its thread, and the provider's circuit is open (every
call is refused at once) until it returns by itself.
"""

import time
from _thread import allocate_lock
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock, Thread
from traceback import walk_tb
from types import TracebackType
from typing import Any, Protocol, TypeVar

from kubeairunway.errors import HookError, HookTimeoutError
from kubeairunway.plugin.results import UnusableError

DEADLINE = 2.0
"""Seconds a hook may take. Shipped hooks take under a millisecond; two seconds of silence is a fault."""

_LONGEST_REASON = 500
_OURS = "kubeairunway.plugin"
_MACHINERY = frozenset({"pluggy", "stevedore", "importlib"})

R = TypeVar("R")


class Notes(Protocol):
    """Where the call that is about to run is noted, so that a process it freezes can tell who did it."""

    def open(self, operation: str, subject: str, started: float) -> None:
        """Note a call before it starts; `started` is seconds since the epoch."""
        ...

    def clear(self) -> None:
        """Forget the note: the call has returned."""
        ...


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is running: the operation, the deployment it is for, and when it started (seconds, epoch)."""

    operation: str
    subject: str
    started: float

    def describe(self) -> str:
        """The call in words: what, for whom, since when."""
        since = datetime.fromtimestamp(self.started, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{self.operation}{f' for {self.subject}' if self.subject else ''}, running since {since}"


@dataclass(frozen=True, slots=True)
class _Failure:
    reason: str


class Guard:
    """The thread on which one provider's code runs; safe to call from several threads."""

    def __init__(
        self, provider: str, *, package: str = "", deadline: float = DEADLINE, notes: Notes | None = None
    ) -> None:
        """`package` is the top-level name of the provider's modules, to find its own frame in a traceback."""
        self._provider = provider
        self._package = package.partition(".")[0]
        self._deadline = deadline
        self._notes = notes
        self._turn = Lock()
        # Two bare locks as hand-over tokens: 6 us a round trip; a Future costs 25.
        self._start = allocate_lock()
        self._done = allocate_lock()
        self._start.acquire()
        self._done.acquire()
        self._function: Callable[[], Any] | None = None
        self._outcome: Any = None
        self._running: Call | None = None
        self._closed = False
        self._thread = Thread(target=self._serve, name=f"provider-{provider}", daemon=True)
        self._thread.start()

    def call(self, operation: str, subject: str, function: Callable[[], R], *, deadline: float | None = None) -> R:
        """Run `function` on the provider's thread and return its result.

        Raises HookTimeoutError when it takes longer than the deadline (seconds), or while an earlier call still runs;
        HookError when it raises anything at all, SystemExit included.
        """
        with self._turn:
            self._refuse(operation)
            self._running = Call(operation, subject, time.time())
            self._function = function
            self._start.release()
            limit = self._deadline if deadline is None else deadline
            if not self._done.acquire(timeout=limit):
                raise HookTimeoutError(
                    self._provider, operation, f"has not returned after {limit:g} s ({self._running.describe()})"
                )
            outcome = self._outcome
            self._running = self._outcome = None
        if isinstance(outcome, _Failure):
            raise HookError(self._provider, operation, outcome.reason)
        result: R = outcome
        return result

    def overrun(self) -> Call | None:
        """The call that holds the circuit open, if one does."""
        running = self._running
        overdue = running is not None and time.time() - running.started > self._deadline
        return running if overdue and self._done.locked() else None

    def close(self) -> None:
        """End the thread; one that is stuck in a call is left behind and dies with the process."""
        with self._turn:
            if self._closed:
                return
            self._closed = True
            if self._running is not None and not self._done.acquire(blocking=False):
                return
            self._function = None
            self._start.release()

    def _refuse(self, operation: str) -> None:
        """Raise if no call can start now; take note of an overrun that has returned meanwhile."""
        if self._closed:
            raise HookError(self._provider, operation, "the registry is closed")
        if self._running is None:
            return
        if not self._done.acquire(blocking=False):
            raise HookTimeoutError(self._provider, operation, f"waits for an earlier call: {self._running.describe()}")
        self._running = self._outcome = None

    def _serve(self) -> None:
        while True:
            self._start.acquire()
            function, running = self._function, self._running
            if function is None or running is None:
                return
            self._function = None
            self._outcome = self._perform(function, running)
            del function
            self._done.release()
            if self._closed:
                return

    def _perform(self, function: Callable[[], Any], running: Call) -> Any:  # noqa: ANN401 - whatever the hook gave
        if self._notes is not None:
            self._notes.open(running.operation, running.subject, running.started)
        try:
            return function()
        except UnusableError as error:
            return _Failure(str(error))
        except BaseException as error:  # noqa: BLE001 - SystemExit and the like must not end the thread either
            return _Failure(describe_error(error, self._package))
        finally:
            if self._notes is not None:
                self._notes.clear()


def describe_error(error: BaseException, package: str) -> str:
    """The type, the message and the package's own innermost frame; no traceback."""
    try:
        message = str(error)
    except BaseException as second:  # noqa: BLE001 - the error's class is the package's code, too
        message = f"(its message cannot be read: {type(second).__name__})"
    text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    if len(text) > _LONGEST_REASON:
        text = text[:_LONGEST_REASON] + "..."
    place = find_frame(error.__traceback__, package)
    return f"{text} ({place})" if place else text


def find_frame(traceback: TracebackType | None, package: str) -> str:
    """File and line of the innermost frame that belongs to the package, or else of the innermost that is not ours."""
    own = foreign = ""
    for frame, line in walk_tb(traceback):
        name = str(frame.f_globals.get("__name__", ""))
        top = name.partition(".")[0]
        if top == package:
            own = _show_place(name, frame.f_code.co_filename, line)
        elif top not in _MACHINERY and not name.startswith(_OURS):
            foreign = _show_place(name, frame.f_code.co_filename, line)
    return own or foreign


def _show_place(module: str, file: str, line: int) -> str:
    """The end of the path that says enough: the file, below its package where it has one."""
    parts = file.rsplit("/", 2)
    return f"{'/'.join(parts[-2:] if '.' in module or parts[-1] == '__init__.py' else parts[-1:])}:{line}"
