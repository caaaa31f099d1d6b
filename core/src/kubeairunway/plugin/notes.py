"""What survives a process that a hook froze: who was being called, and that the process was frozen.

Code that holds the interpreter lock stops every thread of ours, so nothing written in Python can report it. Three
things in one directory, which must outlive the process (a volume of the pod), make it known to the next start:

- `calls`: a memory-mapped file with one slot per provider, filled before each call and cleared after it;
- `stacks`: where `faulthandler`'s watchdog, which needs no interpreter lock, writes all stacks once a thread of ours
  that does nothing else has been unable to put it off (`beat`) for `FROZEN` seconds;
- `quarantined/<provider>.json`: one file per provider that was caught; deleting it lifts the quarantine.

A call that was open when a process died is held against its provider only if the watchdog had fired and the call
had then been running for at least half of that time, or if the process died of a fault of its own (a segmentation
fault in a C extension, say), which `faulthandler` writes to the same file. A process killed from outside leaves no
stacks behind, so it accuses nobody.
"""

import faulthandler
import fcntl
import json
import mmap
import os
import re
import struct
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Self

from kubeairunway.errors import SettingsError

FROZEN = 15.0
"""Seconds without a beat after which the process counts as frozen; the liveness probe must allow more than that."""

_BEAT = 1.0

