"""The policies of this process: found, checked, given their settings, called.

Policies are found, loaded and called as providers are (registry.py). What differs: a policy that cannot be asked
counts as a refusal, so whoever asks them must also hear of those that are not loaded.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pluggy

from kubeairunway.errors import HookError
from kubeairunway.model.names import POLICY_GROUP
from kubeairunway.model.paths import nearest
from kubeairunway.model.problems import Problem
from kubeairunway.plugin.contract import Policy, Request
from kubeairunway.plugin.discovery import (
    DISABLE_POLICIES_VARIABLE,
    IMPORT_DEADLINE,
    Candidate,
    find_candidates,
    read_disabled,
    wrap_modules,
)
from kubeairunway.plugin.guard import DEADLINE, Guard
from kubeairunway.plugin.handover import copy_for_policy
from kubeairunway.plugin.hookspecs import PolicyHooks
from kubeairunway.plugin.notes import CrashNotes
from kubeairunway.plugin.registry import (
    Arrival,
    Form,
    LoadState,
    check_contract,
    describe_subject,
    find_unknown,
    list_hooks,
    load_candidate,
    make_guard,
    reason_not_to_import,
)
from kubeairunway.plugin.results import UnusableError, check_problems
from kubeairunway.plugin.typed import check_options, read_typed

POLICY_HOOKS = list_hooks(PolicyHooks)
"""Every hook of a policy with its arguments."""

PolicySettings = Mapping[str, Mapping[str, Any]]
"""What the administrator wrote, by policy: YAML under the names of the declared dataclass in camelCase."""

NO_SETTINGS: PolicySettings = MappingProxyType({})

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyPackage:
    """One installed policy package; `policy` is None when it is not loaded, and `reason` says why."""

    name: str
    state: LoadState
    reason: str = ""
    distribution: str = ""
    version: str = ""
    module: str = ""
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A policy that can be called, with the administrator's settings."""

    hooks: Any  # pluggy's relay makes its attributes at run time
    guard: Guard
    settings: Any


class Policies:
    """All policy packages and how to ask them; implements `PolicyCalls`. Made by `load_policies`."""

    def __init__(
        self, packages: tuple[PolicyPackage, ...], loaded: Mapping[str, _Loaded], *, remarks: tuple[str, ...] = ()
    ) -> None:
        """`remarks` says what was asked for and means nothing, such as settings for what is not installed."""
        self.packages = packages
        self.remarks = remarks
        self.asked = tuple(package.name for package in packages if package.state is not LoadState.DISABLED)
        self.wants_peers = any(package.policy is not None and package.policy.peers for package in packages)
        self._by_name = {package.name: package for package in packages}
        self._loaded = loaded

    def close(self) -> None:
        """End the threads."""
        for loaded in self._loaded.values():
            loaded.guard.close()

    def obstacle(self, policy: str) -> str:
        """Why a policy of `asked` cannot be asked at all; empty if it is loaded."""
        package = self._by_name[policy]
        return "" if package.policy is not None else f"{package.state}: {package.reason}"

    def admit(self, policy: str, request: Request, provider: str) -> tuple[Problem, ...]:
        """The policy's objections to what a provider would do for a deployment."""
        loaded = self._loaded.get(policy)
        if loaded is None:
            raise HookError(policy, "admit", self.obstacle(policy))
        declared = self._by_name[policy].policy
        given = copy_for_policy(request, settings=loaded.settings, peers=declared is not None and declared.peers)
        return loaded.guard.call(
            "admit",
            describe_subject(request),
            lambda: check_problems(loaded.hooks.admit(request=given, provider=provider)),
        )


