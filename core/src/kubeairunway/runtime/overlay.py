"""Our own writes, visible at once: the answers of the API server until the watch has caught up with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kubeairunway.objects.resources import Json, Resource

Address = tuple[str, str, str, str]
"""Group, kind, namespace and name."""


class Overlay:
    """Answers to our writes by address. Only the event loop changes it; any thread may `find`."""

    def __init__(self) -> None:
        self._objects: dict[Address, Json] = {}
        self._deleted: set[Address] = set()
        self._owned: dict[str, set[Address]] = {}
        self._owners: dict[Address, str] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def put(self, resource: Resource, obj: Json, *, owner: str = "") -> None:
        """Keep an answer, under its owner's uid; one that is older than what is kept changes nothing."""
        obj["metadata"].pop("managedFields", None)
        address = address_of(resource, obj)
        held = self._objects.get(address)
        if held is not None and _same(held, obj) and not _is_newer(obj, held):
            return
        self.drop(address)
        self._objects[address] = obj
        if owner:
            self._owned.setdefault(owner, set()).add(address)
            self._owners[address] = owner

    def mark_deleted(self, resource: Resource, obj: Json, moment: str) -> None:
        """Show an object as being deleted since a moment until the watch says what became of it."""
        meta = {**obj["metadata"]}
        meta.setdefault("deletionTimestamp", moment)
        address = address_of(resource, obj)
        self._objects[address] = {**obj, "metadata": meta}
        self._deleted.add(address)

    def find(self, address: Address, cached: Json | None, seen: int) -> Json | None:
        """The newer of the cached object and our last answer.

        `seen` is the resourceVersion up to which the cache has followed: an answer no newer than that whose object is
        not in the cache was deleted since.
        """
        held = self._objects.get(address)
        if held is None:
            return cached
        if cached is None:
            return held if address not in self._deleted and version_of(held) > seen else None
        return cached if _is_newer(cached, held) else held

    def owned_by(self, uid: str) -> Iterable[Address]:
        """Addresses of answers that were kept for that owner."""
        return tuple(self._owned.get(uid, ()))

    def settle(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        """Drop what the watch has caught up with: called for each event of the resource."""
        present = new if new is not None else old
        if present is None or not self._objects:
            return
        address = address_of(resource, present)
        held = self._objects.get(address)
        if held is None:
            return
        if new is None:
            caught_up = _same(held, present)
        else:
            caught_up = version_of(new) >= version_of(held) + (address in self._deleted)
        if caught_up:
            self.drop(address)

    def drop(self, address: Address) -> None:
        """Forget one answer."""
        self._objects.pop(address, None)
        self._deleted.discard(address)
        owner = self._owners.pop(address, "")
        if owner:
            addresses = self._owned[owner]
            addresses.discard(address)
            if not addresses:
                del self._owned[owner]


def address_of(resource: Resource, obj: Json) -> Address:
    """Where an object lives."""
    meta = obj["metadata"]
    return resource.group, resource.kind, meta.get("namespace") or "", meta["name"]


def version_of(obj: Json) -> int:
    """The resourceVersion as a number; 0 where it is none (they are comparable numbers since Kubernetes 1.35)."""
    version = obj["metadata"].get("resourceVersion", "")
    return int(version) if version.isdecimal() else 0


def _is_newer(mine: Json, theirs: Json) -> bool:
    return version_of(mine) > version_of(theirs)


def _same(mine: Json, theirs: Json) -> bool:
    return bool(mine["metadata"]["uid"] == theirs["metadata"]["uid"])
