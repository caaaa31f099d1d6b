"""What this process knows of the cluster: caches and our own newest writes, read as one."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from kubeairunway.decide.ownership import label_value, owner_uids
from kubeairunway.decide.plan import Memory, Snapshot
from kubeairunway.model import names
from kubeairunway.objects.digests import digest
from kubeairunway.objects.resources import Json, Resource
from kubeairunway.runtime.kinds import OWNER, PARENT, KindWatches, Use, label_mark
from kubeairunway.runtime.overlay import Address, Overlay, address_of, version_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from kubeairunway.decide.facts import ProviderFacts
    from kubeairunway.plugin import Kind
    from kubeairunway.runtime.conflicts import Conflicts, Key
    from kubeairunway.runtime.watches import Watch

DEPLOYMENTS: Final = Resource(names.GROUP, names.VERSION, names.MODEL_DEPLOYMENT, "modeldeployments")
CONFIGS: Final = Resource(
    names.GROUP, names.VERSION, names.PROVIDER_CONFIG, "inferenceproviderconfigs", namespaced=False
)

MAX_DEPTH: Final = 6
"""How far below the primary children are followed: set, workspace, stateful set, pod, and two to spare."""

Version = tuple[str, str]
"""uid and resourceVersion."""


@dataclass(frozen=True, slots=True)
class Moment:
    """How far the news of causes had come when a decision began: all of them, and those of one deployment."""

    everything: int = 0
    own: int = 0


@dataclass(slots=True)
class View:
    """A snapshot, and the version of everything that went into it; decisions may look further objects up."""

    snapshot: Snapshot
    seen: dict[Address, Version | None]
    looked_up: set[Address] = field(default_factory=set)
    moment: Moment = Moment()
    freed: int | None = None  # see Finished


class World:
    """Reads objects; `find` is safe from any thread, all else belongs to the event loop."""

    def __init__(self, deployments: Watch, kinds: KindWatches, overlay: Overlay, conflicts: Conflicts) -> None:
        self.deployments = deployments
        self.kinds = kinds
        self.overlay = overlay
        self.conflicts = conflicts

    def deployment(self, key: Key) -> Json | None:
        """The deployment as it is now, our own last write included."""
        return self._read(self.deployments, key[0], key[1])

    def find(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """A live object of a declared kind, ours or not, as far as it is known."""
        watch = self.kinds.watch(kind)
        if watch is None:
            return None
        resource = watch.resource
        return self._read(watch, namespace, name) or self.conflicts.find(
            (resource.group, resource.kind, namespace, name)
        )

    def take(
        self, deployment: Json, facts: Mapping[str, ProviderFacts], memory: Memory, now: datetime, limit: float
    ) -> View:
        """Everything a decision about a deployment is made from."""
        namespace = deployment["metadata"]["namespace"]
        seen: dict[Address, Version | None] = {}
        owned: dict[tuple[Kind, str], Json] = {}
        for kind, resource, obj in self._find_owned(deployment):
            owned[kind, obj["metadata"]["name"]] = obj
            seen[address_of(resource, obj)] = _version(obj)
        children: dict[Kind, list[Json]] = {}
        for use, resource, obj in self._find_children(deployment, owned.values()):
            seen[address_of(resource, obj)] = _version(obj)
            for kind in use.children:
                children.setdefault(kind, []).append(obj)
        looked_up: set[Address] = set()
        snapshot = Snapshot(
            deployment=deployment,
            providers=facts,
            now=now,
            owned=MappingProxyType(owned),
            find=self._make_find(namespace, seen, looked_up),
            children=MappingProxyType({kind: tuple(objects) for kind, objects in children.items()}),
            memory=memory,
            deletion_limit=limit,
        )
        return View(snapshot, seen, looked_up)

    def look_again(self, deployment: Json, looked_up: tuple[Address, ...]) -> dict[Address, Version | None]:
        """The versions now of what a decision would see, and of what an earlier one looked up."""
        seen: dict[Address, Version | None] = {}
        owned = []
        for _, resource, obj in self._find_owned(deployment):
            owned.append(obj)
            seen[address_of(resource, obj)] = _version(obj)
        for _, resource, obj in self._find_children(deployment, owned):
            seen[address_of(resource, obj)] = _version(obj)
        for address in looked_up:
            if address not in seen:
                seen[address] = self._version_at(address)
        return seen

    def keep(self, resource: Resource, answer: Json, *, owner: str = "") -> None:
        """Show the answer to a write of ours, unless the watch was faster than it."""
        meta = answer["metadata"]
        own = resource.kind == DEPLOYMENTS.kind
        watch = self.deployments if own else self.kinds.find_watch(resource.group, resource.kind)
        if watch is None:
            return
        namespace, version = meta.get("namespace") or "", version_of(answer)
        cached = watch.get(namespace, meta["name"])
        newest = watch.seen(namespace) if cached is None else version_of(cached)
        if version > newest:
            self.overlay.put(resource, answer, owner=owner)

    def is_there(self, resource: Resource, obj: Json) -> bool:
        """Whether an object that was read stands, as far as its watch has followed: it may have gone since."""
        address = address_of(resource, obj)
        watch = self.kinds.find_watch(resource.group, resource.kind)
        return watch is None or watch.seen(address[2]) < version_of(obj) or watch.get(*address[2:]) is not None

    def _make_find(
        self, namespace: str, seen: dict[Address, Version | None], looked_up: set[Address]
    ) -> Callable[[Kind, str], Json | None]:
        def find(kind: Kind, name: str) -> Json | None:
            obj = self.find(kind, namespace, name)
            address = (kind.group, kind.name, namespace, name)
            if address not in seen:
                looked_up.add(address)
                seen[address] = _version(obj) if obj is not None else None
            return obj

        return find

    def has_objects(self, uid: str) -> bool:
        """Whether anything exists that was rendered for the deployment of that uid."""
        if any(self.overlay.owned_by(uid)):
            return True
        return any(watch.by_index(OWNER, uid) for watch in self.kinds.rendered())

    def find_at(self, address: Address) -> Json | None:
        """The object at an address, as far as it is known."""
        group, kind, namespace, name = address
        watch = self.kinds.find_watch(group, kind)
        obj = self._read(watch, namespace, name) if watch is not None else None
        return obj or self.conflicts.find(address)

    def _version_at(self, address: Address) -> Version | None:
        obj = self.find_at(address)
        return _version(obj) if obj is not None else None

    def _read(self, watch: Watch, namespace: str, name: str) -> Json | None:
        resource = watch.resource
        cached = watch.get(namespace, name)
        return self.overlay.find((resource.group, resource.kind, namespace, name), cached, watch.seen(namespace))

    def _find_owned(self, deployment: Json) -> Iterator[tuple[Kind, Resource, Json]]:
        uid, namespace = deployment["metadata"]["uid"], deployment["metadata"]["namespace"]
        recorded = str(((deployment.get("status") or {}).get("provider") or {}).get("name") or "")
        ours = self.overlay.owned_by(uid)
        for watch in self.kinds.rendered():
            resource = watch.resource
            names_here = {obj["metadata"]["name"] for obj in watch.by_index(OWNER, uid)}
            names_here |= {address[3] for address in ours if address[:2] == (resource.group, resource.kind)}
            for name in sorted(names_here):
                obj = self._read(watch, namespace, name)
                kind = self._choose_kind(resource, obj, recorded) if obj is not None else None
                if obj is not None and kind is not None and uid in owner_uids(obj):
                    yield kind, resource, obj

    def _choose_kind(self, resource: Resource, obj: Json, recorded: str) -> Kind | None:
        """The kind as the provider that rendered the object declares it; None where it does so in another version.

        Several may declare one, each in its own version, and then every version's watch shows the object. The label
        tells which it is; where somebody edited it, the provider on record.
        """
        label = (obj["metadata"].get("labels") or {}).get(names.PROVIDER)
        renderers = self.kinds.renderers(resource)
        held, kind = next(
            ((held, kind) for wanted in (label, recorded) for held, name, kind in renderers if name == wanted),
            (renderers[0][0], renderers[0][2]),
        )
        return kind if held == resource else None

    def _find_children(self, deployment: Json, owned: Iterable[Json]) -> Iterator[tuple[Use, Resource, Json]]:
        below = list(self.kinds.children())
        if not below:
            return
        meta = deployment["metadata"]
        ours = {obj["metadata"]["uid"] for obj in owned}
        known = set(ours)
        marks = [*sorted(ours), label_mark(meta["namespace"], label_value(meta["name"]))]
        for _ in range(MAX_DEPTH):
            found: list[str] = []
            for watch, use in below:
                for mark in marks:
                    for obj in watch.by_index(PARENT, mark):
                        uid = obj["metadata"]["uid"]
                        if uid not in known and not owner_uids(obj):
                            known.add(uid)
                            found.append(uid)
                            yield use, watch.resource, obj
            if not found:
                return
            marks = found


def describe_deployment(deployment: Json) -> tuple[object, ...]:
    """What a decision sees of a deployment, resourceVersion and foreign metadata left out."""
    meta = deployment["metadata"]
    return (
        meta["uid"],
        meta.get("generation"),
        meta.get("deletionTimestamp"),
        tuple(meta.get("finalizers") or ()),
        _ours(meta.get("labels")),
        _ours(meta.get("annotations")),
        digest(deployment.get("status") or {}),
    )


def _ours(words: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    prefix = f"{names.GROUP}/"
    return tuple(sorted((key, value) for key, value in (words or {}).items() if key.startswith(prefix)))


def _version(obj: Json) -> Version:
    meta = obj["metadata"]
    return meta["uid"], meta["resourceVersion"]
