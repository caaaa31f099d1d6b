"""What all stand-ins share: the operator's own Deployment, watches, one work queue, and careful writes."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from kubeairunway.errors import ApiError
from kubeairunway.kube.informer import EventKind, Informer
from kubeairunway.kube.workqueue import WorkQueue
from kubeairunway_dev.standins import installation, pods
from kubeairunway_dev.standins.owned import list_finalizers, make_patch, read_stamp, stamp
from kubeairunway_dev.standins.resources import DEPLOYMENT, NODE, POD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping

    from kubeairunway.kube.client import Client
    from kubeairunway.objects.resources import Json, Resource
    from kubeairunway_dev.standins.installation import Installation
    from kubeairunway_dev.standins.switches import Switches

Key = tuple[str, str, str]
"""Watch (a kind, unless it was given a name), namespace, name."""

WORKERS: Final = 4
ABSENT_SECONDS: Final = 1.0
"""How often a kind that is not served is asked for again."""

SYNC_SECONDS: Final = 0.05
"""How often is looked whether all watches have their first list: nothing is decided before."""

KUBELET: Final = "kubelet"

log = logging.getLogger(__name__)


class StandIn:
    """One operator: a subclass names its watches in its constructor; `run` works until it is cancelled."""

    def __init__(self, client: Client, switches: Switches, operator: Installation) -> None:
        self.client = client
        self.switches = switches
        self._operator = operator
        self._queue: WorkQueue[Key] = WorkQueue(WORKERS, self._handle)
        self._informers: dict[str, Informer] = {}
        self._reconcilers: dict[str, Callable[[Json], Awaitable[float | None]]] = {}
        self._since: dict[str, dict[str, tuple[Hashable, float]]] = {}
        """By uid and topic: the newest revision, and when it was first seen, on the event loop's clock."""

        self._written: dict[str, int] = {}
        """By uid: the resourceVersion of our last status write; what the cache holds until then is out of date."""

    async def run(self) -> None:
        """Install the operator's own Deployment, then reconcile until cancelled."""
        if not await self._install():
            await self._play_kubelet()
        self._queue.start()
        try:
            async with asyncio.TaskGroup() as group:
                known = list(self._informers.values())
                for informer in known:
                    group.create_task(keep_watching(informer))
                await self.prepare()
                for informer in self._informers.values():
                    if informer not in known:
                        group.create_task(keep_watching(informer))
        finally:
            await self._queue.stop(0)

    async def prepare(self) -> None:
        """Do what can be done only once the operator is installed: a subclass may name further watches here."""

    def watch(
        self,
        resource: Resource,
        reconcile: Callable[[Json], Awaitable[float | None]] | None = None,
        *,
        name: str = "",
        namespace: str | None = None,
        labels: str = "",
        indexes: Mapping[str, Callable[[Json], Iterable[str]]] | None = None,
        touches: Callable[[Json], Iterable[Key]] | None = None,
    ) -> Informer:
        """Keep a copy of a kind. Each change hands the object to `reconcile`, and queues the keys that it `touches`."""
        name = name or resource.kind
        if reconcile is not None:
            self._reconcilers[name] = reconcile
        on_event = partial(self._on_event, name, touches)
        self._informers[name] = Informer(
            self.client, resource, namespace=namespace, labels=labels, indexes=indexes, on_event=on_event
        )
        return self._informers[name]

    def measure(self, item: Json, revision: Hashable, topic: str = "") -> float:
        """Return the seconds since an object's revision was first seen (its generation, or what else may change)."""
        now = asyncio.get_running_loop().time()
        topics = self._since.setdefault(item["metadata"]["uid"], {})
        known, since = topics.get(topic, (None, now))
        if known != revision:
            since = now
            topics[topic] = (revision, now)
        return now - since

    async def create(self, resource: Resource, body: Json) -> Json | None:
        """Create an object and return it; None if one of that name exists already."""
        try:
            return await self.client.create(resource, body)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            return None

    async def settle(self, resource: Resource, body: Json, live: Json | None) -> bool:
        """Create what is missing, bring up to date what differs from what we wrote; return whether neither was due."""
        wanted = stamp(body)
        if live is None:
            await self.create(resource, wanted)
        elif read_stamp(live) != read_stamp(wanted):
            meta = {**wanted["metadata"], "uid": live["metadata"]["uid"]}
            await self.client.apply_in_place(resource, {**wanted, "metadata": meta})
        else:
            return True
        return False

    async def delete_all(self, resource: Resource, items: Iterable[Json]) -> None:
        """Delete objects that are not being deleted already."""
        for item in items:
            meta = item["metadata"]
            if "deletionTimestamp" not in meta:
                await self.client.delete(resource, meta["name"], meta["namespace"], uid=meta["uid"])

    async def hold(self, resource: Resource, item: Json, finalizer: str = "") -> bool:
        """Return whether an object is alive and carries the finalizers that it should; if not, write them.

        That write's own event brings the key back.
        """
        meta = item["metadata"]
        wanted = list_finalizers(meta, finalizer, held=self.switches.read_for(item).hold)
        if wanted == meta.get("finalizers", []):
            return "deletionTimestamp" not in meta
        patch = {"metadata": {"finalizers": wanted, "resourceVersion": meta["resourceVersion"]}}
        await self.client.merge_patch(resource, meta["name"], meta["namespace"], patch)
        return False

    async def fill_in(self, resource: Resource, item: Json, defaults: list[Json]) -> bool:
        """Write defaults (operations of a JSON patch) into an object where that is switched on; say whether it was."""
        if not self.switches.defaults or not defaults:
            return False
        meta = item["metadata"]
        unchanged = {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]}
        await self.client.json_patch(resource, meta["name"], meta["namespace"], [unchanged, *defaults])
        log.info("%s %s/%s: defaults filled in", resource.kind, meta["namespace"], meta["name"])
        return True

    async def write_status(self, resource: Resource, item: Json, status: Json, words: str) -> None:
        """Write a whole status if it differs; `words` are for the log."""
        meta = item["metadata"]
        patch = make_patch(item.get("status", {}), status)
        is_stale = int(meta["resourceVersion"]) < self._written.get(meta["uid"], 0)
        if patch is None or is_stale:
            return
        answer = await self.client.merge_patch(resource, meta["name"], meta["namespace"], patch, subresource="status")
        self._written[meta["uid"]] = int(answer["metadata"]["resourceVersion"])
        log.info("%s %s/%s: %s", resource.kind, meta["namespace"], meta["name"], words)

    def _on_event(
        self,
        name: str,
        touches: Callable[[Json], Iterable[Key]] | None,
        _kind: EventKind,
        old: Json | None,
        new: Json | None,
    ) -> None:
        for item in filter(None, (old, new)):
            meta = item["metadata"]
            for key in touches(item) if touches is not None else ():
                self._queue.add(key)
            if name in self._reconcilers:
                self._queue.add((name, meta["namespace"], meta["name"]))
            if new is None:
                self._since.pop(meta["uid"], None)
                self._written.pop(meta["uid"], None)

    async def _handle(self, key: Key) -> float | None:
        """Reconcile one object; return seconds until it wants to be looked at again."""
        watch, namespace, name = key
        if watch != KUBELET and not all(informer.has_synced for informer in self._informers.values()):
            return SYNC_SECONDS
        item = self._informers[watch].get(namespace, name)
        if item is None:
            self._queue.forget(key)
            return None
        try:
            return await self._reconcilers[watch](item)
        except ApiError as error:
            # Deleted or written since it was read: the next event brings the key back.
            if error.status not in {404, 409} and not is_failed_test(error):
                raise
        return None

    async def _install(self) -> bool:
        """Make the operator's Deployment; return whether there are nodes that run its pod."""
        for resource, body in installation.make_objects(self._operator):
            await self.create(resource, body)
        async for page in self.client.list_pages(NODE, limit=1, metadata_only=True):
            return bool(page.items)
        return False

    async def _play_kubelet(self) -> None:
        """Make the operator ready where no node does: its Deployment, and its pods if a controller makes them."""
        name, namespace = self._operator.name, self._operator.namespace
        await self.client.merge_patch(DEPLOYMENT, name, namespace, installation.READY, subresource="status")
        self.watch(POD, self._make_pod_ready, name=KUBELET, namespace=namespace, labels=self._operator.selector)

    async def _make_pod_ready(self, pod: Json) -> None:
        if not pods.is_ready(pod):
            meta = pod["metadata"]
            patch = pods.make_ready(datetime.now(UTC))
            await self.client.merge_patch(POD, meta["name"], meta["namespace"], patch, subresource="status")


def is_failed_test(error: ApiError) -> bool:
    """Return whether an error says that a JSON patch's `test` did not hold."""
    return error.status == 422 and "test" in str(error)  # noqa: PLR2004 - HTTP


async def keep_watching(informer: Informer) -> None:
    """Run an informer for ever: its kind may be served later, or again."""
    while True:
        await informer.run()
        await asyncio.sleep(ABSENT_SECONDS)
