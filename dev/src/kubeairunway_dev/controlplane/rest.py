"""The few requests that this package makes itself, before and beside kubectl, with the standard library."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST_SECONDS = 10.0


@dataclass(frozen=True)
class Answer:
    """What the API server said."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - Kubernetes objects travel as Any
        """The body as JSON."""
        return json.loads(self.body)


class RestClient:
    """One connection a request, with a token, trusting one authority."""

    def __init__(self, url: str, authority: Path, token: str) -> None:
        self._host = urlsplit(url).netloc
        self._context = ssl.create_default_context(cafile=authority)
        self._token = token

    def request(self, method: str, path: str, body: Any = None) -> Answer:  # noqa: ANN401 - JSON
        """Send one request and return its answer, whatever its status. Raises OSError if none came."""
        with self._send(method, path, body) as response:
            return Answer(response.status, response.read())

    def watch(self, path: str, version: str, seconds: int) -> Iterator[Any]:
        """Yield what happens to a collection after `version`, as it happens, for `seconds`. Raises OSError."""
        query = f"watch=1&timeoutSeconds={seconds}&resourceVersion={version}"
        with self._send("GET", f"{path}?{query}", None) as response:
            for line in response:
                yield json.loads(line)

    @contextlib.contextmanager
    def _send(self, method: str, path: str, body: Any) -> Iterator[http.client.HTTPResponse]:  # noqa: ANN401 - JSON
        connection = http.client.HTTPSConnection(self._host, context=self._context, timeout=REQUEST_SECONDS)
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        data = None if body is None else json.dumps(body)
        if data is not None:
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, body=data, headers=headers)
            yield connection.getresponse()
        except http.client.HTTPException as error:
            raise ConnectionError(f"{method} {path}: {error!r}") from error
        finally:
            connection.close()
