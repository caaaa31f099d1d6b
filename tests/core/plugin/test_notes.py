"""A hook that freezes the process is found out by the next start; a process killed from outside accuses nobody."""

import json
import os
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubeairunway.errors import SettingsError
from kubeairunway.plugin import Engine, Kind, Manifest, Provider, Rendering, Report, State, hookimpl
from kubeairunway.plugin.notes import CrashNotes, Quarantine, read_quarantine
from kubeairunway.plugin.registry import LoadState, Package, load_registry

KIND = Kind(group="things.dev", name="Thing", versions=("v1",))

# A process of two providers: `thing` does in a hook what the test says, `other` is healthy. The test kills it.
CHILD = """
import ctypes, sys, threading, time
from pathlib import Path
from kubeairunway.plugin import guard
from kubeairunway.plugin.notes import CrashNotes

notes = CrashNotes.open(Path(sys.argv[1]), frozen=1.0)
notes.reserve(2)
thing = guard.Guard("thing", notes=notes.slot("thing", "1.0"), deadline=0.1)
other = guard.Guard("other", notes=notes.slot("other", "2.0"))
behaviours = {
    "holds the lock": lambda: ctypes.PyDLL(None).sleep(60),
    "sleeps": lambda: time.sleep(60),
    "returns": lambda: None,
    "crashes": lambda: ctypes.string_at(0),
}
def call():
    try:
        thing.call("render", "team/demo", behaviours[sys.argv[2]])
    except Exception:
        pass
other.call("render", "team/demo", lambda: None)
threading.Thread(target=call, daemon=True).start()
while True:
    print("alive", flush=True)
    time.sleep(0.05)
"""


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.01)


