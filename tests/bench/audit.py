"""The controller's requests, as the API server's audit log has them."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.bench.cluster import ACCOUNT, QUIET

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

READS = frozenset({"get", "list"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request; a watch is none."""

    verb: str
    resource: str
    """With its subresource."""
    namespace: str

    @property
    def is_read(self) -> bool:
        """Whether it changes nothing."""
        return self.verb in READS


class AuditLog:
    """Reads on from where it was: what one phase asked is what came since the one before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[Request]:
        """The controller's requests since the last call, watches left out.

        Raises RuntimeError if the API server has begun a new file, which it does after 100 MB.
        """
        if self._path.stat().st_size < self._offset:
            raise RuntimeError("the audit log begins anew: measure fewer deployments at once")
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        found = []
        for line in whole.splitlines():
            entry = json.loads(line)
            if entry["user"]["username"] == ACCOUNT and entry["verb"] != "watch":
                found.append(_describe(entry))
        return found

    async def settle(self, namespaces: Collection[str], limit: float) -> list[Request]:
        """The requests until there were none about these namespaces for a while.

        Raises TimeoutError after `limit` seconds.
        """
        deadline = time.monotonic() + limit
        found = self.read()
        while time.monotonic() < deadline:
            await asyncio.sleep(QUIET)
            more = self.read()
            found += more
            if not any(request.namespace in namespaces for request in more):
                return found
        raise TimeoutError(f"requests about deployments did not end within {limit:.0f} s")


def _describe(entry: dict[str, object]) -> Request:
    ref = entry.get("objectRef")
    place: dict[str, str] = ref if isinstance(ref, dict) else {}
    parts = (place.get("resource", str(entry["requestURI"])), place.get("subresource", ""))
    return Request(str(entry["verb"]), "/".join(filter(None, parts)), place.get("namespace", ""))


def count(requests: Iterable[Request]) -> Counter[tuple[str, str]]:
    """Requests by verb and resource."""
    return Counter((request.verb, request.resource) for request in requests)
