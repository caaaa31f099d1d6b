"""One deployment, decided offline: what is rendered, what is wrong, and what upstream's status would make of it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.decide.conclusion import conclude
from kubeairunway.decide.deployment import plan_deployment
from kubeairunway.decide.expressions import Expressions
from kubeairunway.decide.plan import Outcome, Plan, Snapshot, Step
from kubeairunway.decide.preview import NOTHING_SAID, Preview, Served, as_new, assume_facts, preview
from kubeairunway.decide.provider_config import PackageFacts
from kubeairunway.model import names
from kubeairunway.model.documents import read_deployment
from kubeairunway.model.reasons import Reason
from kubeairunway.objects.conditions import find_condition
from kubeairunway.plugin.registry import LoadState, Registry, load_registry
from kubeairunway.testing.fixtures import read_fixture

if TYPE_CHECKING:
    from pathlib import Path

    from kubeairunway.decide.explanation import Explanation
    from kubeairunway.decide.facts import ProviderFacts
    from kubeairunway.model import Problem, Spec
    from kubeairunway.objects.resources import Json
    from kubeairunway.plugin import Kind, Request

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""The clock of every decision made here."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What the controller reports once upstream has said something."""

    status: Json

    @property
    def ready(self) -> bool:
        """Whether the Ready condition is true: this revision serves, with every replica asked for."""
        return self.condition("Ready").get("status") == "True"

    @property
    def phase(self) -> str:
        """`status.phase`."""
        return str(self.status.get("phase", ""))

    @property
    def message(self) -> str:
        """`status.message`: the root cause, in a sentence."""
        return str(self.status.get("message", ""))

    @property
    def replicas(self) -> Mapping[str, int]:
        """`status.replicas`: desired, ready, available."""
        replicas: Mapping[str, int] = self.status.get("replicas") or {}
        return replicas

    @property
    def endpoint(self) -> Mapping[str, Any]:
        """`status.endpoint`: service and port, empty while there is none."""
        endpoint: Mapping[str, Any] = self.status.get("endpoint") or {}
        return endpoint

    def condition(self, name: str) -> Mapping[str, Any]:
        """Return the condition of that type, empty if there is none."""
        return find_condition(self.status.get("conditions"), name) or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """What is around a deployment: the providers and how to call them."""

    registry: Registry
    providers: Mapping[str, ProviderFacts]
    expressions: Expressions = field(default_factory=Expressions)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineDecision:
    """A deployment and all that is decided for it; values only, so that each step gives a new one."""

    document: Json
    problems: tuple[Problem, ...]
    world: _World
    seen: Preview | None = None

    @property
    def objects(self) -> tuple[Json, ...]:
        """Every object that would be created, in order; none if a problem stands in the way."""
        return self.seen.objects if self.seen else ()

    @property
    def primary(self) -> Json:
        """The primary object. Raises LookupError, naming the problems, if there is none."""
        return self._primary_step().body

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that are no warnings."""
        return tuple(problem for problem in self.problems if not problem.warning)

    @property
    def provider(self) -> str:
        """The provider that was chosen; empty if none was."""
        decision = self.seen.decision if self.seen else None
        return (decision.provider if decision else None) or ""

    @property
    def spec(self) -> Spec:
        """The effective spec, as hooks see it. Raises LookupError if nothing was decided."""
        decision = self.seen.decision if self.seen else None
        if decision is None:
            raise LookupError(self._describe())
        return decision.spec

    @property
    def request(self) -> Request:
        """What the provider's hooks get. Raises LookupError if it was not asked."""
        decision = self.seen.decision if self.seen else None
        if decision is None or decision.request is None:
            raise LookupError(self._describe())
        return decision.request

    @property
    def hook_error(self) -> str:
        """What a hook of the provider did wrong while this was decided; empty if nothing."""
        stage = self.seen.plan.stage if self.seen else None
        blocked = stage.blocked if stage else None
        return blocked.message if blocked is not None and blocked.reason == Reason.PROVIDER_ERROR else ""

    @property
    def explanation(self) -> Explanation:
        """Why this provider and this engine. Raises LookupError if nothing was decided."""
        decision = self.seen.decision if self.seen else None
        if decision is None:
            raise LookupError(self._describe())
        return decision.explanation

    def object(self, kind: str, suffix: str = "") -> Json:
        """Return the object of that kind, named as the deployment or with that suffix. Raises LookupError."""
        name = self.document["metadata"]["name"] + (f"-{suffix}" if suffix else "")
        for obj in self.objects:
            if obj["kind"] == kind and obj["metadata"]["name"] == name:
                return obj
        there = ", ".join(f"{obj['kind']} {obj['metadata']['name']}" for obj in self.objects)
        raise LookupError(f"there is no {kind} {name}; there are: {there or self._describe()}")

    def change(self, **spec: Any) -> OfflineDecision:  # noqa: ANN401 - fields of the spec, as in YAML
        """Decide again with these fields of the spec laid over; maps are merged, all else is replaced."""
        return _decide({**self.document, "spec": _merge(self.document["spec"], spec)}, self.world)

    def rename(self, name: str, namespace: str | None = None) -> OfflineDecision:
        """Decide again for a deployment of another name, and of another namespace if one is given."""
        meta = {**self.document["metadata"], "name": name}
        return _decide({**self.document, "metadata": {**meta, "namespace": namespace or meta["namespace"]}}, self.world)

    def observe(
        self,
        *,
        generation: int = 1,
        status: Mapping[str, Any] | None = None,
        children: Mapping[Kind, tuple[Json, ...]] | None = None,
    ) -> Observation:
        """Report as the controller would if the objects existed and upstream had written this on the primary.

        `generation` is the primary's metadata.generation, so a status about an older one proves nothing. `children`
        are objects that upstream made. Raises LookupError if there is no primary.
        """
        primary = self._primary_step()
        seen = self.seen
        if seen is None:
            raise LookupError(self._describe())
        owned = {(step.kind, step.name): make_live(step.body) for step in seen.plan.steps}
        live = owned[primary.kind, primary.name]
        live["metadata"]["generation"] = generation
        live["status"] = copy.deepcopy(dict(status or {}))
        after = {**self.document, "status": _conclude(self.document, seen.plan)}
        snapshot = Snapshot(
            deployment=after,
            providers=self.world.providers,
            now=NOW,
            owned=MappingProxyType(owned),
            find=lambda kind, name: owned.get((kind, name)),
            children=MappingProxyType(dict(children or {})),
        )
        return Observation(_conclude(after, plan_deployment(snapshot, self.world.registry, self.world.expressions)))

    def observe_fixture(self, path: Path) -> Observation:
        """Report as the controller would if the primary had the status of a recorded object.

        `path` is a file of `kubeairunway providers record`; its metadata.generation is taken, too. Raises
        FixtureError for a file that holds no such object, LookupError if there is no primary or of another kind.
        """
        recorded = read_fixture(path)
        primary = self._primary_step()
        if recorded["kind"] != primary.kind.name:
            raise LookupError(f"{path} has a {recorded['kind']}, and the primary is a {primary.kind.name}")
        generation = recorded.get("metadata", {}).get("generation", 1)
        return self.observe(generation=generation, status=recorded.get("status"))

    def _primary_step(self) -> Step:
        steps = self.seen.plan.steps if self.seen else ()
        for step in steps:
            if step.primary:
                return step
        raise LookupError(self._describe())

    def _describe(self) -> str:
        texts = [f"{problem.path}: {problem.message}" for problem in self.errors]
        if not texts and self.seen is not None:
            texts = [self.seen.obstacle]
        return "nothing is rendered: " + ("; ".join(texts) or "no provider was chosen")


