"""What probes are told, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from kubeairunway.errors import SettingsError
from kubeairunway.runtime.health import STUCK_SECONDS, HealthServer
from kubeairunway.runtime.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class State:
    missing: list[str] = []  # noqa: RUF012 - replaced, never changed
    deciding_for = 0.0


def make_server(state: State, port: int = 0) -> HealthServer:
    return HealthServer(
        "127.0.0.1",
        port,
        telemetry=Telemetry(lambda: ()),
        missing=lambda: state.missing,
        deciding_for=lambda: state.deciding_for,
    )


@pytest.fixture
def state() -> State:
    return State()


@pytest.fixture
async def server(state: State) -> AsyncIterator[HealthServer]:
    made = make_server(state)
    await made.start()
    yield made
    await made.stop()


async def ask(server: HealthServer, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{server.port}{path}") as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize(
    ("path", "change", "status", "words"),
    [
        ("/healthz", {}, 200, "ok"),
        ("/healthz", {"deciding_for": STUCK_SECONDS}, 200, "ok"),
        ("/healthz", {"deciding_for": STUCK_SECONDS + 1}, 500, "a decision has been running for 61 s"),
        ("/healthz", {"missing": ["the API server"]}, 200, "ok"),
        ("/readyz", {}, 200, "ok"),
        ("/readyz", {"missing": ["services", "the operator of kaito"]}, 503, "services, the operator of kaito"),
        ("/metrics", {}, 200, "kubeairunway_leader"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_probe_says_what_is_the_matter(
    server: HealthServer, state: State, path: str, change: dict[str, Any], status: int, words: str
) -> None:
    vars(state).update(change)
    answer = await ask(server, path)
    assert answer[0] == status
    assert words in answer[1]


async def test_a_port_that_is_taken_is_an_error_that_names_the_flag(server: HealthServer, state: State) -> None:
    with pytest.raises(SettingsError, match=f"--bind 127.0.0.1:{server.port}.*choose a free address"):
        await make_server(state, server.port).start()
