"""The two example policies as a stranger would ship them: their own tests, their wheels beside the core's, found."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ("allowed-models", "gpu-quota")

LIST = """
import json
from kubeairunway.plugin.policies import load_policies
policies = load_policies()
print(json.dumps([[p.name, p.state, p.reason, p.distribution, p.version, p.module] for p in policies.packages]))
policies.close()
"""

DEPLOYMENT = """
apiVersion: kubeairunway.ai/v1alpha1
kind: ModelDeployment
metadata: {name: m}
spec: {model: {id: evil/model}}
"""


def run(*command: str | Path, code: int = 0, stdin: str = "", **environment: str) -> str:
    """Run a command and return what it printed; its errors are in the failure."""
    words = [str(word) for word in command]
    env = {**os.environ, **environment}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env, input=stdin)  # noqa: S603 - our own
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_own_tests_pass(name: str) -> None:
    folder = ROOT / "examples" / f"policy-{name}"
    words = ("-m", "pytest", "-q", "-p", "no:cacheprovider", folder / "tests")
    assert " passed" in run(sys.executable, *words, PYTHONPATH=str(folder / "src"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_a_few_lines_with_a_readme_and_a_licence(name: str) -> None:
    folder = ROOT / "examples" / f"policy-{name}"
    assert len((folder / "src" / f"{name.replace('-', '_')}.py").read_text().splitlines()) < 60
    assert f"kubeairunway-policy-{name}" in (folder / "README.md").read_text()
    assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a clean environment in which pip installed the wheels of the core and of both examples."""
    out, home = tmp_path_factory.mktemp("policy-wheels"), tmp_path_factory.mktemp("policy-clean")
    for source in (ROOT / "core", *(ROOT / "examples" / f"policy-{name}" for name in EXAMPLES)):
        run(sys.executable, "-m", "uv", "build", "--quiet", "--wheel", "--out-dir", out, source)
    venv.create(home, with_pip=True)
    found = home / "bin" / "python"
    run(found, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *sorted(out.glob("*.whl")))
    return found


@pytest.mark.slow
def test_the_installed_examples_are_found_and_loaded(python: Path) -> None:
    assert json.loads(run(python, "-c", LIST)) == [
        [name, "Loaded", "", f"kubeairunway-policy-{name}", "0.1.0", name.replace("-", "_")] for name in EXAMPLES
    ]


@pytest.mark.slow
def test_the_command_line_lists_them_and_takes_their_settings(python: Path, tmp_path: Path) -> None:
    program = python.parent / "kubeairunway"
    settings = tmp_path / "policies.yaml"
    settings.write_text("gpu-quota: {default: many}\n")
    rows = json.loads(run(program, "policies", "--policy-settings", settings, "-o", "json"))["policies"]
    assert [(row["name"], row["state"]) for row in rows] == [("allowed-models", "Loaded"), ("gpu-quota", "Failed")]
    assert "default" in rows[1]["reason"]
    rows = json.loads(run(program, "policies", "--disable-policy", "gpu-quota", "-o", "json"))["policies"]
    assert [(row["name"], row["state"]) for row in rows] == [("allowed-models", "Loaded"), ("gpu-quota", "Disabled")]
