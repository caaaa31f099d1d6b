"""The real transport against a small HTTP server: what HTTP and sockets decide, no Kubernetes involved."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from kubeairunway.errors import ApiError, NotSentError, TransportError
from kubeairunway.kube import http_transport
from kubeairunway.kube.http_transport import open_transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from kubeairunway.kube.transport import Transport


class Settings:
    """The part of kubernetes.aio's Configuration that the transport reads."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.proxy = self.proxy_headers = self.tls_server_name = None
        self.cert_file = self.key_file = self.ssl_ca_cert = self.ca_cert_data = None
        self.verify_ssl = True
        self.disable_strict_ssl_verification = True
        self.connection_pool_maxsize = 1
        self.retries = None


class Config:
    source = "test"
    namespace = "default"

    def __init__(self, host: str) -> None:
        self._settings = Settings(host)
        self.tokens = ["first"]
        self.renew_seconds: float | None = None
        self.asked = 0

    async def settings(self) -> Any:
        return self._settings

    async def authorization(self, *, rejected: bool = False) -> str:
        self.asked += 1
        if (rejected or self.renew_seconds == 0.0) and len(self.tokens) > 1:
            self.tokens.pop(0)
        return f"Bearer {self.tokens[0]}"


class Server:
    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []
        self.handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] = self.accept
        self.valid = "first"
        self.address = ""
        self.connections: set[Any] = set()

    async def accept(self, request: web.BaseRequest) -> web.StreamResponse:
        self.connections.add(request.transport)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.seen.append((request.method, request.path_qs, token))
        if token != self.valid:
            return web.json_response({"kind": "Status", "code": 401, "message": "who?"}, status=401)
        return web.json_response({"body": (await request.read()).decode()})

    async def dispatch(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self.handle(request)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    made = Server()
    runner = web.ServerRunner(web.Server(made.dispatch), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
def config(server: Server) -> Config:
    return Config(server.address)


@pytest.fixture
async def transport(config: Config) -> AsyncIterator[Transport]:
    made = open_transport(config, connections=2)  # type: ignore[arg-type]
    yield made
    await made.close()


async def test_a_request_arrives_whole_with_credentials_and_the_server_side_timeout(
    transport: Transport, server: Server
) -> None:
    answer = await transport.request("PATCH", "/a%2Fb", query=(("force", "true"), ("x", "a b")), body=b"{}", timeout=7)
    assert answer.status == 200
    assert answer.body == b'{"body": "{}"}'
    assert answer.headers["content-type"].startswith("application/json")
    assert server.seen == [("PATCH", "/a%2Fb?force=true&x=a+b&timeout=7s", "first")]


@pytest.mark.parametrize("opened", [False, True], ids=["at the start", "while it rotates"])
async def test_a_certificate_that_cannot_be_read_is_an_error_that_passes(
    transport: Transport,
    config: Config,
    tmp_path: Path,
    opened: bool,  # noqa: FBT001 - the case
) -> None:
    config.renew_seconds = 0.0
    if opened:
        assert (await transport.request("GET", "/")).status == 200
    half = tmp_path / "tls.crt"
    half.write_text("-----BEGIN CERTIFICATE-----")
    settings = await config.settings()
    settings.cert_file = settings.key_file = str(half)
    with pytest.raises(NotSentError, match="certificates from test"):
        await transport.request("GET", "/")
    settings.cert_file = settings.key_file = None
    assert (await transport.request("GET", "/")).status == 200


async def test_a_redirection_is_not_followed_since_credentials_would_go_along(
    transport: Transport, server: Server
) -> None:
    async def redirect(request: web.BaseRequest) -> web.StreamResponse:
        server.seen.append((request.method, request.path, ""))
        return web.Response(status=307, headers={"Location": f"{server.address}/elsewhere"})

    server.handle = redirect
    assert (await transport.request("GET", "/a")).status == 307
    async with transport.stream("/b", (), 5.0) as lines:
        assert [line async for line in lines] == []
    assert server.seen == [("GET", "/a", ""), ("GET", "/b", "")]


async def test_a_rejected_token_is_renewed_and_the_request_sent_once_more(
    transport: Transport, server: Server, config: Config
) -> None:
    config.tokens.append("second")
    server.valid = "second"
    assert (await transport.request("POST", "/x", body=b"{}")).status == 200
    with pytest.raises(TransportError, match="middle of a line"):
        await read_lines(transport, "/y")
    assert [token for *_, token in server.seen] == ["first", "second", "second"]


async def read_lines(transport: Transport, path: str, got: list[bytes] | None = None) -> None:
    async with transport.stream(path, (), 0.3) as lines:
        async for line in lines:
            if got is not None:
                got.append(line)


async def test_a_token_that_stays_rejected_is_an_answer_and_no_loop(transport: Transport, server: Server) -> None:
    server.valid = "nobody"
    assert (await transport.request("GET", "/x")).status == 401
    with pytest.raises(ApiError, match="who"):
        await read_lines(transport, "/x")
    assert len(server.seen) == 2


async def test_ever_new_tokens_that_are_all_rejected_are_an_answer_and_no_loop(
    transport: Transport, server: Server, config: Config
) -> None:
    server.valid = "nobody"
    config.tokens = [f"t{number}" for number in range(50)]
    assert (await transport.request("GET", "/x")).status == 401
    with pytest.raises(ApiError, match="who"):
        await read_lines(transport, "/x")
    assert len(server.seen) == 4


async def test_many_requests_with_a_rotated_token_renew_it_together(
    transport: Transport, server: Server, config: Config
) -> None:
    await transport.request("GET", "/warm")
    config.tokens.append("second")
    server.valid = "second"
    answers = await asyncio.gather(*(transport.request("GET", f"/{number}") for number in range(10)))
    assert {answer.status for answer in answers} == {200}
    assert config.asked <= 4


async def test_credentials_that_rotate_are_read_again_in_time(
    transport: Transport, server: Server, config: Config
) -> None:
    config.renew_seconds = 0.0
    config.tokens = ["zero", "first", "second"]
    await transport.request("GET", "/a")
    server.valid = "second"
    await transport.request("GET", "/b")
    assert [token for *_, token in server.seen] == ["first", "second"]


async def test_connections_are_kept_and_bounded(transport: Transport, server: Server) -> None:
    for _ in range(3):
        await asyncio.gather(*(transport.request("GET", "/x") for _ in range(8)))
    assert len(server.seen) == 24
    assert len(server.connections) <= 2


async def test_a_refused_connection_says_that_nothing_was_sent() -> None:
    made = open_transport(Config("http://127.0.0.1:1"))  # type: ignore[arg-type]
    with pytest.raises(NotSentError):
        await made.request("POST", "/x", body=b"{}")
    with pytest.raises(NotSentError):
        await read_lines(made, "/x")
    await made.close()


async def test_a_server_that_does_not_answer_in_time_leaves_the_outcome_open(
    transport: Transport, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(30)
        return await server.accept(request)

    server.handle = hang
    monkeypatch.setattr(http_transport, "GRACE_SECONDS", 0.1)
    with pytest.raises(TransportError, match="in time") as caught:
        await transport.request("POST", "/x", body=b"{}", timeout=0.1)
    assert not isinstance(caught.value, NotSentError)


async def test_a_body_cut_short_leaves_the_outcome_open(transport: Transport, server: Server) -> None:
    async def cut(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"{")
        assert request.transport is not None
        request.transport.abort()
        return response

    server.handle = cut
    with pytest.raises(TransportError) as caught:
        await transport.request("POST", "/x", body=b"{}")
    assert not isinstance(caught.value, NotSentError)


async def test_a_stream_gives_whole_lines_however_they_arrive(transport: Transport, server: Server) -> None:
    async def trickle(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for part in (b'{"a"', b':1}\n{"b":2}\n\n{"c', b'":', b"3}\n", b"x" * 300_000, b"\n"):
            await response.write(part)
            await asyncio.sleep(0.01)
        return response

    server.handle = trickle
    async with transport.stream("/x", (), 5.0) as lines:
        found = [line async for line in lines]
    assert found == [b'{"a":1}', b'{"b":2}', b'{"c":3}', b"x" * 300_000]


async def test_a_silent_stream_is_given_up(transport: Transport, server: Server) -> None:
    async def fall_silent(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        await asyncio.sleep(30)
        return response

    server.handle = fall_silent
    got: list[bytes] = []
    with pytest.raises(TransportError, match="in time"):
        await read_lines(transport, "/x", got)
    assert got == [b"one"]


async def test_proxies_come_from_the_environment_unless_the_host_is_excepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "10.0.0.1,.svc")
    assert http_transport._find_proxy("https://203.0.113.7:6443") == "http://proxy.example:3128"
    assert http_transport._find_proxy("https://10.0.0.1:6443") is None
    assert http_transport._find_proxy("https://kubernetes.default.svc") is None
