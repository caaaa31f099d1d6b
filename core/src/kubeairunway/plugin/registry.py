"""The providers of this process: found, checked, called. Nothing else imports a package or touches a hook.

Whatever a package does wrong ends as a `Package` with a state and a reason, or as a HookError of that one call.
"""

import inspect
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import FunctionType, MappingProxyType
from typing import Any, Generic, TypeVar

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

D = TypeVar("D")
R = TypeVar("R")


def list_hooks(specs: type) -> Mapping[str, tuple[str, ...]]:
    """Every hook of a class of hookspecs with its arguments."""
    return MappingProxyType(
        {
            name: tuple(inspect.signature(function).parameters)[1:]
            for name, function in vars(specs).items()
            if inspect.isfunction(function)
        }
    )


HOOKS = list_hooks(Hooks)
"""Every hook of a provider with its arguments."""

_IMPURE = (
    "the same request gave other objects than before; leave out times, random values, counters and the order of sets"
)

MAX_LISTED = 8
"""Names that one reason lists."""

MANDATORY = ("provider", "render", "status")


@dataclass(frozen=True, slots=True)
class Form(Generic[D]):
    """What modules of one entry-point group implement; the first mandatory hook declares.

    `read` calls it on a module's plugin manager and returns what it declares, checked and copied, or the state that
    the package is in instead and why; it raises UnusableError.
    """

    specs: type
    hooks: Mapping[str, tuple[str, ...]]
    mandatory: tuple[str, ...]
    read: Callable[[str, pluggy.PluginManager], "D | tuple[LoadState, str]"]


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
class Arrival(Generic[D]):
    """What became of a package that was imported; `declared` is None when it is not loaded."""

    state: LoadState
    reason: str
    declared: D | None = None
    hooks: Any = None  # pluggy's relay makes its attributes at run time
    implemented: frozenset[str] = frozenset()


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
        self.notes = notes
        """Where running calls are noted; policies note theirs in the same place."""
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
        if self.notes is not None:
            self.notes.close()
            self.notes = None

    def validate(self, provider: str, request: Request) -> tuple[Problem, ...]:
        """The provider's objections; none if it does not implement the hook."""
        loaded = self._find(provider, "validate")
        if "validate" not in loaded.implemented:
            return ()
        given = copy_request(request)
        return loaded.guard.call(
            "validate", describe_subject(request), lambda: check_problems(loaded.hooks.validate(request=given))
        )

    def select(self, provider: str, request: Request) -> Bid | None:
        """The provider's bid; None if it makes none or does not implement the hook."""
        loaded = self._find(provider, "select")
        if "select" not in loaded.implemented:
            return None
        given = copy_request(request)
        return loaded.guard.call(
            "select", describe_subject(request), lambda: check_bid(loaded.hooks.select(request=given))
        )

    def render(self, provider: str, request: Request) -> Rendering:
        """The objects of one deployment, in plain dicts and lists that are the core's own."""
        loaded = self._find(provider, "render")
        given = copy_request(request)
        rendering = loaded.guard.call(
            "render",
            describe_subject(request),
            lambda: check_rendering(loaded.hooks.render(request=given), loaded.kinds),
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
            describe_subject(request),
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
    candidates: tuple[Candidate, ...] | None = None,
) -> Registry:
    """Find, import and check every installed provider; a broken one is a `Package` with a reason.

    `disabled` adds to what KUBEAIRUNWAY_DISABLE_PROVIDERS says. `deadline` and `import_deadline` are seconds.
    `crash_notes` is a directory that outlives the process (notes.py). `only` leaves all other packages out, as if they
    were not installed. `modules` replaces what is installed, and so does `candidates`. Raises SettingsError when
    `crash_notes` cannot be used.
    """
    if candidates is None:
        candidates = find_candidates() if modules is None else wrap_modules(modules)
    off = frozenset(disabled) | read_disabled()
    remarks = tuple(find_unknown(off, candidates, "provider"))
    candidates = tuple(candidate for candidate in candidates if only is None or candidate.name in only)
    notes = None
    if crash_notes is not None:
        notes = CrashNotes.open(crash_notes)
    if notes is not None:
        notes.reserve(len(candidates))
    packages: list[Package] = []
    loaded: dict[str, _Loaded] = {}
    for candidate in candidates:
        reason = reason_not_to_import(candidate, off, crash_notes, candidate.name)
        if reason is not None:
            packages.append(_make_package(candidate, *reason))
            continue
        guard = make_guard(candidate, deadline, notes, candidate.name)
        arrival = load_candidate(candidate, guard, import_deadline, PROVIDERS)
        packages.append(_make_package(candidate, arrival.state, arrival.reason, arrival.declared))
        if arrival.declared is None:
            guard.close()
        else:
            kinds = MappingProxyType({(kind.group, kind.name): kind for kind in arrival.declared.kinds})
            loaded[candidate.name] = _Loaded(arrival.hooks, guard, arrival.implemented, kinds)
    return Registry(tuple(packages), MappingProxyType(loaded), notes, remarks=remarks)


