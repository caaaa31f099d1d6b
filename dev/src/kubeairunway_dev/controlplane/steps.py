"""Long commands: their output goes to a log, their progress to a terminal or a CI log."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, TextIO

from kubeairunway_dev.errors import BuildError
from kubeairunway_dev.places import read_tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

TERMINAL_SECONDS = 1.0
"""How often a terminal's line is redrawn."""

PLAIN_SECONDS = 15.0
"""How often a line is added where there is no terminal."""


class Steps:
    """Runs the steps of one build after each other, into one log."""

    def __init__(self, log: Path, out: TextIO | None = None) -> None:
        self.log = log
        self._out = out if out is not None else sys.stderr
        self._is_terminal = self._out.isatty()

    def say(self, line: str) -> None:
        """Print one whole line."""
        self._out.write(f"{line}\n")
        self._out.flush()

    def run(self, title: str, command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> None:
        """Run `command` to its end; raise BuildError with the end of its output if it fails."""
        started = time.monotonic()
        with self.log.open("a+") as log:
            log.write(f"$ {' '.join(command)}\n")
            log.flush()
            offset = log.tell()
            with subprocess.Popen(  # noqa: S603 - our own commands
                command, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log, process_group=0
            ) as process:
                try:
                    self._follow(title, process, offset, started)
                except BaseException:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)
                    raise
        self._finish(title, time.monotonic() - started, process.returncode)

    def _follow(self, title: str, process: subprocess.Popen[bytes], offset: int, started: float) -> None:
        """Show progress until `process` ends."""
        if not self._is_terminal:
            self.say(f"{title} ...")
        while True:
            try:
                process.wait(timeout=TERMINAL_SECONDS if self._is_terminal else PLAIN_SECONDS)
            except subprocess.TimeoutExpired:
                self._show(title, describe_output(self.log.read_bytes()[offset:].decode(errors="replace")), started)
            else:
                return

    def _show(self, title: str, progress: str, started: float) -> None:
        line = f"{title}: {format_seconds(time.monotonic() - started)}{progress}"
        if self._is_terminal:
            self._out.write(f"\r\x1b[K{line}")
            self._out.flush()
        else:
            self.say(line)

    def _finish(self, title: str, seconds: float, code: int) -> None:
        start = "\r\x1b[K" if self._is_terminal else ""
        if code == 0:
            self.say(f"{start}{title}: done in {format_seconds(seconds)}")
            return
        self.say(f"{start}{title}: failed after {format_seconds(seconds)}")
        raise BuildError(f"{title} failed with exit code {code}; log: {self.log}\n{read_tail(self.log)}")


def format_seconds(seconds: float) -> str:
    """Return "7 s" or "6 min 05 s"."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def describe_output(output: str) -> str:
    """Return what the lines of a Go build say about its progress, or nothing if they are not Go's."""
    lines = output.splitlines()
    modules = sum(line.startswith("go: downloading ") for line in lines)
    packages = sum("/" in line and " " not in line for line in lines)
    parts = [f", {modules} modules fetched"] if modules else []
    parts += [f", {packages} packages compiled"] if packages else []
    return "".join(parts)
