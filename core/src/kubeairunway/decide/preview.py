"""The decision for a deployment that need not exist yet: `explain`, `render` and tests ask here, with no cluster.

It is `plan_deployment` with facts that stand for a cluster: every loaded provider is ready, and of each of its kinds
the version it likes best is served, unless the caller says otherwise.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from kubeairunway.decide.admission import Admission
from kubeairunway.decide.deployment import plan_deployment
from kubeairunway.decide.expressions import Expressions
from kubeairunway.decide.facts import ProviderFacts
from kubeairunway.decide.plan import Plan, Snapshot, StepKind
from kubeairunway.decide.provider_config import PackageFacts, Upstream, read_facts
from kubeairunway.decide.selection import Decision
from kubeairunway.decide.validation import errors_of
from kubeairunway.model import names
from kubeairunway.model.problems import Problem
from kubeairunway.objects.resources import Json
from kubeairunway.plugin import Kind, Provider
from kubeairunway.plugin.calls import HookCalls

NEW_UID = "00000000-0000-4000-8000-000000000000"
"""Stands for the uid that the API server has not given yet."""

Served = Mapping[tuple[str, str], str]
"""Version by group and kind, where it is not the provider's first; an empty version: the kind is not served."""

NOTHING_SAID: Served = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be done; `objects` are what would be created, in order, empty if anything stands in the way."""

    deployment: Json
    plan: Plan
    objects: tuple[Json, ...]

    @property
    def decision(self) -> Decision | None:
        """The choice of engine and provider; None if the spec is invalid in itself, or nothing is decided."""
        return self.plan.decision if isinstance(self.plan.decision, Decision) else None

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that stop the deployment."""
        return errors_of(self.plan.problems)

    @property
    def obstacle(self) -> str:
        """Why nothing would be created, in a sentence; empty if something would be."""
        blocked = self.plan.stage.blocked if self.plan.stage else None
        return "" if self.objects or blocked is None else blocked.message


def preview(
    deployment: Json,
    providers: Mapping[str, ProviderFacts],
    calls: HookCalls,
    expressions: Expressions,
    *,
    now: datetime,
    admission: Admission | None = None,
) -> Preview:
    """Decide for a deployment none of whose objects exist. Never raises for what users or providers do wrong."""
    snapshot = Snapshot(deployment=deployment, providers=providers, now=now, admission=admission)
    plan = plan_deployment(snapshot, calls, expressions)
    created = tuple(step.body for step in plan.steps if step.action is StepKind.CREATE)
    return Preview(deployment, plan, created)


def as_new(document: Json, namespace: str) -> Json:
    """A deployment from a file as if it had just been created: without status, pause and what only a cluster writes."""
    meta = document.get("metadata") or {}
    kept = {key: meta[key] for key in ("name", "labels") if key in meta}
    annotations = {key: text for key, text in (meta.get("annotations") or {}).items() if key != names.PAUSED}
    return {
        "apiVersion": document["apiVersion"],
        "kind": document["kind"],
        "metadata": {
            **kept,
            **({"annotations": annotations} if annotations else {}),
            "namespace": meta.get("namespace") or namespace,
            "uid": NEW_UID,
            "generation": 1,
        },
        "spec": document.get("spec") or {},
    }


def without_bookkeeping(obj: Json) -> Json:
    """An object as somebody may apply it by hand: no owner that does not exist, none of our annotations."""
    meta = {key: value for key, value in obj["metadata"].items() if key not in {"ownerReferences", "annotations"}}
    annotations = {
        key: text
        for key, text in (obj["metadata"].get("annotations") or {}).items()
        if not key.startswith(f"{names.GROUP}/")
    }
    return {**obj, "metadata": {**meta, **({"annotations": annotations} if annotations else {})}}


def assume_facts(
    packages: Mapping[str, PackageFacts], configs: Mapping[str, Mapping[str, Any]], served: Served = NOTHING_SAID
) -> dict[str, ProviderFacts]:
    """The facts of a cluster where these packages are loaded and everything that they need is there.

    `configs` are InferenceProviderConfigs by name, for the administrator's word; one without a package is one whose
    package is missing.
    """
    nothing = PackageFacts(provider=None)
    return {
        name: read_facts(
            name,
            package,
            configs.get(name),
            Upstream(served=assume_versions(package.provider, served) if package.provider else {}),
            None,
        )
        for name, package in sorted({**dict.fromkeys(configs, nothing), **packages}.items())
    }


def assume_versions(provider: Provider, served: Served = NOTHING_SAID) -> Mapping[Kind, str]:
    """The version of each kind: the one said to be served if the provider knows it, else the provider's first."""
    versions: dict[Kind, str] = {}
    for kind in (*provider.kinds, *provider.children):
        version = served.get((kind.group, kind.name), kind.versions[0])
        if version in kind.versions:
            versions[kind] = version
    return MappingProxyType(versions)
