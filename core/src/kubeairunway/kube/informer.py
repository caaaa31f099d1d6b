"""A live copy of one kind: paged list, watch with bookmarks, resume, and events for real differences only."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from enum import StrEnum
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import orjson

from kubeairunway.errors import ApiError, KubeError, StaleListError, TransportError
from kubeairunway.kube.backoff import Backoff
from kubeairunway.kube.client import METADATA
from kubeairunway.kube.store import Key, Store, StringPool
from kubeairunway.kube.transport import JSON_TYPE, build_status_error, is_expired, is_missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from kubeairunway.kube.client import Client
    from kubeairunway.objects.resources import Json, Resource

WATCH_SECONDS: Final = 300.0
"""The server ends a watch after this long (a tenth more or less, so that informers spread out)."""
SILENCE_SECONDS: Final = 90.0
"""A watch without a byte for this long is taken for dead: the server sends a bookmark each minute."""
PROGRESS_SECONDS: Final = 5.0
"""A watch that ends sooner without a line counts as a failure and is not reopened at once."""
BACKOFF_BASE: Final = 0.2
BACKOFF_CAP: Final = 30.0
RETRY_AFTER_CAP: Final = 60.0
KEEPS_PLACE: Final = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}
REFUSALS: Final = 5
"""Lists older than what was seen are refused this often; after that the database was restored from a backup."""
BREATHER: Final = 200
"""Events handled before other tasks get a turn."""

log = logging.getLogger(__name__)


class EventKind(StrEnum):
    """What happened to an object between two states of the store."""

    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"


class Informer:
    """Keeps a store of one kind equal to the server's and calls `on_event(kind, old, new)` for each difference.

    `trim` may return a smaller object (metadata's name, namespace, uid and resourceVersion must stay). managedFields
    are always dropped. Objects belong to the store: never mutate them. `on_event` runs in the event loop and must not
    block; what it raises is logged. When the kind is no longer served, everything is reported deleted, `gone` is set,
    `on_gone` called, and `run` returns; call it again when discovery shows the kind. `last_error` says what fails now.
    """

    def __init__(  # noqa: PLR0913 - options of one list and watch, all but two with defaults
        self,
        client: Client,
        resource: Resource,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
        trim: Callable[[Json], Json] | None = None,
        indexes: Mapping[str, Callable[[Json], Iterable[str]]] | None = None,
        on_event: Callable[[EventKind, Json | None, Json | None], None] | None = None,
        on_gone: Callable[[], None] | None = None,
    ) -> None:
        self.resource = resource
        self.gone = False
        self.last_error: KubeError | None = None
        self._client = client
        self._namespace = namespace
        self._labels = labels
        self._fields = fields
        self._metadata_only = metadata_only
        self._trim = trim
        self._on_event = on_event
        self._on_gone = on_gone
        self._store = Store(indexes)
        self._strings = StringPool()
        self._synced = asyncio.Event()
        self._resume: str | None = None
        self._seen = 0
        self._refused = 0
        self._went_back = False
        self._healthy = False
        self._watching_since: float | None = None

    @property
    def has_synced(self) -> bool:
        """Whether the store has held a whole list; stays true while the connection is lost."""
        return self._synced.is_set()

    @property
    def seen(self) -> int:
        """The resourceVersion up to which the store has followed the server; 0 before the first list."""
        return self._seen

    async def wait_synced(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - the answer is a bool, no exception
        """Wait for the first whole list; false after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._synced.wait()
        except TimeoutError:
            return False
        return True

    def get(self, namespace: str | None, name: str) -> Json | None:
        """Return the object as last seen, or None."""
        return self._store.get((namespace or "", name))

    def by_index(self, name: str, value: str) -> list[Json]:
        """Return the objects that the index function of that name put under the value."""
        return self._store.by_index(name, value)

    def values(self) -> list[Json]:
        """Return all objects as last seen."""
        return self._store.values()

    def __len__(self) -> int:
        return len(self._store)

    async def run(self) -> None:
        """List and watch until cancelled, or until the kind is no longer served."""
        backoff = Backoff(BACKOFF_BASE, BACKOFF_CAP)
        self.gone = False
        missing = 0
        while True:
            error = await self._run_once()
            missing = missing + 1 if is_missing(error) else 0
            if missing > 1:  # one 404 may be an API server that is still starting
                self._vanish()
                return
            await asyncio.sleep(self._pause(error, backoff))

    async def _run_once(self) -> KubeError | None:
        """List if there is nothing to resume from, then watch until it ends; return why it ended."""
        self._healthy = False
        self._watching_since = None
        try:
            if self._resume is None:
                await self._list()
            await self._watch()
        except KubeError as error:
            self.last_error = error
            if isinstance(error, ApiError) and error.status not in KEEPS_PLACE:
                self._resume = None  # a list is always right, and only its differences become events
            log.debug("%s: %s", self.resource.plural, error)
            return error
        return None

    def _pause(self, error: KubeError | None, backoff: Backoff) -> float:
        since = self._watching_since
        if self._healthy or (since is not None and time.monotonic() - since > PROGRESS_SECONDS):
            backoff.reset()
            if error is None or is_expired(error):
                return 0.0
        asked = error.retry_after if isinstance(error, ApiError) else None
        return min(max(backoff.next(), asked or 0.0), RETRY_AFTER_CAP)

    async def _list(self) -> None:
        found: set[Key] = set()
        first = True
        pages = self._client.list_pages(
            self.resource,
            namespace=self._namespace,
            labels=self._labels,
            fields=self._fields,
            metadata_only=self._metadata_only,
        )
        async for page in pages:
            if first:
                self._check_version(page.resource_version)
                first = False
            for item in page.items:
                found.add(self._take(item))
            await asyncio.sleep(0)
        for key in [key for key in self._store if key not in found]:
            self._drop(key)
        self._resume, self._went_back = page.resource_version, False
        self._seen = _number(page.resource_version)
        self._synced.set()

    def _check_version(self, version: str) -> None:
        number = _number(version)
        if number >= self._seen or self._went_back:
            self._refused = 0
        elif self._refused < REFUSALS:
            self._refused += 1
            raise StaleListError(
                f"{self.resource.plural}: list at {version} is older than {self._seen}, which was seen"
            )
        else:
            log.warning(
                "%s: the server went back from %s to %s and stays there", self.resource.plural, self._seen, number
            )
            self._refused = 0
            self._went_back = True

    async def _watch(self) -> None:
        query = [
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self._resume or ""),
            ("timeoutSeconds", str(int(WATCH_SECONDS * random.uniform(0.9, 1.1)))),  # noqa: S311 - spreads load
        ]
        query += [
            (key, value) for key, value in (("labelSelector", self._labels), ("fieldSelector", self._fields)) if value
        ]
        path = self.resource.path(self._namespace)
        accept = METADATA if self._metadata_only else JSON_TYPE
        stream = self._client.transport.stream(path, query, SILENCE_SECONDS, accept=accept)
        async with stream as lines:
            self._watching_since, self.last_error = time.monotonic(), None
            await self._follow(lines)

    async def _follow(self, lines: AsyncIterator[bytes]) -> None:
        count = 0
        async for line in lines:
            self._handle(line)
            self._healthy = True
            count += 1
            if count % BREATHER == 0:
                await asyncio.sleep(0)

    def _handle(self, line: bytes) -> None:
        try:
            event = orjson.loads(line)
            kind, item = event["type"], event["object"]
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise TransportError(f"watch of {self.resource.plural}: a line is no event") from error
        if kind == "ERROR":
            raise build_status_error(item)
        version = item["metadata"]["resourceVersion"]
        if kind == "DELETED":
            old = self._store.get(_key(item))
            if old is not None and not _is_newer(old, item):
                self._drop(_key(item))
        elif kind != "BOOKMARK":
            self._take(item)
        if _number(version) >= self._seen:
            self._resume, self._seen = version, _number(version)

    def _take(self, item: Json) -> Key:
        """Put an object into the store unless it is older than the one there; tell about a difference."""
        key = _key(item)
        old = self._store.get(key)
        if old is not None and not self._went_back and not _is_newer(item, old):
            return key
        meta = item["metadata"]
        meta.pop("managedFields", None)
        item["apiVersion"], item["kind"] = self.resource.api_version, self.resource.kind
        new = self._trim(item) if self._trim is not None else item
        self._strings.share_strings(new)
        self._store.put(key, new)
        if old is None:
            self._tell(EventKind.ADDED, None, new)
        elif old["metadata"]["uid"] == meta["uid"]:
            if old["metadata"]["resourceVersion"] != meta["resourceVersion"]:
                self._tell(EventKind.MODIFIED, old, new)
        else:
            self._tell(EventKind.DELETED, old, None)
            self._tell(EventKind.ADDED, None, new)
        return key

    def _drop(self, key: Key) -> None:
        old = self._store.remove(key)
        if old is not None:
            self._tell(EventKind.DELETED, old, None)

    def _vanish(self) -> None:
        for key in list(self._store):
            self._drop(key)
        self._resume, self._seen = None, 0
        self.gone = True
        self._synced.set()
        if self._on_gone is not None:
            self._on_gone()

    def _tell(self, kind: EventKind, old: Json | None, new: Json | None) -> None:
        if self._on_event is None:
            return
        try:
            self._on_event(kind, old, new)
        except Exception:
            log.exception("%s: the event handler failed", self.resource.plural)


def _key(item: Json) -> Key:
    meta = item["metadata"]
    return meta.get("namespace") or "", meta["name"]


def _is_newer(item: Json, old: Json) -> bool:
    mine, theirs = item["metadata"], old["metadata"]
    return _number(mine["resourceVersion"]) > _number(theirs["resourceVersion"])


def _number(version: str) -> int:
    """Resource versions are comparable numbers since Kubernetes 1.35, and were in practice before."""
    return int(version) if version.isdecimal() else 0
