"""What is in the files that are published, and that they work with nothing of the checkout around."""

import json
import tarfile
import zipfile
from typing import Any

import pytest
import yaml

from .conftest import FOLDERS, uv

NAMES = sorted(f"kubeairunway-{folder.name}" if folder.name != "core" else "kubeairunway" for folder in FOLDERS)
DEPLOYMENT = """\
apiVersion: kubeairunway.ai/v1alpha1
kind: ModelDeployment
metadata: {name: qwen}
spec: {model: {id: Qwen/Qwen3-0.6B}, resources: {gpu: {count: 1}}}
"""

pytestmark = pytest.mark.slow


def test_every_distribution_is_built(built: dict[str, Any]) -> None:
    assert sorted(built) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_wheel_has_license_types_and_no_tests(built: dict[str, Any], name: str) -> None:
    package = name.replace("-", "_")
    with zipfile.ZipFile(built[name].wheel) as archive:
        names = archive.namelist()
    assert f"{package}/py.typed" in names
    assert any(each.endswith(".dist-info/licenses/LICENSE") for each in names)
    assert {each.split("/")[0] for each in names if ".dist-info/" not in each} == {package}
    assert [each for each in names if "/test_" in each or "__pycache__" in each] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_sdist_has_license_readme_and_source(built: dict[str, Any], name: str) -> None:
    with tarfile.open(built[name].sdist) as archive:
        names = {each.partition("/")[2] for each in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", f"src/{name.replace('-', '_')}/__init__.py"} <= names


def test_the_dev_wheel_carries_what_the_control_plane_is_built_from(built: dict[str, Any]) -> None:
    with zipfile.ZipFile(built["kubeairunway-dev"].wheel) as archive:
        names = {name.rpartition("/")[2] for name in archive.namelist()}
    assert {"main.go", "go.mod", "go.sum"} <= names


def test_the_core_alone_runs_and_has_no_provider(make_environment: Any) -> None:
    environment = make_environment("kubeairunway")
    listed = environment.run("kubeairunway", "providers")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.startswith("No provider is installed")
    version = json.loads(environment.run("kubeairunway", "version", "-o", "json").stdout)
    assert version["providers"] == []
    crds = list(yaml.safe_load_all(environment.run("kubeairunway", "crds").stdout))
    assert [crd["spec"]["names"]["kind"] for crd in crds] == ["ModelDeployment", "InferenceProviderConfig"]
    refused = environment.run("kubeairunway", "render", "-f", "-", stdin=DEPLOYMENT)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no providers registered" in refused.stderr


def test_core_and_kaito_render_a_deployment(make_environment: Any) -> None:
    environment = make_environment("kubeairunway", "kubeairunway-kaito")
    listed = json.loads(environment.run("kubeairunway", "providers", "-o", "json").stdout)["providers"]
    assert [(row["name"], row["state"], row["distribution"]) for row in listed] == [
        ("kaito", "Loaded", "kubeairunway-kaito")
    ]
    checked = environment.run("kubeairunway", "providers", "--check")
    assert checked.returncode == 0, checked.stdout
    rendered = environment.run("kubeairunway", "render", "-f", "-", stdin=DEPLOYMENT)
    assert rendered.returncode == 0, rendered.stderr
    assert "InferenceSet" in {obj["kind"] for obj in yaml.safe_load_all(rendered.stdout)}


def test_a_provider_that_is_uninstalled_is_gone(make_environment: Any, built: dict[str, Any]) -> None:
    environment = make_environment("kubeairunway-kaito", "kubeairunway")
    python = str(environment.folder / "bin" / "python")
    uv("pip", "uninstall", "--python", python, "kubeairunway-kaito")
    assert environment.run("kubeairunway", "providers").stdout.startswith("No provider is installed")
    uv("pip", "install", "--python", python, str(built["kubeairunway-kaito"].wheel))
    assert "Loaded" in environment.run("kubeairunway", "providers").stdout


def test_all_wheels_go_together(make_environment: Any) -> None:
    environment = make_environment(*NAMES)
    uv("pip", "check", "--python", str(environment.folder / "bin" / "python"))
    shown = environment.run("kubeairunway-dev", "--help")
    assert shown.returncode == 0
    assert "demo" in shown.stdout
