"""A recorded transport for the machinery's unit tests."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import orjson
import pytest

from kubeairunway.kube.transport import JSON_TYPE, REQUEST_SECONDS, Query, Response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kubeairunway.objects.resources import Json


@dataclass
class Recorded:
    """Answers requests from a list, the last one for ever, and remembers what it was asked."""

    answers: deque[Response | Exception] = field(default_factory=deque)
    requests: list[tuple[str, str, Json | None]] = field(default_factory=list)

    def answer(self, status: int, body: Json | None = None, **headers: str) -> None:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append(Response(status, names, orjson.dumps(body or {})))

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
        del query, content_type, accept, timeout
        self.requests.append((method, path, orjson.loads(body) if body else None))
        answer = self.answers.popleft() if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    @asynccontextmanager
    async def stream(
        self, path: str, query: Query, read_timeout: float, *, accept: str = JSON_TYPE
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        del path, query, read_timeout, accept
        yield _no_lines()

    async def close(self) -> None:
        return


async def _no_lines() -> AsyncIterator[bytes]:
    nothing: tuple[bytes, ...] = ()
    for line in nothing:
        yield line


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()
