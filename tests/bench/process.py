"""Controller and stand-ins as their users run them: processes of their own, watched from outside."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.error import URLError
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterable

READY_LIMIT = 60.0
STOP_LIMIT = 30.0
DELAY = "0.2"  # seconds that upstream takes from a change to ready
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What the process has used so far."""

    cpu: float  # seconds of user and system time
    rss: float  # MiB


class Controller:
    """`kubeairunway controller` on one cluster; `start` returns when it is ready."""

    def __init__(self, kubeconfig: Path, log: Path) -> None:
        self._kubeconfig = kubeconfig
        self._log = log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.start_seconds = 0.0

    async def __aenter__(self) -> Self:
        command = [
            str(Path(sys.executable).with_name("kubeairunway")),
            "controller",
            "--kubeconfig",
            str(self._kubeconfig),
            "--bind",
            f"127.0.0.1:{self._port}",
        ]
        began = time.monotonic()
        self._process = subprocess.Popen(command, stdout=self._log.open("ab"), stderr=subprocess.STDOUT)  # noqa: ASYNC220, S603 - our own program; starting it takes no time
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() - began > READY_LIMIT:
                raise RuntimeError(f"the controller did not become ready: {self._log.read_text()[-2000:]}")
            await asyncio.sleep(0.02)
        self.start_seconds = time.monotonic() - began
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.terminate()
        await asyncio.to_thread(self._process.wait, STOP_LIMIT)

    def _is_ready(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self._port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def check(self) -> None:
        """Raise RuntimeError with the end of the log if the controller has ended."""
        if self._process.poll() is not None:
            raise RuntimeError(f"the controller has ended: {self._log.read_text()[-2000:]}")

    def usage(self) -> Usage:
        """CPU time and resident memory now."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return Usage((int(stat[11]) + int(stat[12])) / TICKS, self._read_memory("VmRSS"))

    @property
    def peak(self) -> float:
        """The most resident memory that the process ever had, in MiB."""
        return self._read_memory("VmHWM")

    def _read_memory(self, row: str) -> float:
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(row)) / 1024


class StandIns:
    """Programs that play upstream, one a module, from entering to leaving; `check` says whether all still run."""

    def __init__(self, modules: Iterable[str], kubeconfig: Path, log: Path) -> None:
        self._commands = [
            [sys.executable, "-m", module, "--kubeconfig", str(kubeconfig), "--delay", DELAY] for module in modules
        ]
        self._log = log
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for command in self._commands:
            process = subprocess.Popen(command, stdout=self._log.open("ab"), stderr=subprocess.STDOUT)  # noqa: S603 - our own programs
            self._processes.append(process)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(STOP_LIMIT)

    def check(self) -> None:
        """Raise RuntimeError with the end of the log if a program has ended."""
        if any(process.poll() is not None for process in self._processes):
            raise RuntimeError(f"a stand-in has ended: {self._log.read_text()[-2000:]}")
