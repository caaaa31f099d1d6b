"""A package in a folder: found by its pyproject.toml, and what is said where it cannot be."""

import re
import sys
from pathlib import Path

import pytest

from kubeairunway.errors import SettingsError
from kubeairunway.plugin.development import find_development
from kubeairunway.plugin.registry import LoadState, load_registry

GROUP = '[project.entry-points."kubeairunway.providers"]\n'
PROJECT = '[project]\nname = "acme-package"\nversion = "3"\n'
SOUND = PROJECT + GROUP + 'acme = "acme_dev"\n'
ACME = Path(__file__).parents[2] / "contract" / "acme" / "src" / "acme.py"

LAYOUTS = {
    "a module below src": ("src/acme_dev.py", "acme_dev", "src"),
    "a package below src": ("src/acme_dev/__init__.py", "acme_dev", "src"),
    "a module beside pyproject.toml": ("acme_dev.py", "acme_dev", "."),
    "a module of a package": ("src/acme_dev/inner.py", "acme_dev.inner", "src"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_module_is_found_in_each_usual_place(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, module, source = LAYOUTS[name]
    (tmp_path / "pyproject.toml").write_text(PROJECT + GROUP + f'acme = "{module}"\n')
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    if module.endswith(".inner"):
        (tmp_path / "src" / "acme_dev" / "__init__.py").touch()
    (tmp_path / file).write_text(ACME.read_text())
    found = find_development(tmp_path)
    assert found.source == tmp_path / source
    assert found.module_file == tmp_path / file
    assert (found.candidate.name, found.candidate.distribution, found.candidate.version) == (
        "acme",
        "acme-package",
        "3",
    )
    assert module not in sys.modules, "nothing is imported yet"
    monkeypatch.syspath_prepend(found.source)
    registry = load_registry(candidates=(found.candidate,))
    try:
        assert [(package.name, package.state) for package in registry.packages] == [("acme", LoadState.LOADED)]
        assert sys.modules[module].__file__ == str(tmp_path / file)
    finally:
        registry.close()
        for each in [each for each in sys.modules if each.partition(".")[0] == "acme_dev"]:
            del sys.modules[each]


def test_src_comes_before_the_folder_itself(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(SOUND)
    (tmp_path / "src").mkdir()
    for folder in (tmp_path, tmp_path / "src"):
        (folder / "acme_dev.py").touch()
    assert find_development(tmp_path).source == tmp_path / "src"


WRONG = {
    "no pyproject.toml": (None, "write one: kubeairunway providers new NAME --kind GROUP/VERSION/Kind"),
    "not TOML": ("[project", "pyproject.toml cannot be read: "),
    "no project": ("[tool]\n", 'registers no provider; write [project.entry-points."kubeairunway.providers"]'),
    "a project that is no table": ("project = 1\n", "registers no provider; write "),
    "entry points that are no table": ('[project]\nentry-points = "x"\n', "registers no provider; write "),
    "another group": (PROJECT + '[project.entry-points."console_scripts"]\na = "b"\n', "registers no provider; write "),
    "two providers": (SOUND + 'other = "other"\n', "registers acme, other; one provider is tried at a time"),
    "an attribute": (PROJECT + GROUP + 'acme = "acme:plugin"\n', "'acme:plugin'; it names a module alone"),
    "a number": (PROJECT + GROUP + "acme = 3\n", "entry point acme is 3; it names a module alone"),
    "no such module": (PROJECT + GROUP + 'acme = "nowhere.at"\n', "has nowhere/__init__.py or nowhere.py"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_missing_is_named_with_what_would_be_right(name: str, tmp_path: Path) -> None:
    text, said = WRONG[name]
    if text is not None:
        (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(SettingsError, match=re.escape(said)):
        find_development(tmp_path)


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is no directory; give the folder of a provider package"):
        find_development(tmp_path / "no")
