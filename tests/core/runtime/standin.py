"""A stand-in for the API server at the transport seam: it keeps objects in memory and can go dead after a write.

It answers what the controller asks, in the API server's words, and claims nothing about what a real one would do with
defaults, validation, field ownership or admission: tests in tests/cluster are about that.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from kubeairunway.errors import TransportError
from kubeairunway.kube.transport import Response, build_status_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

Json = dict[str, Any]
Key = tuple[str, str, str]
"""Plural, namespace, name."""

WRITES = {"POST", "PATCH", "PUT", "DELETE"}


@dataclass(frozen=True)
class Served:
    """A kind that is served."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True


@dataclass(frozen=True)
class Call:
    """One request that was answered."""

    method: str
    plural: str
    subresource: str
    name: str
    status: int


class StandIn:
    """The transport and the objects behind it. Once `die_after` writes were done it is `dead`: nothing answers."""

    def __init__(self, *served: Served) -> None:
        self.served = {kind.plural: kind for kind in served}
        self.versions: list[Served] = []
        """Further versions of kinds that are served; objects are the same in all of them."""

        self.objects: dict[Key, Json] = {}
        self.calls: list[Call] = []
        self.refuse: dict[tuple[str, ...], tuple[int, str]] = {}
        """By method and plural, and by the name in the path where one is given: a status and a reason instead."""

        self.react: Callable[[Call], Awaitable[None]] | None = None
        """Called with each answer before it is sent: somebody else is faster than whoever asked."""

        self.die_after: int | None = None
        self.dead = asyncio.Event()
        self._versions = itertools.count(100)
        self._uids = itertools.count(1)
        self._log: list[tuple[int, str, str, Json]] = []
        self._news = asyncio.Condition()

    # ---- what tests do ----

    @property
    def writes(self) -> list[Call]:
        """Writes that were done, events left out."""
        return [call for call in self.calls if call.method in WRITES and call.plural != "events"]

    def get(self, plural: str, name: str, namespace: str = "ns") -> Json | None:
        return self.objects.get((plural, namespace, name))

    async def put(self, plural: str, obj: Json, *, namespace: str = "ns") -> Json:
        """Make or replace an object as somebody else would."""
        key = (plural, namespace if self.served[plural].namespaced else "", obj["metadata"]["name"])
        return await self._store(key, json.loads(json.dumps(obj)))

    async def change(self, plural: str, name: str, patch: Json, *, namespace: str = "ns") -> Json:
        """Merge into an object as somebody else would."""
        key = (plural, namespace if self.served[plural].namespaced else "", name)
        return await self._store(key, merge(self.objects[key], patch))

    async def remove(self, plural: str, name: str, *, namespace: str = "ns") -> None:
        """Remove an object for good."""
        await self._drop((plural, namespace, name))

    # ---- Transport ----

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Any = (),
        body: bytes | None = None,
        content_type: str = "application/json",
        accept: str = "",
        timeout: float = 30.0,  # noqa: ASYNC109 - Transport's signature
    ) -> Response:
        del timeout
        await asyncio.sleep(0)
        if self.dead.is_set():
            raise TransportError("nobody answers")
        sent = json.loads(body) if body else {}
        plural, key, subresource = self._parse(path)
        if plural is None:
            return answer(200, self._discover(path, aggregated="apidiscovery" in accept))
        status, found = await self._answer(method, key, subresource, (sent, content_type, dict(query)))
        if key[0] != "leases":
            self.calls.append(Call(method, plural, subresource, key[2], status))
            if self.react is not None:
                await self.react(self.calls[-1])
        if method in WRITES and plural != "events" and status < 400 and self.die_after is not None:
            self.die_after -= 1
            if self.die_after <= 0:
                self.dead.set()
                raise TransportError("the connection broke before the answer came")
        return answer(status, found)

    @asynccontextmanager
    async def stream(
        self, path: str, query: Any, read_timeout: float, *, accept: str = ""
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        del read_timeout, accept
        if self.dead.is_set():
            raise TransportError("nobody answers")
        options = dict(query)
        plural, key, _ = self._parse(path)
        if plural is None or plural not in self.served:
            raise build_status_error({"code": 404, "reason": "NotFound"})
        yield self._follow(plural, key[1], int(options["resourceVersion"] or 0), options)

    async def close(self) -> None:
        """Nothing is open."""

    # ---- inside ----

    async def _follow(self, plural: str, namespace: str, seen: int, options: Mapping[str, str]) -> AsyncIterator[bytes]:
        index = 0
        while not self.dead.is_set():
            while index < len(self._log):
                version, kind, where, obj = self._log[index]
                index += 1
                same = not namespace or obj["metadata"].get("namespace", "") == namespace
                if version > seen and where == plural and same and selected(obj, options):
                    yield json.dumps({"type": kind, "object": obj}).encode()
            async with self._news:
                if index == len(self._log):
                    await self._news.wait()
        raise TransportError("the stream broke")

    def _parse(self, path: str) -> tuple[str | None, Key, str]:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        rest = parts[2:] if parts[0] == "api" else parts[3:]
        namespace = ""
        if len(rest) > 2 and rest[0] == "namespaces":
            namespace, rest = rest[1], rest[2:]
        if not rest:
            return None, ("", "", ""), ""
        name = rest[1] if len(rest) > 1 else ""
        return rest[0], (rest[0], namespace, name), rest[2] if len(rest) > 2 else ""

    def _discover(self, path: str, *, aggregated: bool) -> Json:
        core = path.startswith("/api") and not path.startswith("/apis")
        parts = path.strip("/").split("/")
        if core and not aggregated:
            parts = ["apis", "", *parts[1:]]
        if len(parts) == 3:  # one version of a group
            kinds = [kind for kind in self._kinds() if (kind.group, kind.version) == (parts[1], parts[2])]
            rows = [{"name": kind.plural, "kind": kind.kind, "namespaced": kind.namespaced} for kind in kinds]
            return {"kind": "APIResourceList", "resources": rows}
        if len(parts) == 2:
            found = sorted({kind.version for kind in self._kinds() if kind.group == parts[1]})
            if core:
                return {"kind": "APIVersions", "versions": found}
            return {"kind": "APIGroup", "versions": [{"version": version} for version in found]}
        items = []
        for group in sorted({kind.group for kind in self._kinds() if (kind.group == "") == core}):
            versions = sorted({kind.version for kind in self._kinds() if kind.group == group})
            items.append({"metadata": {"name": group}, "versions": [self._describe(group, v) for v in versions]})
        return {"kind": "APIGroupDiscoveryList", "items": items}

    def _kinds(self) -> list[Served]:
        return [*self.served.values(), *self.versions]

    def _describe(self, group: str, version: str) -> Json:
        kinds = [kind for kind in self._kinds() if (kind.group, kind.version) == (group, version)]
        return {
            "version": version,
            "resources": [
                {
                    "resource": kind.plural,
                    "responseKind": {"kind": kind.kind},
                    "scope": "Namespaced" if kind.namespaced else "Cluster",
                }
                for kind in kinds
            ],
        }

    async def _answer(  # noqa: PLR0911 - one return for each thing that can be asked
        self, method: str, key: Key, subresource: str, sent: tuple[Json, str, Json]
    ) -> tuple[int, Json]:
        plural, namespace, name = key
        refused = self.refuse.get((method, plural)) or self.refuse.get((method, plural, name))
        if refused is not None:
            status, reason = refused
            return status, failure(status, reason, "refused by the test")
        if plural not in self.served:
            return 404, failure(404, "NotFound", "no such kind")
        body, content_type, options = sent
        if method == "POST":
            return await self._create((plural, namespace, body["metadata"]["name"]), body)
        if not name:
            items = [
                obj
                for (where, place, _), obj in self.objects.items()
                if where == plural and (not namespace or place == namespace) and selected(obj, options)
            ]
            return 200, {"items": items, "metadata": {"resourceVersion": str(self._last)}}
        live = self.objects.get(key)
        if live is None:
            status = 409 if "apply" in content_type and method == "PATCH" else 404
            return status, failure(status, "Conflict" if status == 409 else "NotFound", f"{name} is not there")
        if method == "GET":
            return 200, live
        if method == "DELETE":
            return await self._delete(key, live, body)
        return await self._patch(key, live, subresource, (body, content_type))

    @property
    def _last(self) -> int:
        return self._log[-1][0] if self._log else 99

    async def _create(self, key: Key, body: Json) -> tuple[int, Json]:
        if key in self.objects:
            return 409, failure(409, "AlreadyExists", f"{key[2]} exists")
        return 201, await self._store(key, body)

    async def _delete(self, key: Key, live: Json, body: Json) -> tuple[int, Json]:
        uid = (body.get("preconditions") or {}).get("uid")
        if uid and uid != live["metadata"]["uid"]:
            return 409, failure(409, "Conflict", "the UID in precondition is another")
        if live["metadata"].get("finalizers"):
            return 200, await self._store(key, merge(live, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}))
        await self._drop(key)
        return 200, {"kind": "Status", "status": "Success"}

    async def _patch(self, key: Key, live: Json, subresource: str, sent: tuple[Json, str]) -> tuple[int, Json]:
        body, content_type = sent
        meta = body.get("metadata") or {} if isinstance(body, dict) else {}
        for field in ("uid", "resourceVersion"):
            if field in meta and meta[field] != live["metadata"][field]:
                return 409, failure(409, "Conflict", f"{field} is another")
        if subresource == "status" and "apply" in content_type:
            return 200, await self._store(key, {**live, "status": body["status"]})
        patched = merge(live, body)
        patched["metadata"] = {**patched["metadata"], "resourceVersion": live["metadata"]["resourceVersion"]}
        if patched["metadata"].get("deletionTimestamp") and not patched["metadata"].get("finalizers"):
            await self._drop(key)
            return 200, patched
        return 200, await self._store(key, patched)

    async def _store(self, key: Key, obj: Json) -> Json:
        kind = self.served[key[0]]
        old = self.objects.get(key)
        version = next(self._versions)
        meta = dict(obj["metadata"])
        if kind.namespaced:
            meta["namespace"] = key[1]
        meta["uid"] = old["metadata"]["uid"] if old else f"uid-{next(self._uids)}"
        meta["resourceVersion"] = str(version)
        generation = old["metadata"]["generation"] if old else 0
        meta["generation"] = generation + (old is None or without_state(old) != without_state(obj))
        api_version = f"{kind.group}/{kind.version}" if kind.group else kind.version
        stored = {**obj, "apiVersion": api_version, "kind": kind.kind, "metadata": meta}
        self.objects[key] = stored
        await self._tell(version, "MODIFIED" if old else "ADDED", key[0], stored)
        copy: Json = json.loads(json.dumps(stored))
        return copy

    async def _drop(self, key: Key) -> None:
        obj = self.objects.pop(key)
        version = next(self._versions)
        gone = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}
        await self._tell(version, "DELETED", key[0], gone)

    async def _tell(self, version: int, kind: str, plural: str, obj: Json) -> None:
        self._log.append((version, kind, plural, json.loads(json.dumps(obj))))
        async with self._news:
            self._news.notify_all()


def without_state(obj: Json) -> Json:
    return {key: value for key, value in obj.items() if key not in {"metadata", "status", "apiVersion", "kind"}}


def merge(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def selected(obj: Json, options: Mapping[str, str]) -> bool:
    """Equality and existence of labels; equality and inequality of fields."""
    labels = obj["metadata"].get("labels") or {}
    for part in filter(None, options.get("labelSelector", "").split(",")):
        key, equals, value = part.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    for part in filter(None, options.get("fieldSelector", "").split(",")):
        path, _, value = part.partition("=")
        held: Any = obj
        for step in path.removesuffix("!").split("."):
            held = (held or {}).get(step)
        if ((held or "") == value) is path.endswith("!"):
            return False
    return True


def failure(status: int, reason: str, message: str) -> Json:
    return {"kind": "Status", "code": status, "reason": reason, "message": message}


def answer(status: int, body: Json) -> Response:
    return Response(status, {}, json.dumps(body).encode())
