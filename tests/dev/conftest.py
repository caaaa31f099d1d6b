"""A Go toolchain that builds in no time, fails on demand and counts its calls; and short-lived caches."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Wait(Protocol):
    def __call__(self, condition: Callable[[], Any], seconds: float = 30.0) -> None: ...


FAKE_GO = """\
#!/bin/sh
here=$(dirname "$0")
case "$1" in
version) echo "go version go1.${FAKE_GO_MINOR:-26}.0 linux/amd64"; exit 0 ;;
list) echo "$here/kwok-module"; exit 0 ;;
esac
echo "$@" >> "$here/calls"
env | sort > "$here/environment"
sleep "${FAKE_GO_SLEEP:-0}"
if [ -n "$FAKE_GO_FAILS" ]; then
    echo "example.com/broken: cannot find module" >&2
    exit 3
fi
while [ $# -gt 0 ]; do
    if [ "$1" = -o ]; then echo built > "$2"; fi
    shift
done
"""


@dataclass
class FakeGo:
    """The directory of the fake toolchain, and the environment that finds it."""

    directory: Path
    environ: dict[str, str]

    def calls(self) -> list[str]:
        path = self.directory / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def seen(self) -> dict[str, str]:
        lines = (self.directory / "environment").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)


@pytest.fixture
def fake_go(tmp_path: Path) -> FakeGo:
    directory = tmp_path / "fake-go"
    stages = directory / "kwok-module" / "kustomize" / "stage"
    for name in ("node/fast/ready.yaml", "node/fast/kustomization.yaml", "pod/fast/ready.yaml"):
        (stages / name).parent.mkdir(parents=True, exist_ok=True)
        (stages / name).write_text(f"# {name}\n")
    script = directory / "go"
    script.write_text(FAKE_GO)
    script.chmod(0o755)
    path = f"{directory}:{os.environ['PATH']}"
    cache = tmp_path / "cache"
    cache.mkdir()
    return FakeGo(directory, {"PATH": path, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(cache)})


@pytest.fixture(scope="session")
def wait_for() -> Wait:
    """Wait until a condition holds, or fail."""

    def wait(condition: Callable[[], Any], seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.1)

    return wait
