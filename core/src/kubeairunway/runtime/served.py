"""Which kinds the cluster serves, kept true by CRD events instead of polling."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from kubeairunway.errors import KubeError
from kubeairunway.kube.backoff import Backoff
from kubeairunway.model import names
from kubeairunway.objects.resources import Resource
from kubeairunway.objects.times import parse_time
from kubeairunway.runtime.watches import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kubeairunway.kube.client import Client
    from kubeairunway.kube.discovery import Discovery
    from kubeairunway.objects.resources import Json
    from kubeairunway.runtime.kinds import KindWatches

CRDS: Final = Resource(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)

LOOK_AGAIN: Final = (0.0, 0.3, 1.0, 3.0, 8.0)
"""Seconds after a CRD event at which its group is read: serving follows the event with a delay nobody promises."""

YOUNG: Final = timedelta(minutes=1)
"""Age up to which a CRD is looked at again after the start, too: the first read may have come too early for it."""

REREAD_SECONDS: Final = 60.0
"""How often everything is read again where CRDs may not be watched, and whether they may is looked at."""

SETTLE_SECONDS: Final = 10.0
"""How long the start waits for the list of CRDs."""

log = logging.getLogger(__name__)


class ServedKinds:
    """Reads discovery at the start and after each CRD event that matters, and lets the watches of kinds follow.

    `own` are watches of our own kinds: they are started again when their CRDs come back. `on_change` is called when
    anything was started or stopped, and when the right to watch CRDs came or went.
    """

    def __init__(
        self,
        client: Client,
        discovery: Discovery,
        kinds: KindWatches,
        own: Iterable[Watch],
        *,
        on_change: Callable[[], None],
    ) -> None:
        self._discovery = discovery
        self._kinds = kinds
        self._own = tuple(own)
        self._on_change = on_change
        self._crds = Watch(client, CRDS, metadata_only=True, trim=_trim, on_event=self._handle)
        self._due: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._listening = False

    @property
    def watching(self) -> bool:
        """Whether CRD events tell us; else discovery is read again every minute."""
        return not self._crds.forbidden

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Read everything once, start the watches of what is served, then follow in the background."""
        self._crds.start(tasks)
        loop = asyncio.get_running_loop()
        end = loop.time() + SETTLE_SECONDS
        while not (self._crds.has_synced or self._crds.forbidden) and loop.time() < end:  # noqa: ASYNC110 - two conditions, once
            await asyncio.sleep(0.01)
        self._listening = True
        await self._read_all()
        for watch in self._own:
            watch.start(tasks)
        await self._kinds.update(tasks)
        self._look_at_young(datetime.now(UTC))
        tasks.create_task(self._follow(tasks), name="discovery")
        if self._crds.forbidden:
            log.warning(
                "CRDs may not be watched, so new kinds are seen within %.0f s; grant list and watch of %s",
                REREAD_SECONDS,
                CRDS.plural,
            )

    def _look_at_young(self, now: datetime) -> None:
        made = {_group_of(crd): parse_time(crd["metadata"].get("creationTimestamp")) for crd in self._crds.values()}
        for group, moment in made.items():
            if moment is not None and now - moment < YOUNG and self._matters(group):
                self.look_at(group)

    async def _read_all(self) -> None:
        backoff = Backoff(0.2, 10.0)
        while True:
            try:
                await self._discovery.refresh()
            except KubeError as error:
                delay = backoff.next()
                log.warning("the API server does not answer, again in %.1f s: %s", delay, error)
                await asyncio.sleep(delay)
            else:
                return

    def look_at(self, group: str) -> None:
        """Read a group again, now and some more times soon: what is served there may have changed."""
        loop = asyncio.get_running_loop()
        for delay in LOOK_AGAIN:
            loop.call_later(delay, self._request, group)

    def forget(self, resource: Resource) -> None:
        """A watch ended because its kind is gone."""
        log.warning("%s is no longer served", resource.plural, extra={"reason": "KindGone"})
        self._kinds.forget(resource)
        self.look_at(resource.group)
        self._on_change()

    def _request(self, group: str) -> None:
        self._due[group] = None
        self._wake.set()

    def _handle(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        del resource
        if not self._listening:
            return
        group = _group_of(new or old or {"metadata": {"name": ""}})
        if self._matters(group):
            self.look_at(group)

    def _matters(self, group: str) -> bool:
        return group == names.GROUP or group in self._kinds.groups

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        watching = self.watching
        while True:
            try:
                async with asyncio.timeout(REREAD_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                if not self.watching:
                    self._due |= dict.fromkeys((*self._kinds.groups, names.GROUP))
            if watching != self.watching:
                watching = self.watching
                self._on_change()
            self._wake.clear()
            due, self._due = self._due, {}
            for group in due:
                await self._read(group)
            if due:
                await self._restart(tasks)

    async def _read(self, group: str) -> None:
        try:
            await self._discovery.refresh(group)
        except KubeError as error:
            log.warning("API group %s could not be read: %s", group or "core", error)

    async def _restart(self, tasks: asyncio.TaskGroup) -> None:
        for watch in self._own:
            resource = watch.resource
            if watch.gone and self._discovery.resource(resource.group, resource.kind, (resource.version,)):
                await watch.stop()
                watch.start(tasks)
        if await self._kinds.update(tasks):
            self._on_change()


def _trim(crd: Json) -> Json:
    kept = ("name", "uid", "resourceVersion", "creationTimestamp")
    return {"metadata": {key: value for key, value in crd["metadata"].items() if key in kept}}


def _group_of(crd: Json) -> str:
    name: str = crd["metadata"]["name"]
    return name.partition(".")[2]
