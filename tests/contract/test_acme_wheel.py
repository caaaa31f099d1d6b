"""The example provider as a stranger would ship it: built to a wheel, installed beside the core's wheel, found."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ACME = Path(__file__).parent / "acme"

LIST = """
import json
from kubeairunway.plugin.registry import load_registry
registry = load_registry()
print(json.dumps([[p.name, p.state, p.reason, p.distribution, p.version, p.module] for p in registry.packages]))
registry.close()
"""

pytestmark = pytest.mark.slow


def run(*command: str | Path) -> str:
    """Run a command and return what it printed; its errors are in the failure."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheels of the core and of the example, built from the tree."""
    out = tmp_path_factory.mktemp("wheels")
    for source in (ROOT / "core", ACME):
        run(sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", out, source)
    core, acme = out.glob("kubeairunway-*.whl"), out.glob("acme_kubeairunway-*.whl")
    return next(core), next(acme)


@pytest.fixture(scope="session")
def python(wheels: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a clean environment in which pip installed both wheels."""
    home = tmp_path_factory.mktemp("clean")
    venv.create(home, with_pip=True)
    found = home / "bin" / "python"
    run(found, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wheels)
    return found


def test_the_example_is_a_complete_provider_of_fewer_than_sixty_lines() -> None:
    assert len((ACME / "src" / "acme.py").read_text().splitlines()) < 60


def test_the_installed_example_is_found_and_loaded(python: Path) -> None:
    assert json.loads(run(python, "-c", LIST)) == [["acme", "Loaded", "", "acme-kubeairunway", "1.2.0", "acme"]]


def test_the_command_line_lists_it(python: Path) -> None:
    rows = json.loads(run(python.parent / "kubeairunway", "providers", "-o", "json"))["providers"]
    assert [(row["name"], row["state"], row["version"]) for row in rows] == [("acme", "Loaded", "1.2.0")]
    assert "acme" in run(python.parent / "kubeairunway", "providers")


def test_the_command_line_shows_it_switched_off(python: Path) -> None:
    words = ("providers", "--disable-provider", "acme", "-o", "json")
    (row,) = json.loads(run(python.parent / "kubeairunway", *words))["providers"]
    assert (row["name"], row["state"]) == ("acme", "Disabled")
    assert row["reason"] == "switched off by flag or environment"
