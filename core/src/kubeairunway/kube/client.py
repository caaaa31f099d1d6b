"""Requests on objects: get, list, create, delete, server-side apply, patches; with retries and the write gate."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson

from kubeairunway.errors import ApiError, NotSentError, TransportError
from kubeairunway.kube.transport import JSON_TYPE, build_error, is_conflict, is_missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from kubeairunway.kube.transport import Query, Response, Transport
    from kubeairunway.objects.resources import Json, Resource

APPLY: Final = "application/apply-patch+yaml"
MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
ATTEMPTS: Final = 5
UNAVAILABLE: Final = {HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
RETRY_BASE: Final = 0.1
RETRY_CAP: Final = 10.0
"""Longest pause between attempts in seconds, whatever Retry-After asks for; the work queue waits longer than that."""

ADOPTED_LIMIT: Final = 20_000
"""How many adopted objects are remembered; a forgotten one costs a read at its next in-place apply."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list; `resource_version` is that of the whole list and the same on each of its pages."""

    items: list[Json]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Call:
    """One request before it is sent."""

    verb: str
    method: str
    path: str
    resource: Resource | None = None
    query: Query = ()
    body: bytes | None = None
    content_type: str = JSON_TYPE
    accept: str = JSON_TYPE
    idempotent: bool = False
    """Whether sending it twice ends as sending it once, so that an unknown outcome may be tried again."""


