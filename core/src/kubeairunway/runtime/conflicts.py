"""Objects of others that stand where ours should: watched one by one until they go, instead of asked for."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kubeairunway.runtime.overlay import Address, address_of
from kubeairunway.runtime.watches import Watch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from kubeairunway.kube.client import Client
    from kubeairunway.objects.resources import Json, Resource

Key = tuple[str, str]
"""A deployment's namespace and name."""

MAX_WATCHES: Final = 500
"""Objects watched one by one; beyond that a conflict heals with the next event of its deployment."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Obstacle:
    """One foreign object, the deployments that it blocks, and its watch where its kind is not cached whole."""

    obj: Json
    keys: set[Key] = field(default_factory=set)
    watch: Watch | None = None
    look: asyncio.Task[None] | None = None


class Conflicts:
    """Foreign objects by address. `wake(key)` is called when one is gone or changed."""

    def __init__(self, client: Client, tasks: asyncio.TaskGroup, wake: Callable[[Key], None]) -> None:
        self._client = client
        self._tasks = tasks
        self._wake = wake
        self._obstacles: dict[Address, _Obstacle] = {}

    def __len__(self) -> int:
        return len(self._obstacles)

    def add(self, key: Key, resource: Resource, obj: Json, *, watch: bool = False) -> Address:
        """Note that an object blocks a deployment; with `watch` follow that one object. Returns its address."""
        address = address_of(resource, obj)
        obstacle = self._obstacles.setdefault(address, _Obstacle(obj))
        obstacle.keys.add(key)
        if not watch or obstacle.watch is not None:
            return address
        if sum(1 for other in self._obstacles.values() if other.watch is not None) >= MAX_WATCHES:
            text = "%s %s/%s is not watched, %d others are: its conflict ends with the next change of a deployment"
            log.warning(text, resource.kind, *address[2:], MAX_WATCHES, extra={"deployment": "/".join(key)})
            return address
        obstacle.watch = Watch(
            self._client,
            resource,
            (address[2],) if address[2] else (),
            fields=f"metadata.name={address[3]}",
            on_event=self._handle,
        )
        obstacle.watch.start(self._tasks)
        look = self._confirm(address, obstacle.watch)
        obstacle.look = self._tasks.create_task(look, name=f"look at {address[1]} {address[3]}")
        return address

    async def _confirm(self, address: Address, watch: Watch) -> None:
        """The object may have gone before its watch began, which then has nothing to tell."""
        await watch.wait_synced()
        obstacle = self._obstacles.get(address)
        if obstacle is not None and obstacle.watch is watch and not len(watch):
            self.gone(address)

    def find(self, address: Address) -> Json | None:
        """The foreign object at an address, if one is known."""
        obstacle = self._obstacles.get(address)
        return obstacle.obj if obstacle is not None and obstacle.watch is not None else None

    def keys(self, address: Address) -> Iterable[Key]:
        """Deployments that the object at an address blocks."""
        obstacle = self._obstacles.get(address)
        return tuple(obstacle.keys) if obstacle is not None else ()

    def clear(self, key: Key, *, but: frozenset[Address] = frozenset()) -> None:
        """A deployment is no longer blocked, except by these."""
        for address, obstacle in list(self._obstacles.items()):
            if key in obstacle.keys and address not in but:
                obstacle.keys.discard(key)
                if not obstacle.keys:
                    self._end(address)

    def gone(self, address: Address) -> None:
        """The object at an address went away: wake whom it blocked."""
        keys = self.keys(address)
        self._end(address)
        for key in keys:
            self._wake(key)

    def _end(self, address: Address) -> None:
        obstacle = self._obstacles.pop(address, None)
        if obstacle is not None and obstacle.look is not None:
            obstacle.look.cancel()  # it waits for a first list that may never come
        if obstacle is not None and obstacle.watch is not None:
            self._tasks.create_task(obstacle.watch.stop(), name=f"end of the watch of {address[1]} {address[3]}")

    def _handle(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        present = new if new is not None else old
        if present is None:
            return
        address = address_of(resource, present)
        if new is None:
            self.gone(address)
            return
        obstacle = self._obstacles.get(address)
        if obstacle is not None:
            changed = obstacle.obj["metadata"].get("resourceVersion") != new["metadata"].get("resourceVersion")
            obstacle.obj = new
            for key in obstacle.keys if changed else ():
                self._wake(key)
