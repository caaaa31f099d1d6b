"""The providers of this process: found, checked, called. Nothing else imports a package or touches a hook.

Whatever a package does wrong ends as a `Package` with a state and a reason, or as a HookError of that one call.
"""

import inspect
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import FunctionType, MappingProxyType
from typing import Any, TypeVar

import pluggy

from kubeairunway.errors import HookError, HookTimeoutError
from kubeairunway.model.paths import nearest
from kubeairunway.model.problems import Problem
from kubeairunway.plugin.contract import CONTRACT, Bid, Kind, Observed, Provider, Rendering, Report, Request
from kubeairunway.plugin.declaration import check_declaration, copy_declaration
from kubeairunway.plugin.discovery import IMPORT_DEADLINE, Candidate, find_candidates, read_disabled, wrap_modules
from kubeairunway.plugin.guard import DEADLINE, Call, Guard
from kubeairunway.plugin.handover import copy_observed, copy_request
from kubeairunway.plugin.hookspecs import PROJECT, Hooks
from kubeairunway.plugin.notes import CrashNotes, Quarantine, lift_quarantine, quarantine_file, read_quarantine
from kubeairunway.plugin.purity import Memory
from kubeairunway.plugin.results import UnusableError, check_bid, check_problems, check_rendering, check_report
from kubeairunway.plugin.surroundings import Surroundings

R = TypeVar("R")

HOOKS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        name: tuple(inspect.signature(function).parameters)[1:]
        for name, function in vars(Hooks).items()
        if inspect.isfunction(function)
    }
)
"""Every hook with its arguments, as the hookspecs say."""

_IMPURE = (
    "the same request gave other objects than before; leave out times, random values, counters and the order of sets"
)

MAX_LISTED = 8
"""Names that one reason lists."""

MANDATORY = ("provider", "render", "status")


class LoadState(StrEnum):
    """What became of an installed package."""

    LOADED = "Loaded"
    INCOMPATIBLE = "Incompatible"  # written for another version of the contract
    FAILED = "Failed"  # it cannot be imported, or what it declares is not usable
    DISABLED = "Disabled"  # switched off; not even imported
    QUARANTINED = "Quarantined"  # it froze or crashed an earlier process; not even imported


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One installed provider package; `provider` is None when it is not loaded.

    `reason` says why it is not, or what its import did to the process; empty when there is nothing to say.
    """

    name: str
    state: LoadState
    reason: str = ""
    distribution: str = ""
    version: str = ""
    module: str = ""
    provider: Provider | None = None


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A provider that can be called; `kinds` has the declared ones by group and name."""

    hooks: Any  # pluggy's relay makes its attributes at run time
    guard: Guard
    implemented: frozenset[str]
    kinds: Mapping[tuple[str, str], Kind]


class Registry:
    """All packages and how to call the loaded ones; implements `HookCalls`. Made by `load_registry`."""

    def __init__(
        self,
        packages: tuple[Package, ...],
        loaded: Mapping[str, _Loaded],
        notes: CrashNotes | None = None,
        *,
        remarks: tuple[str, ...] = (),
    ) -> None:
        """`remarks` says what was asked for and means nothing, such as switching off what is not installed."""
        self.packages = packages
        self.remarks = remarks
        self.providers: Mapping[str, Provider] = MappingProxyType(
            {package.name: package.provider for package in packages if package.provider is not None}
        )
        self._by_name = {package.name: package for package in packages}
        self._loaded = loaded
        self._notes = notes
        self._memory = Memory()

    def get(self, name: str) -> Package | None:
        """The package of that provider, loaded or not; None if none is installed."""
        return self._by_name.get(name)

    def overrun(self, name: str) -> Call | None:
        """The call of a provider that has not returned in time and keeps its circuit open; None if all is well."""
        loaded = self._loaded.get(name)
        return loaded.guard.overrun() if loaded else None

    def close(self) -> None:
        """End the threads and forget the crash notes: this is a graceful stop."""
        for loaded in self._loaded.values():
            loaded.guard.close()
        if self._notes is not None:
            self._notes.close()
            self._notes = None

    def validate(self, provider: str, request: Request) -> tuple[Problem, ...]:
        """The provider's objections; none if it does not implement the hook."""
        loaded = self._find(provider, "validate")
        if "validate" not in loaded.implemented:
            return ()
        given = copy_request(request)
        return loaded.guard.call(
            "validate", _subject(request), lambda: check_problems(loaded.hooks.validate(request=given))
        )

    def select(self, provider: str, request: Request) -> Bid | None:
        """The provider's bid; None if it makes none or does not implement the hook."""
        loaded = self._find(provider, "select")
        if "select" not in loaded.implemented:
            return None
        given = copy_request(request)
        return loaded.guard.call("select", _subject(request), lambda: check_bid(loaded.hooks.select(request=given)))

    def render(self, provider: str, request: Request) -> Rendering:
        """The objects of one deployment, in plain dicts and lists that are the core's own."""
        loaded = self._find(provider, "render")
        given = copy_request(request)
        rendering = loaded.guard.call(
            "render", _subject(request), lambda: check_rendering(loaded.hooks.render(request=given), loaded.kinds)
        )
        if self._memory.differs(provider, request, rendering):
            raise HookError(provider, "render", _IMPURE)
        return rendering

    def status(self, provider: str, request: Request, observed: Observed) -> Report:
        """What the live objects say."""
        loaded = self._find(provider, "status")
        given, seen = copy_request(request), copy_observed(observed)
        return loaded.guard.call(
            "status",
            _subject(request),
            lambda: check_report(loaded.hooks.status(request=given, observed=seen)),
        )

    def _find(self, name: str, hook: str) -> _Loaded:
        loaded = self._loaded.get(name)
        if loaded is None:
            package = self._by_name.get(name)
            reason = f"{package.state.lower()}: {package.reason}" if package else "no such package is installed"
            raise HookError(name, hook, reason)
        return loaded


