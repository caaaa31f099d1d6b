"""Faults at the transport's seam, and a TCP proxy for those that only a socket can show."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import orjson

from kubeairunway.errors import TransportError
from kubeairunway.kube.transport import JSON_TYPE, REQUEST_SECONDS, Query, Response, Transport, build_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    Send = Callable[[], Awaitable[Response]]
    Fault = Callable[[Send], Awaitable[Response]]
    StreamFault = Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]


def status_response(code: int, reason: str = "", *, retry_after: str | None = None) -> Response:
    body = {"kind": "Status", "code": code, "reason": reason, "message": f"injected {code}"}
    return Response(code, {"Retry-After": retry_after} if retry_after else {}, orjson.dumps(body))


def answer(code: int, reason: str = "", *, retry_after: str | None = None) -> Fault:
    """The server refuses without doing anything."""

    async def fault(_: Send) -> Response:
        return status_response(code, reason, retry_after=retry_after)

    return fault


async def pass_on(send: Send) -> Response:
    return await send()


async def reset_before(_: Send) -> Response:
    """The connection breaks and the server never saw the request; the client cannot know."""
    raise TransportError("injected reset before the server saw it")


async def reset_after(send: Send) -> Response:
    """The server did it, but the answer is lost."""
    await send()
    raise TransportError("injected reset after the server did it")


def cut_after(count: int) -> StreamFault:
    async def fault(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        left = count
        async for line in lines:
            if left == 0:
                raise TransportError("injected cut")
            left -= 1
            yield line
        raise TransportError("injected cut")

    return fault


async def expire(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The watch says that its resource version is too old, as the server does it: inside the stream."""
    del lines
    yield orjson.dumps({"type": "ERROR", "object": orjson.loads(status_response(410, "Expired").body)})


async def babble(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    del lines
    yield b'{"type": "MODIFIED", "obj'


class FaultyTransport:
    """Passes everything on, except where a fault was planned for the next request or stream."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.faults: deque[Fault] = deque()
        self.stream_faults: deque[StreamFault] = deque()
        self.refuse_streams: deque[Response] = deque()
        self.sent: list[tuple[str, str]] = []
        self.streams: list[dict[str, str]] = []

    def plan(self, *faults: Fault) -> None:
        self.faults.extend(faults)

    def plan_stream(self, *faults: StreamFault) -> None:
        self.stream_faults.extend(faults)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = (),
        body: bytes | None = None,
        content_type: str = JSON_TYPE,
        accept: str = JSON_TYPE,
        timeout: float = REQUEST_SECONDS,  # noqa: ASYNC109 - Transport's signature
    ) -> Response:
        self.sent.append((method, path))

        async def send() -> Response:
            return await self.inner.request(
                method, path, query=query, body=body, content_type=content_type, accept=accept, timeout=timeout
            )

        fault = self.faults.popleft() if self.faults else pass_on
        return await fault(send)

    @asynccontextmanager
    async def stream(
        self, path: str, query: Query, read_timeout: float, *, accept: str = JSON_TYPE
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        self.streams.append(dict(query))
        if self.refuse_streams:
            raise build_error(self.refuse_streams.popleft())
        async with self.inner.stream(path, query, read_timeout, accept=accept) as lines:
            yield self.stream_faults.popleft()(lines) if self.stream_faults else lines

    async def close(self) -> None:
        await self.inner.close()


class TcpProxy:
    """Forwards bytes to a server; may stop answering without closing (half-open), or trickle."""

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.port = 0
        self.silent = False
        self.delay = 0.0
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reset(self) -> None:
        """Break all connections at once."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        upstream_reader, upstream_writer = await asyncio.open_connection(*self.target)
        self._writers += [writer, upstream_writer]
        for pair in ((reader, upstream_writer, False), (upstream_reader, writer, True)):
            task = asyncio.create_task(self._pump(*pair))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool) -> None:  # noqa: FBT001 - one private caller
        try:
            while data := await reader.read(65536):
                if self.silent:
                    continue
                if answers and self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            if not self.silent:
                writer.close()
