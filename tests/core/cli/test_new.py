"""`providers new`: what it writes passes its own test and every check at once; what it cannot write is said."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from kubeairunway.cli.providers_new import KindName

KIND = "serving.example.com/v1/ModelServer"


def test_the_example_in_the_repository_is_what_it_writes(run: Any, tmp_path: Path) -> None:
    assert run("providers", "new", "template", "--kind", KIND, "--directory", "here").code == 0
    example = Path(__file__).parents[3] / "examples" / "provider-template"
    left_by_tools = {"__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache", "dist"}
    written, kept = (
        {
            str(path.relative_to(folder)): path.read_text()
            for path in folder.rglob("*")
            if path.is_file() and not left_by_tools & set(path.parts)
        }
        for folder in (tmp_path / "here", example)
    )
    again = f"kubeairunway providers new template --kind {KIND} --directory examples/provider-template"
    assert written == kept, f"remove the example and write it again: {again}"


ODD = {
    "7-up": "x-1.a0.dev/v2beta3/Py",
    "a--b": f"{'g' * 63}.example/v1/Switch",
    "m" * 63: "example.dev/v10/A1",
    "class": f"gateway.x-k8s.io/v1alpha2/{'K' * 63}",
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_written_passes_its_own_test_and_is_loaded(run: Any, tmp_path: Path, name: str) -> None:
    assert run("providers", "new", name, "--kind", ODD[name], "--directory", "odd").code == 0
    project = tomllib.loads((tmp_path / "odd" / "pyproject.toml").read_text())["project"]
    ((entry, module),) = project["entry-points"]["kubeairunway.providers"].items()
    assert (entry, project["name"]) == (name, f"kubeairunway-{name}")
    assert pass_own_tests(tmp_path / "odd")

    info = tmp_path / "site" / "odd-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n")
    (info / "entry_points.txt").write_text(f"[kubeairunway.providers]\n{entry} = {module}\n")
    path = {"PYTHONPATH": f"{tmp_path / 'site'}:{tmp_path / 'odd' / 'src'}"}
    rules = ("package-whole", "declare-engines", "render-schema", "render-labels", "render-names", "status-identity")
    words = [word for rule in rules for word in ("--rule", rule)]
    checked = run("providers", "check", name, "-o", "json", *words, env=path)
    assert checked.code == 0, checked.out
    assert [row["notes"] for row in json.loads(checked.out)["rules"]] == [[]] * len(rules)

    again = run("providers", "new", name, "--kind", KIND, env=path)
    assert (again.code, again.out) == (2, "")
    assert f"a provider named {name} is installed already; choose another name" in again.err


def pass_own_tests(folder: Path) -> bool:
    """Run a package's own tests, from its folder alone."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", "-W", "error"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": "src", "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return " passed" in done.stdout


NAMES = {
    "My_Thing": "such as my-thing",
    "-a": "such as a",
    "a.b": "such as a-b",
    "a" * 64: f"such as {'a' * 63}",
    "ü": "digits and inner hyphens\n",
    "acme": "a provider named acme is installed already",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_cannot_be_is_refused_with_one_that_can(run: Any, tmp_path: Path, name: str) -> None:
    result = run("providers", "new", "--kind", KIND, "--", name)
    assert (result.code, result.out) == (2, "")
    assert NAMES[name] in result.err
    assert list(tmp_path.iterdir()) == []


def test_a_name_of_another_distribution_of_ours_is_refused(run: Any, tmp_path: Path) -> None:
    info = tmp_path / "site" / "kubeairunway_tool-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: kubeairunway-tool\nVersion: 1.0\n")
    result = run("providers", "new", "tool", "--kind", KIND, env={"PYTHONPATH": str(tmp_path / "site")})
    assert result.code == 2
    assert "kubeairunway-tool 1.0 is installed already and no provider" in result.err