@pytest.fixture
def run_child(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    children: list[subprocess.Popen[str]] = []

    def run(behaviour: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", CHILD, str(tmp_path), behaviour]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own script
        children.append(child)
        return child

    yield run
    for child in children:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def die(child: subprocess.Popen[str]) -> None:
    os.kill(child.pid, signal.SIGKILL)
    child.wait()


def test_a_hook_that_holds_the_interpreter_lock_is_accused_after_the_kill(
    tmp_path: Path, run_child: Callable[[str], subprocess.Popen[str]]
) -> None:
    child = run_child("holds the lock")
    stacks = tmp_path / "stacks"
    wait_until(lambda: stacks.exists() and stacks.stat().st_size > 0)
    die(child)
    notes = CrashNotes.open(tmp_path, frozen=1.0)
    assert notes is not None
    notes.close()
    found = read_quarantine(tmp_path, "thing")
    assert found is not None
    assert (found.version, found.operation, found.subject) == ("1.0", "render", "team/demo")
    assert found.started.endswith("Z")
    assert 'File "<string>"' in found.stacks
    assert read_quarantine(tmp_path, "other") is None


def test_a_hook_whose_native_code_crashes_the_process_is_accused(
    tmp_path: Path, run_child: Callable[[str], subprocess.Popen[str]]
) -> None:
    child = run_child("crashes")
    assert child.wait(20) == -signal.SIGSEGV
    notes = CrashNotes.open(tmp_path, frozen=1.0)
    assert notes is not None
    notes.close()
    found = read_quarantine(tmp_path, "thing")
    assert found is not None
    assert (found.version, found.operation, found.subject) == ("1.0", "render", "team/demo")
    assert found.stacks.startswith("Fatal Python error: Segmentation fault")
    assert read_quarantine(tmp_path, "other") is None


@pytest.mark.parametrize("behaviour", ["sleeps", "returns"])
def test_a_process_killed_from_outside_accuses_nobody(
    behaviour: str, tmp_path: Path, run_child: Callable[[str], subprocess.Popen[str]]
) -> None:
    child = run_child(behaviour)
    assert child.stdout is not None
    started = time.monotonic()
    while time.monotonic() < started + 2.0:  # twice as long as a process may be silent
        assert child.stdout.readline() == "alive\n"
    die(child)
    assert ((tmp_path / "calls").read_bytes()[0] == 1) == (behaviour == "sleeps")
    notes = CrashNotes.open(tmp_path, frozen=1.0)
    assert notes is not None
    notes.close()
    assert not (tmp_path / "quarantined").exists()


def make_module() -> types.ModuleType:
    module = types.ModuleType("thing")
    declared = Provider(
        name="thing", contract=1, kinds=(KIND,), engines=(Engine(name="vllm", carries=frozenset({"model.id"})),)
    )
    hooks: dict[str, Callable[..., object]] = {
        "provider": lambda: declared,
        "render": lambda request: Rendering(Manifest(KIND, {})),  # noqa: ARG005 - the contract's argument
        "status": lambda request, observed: Report(state=State.WAITING, generation=0),  # noqa: ARG005 - same
    }
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


def load_state(directory: Path) -> Package:
    registry = load_registry(modules={"thing": make_module()}, crash_notes=directory)
    registry.close()
    return registry.packages[0]


def accuse(directory: Path, **changes: str) -> Path:
    fields = {
        "provider": "thing",
        "version": "",
        "operation": "render",
        "subject": "team/demo",
        "started": "2026-01-02",
    }
    path = directory / "quarantined" / "thing.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(fields | changes))
    return path


def test_a_quarantined_provider_stays_out_and_the_reason_says_how_to_lift_it(tmp_path: Path) -> None:
    path = accuse(tmp_path)
    for _ in range(2):
        package = load_state(tmp_path)
        assert package.state is LoadState.QUARANTINED
        assert package.reason == (
            "its render for team/demo froze or crashed the process (2026-01-02); "
            f"install another version, or delete {path}"
        )


def test_deleting_the_note_lifts_a_quarantine(tmp_path: Path) -> None:
    accuse(tmp_path).unlink()
    assert load_state(tmp_path).state is LoadState.LOADED


def test_another_version_lifts_a_quarantine_for_good(tmp_path: Path) -> None:
    path = accuse(tmp_path, version="0.9")
    assert load_state(tmp_path).state is LoadState.LOADED
    assert not path.exists()


def test_a_note_that_cannot_be_read_still_keeps_the_provider_out(tmp_path: Path) -> None:
    accuse(tmp_path).write_text("{")
    assert load_state(tmp_path).state is LoadState.QUARANTINED


def test_a_graceful_stop_leaves_no_call_open(tmp_path: Path) -> None:
    registry = load_registry(modules={"thing": make_module()}, crash_notes=tmp_path)
    guard = registry._loaded["thing"].guard
    assert guard._notes is not None
    guard._notes.open("render", "team/demo", time.time())
    assert set((tmp_path / "calls").read_bytes()) != {0}
    registry.close()
    assert set((tmp_path / "calls").read_bytes()) == {0}
    assert (tmp_path / "stacks").stat().st_size == 0


def test_a_second_process_reads_quarantines_and_leaves_the_notes_alone(tmp_path: Path) -> None:
    first = CrashNotes.open(tmp_path)
    assert first is not None
    first.reserve(1)
    first.slot("thing", "1").open("render", "team/demo", 1.0)
    before = (tmp_path / "calls").read_bytes()
    assert CrashNotes.open(tmp_path) is None
    accuse(tmp_path)
    assert load_state(tmp_path).state is LoadState.QUARANTINED
    assert (tmp_path / "calls").read_bytes() == before
    first.close()


def test_a_silence_that_ends_is_forgotten(tmp_path: Path) -> None:
    notes = CrashNotes.open(tmp_path, frozen=1.0)
    assert notes is not None
    (tmp_path / "stacks").write_text("Thread 1: as the watchdog writes it")
    wait_until(lambda: (tmp_path / "stacks").stat().st_size == 0)
    notes.close()


def test_notes_of_another_layout_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "calls").write_bytes(b"\x01" * 700 + b"\xff" * 900)
    (tmp_path / "stacks").write_text("Thread")
    notes = CrashNotes.open(tmp_path)
    assert notes is not None
    notes.close()
    assert not list(tmp_path.glob("quarantined/*"))


def test_a_directory_that_cannot_be_used_is_an_error_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"crash notes: .*file.* cannot be used: .*; give a writable directory"):
        CrashNotes.open(tmp_path / "file" / "below")


def test_a_quarantine_is_what_was_written(tmp_path: Path) -> None:
    accuse(tmp_path, stacks="Thread 1")
    assert read_quarantine(tmp_path, "thing") == Quarantine(
        provider="thing",
        version="",
        operation="render",
        subject="team/demo",
        started="2026-01-02",
        stacks="Thread 1",
    )
