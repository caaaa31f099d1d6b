"""Whose an object is: from any object up its owner references to the deployment at their end, by metadata alone."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.decide.causes.reading import read_rows, read_text
from kubeairunway.decide.ownership import owner_uids
from kubeairunway.errors import ApiError, KubeError
from kubeairunway.runtime.world import MAX_DEPTH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubeairunway.kube.client import Client
    from kubeairunway.kube.discovery import Discovery
    from kubeairunway.objects.resources import Json, Resource
    from kubeairunway.runtime.kinds import KindWatches

MAX_KNOWN: Final = 20_000
"""Objects whose owners are remembered; the ones that were asked for longest ago go first."""

DENIED_SECONDS: Final = 300.0
"""How long it is remembered that an object may not be read."""

NOBODY: Final = ""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reference:
    """An object as an event or an owner reference names it."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str


class Owners:
    """Finds the deployment above an object; what was found is kept by uid, that there is none as well."""

    def __init__(self, client: Client, discovery: Discovery, kinds: KindWatches) -> None:
        self._client = client
        self._discovery = discovery
        self._kinds = kinds
        self._known: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def known(self, uid: str) -> str | None:
        """The uid of the deployment above an object, empty if there is none; None if that is not known."""
        found = self._known.get(uid)
        if found is None or found[1] < asyncio.get_running_loop().time():
            return None
        return found[0]

    async def find(self, about: Reference) -> str | None:
        """The uid of the deployment above an object, empty if there is none; None if it could not be asked for."""
        return await self._climb(about, 0)

    async def _climb(self, about: Reference, depth: int) -> str | None:
        known = self.known(about.uid)
        if known is not None or depth > MAX_DEPTH or not about.uid:
            return known if known is not None else NOBODY
        try:
            obj = await self._read(about)
        except KubeError as error:
            if not isinstance(error, ApiError) or error.status != HTTPStatus.FORBIDDEN:
                log.debug("owner of %s %s: %s", about.kind, about.name, error)
                return None
            return self._remember(about.uid, NOBODY, seconds=DENIED_SECONDS)
        if obj is None or read_text(obj, "metadata.uid") != about.uid:
            return self._remember(about.uid, NOBODY)
        deployments = owner_uids(obj)
        if deployments:
            return self._remember(about.uid, deployments[0])
        return await self._climb_on(about, obj, depth)

    async def _climb_on(self, about: Reference, obj: Json, depth: int) -> str | None:
        for row in read_rows(obj, "metadata.ownerReferences"):
            found = await self._climb(_read_reference(row, about.namespace), depth + 1)
            if found is None or found:
                return found if found is None else self._remember(about.uid, found)
        return self._remember(about.uid, NOBODY)

    async def _read(self, about: Reference) -> Json | None:
        """An object from our caches, else its metadata from the API server; None if it, or its kind, is not there."""
        group, _, version = about.api_version.rpartition("/")
        watch = self._kinds.find_watch(group, about.kind)
        cached = watch.get(about.namespace, about.name) if watch is not None else None
        if cached is not None and cached["metadata"].get("uid") == about.uid:
            return cached
        resource = self._find_resource(group, version, about.kind)
        if resource is None or not resource.namespaced:
            return None
        try:
            return await self._client.get(resource, about.name, about.namespace, metadata_only=True)
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None

    def _find_resource(self, group: str, version: str, kind: str) -> Resource | None:
        return self._discovery.resource(group, kind, (version, *self._discovery.served(group)))

    def _remember(self, uid: str, deployment: str, *, seconds: float = float("inf")) -> str:
        self._known[uid] = deployment, asyncio.get_running_loop().time() + seconds
        self._known.move_to_end(uid)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return deployment


def read_subject(event: Mapping[str, Any]) -> Reference:
    """The object that an event is about."""
    about = event.get("involvedObject") or {}
    return Reference(
        read_text(about, "apiVersion"),
        read_text(about, "kind"),
        read_text(about, "namespace"),
        read_text(about, "name"),
        read_text(about, "uid"),
    )


def _read_reference(row: Mapping[str, Any], namespace: str) -> Reference:
    return Reference(
        read_text(row, "apiVersion"), read_text(row, "kind"), namespace, read_text(row, "name"), read_text(row, "uid")
    )
