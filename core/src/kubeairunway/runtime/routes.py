"""From an event of any watched object to the deployments it is news for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeairunway.decide.ownership import owner_uids
from kubeairunway.model import names
from kubeairunway.runtime.overlay import address_of
from kubeairunway.runtime.world import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kubeairunway.objects.resources import Json, Resource
    from kubeairunway.runtime.conflicts import Key
    from kubeairunway.runtime.world import World


class Routes:
    """Keeps the overlay honest and wakes deployments; every method is called for each event of a watch."""

    def __init__(self, world: World, wake: Callable[[Key], None], take_up: Callable[[Key], None]) -> None:
        """`wake(key)` is called for news of a deployment, `take_up(key)` for a new one."""
        self._world = world
        self._wake = wake
        self._take_up = take_up
        self._keys: dict[str, Key] = {}

    def handle_deployment(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        """A deployment came, changed or went."""
        self._world.overlay.settle(resource, old, new)
        present = new if new is not None else old
        if present is None:
            return
        meta = present["metadata"]
        key = (meta["namespace"], meta["name"])
        if new is not None:
            self._keys[meta["uid"]] = key
        else:
            self._keys.pop(meta["uid"], None)
        (self._take_up if old is None else self._wake)(key)

    def handle_object(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        """An object of a declared kind came, changed or went."""
        world = self._world
        world.overlay.settle(resource, old, new)
        present = new if new is not None else old
        if present is None:
            return
        address = address_of(resource, present)
        blocked = world.conflicts.keys(address)
        if new is None:
            world.conflicts.gone(address)
        keys = dict.fromkeys(blocked)
        for obj in (old, new):
            if obj is not None:
                keys |= dict.fromkeys(self._find_keys(resource, obj))
        for key in keys:
            self._wake(key)

    def _find_keys(self, resource: Resource, obj: Json) -> Iterator[Key]:
        owners = owner_uids(obj)
        for uid in owners:
            if uid in self._keys:
                yield self._keys[uid]
        if owners:
            return
        meta = obj["metadata"]
        namespace = meta.get("namespace") or ""
        use = self._world.kinds.use(resource)
        if use.children:
            key = self._find_parent(obj, 0) or self._find_labelled(obj)
            if key is not None:
                yield key
        if use.rendered and self._world.deployments.get(namespace, meta["name"]) is not None:
            yield namespace, meta["name"]

    def _find_parent(self, obj: Mapping[str, Any], depth: int) -> Key | None:
        """The deployment at the upper end of a child's chain of owners."""
        meta = obj["metadata"]
        for reference in meta.get("ownerReferences") or ():
            group = str(reference.get("apiVersion", "")).rpartition("/")[0]
            watch = self._world.kinds.find_watch(group, str(reference.get("kind", "")))
            parent = watch.get(meta.get("namespace") or "", str(reference.get("name", ""))) if watch else None
            if parent is None or parent["metadata"]["uid"] != reference.get("uid"):
                continue
            for uid in owner_uids(parent):
                if uid in self._keys:
                    return self._keys[uid]
            key = self._find_parent(parent, depth + 1) if depth < MAX_DEPTH else None
            if key is not None:
                return key
        return None

    def _find_labelled(self, obj: Mapping[str, Any]) -> Key | None:
        """The deployment whose label a child copied from its parent."""
        meta = obj["metadata"]
        name = (meta.get("labels") or {}).get(names.DEPLOYMENT)
        key = (meta.get("namespace") or "", str(name))
        return key if name and self._world.deployments.get(*key) is not None else None
