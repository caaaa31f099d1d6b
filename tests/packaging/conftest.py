"""Wheels and sdists of every distribution, and clean environments to install them into."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("plugins/*/pyproject.toml")])


@dataclass(frozen=True, slots=True)
class Built:
    """What one distribution became."""

    name: str
    wheel: Path
    sdist: Path


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment that has some of our wheels, and nothing of this checkout."""

    folder: Path

    def run(self, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command of the environment, in an empty folder."""
        program, *arguments = command
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}
        return subprocess.run(  # noqa: S603 - what the test installed
            [str(self.folder / "bin" / program), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=environment,
            timeout=120,
            check=False,
        )


def uv(*arguments: str) -> str:
    """Run uv, the tool that also makes hatch's environments, and return what it says."""
    command = [sys.executable, "-m", "uv", "--no-progress", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)  # noqa: S603 - uv
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    """Build every distribution once: the sdist, and the wheel from that sdist."""
    found = {}
    for folder in FOLDERS:
        target = tmp_path_factory.mktemp("dist")
        uv("build", "--python", sys.executable, "--out-dir", str(target), str(folder))
        (wheel,), (sdist,) = target.glob("*.whl"), target.glob("*.tar.gz")
        name = wheel.name.split("-")[0].replace("_", "-")
        found[name] = Built(name, wheel, sdist)
    return found


@pytest.fixture(scope="session")
def make_environment(built: dict[str, Built], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Environment]:
    """Make an environment from wheels, by name of the distribution; the same ones give the same environment."""
    made: dict[tuple[str, ...], Environment] = {}

    def make(*names: str) -> Environment:
        if names not in made:
            folder = tmp_path_factory.mktemp("environment with space") / "venv"
            uv("venv", "--python", sys.executable, str(folder))
            wheels = [str(built[name].wheel) for name in names]
            uv("pip", "install", "--python", str(folder / "bin" / "python"), *wheels)
            made[names] = Environment(folder)
        return made[names]

    return make
