"""The one seam between us and the API server: requests and line streams over HTTP, and the errors they end in.

Tests put recorded or fault-injecting transports here; the real one is in `http_transport.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from kubeairunway.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

REQUEST_SECONDS: Final = 30.0
"""How long the server may take; the client waits `GRACE_SECONDS` more before it gives the connection up."""
GRACE_SECONDS: Final = 5.0
JSON_TYPE: Final = "application/json"

Query = Sequence[tuple[str, str]]

_REASONS: Final = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True, slots=True)
class Response:
    """One whole answer; header names compare without case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """What the client needs of a connection pool."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: bytes | None = None,
        content_type: str = JSON_TYPE,
        accept: str = JSON_TYPE,
        timeout: float = REQUEST_SECONDS,  # noqa: ASYNC109 - the server is told too
    ) -> Response:
        """Send one request and return the answer, whatever its status.

        Raises NotSentError when nothing was sent and TransportError when the outcome is unknown.
        """
        ...

    def stream(
        self, path: str, query: Query, read_timeout: float, *, accept: str = JSON_TYPE
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open a GET whose answer is read line by line.

        Entering raises ApiError for an answer of 400 or more. Reading raises TransportError when the connection
        breaks or says nothing for `read_timeout` seconds.
        """
        ...

    async def close(self) -> None:
        """Close every connection; requests that run fail with TransportError."""
        ...


def build_error(response: Response) -> ApiError:
    """Turn an answer of 400 or more into the exception, from its Status object where the body holds one."""
    try:
        status = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        status = None
    if not isinstance(status, dict) or status.get("kind") != "Status":
        text = response.body[:500].decode(errors="replace").strip()
        status = {"message": text}
    return build_status_error(status, code=response.status, retry_after=response.headers.get("Retry-After"))


def build_status_error(
    status: Mapping[str, Any], *, code: int | None = None, retry_after: str | None = None
) -> ApiError:
    """Turn a Status object (also that of a watch's ERROR event) into the exception."""
    number = int(code if code is not None else status.get("code") or 500)
    details = status.get("details") if isinstance(status.get("details"), dict) else {}
    seconds = _parse_retry_after(retry_after)
    if seconds is None and details and details.get("retryAfterSeconds"):
        seconds = float(details["retryAfterSeconds"])
    return ApiError(
        number,
        str(status.get("reason") or _REASONS.get(number, "")),
        str(status.get("message") or f"HTTP {number}"),
        details=details,
        retry_after=seconds,
    )


def is_missing(error: object) -> bool:
    """Say whether the object, or the whole kind, is not there."""
    return isinstance(error, ApiError) and error.status == HTTPStatus.NOT_FOUND


def is_conflict(error: object) -> bool:
    """Say whether the object has another uid, resourceVersion or owner of a field than the request relied on."""
    return isinstance(error, ApiError) and error.status == HTTPStatus.CONFLICT


def is_expired(error: object) -> bool:
    """Say whether the list or the watch must start again because its snapshot is gone."""
    return isinstance(error, ApiError) and (error.status == HTTPStatus.GONE or error.reason in {"Expired", "Gone"})


def _parse_retry_after(value: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which holds a number or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None