def deployment(
    provider: str | ModuleType,
    /,
    *,
    name: str = "model",
    namespace: str = "default",
    settings: Mapping[str, Any] | None = None,
    served: Served = NOTHING_SAID,
    **spec: Any,  # noqa: ANN401 - fields of the spec, as in YAML
) -> OfflineDecision:
    """Decide for a deployment of this spec, pinned to a provider: an installed one by name, or a module at hand.

    `spec` has the fields of ModelDeployment.spec, spelled as in YAML; a mistyped one is a problem of the decision.
    `settings` are the administrator's, `served` versions by (group, kind) where they are not the provider's first.
    Raises LookupError if the provider cannot be loaded, with the reason.
    """
    registry, provider_name = _load(provider)
    config = {
        "apiVersion": names.API_VERSION,
        "kind": names.PROVIDER_CONFIG,
        "metadata": {"name": provider_name},
        "spec": {"settings": dict(settings or {})},
    }
    packages = {provider_name: PackageFacts(provider=registry.providers[provider_name])}
    world = _World(registry=registry, providers=assume_facts(packages, {provider_name: config}, served))
    document = {
        "apiVersion": names.API_VERSION,
        "kind": names.MODEL_DEPLOYMENT,
        "metadata": {"name": name},
        "spec": _merge({"provider": {"name": provider_name}}, spec),
    }
    return _decide(as_new(document, namespace), world)


def _decide(document: Json, world: _World) -> OfflineDecision:
    found, problems = read_deployment(document)
    if found is None:
        return OfflineDecision(document=document, problems=problems, world=world)
    seen = preview(document, world.providers, world.registry, world.expressions, now=NOW)
    return OfflineDecision(document=document, problems=seen.plan.problems, world=world, seen=seen)


def _load(provider: str | ModuleType) -> tuple[Registry, str]:
    if isinstance(provider, str):
        return _check_loaded(_load_installed(provider), provider)
    name = str(provider.provider().name)
    return _check_loaded(_load_module(name, provider), name)


@cache
def _load_module(name: str, module: ModuleType) -> Registry:
    return load_registry(modules={name: module})


@cache
def _load_installed(name: str) -> Registry:
    return load_registry(only={name})


def _check_loaded(registry: Registry, name: str) -> tuple[Registry, str]:
    package = registry.get(name)
    if package is None:
        raise LookupError(f"no provider named {name} is installed")
    if package.state is not LoadState.LOADED:
        raise LookupError(f"provider {name} is not loaded: {package.state}: {package.reason}")
    return registry, name


def _conclude(document: Json, plan: Plan) -> Json:
    """The status after the steps of a plan have succeeded."""
    outcomes = [Outcome(step, obj=make_live(step.body)) for step in plan.steps]
    status = conclude(document, plan, outcomes, NOW).status
    return document.get("status") or {} if status is None else status


def make_live(body: Json) -> Json:
    """An object as the API server would answer it."""
    live = copy.deepcopy(body)
    uid = f"uid-of-{live['kind']}-{live['metadata']['name']}"
    live["metadata"] |= {"uid": uid, "resourceVersion": "1", "generation": 1}
    return live


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        held = merged.get(key)
        merged[key] = _merge(held, value) if isinstance(held, Mapping) and isinstance(value, Mapping) else value
    return merged