def load_policies(
    *,
    disabled: Collection[str] = (),
    settings: PolicySettings = NO_SETTINGS,
    deadline: float = DEADLINE,
    import_deadline: float = IMPORT_DEADLINE,
    crash_notes: tuple[Path, CrashNotes | None] | None = None,
    modules: Mapping[str, object] | None = None,
) -> Policies:
    """Find, import and check every installed policy; a broken one is a `PolicyPackage` with a reason.

    `disabled` adds to what KUBEAIRUNWAY_DISABLE_POLICIES says. `deadline` and `import_deadline` are seconds.
    `crash_notes` is the directory of the registry's, and the registry's hold on it if it has one. `modules` replaces
    what is installed.
    """
    candidates = find_candidates(POLICY_GROUP) if modules is None else wrap_modules(modules)
    off = frozenset(disabled) | read_disabled(variable=DISABLE_POLICIES_VARIABLE)
    remarks = (*find_unknown(off, candidates, "policy"), *_find_idle_settings(settings, candidates))
    directory, notes = crash_notes or (None, None)
    if notes is not None:
        notes.reserve(len(candidates))
    packages: list[PolicyPackage] = []
    loaded: dict[str, _Loaded] = {}
    for candidate in candidates:
        noted = f"policy.{candidate.name}"
        reason = reason_not_to_import(candidate, off, directory, noted)
        if reason is not None:
            packages.append(_make_package(candidate, Arrival(*reason)))
            continue
        guard = make_guard(candidate, deadline, notes, noted)
        arrival = load_candidate(candidate, guard, import_deadline, POLICIES)
        arrival, values = _give_settings(arrival, settings.get(candidate.name), candidate.name)
        packages.append(_make_package(candidate, arrival))
        if arrival.declared is None:
            guard.close()
        else:
            loaded[candidate.name] = _Loaded(arrival.hooks, guard, values)
    return Policies(tuple(packages), MappingProxyType(loaded), remarks=remarks)


def _find_idle_settings(settings: PolicySettings, candidates: tuple[Candidate, ...]) -> Iterator[str]:
    installed = [candidate.name for candidate in candidates]
    for name in sorted(set(settings).difference(installed)):
        near = nearest(name, installed)
        hint = f"did you mean {near}?" if near else f"installed: {', '.join(installed) or 'none'}"
        yield f"there are settings for policy {name}, which is not installed; {hint}"


def _give_settings(
    arrival: Arrival[Policy], raw: Mapping[str, Any] | None, name: str
) -> tuple[Arrival[Policy], object | None]:
    """The instance of the settings' type; a policy whose settings are wrong is not loaded."""
    if arrival.declared is None:
        return arrival, None
    declared = arrival.declared.settings
    if declared is None:
        if raw:
            text = f"settings: policy {name} takes none; remove {', '.join(sorted(raw))}"
            return Arrival(LoadState.FAILED, text), None
        return arrival, None
    value, problems = read_typed(declared, raw or {}, name)
    if problems:
        texts = "; ".join(f"{problem.path}: {problem.message}" for problem in problems)
        return Arrival(LoadState.FAILED, f"settings: {texts}"), None
    return arrival, value


def _make_package(candidate: Candidate, arrival: Arrival[Policy]) -> PolicyPackage:
    return PolicyPackage(
        name=candidate.name,
        state=arrival.state,
        reason=arrival.reason,
        distribution=candidate.distribution,
        version=candidate.version,
        module=candidate.module,
        policy=arrival.declared,
    )


def _call_policy(name: str, manager: pluggy.PluginManager) -> Policy | tuple[LoadState, str]:
    """What the package declares, copied; or the state it is in instead, and why."""
    declared = manager.hook.policy()
    if not isinstance(declared, Policy):
        raise UnusableError(f"returned an instance of {type(declared).__qualname__}; return a Policy")
    mismatch = check_contract(declared.contract)
    if mismatch:
        return LoadState.INCOMPATIBLE, mismatch
    objections = tuple(_check_policy(declared, name))
    if objections:
        raise UnusableError("; ".join(objections))
    plain = {field.name: getattr(declared, field.name) for field in fields(Policy)}
    return Policy(**{**plain, "name": str.__str__(declared.name), "docs": str.__str__(declared.docs)})


def _check_policy(declared: Policy, entry_point: str) -> Iterator[str]:
    name, peers, docs = (getattr(declared, field) for field in ("name", "peers", "docs"))  # of any type, as declared
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield f"name is {name!r}; use at most 63 lower-case letters, digits and inner hyphens"
    elif name != entry_point:
        yield f"name is {name!r}, and the entry point is {entry_point!r}; make them equal"
    if not isinstance(peers, bool):
        yield f"peers is {peers!r}; use True or False"
    if not isinstance(docs, str):
        yield f"docs is {docs!r}; give a URL as a string"
    if declared.settings is not None:
        yield from (f"settings: {objection}" for objection in check_options(declared.settings))


POLICIES = Form(PolicyHooks, POLICY_HOOKS, ("policy", "admit"), _call_policy)
"""What a policy's module implements."""
