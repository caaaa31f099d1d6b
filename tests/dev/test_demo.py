"""The demo as a user runs it: from nothing to Running, and nothing left."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kubeairunway_dev.controlplane import ControlPlane

if TYPE_CHECKING:
    from kubeairunway_dev.controlplane import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

DEMO = [sys.executable, "-c", "import sys; from kubeairunway_dev.cli import main; sys.exit(main())", "demo"]


@pytest.fixture
def environ(control_plane: Cluster, tmp_path: Path) -> dict[str, str]:
    """An environment whose temporary directory is watched; depends on the shared control plane for the build alone."""
    if not isinstance(control_plane, ControlPlane):
        pytest.skip("another cluster was given")
    return {**os.environ, "TMPDIR": str(tmp_path)}


def run_demo(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*DEMO, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False, timeout=240)  # noqa: S603 - this interpreter


def list_processes_in(directory: Path) -> list[int]:
    """The processes whose working directory is below `directory`, as those of every component are."""
    found = []
    for process in filter(lambda path: path.name.isdigit(), Path("/proc").iterdir()):
        # Others' processes, and those that have just ended, do not say.
        with contextlib.suppress(OSError):
            if str((process / "cwd").readlink()).startswith(str(directory)):
                found.append(int(process.name))
    return found


def test_once_shows_all_phases_and_leaves_nothing(environ: dict[str, str], tmp_path: Path) -> None:
    done = run_demo(environ, "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    phases = re.findall(r"s  qwen +(Pending|Deploying|Running|Failed)\b", done.stdout)
    assert list(dict.fromkeys(phases)) == ["Pending", "Deploying", "Running"]
    assert re.search(r"qwen is Running, [\d.]+ s after it was applied", done.stdout)
    assert list(tmp_path.iterdir()) == []
    assert list_processes_in(tmp_path) == []


def test_it_ends_with_1_and_the_controllers_log_if_running_is_not_reached(environ: dict[str, str]) -> None:
    done = run_demo(environ, "--once", "--timeout", "0")
    assert done.returncode == 1
    assert "qwen is not Pending after 0 s" in done.stderr
    assert "The controller's log ends with:" in done.stderr


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_after_running_it_stays_until_ended_and_leaves_nothing(
    signum: signal.Signals, code: int, environ: dict[str, str], tmp_path: Path
) -> None:
    with subprocess.Popen(DEMO, env=environ, stdout=subprocess.PIPE, text=True) as demo:  # noqa: S603 - this interpreter
        assert demo.stdout is not None
        lines = []
        for line in demo.stdout:
            lines.append(line)
            if "Ctrl-C ends everything" in line:
                break
        text = "".join(lines)
        kubeconfig = re.search(r"export KUBECONFIG=(\S+)", text)
        assert kubeconfig is not None, text
        kubectl = next(line for line in lines if "get modeldeployments -A" in line)
        answer = subprocess.run(  # noqa: S603 - kubectl
            shlex.split(kubectl),
            env={**environ, "KUBECONFIG": kubeconfig[1]},
            capture_output=True,
            text=True,
            check=True,
        )
        assert "Running" in answer.stdout
        demo.send_signal(signum)
        demo.wait(timeout=60)
    assert demo.returncode == code
    assert wait_until_gone(tmp_path)


def wait_until_gone(directory: Path) -> bool:
    """Whether the keeper, which works on after a SIGKILL of the demo, has cleaned up."""
    deadline = time.monotonic() + 20
    while list_processes_in(directory) or any(directory.iterdir()):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