_SLOT = 512
_HEAD = struct.Struct("=Bd")  # open or not, start in seconds since the epoch
_WORDS = ("provider", "version", "operation", "subject")  # each ended by a zero byte
_NAME = re.compile(r"(policy\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_END_OF_TIME = 2**33  # a start that no datetime could show was never written by us
_LONGEST_STACKS = 16_384
_FATAL = "Fatal Python error: "


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """Why a provider is kept from starting: the call that froze the process, and the version that made it."""

    provider: str
    version: str
    operation: str
    subject: str
    started: str
    stacks: str = ""


@dataclass(frozen=True, slots=True)
class _Leftover:
    provider: str
    version: str
    operation: str
    subject: str
    started: float


class Slot:
    """One provider's place in `calls`; written by that provider's thread alone."""

    def __init__(self, memory: mmap.mmap, offset: int, provider: str, version: str) -> None:
        self._memory = memory
        self._offset = offset
        self._prefix = f"{provider}\0{version}\0".encode()

    def open(self, operation: str, subject: str, started: float) -> None:
        """Note a call before it starts."""
        text = b"".join((self._prefix, operation.encode(), b"\0", subject.encode(), b"\0"))[: _SLOT - _HEAD.size]
        start = self._offset + _HEAD.size
        self._memory[start : start + len(text)] = text
        _HEAD.pack_into(self._memory, self._offset, 1, started)

    def clear(self) -> None:
        """Forget the note: the call has returned."""
        self._memory[self._offset] = 0


class CrashNotes:
    """The directory of notes, held by one process at a time."""

    def __init__(self, calls: int, stacks: int, *, frozen: float = FROZEN) -> None:
        """Use `open`; `calls` and `stacks` are open file descriptors."""
        self._calls = calls
        self._stacks = stacks
        self._frozen = frozen
        self._stop = Event()
        self._pulse = Thread(target=self._beat_on, name="crash-notes", daemon=True)
        self._memory: mmap.mmap | None = None
        self._slots = 0
        self._was_enabled = faulthandler.is_enabled()
        faulthandler.enable(stacks)

    @classmethod
    def open(cls, directory: Path, *, frozen: float = FROZEN) -> Self | None:
        """Take the directory, turn what an earlier process left in it into quarantines, and start afresh.

        Returns None when another process holds it (`kubeairunway providers` beside a running controller).
        Raises SettingsError when the directory cannot be used.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            calls = os.open(directory / "calls", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(calls, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(calls)
                return None
            stacks = os.open(directory / "stacks", os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            _accuse(directory, os.pread(calls, os.fstat(calls).st_size, 0), stacks, frozen)
            os.ftruncate(calls, 0)
            os.ftruncate(stacks, 0)
        except OSError as error:
            raise SettingsError(
                f"crash notes: {directory} cannot be used: {error}; give a writable directory"
            ) from error
        notes = cls(calls, stacks, frozen=frozen)
        notes.beat()
        notes._pulse.start()
        return notes

    def reserve(self, count: int) -> None:
        """Make room for that many more, before their first `slot`."""
        # Never smaller: a map of what the file no longer has would end the process at its next use.
        size = max((self._slots + max(count, 1)) * _SLOT, os.fstat(self._calls).st_size)
        os.ftruncate(self._calls, size)
        self._memory = mmap.mmap(self._calls, size)

    def slot(self, provider: str, version: str) -> Slot:
        """A provider's place; its calls are noted there."""
        if self._memory is None:
            raise ValueError("reserve() comes first")
        offset = self._slots * _SLOT
        self._slots += 1
        return Slot(self._memory, offset, provider, version)

    def beat(self) -> None:
        """Put the watchdog off: this thread could run, so nobody holds the interpreter lock."""
        if os.fstat(self._stacks).st_size:  # it fired, and yet we live: whatever it was is over
            os.ftruncate(self._stacks, 0)
        faulthandler.dump_traceback_later(self._frozen, file=self._stacks)

    def close(self) -> None:
        """Forget all notes: this is a graceful stop."""
        self._stop.set()
        self._pulse.join()
        faulthandler.cancel_dump_traceback_later()
        faulthandler.disable()
        if self._was_enabled:
            faulthandler.enable()
        if self._memory is not None:
            # A call that overran may still be running, and clears its slot when it returns: the map stays.
            self._memory[:] = bytes(len(self._memory))
        os.ftruncate(self._stacks, 0)
        os.close(self._stacks)
        os.close(self._calls)

    def _beat_on(self) -> None:
        while not self._stop.wait(min(_BEAT, self._frozen / 5)):
            self.beat()


def read_quarantine(directory: Path, provider: str) -> Quarantine | None:
    """The quarantine of a provider, if it has one; a file that cannot be read counts, with nothing known of it."""
    path = quarantine_file(directory, provider)
    try:
        return Quarantine(**json.loads(path.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        return Quarantine(provider=provider, version="", operation="", subject="", started="")


def lift_quarantine(directory: Path, provider: str) -> None:
    """Let a provider start again."""
    quarantine_file(directory, provider).unlink(missing_ok=True)


def quarantine_file(directory: Path, provider: str) -> Path:
    """The file whose existence keeps a provider from starting."""
    return directory / "quarantined" / f"{provider}.json"


def _accuse(directory: Path, calls: bytes, stacks: int, frozen: float) -> None:
    state = os.fstat(stacks)
    if not state.st_size:
        return
    text = os.pread(stacks, _LONGEST_STACKS, 0).decode(errors="replace")
    fatal = text.startswith(_FATAL)
    for left in _read_leftovers(calls):
        if not fatal and state.st_mtime - left.started < frozen / 2:
            continue
        started = datetime.fromtimestamp(left.started, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        found = Quarantine(
            provider=left.provider,
            version=left.version,
            operation=left.operation,
            subject=left.subject,
            started=started,
            stacks=text,
        )
        path = quarantine_file(directory, left.provider)
        path.parent.mkdir(exist_ok=True)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(found), indent=2))
        draft.replace(path)


def _read_leftovers(calls: bytes) -> tuple[_Leftover, ...]:
    found = []
    for offset in range(0, len(calls) - _SLOT + 1, _SLOT):
        is_open, started = _HEAD.unpack_from(calls, offset)
        words = calls[offset + _HEAD.size : offset + _SLOT].split(b"\0")
        if is_open != 1 or len(words) < len(_WORDS) or not 0 < started < _END_OF_TIME:
            continue
        provider, version, operation, subject = (word.decode(errors="replace") for word in words[: len(_WORDS)])
        if _NAME.fullmatch(provider):  # it becomes a file's name
            found.append(_Leftover(provider, version, operation, subject, started))
    return tuple(found)