def load_registry(
    *,
    disabled: Collection[str] = (),
    deadline: float = DEADLINE,
    import_deadline: float = IMPORT_DEADLINE,
    crash_notes: Path | None = None,
    only: Collection[str] | None = None,
    modules: Mapping[str, object] | None = None,
) -> Registry:
    """Find, import and check every installed provider; a broken one is a `Package` with a reason.

    `disabled` adds to what KUBEAIRUNWAY_DISABLE_PROVIDERS says. `deadline` and `import_deadline` are seconds.
    `crash_notes` is a directory that outlives the process (notes.py). `only` leaves all other packages out, as if they
    were not installed. `modules` replaces what is installed. Raises SettingsError when `crash_notes` cannot be used.
    """
    candidates = find_candidates() if modules is None else wrap_modules(modules)
    off = frozenset(disabled) | read_disabled()
    remarks = tuple(_find_unknown(off, candidates))
    candidates = tuple(candidate for candidate in candidates if only is None or candidate.name in only)
    notes = None
    if crash_notes is not None:
        notes = CrashNotes.open(crash_notes)
    if notes is not None:
        notes.reserve(len(candidates))
    packages: list[Package] = []
    loaded: dict[str, _Loaded] = {}
    for candidate in candidates:
        reason = _reason_not_to_import(candidate, off, crash_notes)
        if reason is not None:
            packages.append(_make_package(candidate, *reason))
            continue
        guard = _make_guard(candidate, deadline, notes)
        package, found = _load_candidate(candidate, guard, import_deadline)
        packages.append(package)
        if found is None:
            guard.close()
        else:
            loaded[candidate.name] = found
    return Registry(tuple(packages), MappingProxyType(loaded), notes, remarks=remarks)


def _find_unknown(off: frozenset[str], candidates: tuple[Candidate, ...]) -> Iterator[str]:
    installed = [candidate.name for candidate in candidates]
    for name in sorted(off.difference(installed)):
        known = ", ".join(installed) or "none"
        yield f"provider {name} is switched off by flag or environment, but not installed; installed: {known}"


def _reason_not_to_import(
    candidate: Candidate, off: frozenset[str], crash_notes: Path | None
) -> tuple[LoadState, str] | None:
    if candidate.name in off:
        return LoadState.DISABLED, "switched off by flag or environment"
    if candidate.problem:
        return LoadState.FAILED, candidate.problem
    found = read_quarantine(crash_notes, candidate.name) if crash_notes else None
    if crash_notes is None or found is None:
        return None
    if found.version != candidate.version and found.operation:
        lift_quarantine(crash_notes, candidate.name)
        return None
    return LoadState.QUARANTINED, _explain_quarantine(found, quarantine_file(crash_notes, candidate.name))


def _explain_quarantine(found: Quarantine, file: Path) -> str:
    what = f"its {found.operation}{f' for {found.subject}' if found.subject else ''}" if found.operation else "it"
    when = f" ({found.started})" if found.started else ""
    return f"{what} froze or crashed the process{when}; install another version, or delete {file}"


def _make_guard(candidate: Candidate, deadline: float, notes: CrashNotes | None) -> Guard:
    slot = None
    if notes is not None:
        slot = notes.slot(candidate.name, candidate.version)
    return Guard(candidate.name, package=candidate.module, deadline=deadline, notes=slot)


