"""A provider package in development: found in the folder that its author works in, without being installed."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from kubeairunway.errors import SettingsError
from kubeairunway.model.names import PROVIDER_GROUP
from kubeairunway.plugin.discovery import Candidate, make_candidate

ENTRY = f'[project.entry-points."{PROVIDER_GROUP}"]'
"""The table of a pyproject.toml that names a package's providers."""

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True, slots=True)
class Development:
    """A package in a folder: the candidate to load, and the directory from which its module is imported."""

    candidate: Candidate
    source: Path

    @property
    def module_file(self) -> Path:
        """The file that holds the module."""
        path = self.source.joinpath(*self.candidate.module.split("."))
        return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def find_development(folder: Path) -> Development:
    """Find the provider in a folder by its pyproject.toml; nothing is imported.

    The module is looked for in `src`, then in the folder itself; `source` must be on `sys.path` when the candidate is
    loaded. Raises SettingsError, naming what is missing and how it is written.
    """
    project = _read_project(folder)
    name, value = _pick_entry(folder, project)
    entry = EntryPoint(name=name, value=value, group=PROVIDER_GROUP)
    candidate = make_candidate(name, (entry,))
    candidate = replace(
        candidate, distribution=str(project.get("name", "")), version=str(project.get("version", "in development"))
    )
    top = candidate.module.partition(".")[0]
    for source in (folder / "src", folder):
        if (source / top / "__init__.py").is_file() or (source / f"{top}.py").is_file():
            return Development(candidate, source)
    raise SettingsError(
        f"{folder / 'pyproject.toml'}: entry point {name} names the module {candidate.module}, and neither "
        f"{folder / 'src'} nor {folder} has {top}/__init__.py or {top}.py"
    )


def _read_project(folder: Path) -> Mapping[str, Any]:
    file = folder / "pyproject.toml"
    if not folder.is_dir():
        raise SettingsError(f"{folder} is no directory; give the folder of a provider package")
    if not file.is_file():
        raise SettingsError(
            f"{folder} has no pyproject.toml; give the folder of a provider package, or write one: "
            "kubeairunway providers new NAME --kind GROUP/VERSION/Kind"
        )
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{file} cannot be read: {error}") from error
    return project if isinstance(project, dict) else {}


def _pick_entry(folder: Path, project: Mapping[str, Any]) -> tuple[str, str]:
    """The one provider that the package registers, and its module."""
    file, groups = folder / "pyproject.toml", project.get("entry-points", {})
    entries = groups.get(PROVIDER_GROUP, {}) if isinstance(groups, dict) else {}
    if not isinstance(entries, dict) or not entries:
        raise SettingsError(f'{file} registers no provider; write {ENTRY} and below it NAME = "MODULE"')
    if len(entries) > 1:
        raise SettingsError(f"{file} registers {', '.join(sorted(entries))}; one provider is tried at a time")
    ((name, value),) = entries.items()
    if not isinstance(value, str) or not _MODULE.fullmatch(value):
        raise SettingsError(f"{file}: entry point {name} is {value!r}; it names a module alone, such as acme_provider")
    return name, value
