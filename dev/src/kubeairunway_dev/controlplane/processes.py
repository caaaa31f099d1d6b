"""Child processes that never outlive their owner, and processes named by pid and start time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kubeairunway_dev.controlplane import keeper
from kubeairunway_dev.errors import ControlPlaneError
from kubeairunway_dev.places import read_tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STOP_SECONDS = 10.0
"""How long a component may take to end after SIGTERM before it is killed."""


@dataclass(frozen=True)
class ProcessId:
    """A process that cannot be mistaken for a later one with the same pid."""

    pid: int
    started: int
    """Clock ticks between the machine's start and the process's (field 22 of /proc/PID/stat)."""

    def is_alive(self) -> bool:
        """Return whether this very process still runs."""
        return read_start_time(self.pid) == self.started

    def send(self, signum: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.is_alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signum)

    def wait(self, seconds: float) -> bool:
        """Return whether the process ended within `seconds`."""
        deadline = time.monotonic() + seconds
        while self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        return not self.is_alive()


def read_start_time(pid: int) -> int | None:
    """Return when `pid` was started, in clock ticks, or None if it has ended (a zombie counts as ended)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def identify(pid: int) -> ProcessId:
    """Return the identity of a process that runs now. Raises ControlPlaneError if it does not."""
    started = read_start_time(pid)
    if started is None:
        raise ControlPlaneError(f"process {pid} has ended")
    return ProcessId(pid, started)


class Family:
    """Components in one process group, ended with their owner by a keeper process (see keeper.py).

    `grace` is how many seconds they get to end by themselves; 0 where they have nothing to lose. Then `remove` goes.
    """

    def __init__(self, directory: Path, *, remove: Sequence[Path], grace: float = 0.0) -> None:
        self.directory = directory
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._keeper = subprocess.Popen(  # noqa: S603 - this interpreter and a file of ours
            [sys.executable, "-I", "-S", keeper.__file__, str(grace), *map(str, remove)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            process_group=0,
        )

    def log(self, name: str) -> Path:
        """Return the path of a component's log."""
        return self.directory / f"{name}.log"

    def start(self, name: str, command: Sequence[str], environ: Mapping[str, str]) -> None:
        """Start a component; its working directory is the family's."""
        with self.log(name).open("ab") as log:
            self.processes[name] = subprocess.Popen(  # noqa: S603 - commands of our own
                command,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                process_group=self._keeper.pid,
            )

    def check(self) -> None:
        """Raise ControlPlaneError with the end of its log if a component has ended."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise ControlPlaneError(
                    f"{name} ended with code {process.returncode}; log: {self.log(name)}\n{read_tail(self.log(name))}"
                )

    def kill(self, name: str) -> None:
        """End a component with SIGKILL and forget it."""
        self._end(name, signal.SIGKILL)

    def stop(self, name: str) -> None:
        """End a component with SIGTERM, or SIGKILL if that takes too long, and forget it."""
        self._end(name, signal.SIGTERM)

    def _end(self, name: str, signum: int) -> None:
        process = self.processes.pop(name, None)
        if process is None:
            return
        process.send_signal(signum)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """Let the keeper end what still runs and remove the directories, and wait until it has."""
        if self._keeper.stdin is not None:
            self._keeper.stdin.close()
        # A member that its owner has not waited for is a zombie, which the keeper counts as ended.
        self._keeper.wait()
        for process in self.processes.values():
            process.wait()
        self.processes.clear()
