"""The checkout as the house tests see it: its distributions, its files, its settings."""

import subprocess
import tomllib
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Distribution:
    """One folder that becomes a wheel."""

    folder: Path
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """The name pip knows."""
        return str(self.settings["project"]["name"])

    @property
    def version(self) -> str:
        """Its version."""
        return str(self.settings["project"]["version"])

    @property
    def package(self) -> Path:
        """Its one top-level package."""
        return self.folder / "src" / self.name.replace("-", "_")


def read_toml(path: Path) -> dict[str, Any]:
    """Return a TOML file."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def list_files() -> list[Path]:
    """Return every text file of the repository: what git has, and what it would take."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")  # noqa: S603 - git's own list
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout, so what belongs to it cannot be known")
    return [path for name in names if name and (path := ROOT / name).is_file() and not path.is_symlink()]


FOLDERS = sorted(path.parent for path in [*ROOT.glob("*/pyproject.toml"), *ROOT.glob("plugins/*/pyproject.toml")])
DISTRIBUTIONS = [Distribution(folder, read_toml(folder / "pyproject.toml")) for folder in FOLDERS]


@pytest.fixture(scope="session")
def distributions() -> list[Distribution]:
    """Every distribution of the checkout."""
    return DISTRIBUTIONS


@pytest.fixture(scope="session")
def hatch() -> dict[str, Any]:
    """The environments and tasks."""
    return read_toml(ROOT / "hatch.toml")


@pytest.fixture(scope="session")
def tools() -> dict[str, Any]:
    """The tool tables of the root."""
    return read_toml(ROOT / "pyproject.toml")


@pytest.fixture(scope="session")
def layers() -> ConfigParser:
    """The import contracts."""
    parser = ConfigParser()
    parser.read_string((ROOT / ".importlinter").read_text(encoding="utf-8"))
    return parser


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Every file of the repository."""
    return list_files()
