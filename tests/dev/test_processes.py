"""Child processes end with their owner, whatever ends it, and a reused pid is never mistaken for one of ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from kubeairunway.errors import SettingsError
from kubeairunway_dev import cli
from kubeairunway_dev.controlplane.credentials import ensure_credentials, make_signing_key
from kubeairunway_dev.controlplane.processes import Family, ProcessId, identify, read_start_time
from kubeairunway_dev.errors import ControlPlaneError
from kubeairunway_dev.instances import Instance, Registry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OWNER = """
import os, sys, time
from pathlib import Path
from kubeairunway_dev.controlplane.processes import Family
directory = Path(sys.argv[1])
family = Family(directory, remove=[directory], grace=0.5)
for name in ("one", "two"):
    family.start(name, ["sleep", "600"], os.environ)
# A child that ignores SIGTERM must not outlive its owner either.
family.start("stubborn", ["sh", "-c", "trap '' TERM; sleep 600"], os.environ)
print(*(process.pid for process in family.processes.values()), flush=True)
time.sleep(600)
"""


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.fixture
def family(tmp_path: Path) -> Family:
    directory = tmp_path / "run"
    directory.mkdir()
    return Family(directory, remove=[directory])


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda signum: signum.name)
def test_children_and_directory_go_with_an_owner_that_is_ended_by(signum: signal.Signals, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    directory.mkdir()
    command = [sys.executable, "-c", OWNER, str(directory)]
    owner = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603 - this interpreter
    assert owner.stdout is not None
    children = [identify(int(pid)) for pid in owner.stdout.readline().split()]
    owner.send_signal(signum)
    owner.communicate()
    assert len(children) == 3
    assert wait_for(lambda: not any(child.is_alive() for child in children))
    assert wait_for(lambda: not directory.exists())


def test_close_ends_the_children_and_removes_the_directory(family: Family) -> None:
    family.start("sleep", ["sleep", "600"], os.environ)
    child = identify(family.processes["sleep"].pid)
    family.close()
    assert not child.is_alive()
    assert not family.directory.exists()


def test_a_child_that_dies_is_reported_with_the_end_of_its_log(family: Family) -> None:
    family.start("etcd", ["sh", "-c", "echo cannot listen >&2; exit 7"], os.environ)
    family.processes["etcd"].wait()
    with pytest.raises(ControlPlaneError, match=r"(?s)etcd ended with code 7.*cannot listen"):
        family.check()
    family.close()


def test_a_killed_child_is_no_longer_watched(family: Family) -> None:
    family.start("kube-apiserver", ["sleep", "600"], os.environ)
    family.kill("kube-apiserver")
    family.check()
    family.close()


def test_a_process_is_known_by_its_start_time_too() -> None:
    me = identify(os.getpid())
    assert me.is_alive()
    assert not ProcessId(me.pid, me.started - 1).is_alive()


def test_a_signal_never_reaches_a_later_process_with_the_same_pid() -> None:
    with subprocess.Popen(["sleep", "600"]) as child:  # noqa: S607 - any sleep
        started = read_start_time(child.pid)
        assert started is not None
        ProcessId(child.pid, started - 1).send(signal.SIGKILL)
        assert child.poll() is None
        child.kill()


def test_a_zombie_counts_as_ended() -> None:
    child = subprocess.Popen(["true"])  # noqa: S607 - any true
    assert wait_for(lambda: read_start_time(child.pid) is None)
    child.wait()


def test_credentials_are_private_and_made_once(tmp_path: Path) -> None:
    token = ensure_credentials(tmp_path)
    assert len(token) == 32
    assert ensure_credentials(tmp_path) == token
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_signing_keys_differ() -> None:
    assert make_signing_key() != make_signing_key()


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return {"XDG_CACHE_HOME": str(tmp_path)}


def test_an_instance_reads_back_as_it_was_written(environ: dict[str, str]) -> None:
    registry = Registry(environ)
    instance = Instance("a", "/k", "https://127.0.0.1:1", ["/kubectl"], ProcessId(1, 2), "/d", {"etcd": 3})
    registry.save(instance)
    assert registry.load("a") == instance
    assert registry.names() == ["a"]


def test_stopping_what_died_by_itself_only_forgets_it(environ: dict[str, str]) -> None:
    registry = Registry(environ)
    dead = ProcessId(os.getpid(), 0)
    registry.save(Instance("a", "/k", "https://127.0.0.1:1", ["/kubectl"], dead, "/nowhere", {}))
    assert registry.stop("a") is False
    assert registry.load("a") is None


@pytest.mark.parametrize("name", ["", "../x", "A", "a" * 33, "-a"])
def test_names_that_are_no_file_names_are_refused(name: str, environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="--name"):
        Registry(environ).path(name)


def test_status_of_nothing_exits_with_3(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert environ
    assert cli.main(["status"]) == 3
    assert capsys.readouterr().out == "default: not running\n"


def test_kubeconfig_of_nothing_says_how_to_start(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert environ
    assert cli.main(["kubeconfig", "--name", "x"]) == 1
    assert "kubeairunway-dev up --name x" in capsys.readouterr().err


def test_options_that_contradict_are_wrong_usage(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert environ
    assert cli.main(["up", "--nodes", "1", "--no-scheduler"]) == 2
    assert "nodes need" in capsys.readouterr().err


def test_down_of_nothing_is_no_error(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert environ
    assert cli.main(["down"]) == 0
    assert capsys.readouterr().out == "default: did not run\n"


def test_importing_the_pytest_plugin_imports_no_machinery() -> None:
    plugin = "kubeairunway_dev.pytest_plugin"
    code = f"import sys, pytest; before = set(sys.modules); import {plugin}; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - this interpreter
    assert set(done.stdout.split()) == {"kubeairunway_dev", "kubeairunway_dev.pytest_plugin"}
