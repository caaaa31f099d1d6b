"""The real transport: aiohttp with the official client's TLS settings and credentials."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import lru_cache
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import WeakSet

import aiohttp
from yarl import URL

from kubeairunway.errors import NotSentError, TransportError
from kubeairunway.kube.transport import GRACE_SECONDS, JSON_TYPE, REQUEST_SECONDS, Query, Response, build_error

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Iterator

    from kubeairunway.kube.config import ClusterConfig
    from kubeairunway.kube.transport import Transport

CONNECT_SECONDS: Final = 10.0
TRIES: Final = 2
"""A rejected credential is renewed once; a plugin may give a new token each time, and none that is accepted."""
FAREWELL_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 60.0
"""Idle connections are closed by us first; the API server closes them after 90 s."""
PROBE: Final = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 30_000))
"""The kernel declares a silent peer dead after 30 s, also where no request waits for an answer."""


def open_transport(config: ClusterConfig, *, connections: int = 64) -> Transport:
    """Return the real transport; it connects at its first request, which must run in the loop that closes it.

    `connections` bounds the requests in flight; streams are not counted. This module pulls in aiohttp (0.13 s).
    """
    return HttpTransport(config, connections=connections)


class HttpTransport:
    """Connection pools of one cluster; see `Transport` for what its methods promise."""

    def __init__(self, config: ClusterConfig, *, connections: int) -> None:
        self._config = config
        self._connections = connections
        self._guard = asyncio.Lock()
        self._requests: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None
        self._tls: ssl.SSLContext | None = None
        self._base = ""
        self._options: dict[str, Any] = {}
        self._authorization: str | None = None
        self._renew_at = float("-inf")
        self._headers: dict[tuple[str, str], dict[str, str]] = {}
        self._closed = False
        self._sockets: WeakSet[socket.socket] = WeakSet()

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
        """Send one request; after a 401 the credentials are renewed and, if they changed, it is sent once more."""
        query = (*query, ("timeout", f"{timeout:g}s"))
        for attempt in itertools.count(1):
            session, _ = await self._ready()
            used = self._authorization
            response = await self._send(session, method, self._url(path, query), (body, content_type, accept), timeout)
            if response.status != HTTPStatus.UNAUTHORIZED or attempt == TRIES or not await self._renew(rejected=used):
                break
        return response

    @asynccontextmanager
    async def stream(
        self, path: str, query: Query, read_timeout: float, *, accept: str = JSON_TYPE
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a GET and hand out its lines; see `Transport.stream`."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=read_timeout)
        for attempt in itertools.count(1):
            _, session = await self._ready()
            used = self._authorization
            headers = self._head("", accept)
            opening = session.get(
                self._url(path, query), headers=headers, timeout=timeout, allow_redirects=False, **self._options
            )
            with _translated(f"GET {path}"):
                response = await opening
            with _aborting(response):
                if response.status < HTTPStatus.BAD_REQUEST:
                    yield _split_lines(response.content, f"GET {path}")
                    return
                with _translated(f"GET {path}"):
                    answer = Response(response.status, response.headers, await response.read())
            if answer.status != HTTPStatus.UNAUTHORIZED or attempt == TRIES or not await self._renew(rejected=used):
                raise build_error(answer)

    async def close(self) -> None:
        """Close both pools for good."""
        self._closed = True
        for session in (self._requests, self._streams):
            if session is not None:
                await session.close()
        # Connections of cancelled requests say goodbye in TLS first; a loop that ends before that leaks their sockets.
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                while any(made.fileno() >= 0 for made in self._sockets):  # noqa: ASYNC110 - sockets tell nobody
                    await asyncio.sleep(0.005)

    async def _send(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: URL,
        content: tuple[bytes | None, str, str],
        limit: float,
    ) -> Response:
        body, content_type, accept = content
        timeout = aiohttp.ClientTimeout(total=limit + GRACE_SECONDS, sock_connect=CONNECT_SECONDS)
        headers = self._head(content_type if body is not None else "", accept)
        with _translated(f"{method} {url.raw_path}"):
            async with session.request(
                method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False, **self._options
            ) as response:
                return Response(response.status, response.headers, await response.read())

    def _url(self, path: str, query: Query) -> URL:
        text = f"{self._base}{path}?{_encode(tuple(query))}" if query else f"{self._base}{path}"
        return URL(text, encoded=True)

    def _head(self, content_type: str, accept: str) -> dict[str, str]:
        headers = self._headers.get((content_type, accept))
        if headers is None:
            headers = {"Accept": accept}
            if content_type:
                headers["Content-Type"] = content_type
            if self._authorization:
                headers["Authorization"] = self._authorization
            self._headers[content_type, accept] = headers
        return headers

    async def _ready(self) -> tuple[aiohttp.ClientSession, aiohttp.ClientSession]:
        if self._closed:
            raise NotSentError("the connection to the API server was closed by us")
        if time.monotonic() >= self._renew_at:
            await self._renew()
        if self._requests is None or self._streams is None:
            async with self._guard:
                if self._requests is None or self._streams is None:
                    settings = await self._config.settings()
                    with _reading(self._config.source):
                        self._requests, self._streams = self._open(settings)
        return self._requests, self._streams

    async def _renew(self, *, rejected: str | None = None) -> bool:
        """Read the credentials again; true when the header differs from the one that was rejected."""
        async with self._guard:
            if rejected is None and time.monotonic() < self._renew_at:
                return True
            if rejected is None or rejected == self._authorization:
                fresh = await self._config.authorization(rejected=rejected is not None)
                if fresh != self._authorization:
                    self._authorization = fresh
                    self._headers.clear()
                if self._tls is not None:
                    settings = await self._config.settings()
                    with _reading(self._config.source):
                        _load_certificates(self._tls, settings)
            seconds = self._config.renew_seconds
            self._renew_at = time.monotonic() + seconds if seconds is not None else float("inf")
            return self._authorization != rejected

    def _open(self, settings: Any) -> tuple[aiohttp.ClientSession, aiohttp.ClientSession]:  # noqa: ANN401 - kubernetes.aio ships no types
        from kubernetes.aio.client.rest import RESTClientObject  # noqa: PLC0415 - imported with the configuration

        self._base = str(settings.host).rstrip("/")
        self._tls = RESTClientObject(settings).ssl_context
        self._options = {"proxy": proxy} if (proxy := settings.proxy or _find_proxy(self._base)) else {}
        if settings.proxy_headers:
            self._options["proxy_headers"] = settings.proxy_headers
        if settings.tls_server_name:
            self._options["server_hostname"] = settings.tls_server_name
        return self._open_session(self._connections), self._open_session(0)

    def _open_session(self, limit: int) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limit, ssl=self._tls or True, keepalive_timeout=IDLE_SECONDS, socket_factory=self._make_socket
            ),
            headers={"User-Agent": f"kubeairunway/{version('kubeairunway')}"},
            # Compression costs both ends more CPU than the bytes are worth inside a cluster.
            skip_auto_headers=("Accept-Encoding",),
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=2**20,
        )

    def _make_socket(self, address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol = address[:3]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in PROBE:
            if hasattr(socket, name):  # names differ between systems
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._sockets.add(made)
        return made


_encode = lru_cache(256)(urlencode)
"""Most requests carry one of a dozen queries, and encoding one costs a tenth of the whole request."""


async def _split_lines(content: aiohttp.StreamReader, what: str) -> AsyncIterator[bytes]:
    parts: list[bytes] = []
    with _translated(what):
        async for chunk in content.iter_any():
            if b"\n" not in chunk:
                parts.append(chunk)
                continue
            lines = b"".join((*parts, chunk)).split(b"\n")
            parts = [lines.pop()]
            for line in lines:
                if line:
                    yield line
    if any(parts):
        raise TransportError(f"{what}: the stream was cut in the middle of a line")


@contextmanager
def _aborting(response: aiohttp.ClientResponse) -> Iterator[None]:
    """End a stream's connection at once: nobody would wait for the farewell that TLS wants to exchange."""
    try:
        yield
    finally:
        if response.connection is not None and response.connection.transport is not None:
            response.connection.transport.abort()
        response.close()


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn what aiohttp raises into our two transport errors."""
    try:
        yield
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        raise NotSentError(f"{what}: {error}") from error
    except TimeoutError as error:
        raise TransportError(f"{what}: no answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        raise TransportError(f"{what}: {str(error) or type(error).__name__}") from error
    except RuntimeError as error:
        if "closed" not in str(error):
            raise
        raise NotSentError(f"{what}: {error}") from error


@contextmanager
def _reading(source: str) -> Iterator[None]:
    """Turn a certificate file that is missing, or half written while it rotates, into an error that passes."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise NotSentError(f"certificates from {source}: {error}") from error


def _load_certificates(tls: ssl.SSLContext, settings: Any) -> None:  # noqa: ANN401 - kubernetes.aio ships no types
    """Let new connections use rotated certificates; those that are open keep theirs."""
    if settings.cert_file:
        tls.load_cert_chain(settings.cert_file, settings.key_file)
    if settings.ssl_ca_cert:
        tls.load_verify_locations(settings.ssl_ca_cert)


def _find_proxy(base: str) -> str | None:
    """Read HTTPS_PROXY and NO_PROXY once; aiohttp would read them, and netrc, at every request."""
    url = urlsplit(base)
    return None if proxy_bypass(url.hostname or "") else getproxies().get(url.scheme)
