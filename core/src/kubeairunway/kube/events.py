"""Kubernetes Events about objects: aggregated, rate-limited, written in the background, never in anybody's way."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from kubeairunway.errors import ApiError, KubeAIRunwayError
from kubeairunway.kube.transport import is_missing
from kubeairunway.objects.resources import Json, Resource
from kubeairunway.objects.times import format_time

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeairunway.kube.client import Client

EVENTS: Final = Resource("", "v1", "Event", "events")
WINDOW_SECONDS: Final = 600.0
"""Events of one object, reason and type this close together are one Event with a count."""
QUEUE_LIMIT: Final = 1000
SERIES_LIMIT: Final = 5000
BURST: Final = 20
REFILL_SECONDS: Final = 30.0
"""Each object may cause 20 writes at once and one more per 30 s; what is over only raises the count."""
MESSAGE_LIMIT: Final = 1024
"""The API server's own bound on an Event's message."""

SeriesKey = tuple[str, str, str]
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Series:
    """Events that are shown as one; `about` is the Event's `involvedObject`."""

    about: Json
    kind: str
    reason: str
    message: str
    first: datetime
    last: datetime
    expires: float
    count: int = 0
    name: str = ""
    pending: bool = False


@dataclass(slots=True)
class Bucket:
    """The writes an object may still cause."""

    tokens: float
    filled: float = field(default=0.0)


class EventRecorder:
    """Writes Events as one component and instance. `record` returns at once and never raises."""

    def __init__(
        self,
        client: Client,
        component: str,
        instance: str,
        *,
        monotonic: Callable[[], float] | None = None,
        now: Callable[[], datetime] | None = None,
    ) -> None:
        self._client = client
        self._component = component
        self._instance = instance
        self._monotonic = monotonic or (lambda: asyncio.get_running_loop().time())
        self._now = now or (lambda: datetime.now(UTC))
        self._series: OrderedDict[SeriesKey, Series] = OrderedDict()
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._queue: asyncio.Queue[Series] = asyncio.Queue(QUEUE_LIMIT)
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        """Events that were not written: the queue was full, the object over its rate, or the API server refused."""

    def start(self) -> None:
        """Start writing in the running loop; what was recorded before is written too."""
        self._task = asyncio.create_task(self._write_all(), name="event recorder")

    async def stop(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - what is not written in time is dropped, no exception
        """Write what is queued, for at most `timeout` seconds, and end."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._queue.join()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        while not self._queue.empty():
            self._queue.get_nowait().pending = False
            self._queue.task_done()
            self.dropped += 1

    def record(self, about: Json, kind: str, reason: str, message: str) -> None:
        """Record an event about an object. `kind` is Normal or Warning, `reason` one CamelCase word."""
        key = (about["metadata"]["uid"], reason, kind)
        series = self._find_series(key, about, message)
        series.count += 1
        series.last, series.message = self._now(), message
        if series.pending:
            return
        if not self._take_token(key[0]) or self._queue.full():
            self.dropped += 1
            return
        series.pending = True
        self._queue.put_nowait(series)

    def _find_series(self, key: SeriesKey, about: Json, message: str) -> Series:
        instant = self._monotonic()
        series = self._series.get(key)
        if series is None or series.expires <= instant:
            moment = self._now()
            reference = refer_to(about)  # the whole object would live as long as its series
            series = Series(reference, key[2], key[1], message, moment, moment, instant + WINDOW_SECONDS)
            self._series[key] = series
        self._series.move_to_end(key)
        if len(self._series) > SERIES_LIMIT:
            self._series.popitem(last=False)
        return series

    def _take_token(self, uid: str) -> bool:
        instant = self._monotonic()
        bucket = self._buckets.setdefault(uid, Bucket(BURST, instant))
        self._buckets.move_to_end(uid)
        if len(self._buckets) > SERIES_LIMIT:
            self._buckets.popitem(last=False)
        bucket.tokens = min(BURST, bucket.tokens + (instant - bucket.filled) / REFILL_SECONDS)
        bucket.filled = instant
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    async def _write_all(self) -> None:
        while True:
            series = await self._queue.get()
            series.pending = False
            try:
                await self._write(series)
            except KubeAIRunwayError as error:
                self.dropped += 1
                log.debug("event %s for %s was not written: %s", series.reason, series.about["name"], error)
            except Exception:
                self.dropped += 1
                log.exception("event %s for %s was not written", series.reason, series.about["name"])
            finally:
                self._queue.task_done()

    async def _write(self, series: Series) -> None:
        if series.name:
            patch = {"count": series.count, "lastTimestamp": format_time(series.last), "message": _cut(series.message)}
            try:
                await self._client.merge_patch(EVENTS, series.name, _namespace(series.about), patch)
            except ApiError as error:
                if not is_missing(error):
                    raise
            else:
                return
        body = build_event(series, self._component, self._instance)
        await self._client.create(EVENTS, body)
        series.name = body["metadata"]["name"]


def build_event(series: Series, component: str, instance: str) -> Json:
    """Return the core/v1 Event of a series, under a name that no other has."""
    name = f"{series.about['name'][:220]}.{uuid.uuid4().hex[:16]}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": _namespace(series.about)},
        "involvedObject": series.about,
        "type": series.kind,
        "reason": series.reason,
        "message": _cut(series.message),
        "firstTimestamp": format_time(series.first),
        "lastTimestamp": format_time(series.last),
        "count": series.count,
        "source": {"component": component, "host": instance},
        "reportingComponent": component,
        "reportingInstance": instance,
    }


def refer_to(obj: Json) -> Json:
    """Return the core/v1 ObjectReference of an object."""
    meta = obj["metadata"]
    reference = {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "resourceVersion": meta.get("resourceVersion", ""),
    }
    return reference | ({"namespace": meta["namespace"]} if meta.get("namespace") else {})


def _namespace(reference: Json) -> str:
    """Events about cluster-scoped objects live in `default`, as the API server demands."""
    return str(reference.get("namespace") or "default")


def _cut(message: str) -> str:
    return message if len(message) <= MESSAGE_LIMIT else message[: MESSAGE_LIMIT - 1] + "…"
