"""The demo as a user runs it: one deployment per provider, one that waits for GPUs, and nothing left."""

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


def list_phases(output: str, name: str) -> list[str]:
    """The phases that a run showed for a deployment, each once."""
    found = re.findall(rf"s  {name} +(Pending|Deploying|Running|Failed)\b", output)
    return list(dict.fromkeys(found))


def test_once_shows_each_provider_running_and_what_waits_with_its_reason(
    environ: dict[str, str], tmp_path: Path
) -> None:
    started = time.monotonic()
    done = run_demo(environ, "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - started < 60
    for name in ("qwen-kaito", "qwen-dynamo", "qwen-kuberay"):
        assert list_phases(done.stdout, name) == ["Pending", "Deploying", "Running"], done.stdout
    assert list_phases(done.stdout, "qwen-vllm") == ["Deploying", "Running"]
    assert "Running" not in list_phases(done.stdout, "qwen-huge")
    table, _, words = done.stdout.rpartition("NAME")[2].partition("\n\n")
    rows = [line.split() for line in table.splitlines()[1:]]
    assert [row[:5] + row[6:] for row in rows] == [
        ["qwen-kaito", "kaito", "InferenceSet", "Running", "2/2", "DeploymentReady"],
        ["qwen-dynamo", "dynamo", "DynamoGraphDeployment", "Running", "1/1", "DeploymentReady"],
        ["qwen-kuberay", "kuberay", "RayService", "Running", "1/1", "DeploymentReady"],
        ["qwen-vllm", "vllm", "Deployment", "Running", "1/1", "DeploymentReady"],
        ["qwen-huge", "vllm", "Deployment", "Deploying", "0/1", "WaitingForGPU"],
    ]
    assert re.search(r"qwen-huge: .*16 x nvidia.com/gpu.*free", words)
    assert list(tmp_path.iterdir()) == []
    assert list_processes_in(tmp_path) == []


def test_without_any_provider_there_is_nothing_to_show(environ: dict[str, str]) -> None:
    done = run_demo({**environ, "KUBEAIRUNWAY_DISABLE_PROVIDERS": "dynamo,kaito,kuberay,vllm"}, "--once")
    assert done.returncode == 2
    assert "none of the providers kaito, dynamo, kuberay, vllm is installed" in done.stderr


def test_it_ends_with_1_and_the_controllers_log_if_the_goal_is_not_reached(environ: dict[str, str]) -> None:
    done = run_demo(environ, "--once", "--timeout", "0")
    assert done.returncode == 1
    assert "qwen-kaito is not Pending or further after 0 s" in done.stderr
    assert "The controller's log ends with:" in done.stderr


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -9)])
def test_with_few_providers_it_says_so_stays_until_ended_and_leaves_nothing(
    signum: signal.Signals, code: int, environ: dict[str, str], tmp_path: Path
) -> None:
    few = {**environ, "KUBEAIRUNWAY_DISABLE_PROVIDERS": "kaito,kuberay,vllm"}
    with subprocess.Popen(DEMO, env=few, stdout=subprocess.PIPE, text=True) as demo:  # noqa: S603 - this interpreter
        assert demo.stdout is not None
        lines = []
        for line in demo.stdout:
            lines.append(line)
            if "Ctrl-C ends everything" in line:
                break
        text = "".join(lines)
        assert "Not installed, so left out: kaito, kuberay, vllm" in text
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
