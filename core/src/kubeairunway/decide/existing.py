"""What exists already for a deployment: its primary, what its status recorded, and what upstream reports."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from kubeairunway.decide.effective import effective_spec
from kubeairunway.decide.facts import Kept, ProviderFacts
from kubeairunway.decide.ownership import annotation, owner_uids
from kubeairunway.decide.plan import Snapshot
from kubeairunway.decide.rendering import describe_identity
from kubeairunway.model import names
from kubeairunway.model.documents import Deployment
from kubeairunway.model.spec import ENGINE_TITLES, Spec
from kubeairunway.objects.digests import digest
from kubeairunway.objects.resources import Json
from kubeairunway.plugin import Kind, Observed, Report, Request, View
from kubeairunway.plugin.typed import read_typed


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What the status says was chosen, and what was created for it (kind is empty: nothing yet)."""

    provider: str = ""
    engine: str = ""
    identity: str = ""
    api_version: str = ""
    kind: str = ""
    name: str = ""


def read_recorded(deployment: Mapping[str, Any]) -> Recorded:
    """The choice and the primary that the status has on record."""
    status = deployment.get("status") or {}
    provider = status.get("provider") or {}
    return Recorded(
        provider=provider.get("name", ""),
        engine=(status.get("engine") or {}).get("type", ""),
        identity=provider.get("identity", ""),
        api_version=provider.get("apiVersion", ""),
        kind=provider.get("resourceKind", ""),
        name=provider.get("resourceName", ""),
    )


@dataclass(frozen=True, slots=True)
class Primary:
    """The object that carries readiness, as it lives."""

    kind: Kind
    obj: Json

    @property
    def name(self) -> str:
        """The object's name."""
        value: str = self.obj["metadata"]["name"]
        return value

    @property
    def uid(self) -> str:
        """The object's uid."""
        value: str = self.obj["metadata"]["uid"]
        return value

    @property
    def deleting_since(self) -> str:
        """When it was asked to go; empty if it was not."""
        return self.obj["metadata"].get("deletionTimestamp") or ""

    @property
    def provider(self) -> str:
        """The provider that rendered it, from our label."""
        labels: Mapping[str, str] = self.obj["metadata"].get("labels") or {}
        return labels.get(names.PROVIDER, "")


def find_primaries(snapshot: Snapshot) -> tuple[Primary, ...]:
    """Every primary of ours that lives; more than one only while one takes another's place.

    Its mark tells it, or the status where somebody removed the mark.
    """
    recorded = read_recorded(snapshot.deployment)
    return tuple(
        Primary(kind, obj)
        for (kind, name), obj in sorted(snapshot.owned.items(), key=_by_kind_and_name)
        if annotation(obj, names.IDENTITY) or (kind.name, name) == (recorded.kind, recorded.name)
    )


def _by_kind_and_name(item: tuple[tuple[Kind, str], Json]) -> tuple[str, str, str]:
    (kind, name), _ = item
    return kind.group, kind.name, name


def find_kept(recorded: Recorded, primary: Primary | None, spec: Spec) -> Kept | None:
    """The choice that stays: made for this identity, its primary created, and no pin that moves it."""
    if not recorded.kind or not recorded.provider:
        return None
    if spec.provider.name not in {"", recorded.provider} or spec.engine.type not in {None, recorded.engine}:
        return None
    if recorded.identity != describe_identity(spec, recorded.provider, recorded.engine):
        return None
    # Labels can be edited: what the status has on record is this provider's, whatever its label says.
    stands = primary is not None and (
        primary.provider == recorded.provider or (primary.kind.name, primary.name) == (recorded.kind, recorded.name)
    )
    return Kept(
        provider=recorded.provider,
        engine=recorded.engine,
        primary=primary.kind if primary is not None and stands else None,
    )


def observe(snapshot: Snapshot, primary: Primary) -> Observed:
    """The live objects as the provider's `status` hook sees them."""
    base = snapshot.deployment["metadata"]["name"]
    others = {
        (kind, name.removeprefix(base).removeprefix("-")): View(obj)
        for (kind, name), obj in snapshot.owned.items()
        if obj is not primary.obj
    }
    children = {
        kind: tuple(View(obj) for obj in sorted(objects, key=_object_name))
        for kind, objects in snapshot.children.items()
    }
    return Observed(View(primary.obj), others, children)


def _object_name(obj: Mapping[str, Any]) -> str:
    name: str = obj["metadata"]["name"]
    return name


def is_proved(report: Report, primary: Primary, snapshot: Snapshot) -> bool:
    """Whether what upstream reports is about the object as it stands, and that one is to stay.

    Its very generation proves it: 0 is "not yet", and a greater one is of no revision that there is. Upstream that
    never says one proves it by a status that differs from the one that stood when we sent this revision: the
    annotation knows that one, and memory the one in the answer.
    """
    if primary.deleting_since:
        return False
    if report.generation is not None:
        return 0 < report.generation == int(primary.obj["metadata"].get("generation") or 0)
    now = digest(primary.obj.get("status") or {})
    known = {annotation(primary.obj, names.APPLIED_OVER), snapshot.memory.statuses.get(primary.uid)}
    return now not in known


def fallback_request(deployment: Deployment, facts: ProviderFacts, engine: str, primary: Kind) -> Request:
    """A request for `status` alone, when the present spec is not what runs: the engine is the one on record."""
    provider = facts.provider
    overrides = None
    if provider is not None and provider.overrides is not None:
        overrides, problems = read_typed(
            provider.overrides, deployment.spec.provider.overrides, "spec.provider.overrides"
        )
        overrides = provider.overrides() if problems else overrides
    name = engine if engine in ENGINE_TITLES else None
    return Request(
        name=deployment.name,
        namespace=deployment.namespace,
        spec=effective_spec(deployment.spec, name, name=deployment.name),
        versions=facts.versions,
        primary=primary,
        overrides=overrides,
        settings=facts.settings,
    )


def pick_owned(
    deployment: Json, objects: Iterable[Json], providers: Mapping[str, ProviderFacts]
) -> Mapping[tuple[Kind, str], Json]:
    """The objects that are the deployment's, by the kind of the provider that rendered each, and name."""
    meta = deployment["metadata"]
    recorded = ((deployment.get("status") or {}).get("provider") or {}).get("name") or ""
    owned: dict[tuple[Kind, str], Json] = {}
    for obj in objects:
        kind = _find_kind(obj, recorded, providers)
        about = obj.get("metadata") or {}
        if kind is not None and about.get("namespace") == meta["namespace"] and meta["uid"] in owner_uids(obj):
            owned[kind, about["name"]] = obj
    return MappingProxyType(owned)


def _find_kind(obj: Json, recorded: str, providers: Mapping[str, ProviderFacts]) -> Kind | None:
    """The kind of an object as the provider on its label declares it, else the one on record, else any."""
    group, _, version = str(obj.get("apiVersion") or "").rpartition("/")
    label = ((obj.get("metadata") or {}).get("labels") or {}).get(names.PROVIDER)
    for name in dict.fromkeys((label, recorded, *providers)):
        facts = providers.get(name or "")
        provider = facts.provider if facts else None
        for kind in provider.kinds if provider else ():
            if (kind.group, kind.name) == (group, obj.get("kind")) and version in kind.versions:
                return kind
    return None