class Client:
    """The API of one cluster for one field manager.

    `gate` runs before every attempt of every write and may raise. `observe(verb, resource, status, seconds)` runs after
    every attempt; status 0 means that no answer came, resource is None for discovery.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        field_manager: str = "kubeairunway",
        gate: Callable[[], None] | None = None,
        observe: Callable[[str, Resource | None, int, float], None] | None = None,
    ) -> None:
        self.transport = transport
        self.field_manager = field_manager
        self.gate = gate
        self.observe = observe
        self._adopted: set[str] = set()

    def ungated(self) -> Client:
        """Return the same client without the write gate, for the Lease behind that gate."""
        return Client(self.transport, field_manager=self.field_manager, observe=self.observe)

    async def get(
        self, resource: Resource, name: str, namespace: str | None = None, *, metadata_only: bool = False
    ) -> Json:
        """Read one object, managedFields included, or its metadata alone. Raises ApiError 404 when it is not there."""
        accept = METADATA if metadata_only else JSON_TYPE
        path = resource.path(namespace, name)
        return await self._object(Call("get", "GET", path, resource, accept=accept, idempotent=True))

    async def list_pages(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        labels: str = "",
        fields: str = "",
        limit: int = 500,
        metadata_only: bool = False,
    ) -> AsyncIterator[Page]:
        """Yield a consistent list page by page.

        Raises ApiError 410 (see `is_expired`) when the snapshot is compacted between two pages: what was yielded is
        part of a list that no longer exists, so start again from nothing.
        """
        kept = [("limit", str(limit)), ("labelSelector", labels), ("fieldSelector", fields)]
        query = [(key, value) for key, value in kept if value]
        accept = METADATA_LIST if metadata_only else JSON_TYPE
        path, token = resource.path(namespace), ""
        while True:
            now = [*query, ("continue", token)] if token else query
            answer = await self._object(Call("list", "GET", path, resource, now, accept=accept, idempotent=True))
            meta = answer.get("metadata") or {}
            yield Page(answer.get("items") or [], str(meta.get("resourceVersion", "")))
            token = meta.get("continue") or ""
            if not token:
                return

    async def create(self, resource: Resource, body: Json) -> Json:
        """POST a new object. Raises ApiError 409 AlreadyExists; TransportError leaves open whether it was created."""
        path = resource.path(_namespace(body))
        query = (("fieldManager", self.field_manager),)
        return await self._object(Call("create", "POST", path, resource, query, orjson.dumps(body)))

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str,
        resource_version: str | None = None,
        propagation: str = "Background",
    ) -> bool:
        """Delete exactly the object with this uid; false when that object is gone already, its name reused or not.

        Raises ApiError 409 when `resource_version` is given and no longer true.
        """
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        body = orjson.dumps({"preconditions": preconditions, "propagationPolicy": propagation})
        path = resource.path(namespace, name)
        try:
            await self.send(Call("delete", "DELETE", path, resource, (), body, idempotent=True))
        except ApiError as error:
            if is_missing(error) or (is_conflict(error) and await self._is_gone(resource, name, namespace, uid)):
                return False
            raise
        return True

    async def apply(self, resource: Resource, body: Json, *, force: bool = True) -> Json:
        """Server-side apply. The body names the object's uid, so it can neither create nor touch another one.

        Raises ValueError without a uid, ApiError 409 when the object with that uid is gone (or a field is another
        manager's and `force` is off).
        """
        _require_uid(body)
        return await self._apply(resource, body, None, force=force)

    async def apply_status(self, resource: Resource, body: Json) -> Json:
        """Server-side apply of the status subresource, bound to the resourceVersion that the body carries.

        Send one: the API server ignores a wrong uid here (a status never changes metadata), so only the version keeps
        this status off another object of the same name. Raises ApiError 409 when it is stale, ValueError without uid.
        """
        _require_uid(body)
        return await self._apply(resource, body, "status", force=True)

    async def apply_in_place(self, resource: Resource, body: Json) -> Json:
        """Apply to an object that we made by `create`, so that fields we no longer send go away.

        A created object's fields belong to our manager's Update entry, which apply never prunes. If that entry is still
        there, one JSON Patch, guarded by uid and resourceVersion, turns it into an Apply entry first.
        Raises as `apply` does, and ApiError 409 when somebody else wrote between our read and the patch, five times.
        """
        uid = _require_uid(body)
        if uid not in self._adopted:
            await self._adopt(resource, body["metadata"]["name"], _namespace(body), uid)
            if len(self._adopted) >= ADOPTED_LIMIT:
                self._adopted.clear()
            self._adopted.add(uid)
        return await self.apply(resource, body)

    async def merge_patch(
        self, resource: Resource, name: str, namespace: str | None, patch: Json, *, subresource: str | None = None
    ) -> Json:
        """JSON merge patch; with metadata.resourceVersion in it a stale one is ApiError 409."""
        path = resource.path(namespace, name, subresource)
        query = (("fieldManager", self.field_manager),)
        return await self._object(Call("patch", "PATCH", path, resource, query, orjson.dumps(patch), MERGE_PATCH))

    async def json_patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        patch: Sequence[Json],
        subresource: str | None = None,
    ) -> Json:
        """JSON Patch (RFC 6902); a failed `test` is ApiError 422."""
        path = resource.path(namespace, name, subresource)
        query = (("fieldManager", self.field_manager),)
        return await self._object(Call("patch", "PATCH", path, resource, query, orjson.dumps(patch), JSON_PATCH))

    async def get_path(self, path: str, *, accept: str = JSON_TYPE) -> Json:
        """Read a document that is no object: discovery, version."""
        return await self._object(Call("get", "GET", path, accept=accept, idempotent=True))

    async def send(self, call: Call) -> Response:
        """Send one call with the retries safe for it. Raises ApiError, TransportError, or what the gate raises."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._attempt(call)
            except (ApiError, TransportError) as error:
                if attempt == ATTEMPTS or not may_retry(call, error):
                    raise
                pause = retry_pause(error, attempt)
            await asyncio.sleep(pause)
        raise AssertionError  # the last attempt returned or raised

    async def _is_gone(self, resource: Resource, name: str, namespace: str | None, uid: str) -> bool:
        try:
            live = await self.get(resource, name, namespace)
        except ApiError as error:
            return is_missing(error)
        return bool(live["metadata"]["uid"] != uid)

    async def _adopt(self, resource: Resource, name: str, namespace: str | None, uid: str) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            live = await self.get(resource, name, namespace)
            if live["metadata"]["uid"] != uid:
                raise _build_gone_error(resource, name, uid)
            patch = build_adoption_patch(live, self.field_manager)
            if not patch:
                return
            try:
                await self.json_patch(resource, name, namespace, patch)
            except ApiError as error:
                if error.status not in {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY} or attempt == ATTEMPTS:
                    raise
            else:
                return

    async def _apply(self, resource: Resource, body: Json, subresource: str | None, *, force: bool) -> Json:
        path = resource.path(_namespace(body), body["metadata"]["name"], subresource)
        query = (("fieldManager", self.field_manager), ("force", "true" if force else "false"))
        verb = "apply_status" if subresource else "apply"
        content = orjson.dumps(body)
        try:
            return await self._object(Call(verb, "PATCH", path, resource, query, content, APPLY, idempotent=True))
        except ApiError as error:
            if not _is_about_uid(error):
                raise
            uid, name = body["metadata"]["uid"], body["metadata"]["name"]
            raise _build_gone_error(resource, name, uid) from error

    async def _object(self, call: Call) -> Json:
        response = await self.send(call)
        try:
            answer = orjson.loads(response.body)
        except orjson.JSONDecodeError as error:
            raise TransportError(f"{call.method} {call.path}: the answer is not JSON") from error
        if not isinstance(answer, dict):
            raise TransportError(f"{call.method} {call.path}: the answer is not a JSON object")
        return answer

    async def _attempt(self, call: Call) -> Response:
        if self.gate is not None and call.method != "GET":
            self.gate()
        started, status = time.perf_counter(), 0
        try:
            response = await self.transport.request(
                call.method,
                call.path,
                query=call.query,
                body=call.body,
                content_type=call.content_type,
                accept=call.accept,
            )
            status = response.status
        finally:
            if self.observe is not None:
                self.observe(call.verb, call.resource, status, time.perf_counter() - started)
        if status >= HTTPStatus.BAD_REQUEST:
            raise build_error(response)
        return response


def may_retry(call: Call, error: Exception) -> bool:
    """Say whether sending the call again is safe and may help.

    429 is refused before anything happens. A 5xx with Retry-After is the server's own word that another try is safe.
    The rest of 503 and 504, and lost connections, leave the outcome open: only idempotent calls are repeated.
    """
    if isinstance(error, NotSentError):
        return True
    if isinstance(error, TransportError):
        return call.idempotent
    if not isinstance(error, ApiError):
        return False
    if error.status == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR and error.retry_after is not None:
        return True
    return call.idempotent and (
        error.status in UNAVAILABLE or (error.status == HTTPStatus.INTERNAL_SERVER_ERROR and call.method == "GET")
    )


def retry_pause(error: Exception, attempt: int) -> float:
    """Return seconds to wait: Retry-After, else exponential from 0.1 s, either with up to a quarter on top."""
    asked = error.retry_after if isinstance(error, ApiError) else None
    seconds = asked if asked is not None else RETRY_BASE * 2.0 ** (attempt - 1)
    return min(seconds, RETRY_CAP) * random.uniform(1.0, 1.25)  # noqa: S311 - spreads load, guards nothing


def build_adoption_patch(live: Json, manager: str) -> list[Json]:
    """Return the JSON Patch that makes our Update entry an Apply entry; empty when there is none, or one applied."""
    meta: dict[str, Any] = live["metadata"]
    ours = {
        entry["operation"]: index
        for index, entry in enumerate(meta.get("managedFields") or [])
        if entry.get("manager") == manager and not entry.get("subresource")
    }
    if "Apply" in ours or "Update" not in ours:
        return []
    return [
        {"op": "test", "path": "/metadata/uid", "value": meta["uid"]},
        {"op": "test", "path": "/metadata/resourceVersion", "value": meta["resourceVersion"]},
        {"op": "replace", "path": f"/metadata/managedFields/{ours['Update']}/operation", "value": "Apply"},
    ]


def _is_about_uid(error: ApiError) -> bool:
    """The API server calls another uid a change of an immutable field where the name is taken by another object."""
    causes = error.details.get("causes") or ()
    return error.status == HTTPStatus.UNPROCESSABLE_ENTITY and any(it.get("field") == "metadata.uid" for it in causes)


def _build_gone_error(resource: Resource, name: str, uid: str) -> ApiError:
    message = f"{resource.kind} {name}: the object with uid {uid} is gone, another one has its name"
    return ApiError(HTTPStatus.CONFLICT, "Conflict", message)


def _namespace(body: Json) -> str | None:
    namespace = body["metadata"].get("namespace")
    return namespace if isinstance(namespace, str) else None


def _require_uid(body: Json) -> str:
    uid = body["metadata"].get("uid")
    if not isinstance(uid, str) or not uid:
        raise ValueError(f"{body.get('kind')} {body['metadata'].get('name')}: an apply must name metadata.uid")
    return uid