def find_unknown(off: frozenset[str], candidates: tuple[Candidate, ...], what: str) -> Iterator[str]:
    """A remark for each name that is switched off and not installed; `what` says what is named."""
    installed = [candidate.name for candidate in candidates]
    for name in sorted(off.difference(installed)):
        known = ", ".join(installed) or "none"
        yield f"{what} {name} is switched off by flag or environment, but not installed; installed: {known}"


def reason_not_to_import(
    candidate: Candidate, off: frozenset[str], crash_notes: Path | None, noted: str
) -> tuple[LoadState, str] | None:
    """The state of a package that is not even imported, and why; `noted` is its name in the crash notes."""
    if candidate.name in off:
        return LoadState.DISABLED, "switched off by flag or environment"
    if candidate.problem:
        return LoadState.FAILED, candidate.problem
    found = read_quarantine(crash_notes, noted) if crash_notes else None
    if crash_notes is None or found is None:
        return None
    if found.version != candidate.version and found.operation:
        lift_quarantine(crash_notes, noted)
        return None
    return LoadState.QUARANTINED, _explain_quarantine(found, quarantine_file(crash_notes, noted))


def _explain_quarantine(found: Quarantine, file: Path) -> str:
    what = f"its {found.operation}{f' for {found.subject}' if found.subject else ''}" if found.operation else "it"
    when = f" ({found.started})" if found.started else ""
    return f"{what} froze or crashed the process{when}; install another version, or delete {file}"


def make_guard(candidate: Candidate, deadline: float, notes: CrashNotes | None, noted: str) -> Guard:
    """The thread on which a package's code runs; its calls are noted under the name `noted`."""
    slot = None
    if notes is not None:
        slot = notes.slot(noted, candidate.version)
    return Guard(candidate.name, package=candidate.module, deadline=deadline, notes=slot)


def load_candidate(candidate: Candidate, guard: Guard, import_deadline: float, form: Form[D]) -> Arrival[D]:
    """Import one package, register it with a plugin manager of its own, and check what it declares."""
    before = Surroundings()
    try:
        with redirect_stdout(sys.stderr):  # what a module prints must not get into what a command prints
            module = guard.call("import", "", candidate.load, deadline=import_deadline)
        manager = guard.call("register", "", lambda: _register(candidate.name, module, form))
        declared = guard.call(form.mandatory[0], "", lambda: form.read(candidate.name, manager))
    except (HookError, HookTimeoutError) as error:
        return Arrival(LoadState.FAILED, f"{error.operation}: {error.reason}")
    finally:
        undone = before.restore()
    if isinstance(declared, tuple):
        return Arrival(*declared)
    implemented = frozenset(name for name in form.hooks if getattr(manager.hook, name).get_hookimpls())
    return Arrival(LoadState.LOADED, _explain_undone(undone), declared, manager.hook, implemented)


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


