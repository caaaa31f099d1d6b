"""Cleans up after a control plane, however its owner ends; run as a script, by path, with the standard library alone.

The owner starts it first, as the leader of a process group that all components join, and keeps a pipe to its stdin.
The kernel closes that pipe when the owner ends, SIGKILL included; then the group is ended and the directory removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path


def read_group(pid: int) -> int | None:
    """Return the process group of `pid`, or None if it has ended (a zombie counts as ended)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name, in parentheses, may itself hold blanks and parentheses.
    state, _parent, group = stat.rpartition(")")[2].split()[:3]
    return None if state in "ZX" else int(group)


def list_group(group: int) -> list[int]:
    """Return the living members of `group`, without this process."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if pid != os.getpid() and read_group(pid) == group]


def send(signum: int, pids: list[int]) -> None:
    """Send a signal to each process that still exists."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def end_group(group: int, grace: float) -> None:
    """End all members of `group` but this process, politely first where they get `grace` seconds to end."""
    alive = list_group(group)
    if grace:
        send(signal.SIGTERM, alive)
    deadline = time.monotonic() + grace
    while (alive := list_group(group)) and time.monotonic() < deadline:
        time.sleep(0.02)
    while alive:
        send(signal.SIGKILL, alive)
        time.sleep(0.02)
        alive = list_group(group)


def main() -> None:
    """Wait for the end of stdin, then clean up: `keeper.py GRACE-SECONDS [DIRECTORY-TO-REMOVE ...]`."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    sys.stdin.buffer.read()
    grace, *directories = sys.argv[1:]
    end_group(os.getpgrp(), float(grace))
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
