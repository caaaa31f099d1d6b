"""The kinds that loaded providers declare, watched as far as the cluster serves them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kubeairunway.decide.ownership import is_cached_whole, owner_uids
from kubeairunway.model import names
from kubeairunway.runtime.watches import Watch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kubeairunway.kube.client import Client
    from kubeairunway.kube.discovery import Discovery
    from kubeairunway.objects.resources import Json, Resource
    from kubeairunway.plugin import Kind, Provider

OWNER = "owner"
PARENT = "parent"


@dataclass(frozen=True, slots=True)
class Use:
    """How one served kind is used: by which providers it is rendered, and whether upstream makes it, too."""

    rendered: tuple[tuple[str, Kind], ...] = ()
    children: tuple[Kind, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether every object is cached: others' objects of such names are conflicts, and children have no label."""
        return bool(self.children) or any(is_cached_whole(kind) for _, kind in self.rendered)


class KindWatches:
    """One watch for each served kind that a provider renders or that upstream makes below it."""

    def __init__(
        self,
        client: Client,
        discovery: Discovery,
        providers: Iterable[Provider],
        namespaces: tuple[str, ...],
        *,
        on_event: Callable[[Resource, Json | None, Json | None], None],
        on_gone: Callable[[Resource], None],
    ) -> None:
        self._client = client
        self._discovery = discovery
        self._providers = tuple(providers)
        self._namespaces = namespaces
        self._on_event = on_event
        self._on_gone = on_gone
        self._watches: dict[Resource, Watch] = {}
        self._uses: dict[Resource, Use] = {}
        self._renderers: dict[tuple[str, str], list[tuple[Resource, str, Kind]]] = {}
        self._resources: dict[Kind, Resource] = {}

    @property
    def groups(self) -> frozenset[str]:
        """API groups of all declared kinds."""
        return frozenset(kind.group for provider in self._providers for kind in (*provider.kinds, *provider.children))

    def served(self, provider: Provider) -> dict[Kind, str]:
        """The version in use of each kind the provider declares, as far as it is served."""
        declared = (*provider.kinds, *provider.children)
        return {kind: self._resources[kind].version for kind in declared if kind in self._resources}

    def resource(self, kind: Kind) -> Resource | None:
        """The served resource of a declared kind."""
        return self._resources.get(kind)

    def watch(self, kind: Kind) -> Watch | None:
        """The watch of a declared kind."""
        resource = self._resources.get(kind)
        return self._watches.get(resource) if resource is not None else None

    def find_watch(self, group: str, name: str) -> Watch | None:
        """The watch of a kind by group and kind, whichever version."""
        found = (watch for resource, watch in self._watches.items() if (resource.group, resource.kind) == (group, name))
        return next(found, None)

    def rendered(self) -> Iterator[Watch]:
        """Watches of kinds that providers render."""
        for resource, use in self._uses.items():
            if use.rendered:
                yield self._watches[resource]

    def renderers(self, resource: Resource) -> Sequence[tuple[Resource, str, Kind]]:
        """Who renders objects of a kind, in whichever version: the resource in use, the provider, its declaration."""
        return self._renderers[resource.group, resource.kind]

    def children(self) -> Iterator[tuple[Watch, Use]]:
        """Watches of kinds that upstream makes."""
        for resource, use in self._uses.items():
            if use.children:
                yield self._watches[resource], use

    def use(self, resource: Resource) -> Use:
        """How a resource is used."""
        return self._uses.get(resource, Use())

    def waiting(self) -> list[str]:
        """Kinds whose copy is not complete yet and that we may read."""
        return sorted(
            resource.plural for resource, watch in self._watches.items() if not (watch.has_synced or watch.forbidden)
        )

    @property
    def is_settling(self) -> bool:
        """Whether a watch has just been started and is not complete: no decision should be made without it."""
        return any(watch.is_new for watch in self._watches.values())

    async def update(self, tasks: asyncio.TaskGroup) -> bool:
        """Start watches of kinds that are served now, stop the others; true if anything changed.

        A kind that is used in another way than before gets another watch: what it selects and indexes depends on that.
        """
        resources, uses = self._find_uses()
        gone = [watch for resource, watch in self._watches.items() if uses.get(resource) != self._uses.get(resource)]
        for watch in gone:
            del self._watches[watch.resource]
        fresh = [resource for resource in uses if resource not in self._watches]
        self._resources = resources
        for resource in fresh:
            self._watches[resource] = self._make_watch(resource, uses[resource])
        self._set_uses(uses)
        for resource in fresh:
            self._watches[resource].start(tasks)
        for watch in gone:
            left = list(watch.values()) if watch.resource not in uses else []
            await watch.stop()
            for obj in left:
                self._on_event(watch.resource, obj, None)
        return bool(gone or fresh)

    def _set_uses(self, uses: dict[Resource, Use]) -> None:
        self._uses, self._renderers = uses, {}
        for resource, use in uses.items():
            rows = self._renderers.setdefault((resource.group, resource.kind), [])
            rows += [(resource, name, kind) for name, kind in use.rendered]

    def forget(self, resource: Resource) -> None:
        """A watch ended because its kind is no longer served."""
        self._watches.pop(resource, None)
        self._set_uses({held: use for held, use in self._uses.items() if held != resource})
        self._resources = {kind: held for kind, held in self._resources.items() if held != resource}

    def _find_uses(self) -> tuple[dict[Kind, Resource], dict[Resource, Use]]:
        resources: dict[Kind, Resource] = {}
        rendered: dict[Resource, dict[tuple[str, Kind], None]] = {}
        children: dict[Resource, dict[Kind, None]] = {}
        for provider in self._providers:
            for kind in (*provider.kinds, *provider.children):
                found = self._discovery.resource(kind.group, kind.name, kind.versions)
                if found is not None:
                    resources[kind] = found
            for kind in provider.kinds:
                if kind in resources:
                    rendered.setdefault(resources[kind], {})[provider.name, kind] = None
            for kind in provider.children:
                if kind in resources:
                    children.setdefault(resources[kind], {})[kind] = None
        uses = {
            resource: Use(tuple(rendered.get(resource, ())), tuple(children.get(resource, ())))
            for resource in (*rendered, *children)
        }
        return resources, uses

    def _make_watch(self, resource: Resource, use: Use) -> Watch:
        indexes: dict[str, Callable[[Json], Iterable[str]]] = {}
        if use.rendered:
            indexes[OWNER] = owner_uids
        if use.children:
            indexes[PARENT] = parent_marks
        return Watch(
            self._client,
            resource,
            self._namespaces,
            labels="" if use.whole else f"{names.MANAGED_BY}={names.MANAGED_BY_VALUE}",
            trim=None if use.rendered else trim_child,
            indexes=indexes,
            on_event=self._on_event,
            on_gone=self._on_gone,
        )


def parent_marks(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """What a child is found by: uids of its owners, and the deployment that a label copied from its parent names."""
    meta = obj["metadata"]
    uids = [ref.get("uid", "") for ref in meta.get("ownerReferences") or ()]
    label = (meta.get("labels") or {}).get(names.DEPLOYMENT)
    return (*uids, label_mark(meta.get("namespace", ""), label)) if label else tuple(uids)


def label_mark(namespace: str, value: str) -> str:
    """The mark of children that carry a deployment's label in its namespace."""
    return f"{namespace}/{value}"


def trim_child(obj: Json) -> Json:
    """A child as hooks may need it: metadata without annotations, the spec's plain values, the status."""
    meta = {key: value for key, value in obj["metadata"].items() if key not in {"annotations", "managedFields"}}
    spec = {key: value for key, value in (obj.get("spec") or {}).items() if not isinstance(value, dict | list)}
    trimmed: Json = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": meta, "spec": spec}
    if "status" in obj:
        trimmed["status"] = obj["status"]
    return trimmed