def _register(name: str, module: object, form: Form[D]) -> pluggy.PluginManager:
    """A plugin manager that holds this one plugin, whose hooks are all known and take what the contract gives."""
    objections = _check_hooks(module, form)
    if objections:
        raise UnusableError("; ".join(objections))
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(form.specs)
    try:
        manager.register(module, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise UnusableError(" ".join(str(error).split())) from error
    return manager


def _check_hooks(module: object, form: Form[D]) -> list[str]:
    """What pluggy would not say, or would say of the first mistake alone."""
    probe = pluggy.PluginManager(PROJECT)
    found: list[str] = []
    marked: set[str] = set()
    for attribute in dir(module):
        options = probe.parse_hookimpl_opts(module, attribute)
        if options is None:
            found += _check_unmarked(module, attribute, form)
            continue
        hook = options.get("specname") or attribute
        marked.add(hook)
        found += _check_hook(hook, inspect.getattr_static(module, attribute), options, form.hooks)
    return found + [
        f"{hook} is missing; define it and mark it with @hookimpl" for hook in form.mandatory if hook not in marked
    ]


def _check_unmarked(module: object, attribute: str, form: Form[D]) -> list[str]:
    value = inspect.getattr_static(module, attribute)
    own = isinstance(value, FunctionType) and value.__module__ == getattr(module, "__name__", None)
    if attribute in form.hooks and own and attribute not in form.mandatory:
        return [f"{attribute} is not marked with @hookimpl, so it would never be called; mark it or rename it"]
    return []


def _check_hook(
    hook: str, function: object, options: Mapping[str, Any], known: Mapping[str, tuple[str, ...]]
) -> list[str]:
    if hook not in known and options.get("optionalhook"):
        return []  # a hook of a newer core, which the package can do without
    if hook not in known:
        near = nearest(hook, known)
        hint = f"did you mean {near}?" if near else f"known are {', '.join(known)}"
        return [f"{hook} is no hook of contract {CONTRACT}; {hint}"]
    if options.get("wrapper") or options.get("hookwrapper"):
        return [f"{hook} is a wrapper; each hook has one implementation, so there is nothing to wrap"]
    function = inspect.unwrap(getattr(function, "__func__", function))  # type: ignore[arg-type]  # static and class methods
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return [f"{hook} is async; hooks are plain functions that return at once"]
    return [
        f"{hook} asks for {parameter.name}; it gets {', '.join(known[hook]) or 'no arguments'}"
        for parameter in inspect.signature(function).parameters.values()  # type: ignore[arg-type]
        if parameter.name not in (*known[hook], "self", "cls") and parameter.default is parameter.empty
    ]


def _call_provider(name: str, manager: pluggy.PluginManager) -> Provider | tuple[LoadState, str]:
    """What the package declares, copied; or the state it is in instead, and why."""
    declared = manager.hook.provider()
    if not isinstance(declared, Provider):
        raise UnusableError(f"returned an instance of {type(declared).__qualname__}; return a Provider")
    mismatch = check_contract(declared.contract)
    if mismatch:
        return LoadState.INCOMPATIBLE, mismatch
    declared = copy_declaration(declared)
    objections = check_declaration(declared, name)
    if objections:
        raise UnusableError("; ".join(objections))
    return declared


def check_contract(version: object) -> str:
    """Why a package that was written for that version of the contract cannot be used; empty if it can."""
    if version == CONTRACT and not isinstance(version, bool):
        return ""
    return (
        f"it was written for contract {version!r}, and this core speaks contract {CONTRACT}; "
        "install versions of the package and of kubeairunway that agree"
    )


PROVIDERS = Form(Hooks, HOOKS, MANDATORY, _call_provider)
"""What a provider's module implements."""


def describe_subject(request: Request) -> str:
    """Whom a call is for, as notes and messages say it."""
    return f"{request.namespace}/{request.name}"