def _load_candidate(candidate: Candidate, guard: Guard, import_deadline: float) -> tuple[Package, _Loaded | None]:
    """Import one package, register it with a plugin manager of its own, and check what it declares."""
    before = Surroundings()
    try:
        with redirect_stdout(sys.stderr):  # what a module prints must not get into what a command prints
            module = guard.call("import", "", candidate.load, deadline=import_deadline)
        manager = guard.call("register", "", lambda: _register(candidate.name, module))
        declared = guard.call("provider", "", lambda: _call_provider(candidate.name, manager))
    except (HookError, HookTimeoutError) as error:
        return _make_package(candidate, LoadState.FAILED, f"{error.operation}: {error.reason}"), None
    finally:
        undone = before.restore()
    if not isinstance(declared, Provider):
        return _make_package(candidate, *declared), None
    implemented = frozenset(name for name in HOOKS if getattr(manager.hook, name).get_hookimpls())
    kinds = MappingProxyType({(kind.group, kind.name): kind for kind in declared.kinds})
    package = _make_package(candidate, LoadState.LOADED, _explain_undone(undone), declared)
    return package, _Loaded(manager.hook, guard, implemented, kinds)


def _explain_undone(names: tuple[str, ...]) -> str:
    if not names:
        return ""
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return f"its import changed what belongs to the whole process, undone: {', '.join(names[:MAX_LISTED])}{more}"


def _make_package(candidate: Candidate, state: LoadState, reason: str, provider: Provider | None = None) -> Package:
    return Package(
        name=candidate.name,
        state=state,
        reason=reason,
        distribution=candidate.distribution,
        version=candidate.version,
        module=candidate.module,
        provider=provider,
    )


def _register(name: str, module: object) -> pluggy.PluginManager:
    """A plugin manager that holds this one plugin, whose hooks are all known and take what the contract gives."""
    objections = _check_hooks(module)
    if objections:
        raise UnusableError("; ".join(objections))
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    try:
        manager.register(module, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise UnusableError(" ".join(str(error).split())) from error
    return manager


def _check_hooks(module: object) -> list[str]:
    """What pluggy would not say, or would say of the first mistake alone."""
    probe = pluggy.PluginManager(PROJECT)
    found: list[str] = []
    marked: set[str] = set()
    for attribute in dir(module):
        options = probe.parse_hookimpl_opts(module, attribute)
        if options is None:
            found += _check_unmarked(module, attribute)
            continue
        hook = options.get("specname") or attribute
        marked.add(hook)
        found += _check_hook(hook, inspect.getattr_static(module, attribute), options)
    return found + [
        f"{hook} is missing; define it and mark it with @hookimpl" for hook in MANDATORY if hook not in marked
    ]


def _check_unmarked(module: object, attribute: str) -> list[str]:
    value = inspect.getattr_static(module, attribute)
    own = isinstance(value, FunctionType) and value.__module__ == getattr(module, "__name__", None)
    if attribute in HOOKS and own and attribute not in MANDATORY:
        return [f"{attribute} is not marked with @hookimpl, so it would never be called; mark it or rename it"]
    return []


def _check_hook(hook: str, function: object, options: Mapping[str, Any]) -> list[str]:
    if hook not in HOOKS and options.get("optionalhook"):
        return []  # a hook of a newer core, which the package can do without
    if hook not in HOOKS:
        near = nearest(hook, HOOKS)
        hint = f"did you mean {near}?" if near else f"known are {', '.join(HOOKS)}"
        return [f"{hook} is no hook of contract {CONTRACT}; {hint}"]
    if options.get("wrapper") or options.get("hookwrapper"):
        return [f"{hook} is a wrapper; each hook has one implementation, so there is nothing to wrap"]
    function = inspect.unwrap(getattr(function, "__func__", function))  # type: ignore[arg-type]  # static and class methods
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return [f"{hook} is async; hooks are plain functions that return at once"]
    return [
        f"{hook} asks for {parameter.name}; it gets {', '.join(HOOKS[hook]) or 'no arguments'}"
        for parameter in inspect.signature(function).parameters.values()  # type: ignore[arg-type]
        if parameter.name not in (*HOOKS[hook], "self", "cls") and parameter.default is parameter.empty
    ]


def _call_provider(name: str, manager: pluggy.PluginManager) -> Provider | tuple[LoadState, str]:
    """What the package declares, copied; or the state it is in instead, and why."""
    declared = manager.hook.provider()
    if not isinstance(declared, Provider):
        raise UnusableError(f"returned an instance of {type(declared).__qualname__}; return a Provider")
    if declared.contract != CONTRACT or isinstance(declared.contract, bool):
        return LoadState.INCOMPATIBLE, (
            f"it was written for contract {declared.contract!r}, and this core speaks contract {CONTRACT}; "
            "install versions of the package and of kubeairunway that agree"
        )
    declared = copy_declaration(declared)
    objections = check_declaration(declared, name)
    if objections:
        raise UnusableError("; ".join(objections))
    return declared


def _subject(request: Request) -> str:
    return f"{request.namespace}/{request.name}"