KINDS = {
    "ModelServer": "write GROUP/VERSION/Kind, such as serving.example.com/v1/ModelServer",
    "v1/Service": "write GROUP/VERSION/Kind",
    "a.dev/v1/": "write GROUP/VERSION/Kind",
    "a.dev/v1/B/c": "write GROUP/VERSION/Kind",
    "ModelServer.v1.serving.example.com": "write GROUP/VERSION/Kind",
    "apps/v1/Deployment": "apps is Kubernetes' own",
    "networking.k8s.io/v1/Ingress": "networking.k8s.io is Kubernetes' own",
    "kubeairunway.ai/v1alpha1/ModelDeployment": "kubeairunway.ai is our own group",
    "serving/v1/ModelServer": "'serving' is no API group of a CRD",
    "Serving.dev/v1/ModelServer": "'Serving.dev' is no API group of a CRD",
    "a..dev/v1/ModelServer": "'a..dev' is no API group of a CRD",
    "a.dev/1/ModelServer": "'1' is no API version, such as v1 or v1beta2",
    "a.dev/v1rc1/ModelServer": "'v1rc1' is no API version",
    "a.dev/v1/modelserver": "'modelserver' is no kind as in YAML, such as ModelServer",
    "a.dev/v1/Model-Server": "'Model-Server' is no kind",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_that_cannot_be_is_refused_with_the_part_that_is_wrong(run: Any, tmp_path: Path, kind: str) -> None:
    result = run("providers", "new", "mine", "--kind", kind)
    assert (result.code, result.out) == (2, "")
    assert f"--kind {kind!r}: " in result.err
    assert KINDS[kind] in result.err
    assert list(tmp_path.iterdir()) == []


def test_the_kind_is_asked_for(run: Any) -> None:
    assert "the following arguments are required: --kind" in run("providers", "new", "mine").err


PLURALS = {
    "ModelServer": "modelservers",
    "Policy": "policies",
    "Gateway": "gateways",
    "Switch": "switches",
    "Mesh": "meshes",
    "Class": "classes",
    "Box": "boxes",
}


@pytest.mark.parametrize("kind", PLURALS)
def test_the_plural_is_as_crds_mostly_have_it(kind: str) -> None:
    assert KindName("a.dev", "v1", kind).plural == PLURALS[kind]


PLACES = {
    "a folder that is there": ("full", "full exists already; give another one with --directory"),
    "an empty one": ("empty", "empty exists already"),
    "a file": ("file", "file exists already"),
    "a link to nowhere": ("link", "link exists already"),
    "a folder of a folder that is not there": ("no/such", "no/such cannot be written: No such file or directory"),
    "a folder in a file": ("file/new", "file/new cannot be written: Not a directory"),
}


@pytest.mark.parametrize("name", PLACES)
def test_what_is_there_is_left_alone_and_nothing_is_half_written(run: Any, tmp_path: Path, name: str) -> None:
    place, said = PLACES[name]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_text("kept")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to("nowhere")
    result = run("providers", "new", "mine", "--kind", KIND, "--directory", place)
    assert (result.code, result.out) == (2, "")
    assert said in result.err
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == [
        "empty",
        "file",
        "full",
        "full/kept",
        "link",
    ]


def test_the_folder_is_named_for_the_distribution(run: Any, tmp_path: Path) -> None:
    result = run("providers", "new", "mine", "--kind", KIND)
    assert "cd kubeairunway-mine\n" in result.out
    assert [path.name for path in tmp_path.iterdir()] == ["kubeairunway-mine"]


def test_the_license_that_is_shipped_is_ours() -> None:
    root = Path(__file__).parents[3]
    shipped = root / "core" / "src" / "kubeairunway" / "cli" / "template" / "LICENSE"
    assert shipped.read_bytes() == (root / "LICENSE").read_bytes()


def test_the_example_is_smaller_than_a_hundred_lines() -> None:
    example = Path(__file__).parents[3] / "examples" / "provider-template"
    files = [path for part in ("src", "tests") for path in (example / part).rglob("*.py")]
    assert len(files) == 2
    assert sum(len(path.read_text().splitlines()) for path in files) < 100
