"""One thread per provider: results and errors come back, an overrun blocks that provider alone, callers queue."""

import threading
from collections.abc import Iterator
from threading import Event, Thread
from types import FunctionType

import pytest

from kubeairunway.errors import HookError, HookTimeoutError
from kubeairunway.plugin.guard import Guard, describe_error


class RecordedNotes:
    """Notes as a list: what was opened, and whether it is still open."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, str, float]] = []
        self.is_open = False

    def open(self, operation: str, subject: str, started: float) -> None:
        self.opened.append((operation, subject, started))
        self.is_open = True

    def clear(self) -> None:
        self.is_open = False


@pytest.fixture
def guard() -> Iterator[Guard]:
    guard = Guard("acme", deadline=5)
    yield guard
    guard.close()


def raise_value_error() -> None:
    raise ValueError("bad luck")


def test_a_call_runs_on_a_thread_of_its_own_and_returns_what_the_function_returns(guard: Guard) -> None:
    first = guard.call("render", "", threading.current_thread)
    second = guard.call("render", "", threading.current_thread)
    assert first is second
    assert first is not threading.current_thread()
    assert (first.name, first.daemon) == ("provider-acme", True)


def test_falsy_results_come_back_as_they_are(guard: Guard) -> None:
    for value in (None, 0, "", (), False):
        assert guard.call("render", "", lambda value=value: value) is value  # type: ignore[misc]  # mypy on defaults


def test_an_exception_does_not_end_the_thread(guard: Guard) -> None:
    for _ in range(3):
        with pytest.raises(HookError, match="provider acme: render: ValueError: bad luck"):
            guard.call("render", "", raise_value_error)
    assert guard.call("render", "", lambda: 7) == 7


def test_callers_on_many_threads_each_get_their_own_result(guard: Guard) -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        for step in range(200):
            value = number * 1000 + step
            if guard.call("render", "", lambda value=value: value) != value:  # type: ignore[misc]  # mypy on defaults
                wrong.append(value)

    threads = [Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert wrong == []


def test_callers_that_wait_behind_an_overrun_are_refused_too() -> None:
    guard, release, errors = Guard("acme", deadline=0.1), Event(), []

    def work() -> None:
        try:
            guard.call("render", "", lambda: release.wait(60))
        except HookTimeoutError as error:
            errors.append(error.reason)

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(errors) == 4
    assert sum("has not returned after 0.1 s" in reason for reason in errors) == 1
    assert sum("waits for an earlier call" in reason for reason in errors) == 3
    release.set()
    guard.close()


def test_the_result_of_an_overrun_is_never_given_to_the_next_call() -> None:
    guard, release = Guard("acme", deadline=0.05), Event()
    with pytest.raises(HookTimeoutError):
        guard.call("render", "team/a", lambda: (release.wait(60), "late"))
    assert guard.overrun() is not None
    release.set()
    assert guard._done.acquire(timeout=5)
    guard._done.release()
    assert guard.overrun() is None
    assert guard.call("render", "team/b", lambda: "own") == "own"
    guard.close()


def test_an_interrupted_caller_leaves_the_circuit_open_until_the_call_returns() -> None:
    guard, release = Guard("acme", deadline=5), Event()

    class Interrupting:
        """The hand-over lock, as a signal handler would leave it: the wait ends by an exception."""

        def __init__(self, lock: object) -> None:
            self.lock = lock

        def acquire(self, *, timeout: float) -> bool:  # noqa: ARG002 - the lock's own argument
            raise KeyboardInterrupt

    done = guard._done
    guard._done = Interrupting(done)  # type: ignore[assignment]  # stands in for one wait
    with pytest.raises(KeyboardInterrupt):
        guard.call("render", "team/a", lambda: (release.wait(60), "late"))
    guard._done = done
    with pytest.raises(HookTimeoutError, match="waits for an earlier call: render for team/a"):
        guard.call("render", "team/b", lambda: "own")
    release.set()
    assert done.acquire(timeout=5)
    done.release()
    assert guard.call("render", "team/b", lambda: "own") == "own"
    guard.close()


def test_a_call_has_its_note_while_it_runs_and_no_longer() -> None:
    notes = RecordedNotes()
    guard = Guard("acme", notes=notes)
    assert guard.call("render", "team/a", lambda: notes.is_open) is True
    with pytest.raises(HookError):
        guard.call("status", "team/b", raise_value_error)
    assert [(operation, subject) for operation, subject, _ in notes.opened] == [
        ("render", "team/a"),
        ("status", "team/b"),
    ]
    assert notes.is_open is False
    guard.close()


def test_a_closed_guard_ends_its_thread_and_refuses_calls(guard: Guard) -> None:
    thread = guard.call("render", "", threading.current_thread)
    guard.close()
    guard.close()
    thread.join(5)
    assert not thread.is_alive()
    with pytest.raises(HookError, match="the registry is closed"):
        guard.call("render", "", lambda: 1)


def test_closing_does_not_wait_for_a_call_that_is_stuck_and_its_thread_ends_afterwards() -> None:
    guard, release = Guard("acme", deadline=0.05), Event()
    with pytest.raises(HookTimeoutError):
        guard.call("render", "", lambda: release.wait(60))
    guard.close()
    assert guard._thread.is_alive()
    release.set()
    guard._thread.join(5)
    assert not guard._thread.is_alive()


def test_the_frame_that_is_named_is_the_innermost_of_the_package() -> None:
    source = "import json\ndef inner():\n    json.loads('{')\ndef outer():\n    inner()\n"
    scope: dict[str, object] = {"__name__": "acme.render"}
    exec(compile(source, "/somewhere/acme/render.py", "exec"), scope)  # noqa: S102 - a module without a file
    outer = scope["outer"]
    assert isinstance(outer, FunctionType)
    with pytest.raises(ValueError, match="Expecting") as caught:
        outer()
    assert describe_error(caught.value, "acme").endswith("(acme/render.py:3)")
    assert "(json/decoder.py:" in describe_error(caught.value, "other")
