"""Which provider and policy packages are installed: entry points found by stevedore, one module imported at a time.

stevedore keeps a cache on disk whose entries have lost their distribution and may be two minutes old; here the
entry points are read afresh from the installed metadata, and stevedore loads them one by one.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from itertools import groupby
from types import ModuleType

from stevedore.extension import ExtensionManager

from kubeairunway.model.names import PROVIDER_GROUP
from kubeairunway.plugin.results import UnusableError

DISABLE_VARIABLE = "KUBEAIRUNWAY_DISABLE_PROVIDERS"
"""Environment variable with the names of providers to switch off, separated by commas."""

DISABLE_POLICIES_VARIABLE = "KUBEAIRUNWAY_DISABLE_POLICIES"
"""The same for policies."""

IMPORT_DEADLINE = 10.0
"""Seconds a provider's module may take to import."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One entry point name; `problem` says why it cannot even be imported."""

    name: str
    module: str
    distribution: str = ""
    version: str = ""
    problem: str = ""
    load: Callable[[], object]


class _OneEntryPoint(ExtensionManager[ModuleType]):
    """stevedore, shown a single entry point; what the import raises is raised."""

    def __init__(self, entry_point: EntryPoint) -> None:
        self._only = entry_point
        super().__init__(entry_point.group, on_load_failure_callback=_raise)

    def list_entry_points(self) -> list[EntryPoint]:
        return [self._only]


def find_candidates(group: str = PROVIDER_GROUP) -> tuple[Candidate, ...]:
    """Every installed package of a group, sorted by name; nothing is imported yet.

    A name that several distributions use is one candidate with a problem that names them all: which one was meant
    cannot be known, so neither runs.
    """
    found = sorted(entry_points(group=group), key=lambda entry: (entry.name, _distribution(entry), entry.value))
    return tuple(make_candidate(name, tuple(many)) for name, many in groupby(found, key=lambda entry: entry.name))


def wrap_modules(modules: Mapping[str, object]) -> tuple[Candidate, ...]:
    """Candidates from objects at hand instead of installed packages, for tests and for authors."""
    return tuple(
        Candidate(name=name, module=getattr(value, "__name__", type(value).__name__), load=_give(value))
        for name, value in sorted(modules.items())
    )


def read_disabled(environment: Mapping[str, str] = os.environ, *, variable: str = DISABLE_VARIABLE) -> frozenset[str]:
    """The providers, or with their variable the policies, that the environment switches off."""
    return split_names(environment.get(variable, ""))


def split_names(text: str) -> frozenset[str]:
    """The names in a list separated by commas; blanks and empty items do not count."""
    return frozenset(name for item in text.split(",") if (name := item.strip()))


def make_candidate(name: str, found: tuple[EntryPoint, ...]) -> Candidate:
    """The candidate of one name from all entry points that have it."""
    first = found[0]
    problem = ""
    if len(found) > 1:
        owners = " and ".join(f"{_distribution(entry)} {_version(entry)}".strip() or entry.value for entry in found)
        problem = f"the name is used by {owners}; uninstall all but one"
    elif first.attr or first.extras:
        problem = f"the entry point is {first.value!r}; it names a module alone, such as {first.module!r}"
    return Candidate(
        name=name,
        module=first.module,
        distribution=", ".join(_distribution(entry) for entry in found),
        version=", ".join(_version(entry) for entry in found),
        problem=problem,
        load=lambda: _load_module(first),
    )


def _load_module(entry_point: EntryPoint) -> object:
    manager = _OneEntryPoint(entry_point)
    module: object = manager.extensions[0].plugin
    if not isinstance(module, ModuleType):
        raise UnusableError(f"the entry point gives {type(module).__name__}; it names a module")
    return module


def _raise(_manager: object, _entry_point: EntryPoint, error: BaseException) -> None:
    raise error


def _give(value: object) -> Callable[[], object]:
    return lambda: value


def _distribution(entry_point: EntryPoint) -> str:
    return entry_point.dist.name if entry_point.dist else ""


def _version(entry_point: EntryPoint) -> str:
    return entry_point.dist.version if entry_point.dist else ""
