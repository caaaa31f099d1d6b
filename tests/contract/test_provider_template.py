"""The example provider as its author would ship it: its wheel beside the core's, found, checked, and tested there."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "provider-template"

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command with nothing of this checkout around it, and return what it printed."""
    words = [str(word) for word in command]
    environment = {key: text for key, text in os.environ.items() if not key.startswith(("PYTHON", "KUBEAIRUNWAY"))}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=cwd, env=environment)  # noqa: S603 - our own
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a clean environment in which pip installed the wheels of the core and of the example."""
    out, home = tmp_path_factory.mktemp("template-wheels"), tmp_path_factory.mktemp("template-clean")
    for source in (ROOT / "core", EXAMPLE):
        run(sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", out, source, cwd=out)
    (core,) = out.glob("kubeairunway-*.whl")
    (template,) = out.glob("kubeairunway_template-*.whl")
    venv.create(home, with_pip=True)
    install = (home / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(*install, f"{core}[testing]", template, cwd=home)
    return home / "bin"


def test_the_installed_example_is_found_and_loaded(programs: Path, tmp_path: Path) -> None:
    rows = json.loads(run(programs / "kubeairunway", "providers", "-o", "json", cwd=tmp_path))["providers"]
    assert [(row["name"], row["state"], row["distribution"], row["version"]) for row in rows] == [
        ("template", "Loaded", "kubeairunway-template", "0.1.0")
    ]


def test_the_installed_example_keeps_every_rule_and_its_crd_is_looked_at(programs: Path, tmp_path: Path) -> None:
    answer = json.loads(run(programs / "kubeairunway", "providers", "check", "template", "-o", "json", cwd=tmp_path))
    assert answer["passed"]
    assert len(answer["rules"]) > 30
    assert {row["id"]: row["notes"] for row in answer["rules"] if row["notes"]} == {}


def test_the_examples_own_test_passes_there(programs: Path, tmp_path: Path) -> None:
    (tmp_path / "test_provider.py").write_text((EXAMPLE / "tests" / "test_provider.py").read_text())
    assert "6 passed" in run(programs / "pytest", "-q", "-W", "error", cwd=tmp_path)


def test_the_installed_core_writes_the_next_one(programs: Path, tmp_path: Path) -> None:
    words = ("providers", "new", "next", "--kind", "serving.example.com/v1/ModelServer")
    run(programs / "kubeairunway", *words, cwd=tmp_path)
    folder = tmp_path / "kubeairunway-next"
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    run(programs / "python", "-c", "import kubeairunway_next", cwd=folder / "src")
