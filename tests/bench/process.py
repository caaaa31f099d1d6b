"""The controller as its users run it: a process of its own, watched from outside."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.error import URLError
from urllib.request import urlopen

READY_LIMIT = 60.0
STOP_LIMIT = 30.0
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

    def usage(self) -> Usage:
        """CPU time and resident memory now."""
        stat = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        rss = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
        return Usage((int(stat[11]) + int(stat[12])) / TICKS, rss / 1024)


def describe(value: object) -> str:
    """A value as one line of JSON, for the machine-readable part of the report."""
    return json.dumps(value, sort_keys=True)
