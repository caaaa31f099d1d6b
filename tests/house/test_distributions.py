"""Every distribution is whole, and all of them agree with one another and with the tools."""

import ast
import re
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from kubeairunway.model.names import PROVIDER_GROUP

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path for part in ("core", "dev", "plugins") for path in (ROOT / part).rglob("src/**/__init__.py"))
PYTHON = "Programming Language :: Python :: 3."


def name_of(path: Path) -> str:
    return str(path.parent.relative_to(ROOT))


def test_every_folder_under_plugins_is_a_distribution() -> None:
    folders = [path for path in (ROOT / "plugins").iterdir() if path.is_dir()]
    assert [path.name for path in folders if not (path / "pyproject.toml").is_file()] == []


def test_the_license_is_the_same_everywhere(distributions: list[Any]) -> None:
    text = (ROOT / "LICENSE").read_bytes()
    assert b"Apache License" in text
    for each in distributions:
        assert (each.folder / "LICENSE").read_bytes() == text, each.name
        assert each.settings["project"]["license"] == "Apache-2.0"
        assert each.settings["project"]["license-files"] == ["LICENSE"]


def test_every_readme_says_what_it_is(distributions: list[Any]) -> None:
    for each in distributions:
        text = (each.folder / each.settings["project"]["readme"]).read_text(encoding="utf-8")
        assert each.name in text, each.name
        assert len(text.split()) > 20, each.name


def test_all_versions_are_equal(distributions: list[Any]) -> None:
    assert len(distributions) >= 3
    assert len({each.version for each in distributions}) == 1


def test_requirements_on_one_another_are_this_minor_version(distributions: list[Any]) -> None:
    ours = {each.name: each.version for each in distributions}
    for each in distributions:
        for text in each.settings["project"]["dependencies"]:
            requirement = Requirement(text)
            if requirement.name in ours:
                version = ours[requirement.name]
                major, minor, _ = version.split(".")
                assert str(requirement.specifier) in {
                    f"<{major}.{int(minor) + 1},>={major}.{minor}",
                    f">={major}.{minor},<{major}.{int(minor) + 1}",
                }, each.name


def test_every_other_requirement_has_both_ends(distributions: list[Any]) -> None:
    ours = {each.name for each in distributions}
    for each in distributions:
        for text in each.settings["project"]["dependencies"]:
            requirement = Requirement(text)
            operators = {item.operator for item in requirement.specifier}
            assert requirement.name in ours or operators == {">=", "<"}, f"{each.name}: {text}"


def test_python_versions_agree(distributions: list[Any], hatch: dict[str, Any], tools: dict[str, Any]) -> None:
    core = next(each for each in distributions if each.name == "kubeairunway")
    classified = [
        text.removeprefix("Programming Language :: Python :: ")
        for text in core.settings["project"]["classifiers"]
        if text.startswith(PYTHON)
    ]
    assert classified == hatch["envs"]["pythons"]["matrix"][0]["python"]
    assert {each.settings["project"]["requires-python"] for each in distributions} == {f">={classified[0]}"}
    assert tools["tool"]["mypy"]["python_version"] == classified[0]
    assert tools["tool"]["ruff"]["target-version"] == f"py{classified[0].replace('.', '')}"


def test_every_distribution_is_linted_and_typed(
    distributions: list[Any], hatch: dict[str, Any], tools: dict[str, Any]
) -> None:
    sources = {f"{each.folder.relative_to(ROOT)}/src" for each in distributions}
    assert set(tools["tool"]["ruff"]["src"]) == sources
    assert set(tools["tool"]["mypy"]["mypy_path"]) >= sources
    typed = re.search(r"\{args:(.*)\}", hatch["envs"]["lint"]["scripts"]["types"])
    assert typed is not None
    assert set(typed[1].split()) >= sources
    assert [each.name for each in distributions if not (each.package / "py.typed").is_file()] == []


def test_every_distribution_is_under_the_import_contracts(distributions: list[Any], layers: ConfigParser) -> None:
    ours = {each.package.name for each in distributions}
    assert set(layers["importlinter"]["root_packages"].split()) == ours
    lowest, *_ = reversed(layers["importlinter:contract:dists"]["layers"].split("\n"))
    assert lowest.strip() == "kubeairunway"
    assert set(re.findall(r"\w+", layers["importlinter:contract:dists"]["layers"])) == ours


def test_every_provider_thinks_without_io(distributions: list[Any], layers: ConfigParser) -> None:
    pure = set(layers["importlinter:contract:pure"]["source_modules"].split())
    providers = [each for each in distributions if PROVIDER_GROUP in each.settings["project"].get("entry-points", {})]
    assert providers
    assert {each.package.name for each in providers} <= pure


def test_a_provider_is_named_after_its_package(distributions: list[Any]) -> None:
    for each in distributions:
        for name, module in each.settings["project"].get("entry-points", {}).get(PROVIDER_GROUP, {}).items():
            assert (each.name, module) == (f"kubeairunway-{name}", f"kubeairunway_{name}")
            assert each.folder == ROOT / "plugins" / name


@pytest.mark.parametrize("path", PACKAGES, ids=name_of)
def test_every_package_says_in_two_sentences_what_lives_there(path: Path) -> None:
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    sentences = re.findall(r"[.:;!?](?:\s|$)", text)
    assert len(sentences) >= 2, text


@pytest.mark.parametrize("path", PACKAGES, ids=name_of)
def test_no_package_is_empty(path: Path) -> None:
    others = [each for each in path.parent.rglob("*.py") if each != path and each.read_text(encoding="utf-8").strip()]
    assert others


def test_no_folder_is_without_a_package_marker(distributions: list[Any]) -> None:
    for each in distributions:
        folders = {path.parent for path in each.package.rglob("*.py")}
        assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []
