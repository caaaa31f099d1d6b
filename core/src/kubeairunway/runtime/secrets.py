"""Whether Secrets that specs name exist; metadata alone is asked for, so that no value of theirs ever comes here."""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from kubeairunway.errors import ApiError, KubeError
from kubeairunway.objects.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeairunway.kube.client import Client

SECRETS: Final = Resource("", "v1", "Secret", "secrets")

PATIENCE_SECONDS: Final = 1.0
"""A deployment that starts at once needs no look."""

AGAIN_SECONDS: Final = 2.0
"""How soon a Secret that was not there is looked for again; every time twice as long, up to the next one."""

SLOWEST_SECONDS: Final = 60.0
DENIED_SECONDS: Final = 300.0
"""How long no Secret is looked for after that was refused."""

Ref = tuple[str, str]
"""Namespace and name."""

log = logging.getLogger(__name__)


class SecretLooks:
    """Looks for the Secrets that are needed, one after the other; `on_change(ref)` when one is found or is missing."""

    def __init__(self, client: Client, tasks: asyncio.TaskGroup, *, on_change: Callable[[Ref], None]) -> None:
        self._client = client
        self._tasks = tasks
        self._on_change = on_change
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._due: dict[Ref, float] = {}
        self._pauses: dict[Ref, float] = {}
        self._wanted: set[Ref] = set()
        self._missing: dict[str, frozenset[str]] = {}
        self._not_before = 0.0

    def missing(self, namespace: str) -> frozenset[str]:
        """Names in a namespace that were looked for and are not there. Safe from any thread."""
        return self._missing.get(namespace, frozenset())

    def need(self, ref: Ref) -> None:
        """Look for a Secret until it is released."""
        self._wanted.add(ref)
        self._due[ref] = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        if self._task is None:
            self._task = self._tasks.create_task(self._run(), name="secrets")
        self._wake.set()

    def release(self, ref: Ref) -> None:
        """Nobody needs to know of a Secret; forget what is known."""
        self._wanted.discard(ref)
        self._due.pop(ref, None)
        self._pauses.pop(ref, None)
        self._note(ref, missing=False)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._due:
                ref, due = min(self._due.items(), key=lambda row: row[1])
                pause = max(due, self._not_before) - loop.time()
                if pause <= 0:
                    await self._look(ref)
                    continue
                self._wake.clear()
                try:
                    async with asyncio.timeout(pause):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            self._task = None

    async def _look(self, ref: Ref) -> None:
        namespace, name = ref
        missing = False
        try:
            await self._client.get(SECRETS, name, namespace, metadata_only=True)
        except ApiError as error:
            missing = error.status == HTTPStatus.NOT_FOUND
            if not missing:
                self._not_before = asyncio.get_running_loop().time() + DENIED_SECONDS
                log.info("whether Secrets exist cannot be known: %s", error)
                return
        except KubeError as error:
            log.info("Secret %s/%s could not be looked for: %s", namespace, name, error)
            self._due[ref] = asyncio.get_running_loop().time() + AGAIN_SECONDS
            return
        if ref not in self._wanted:
            return
        self._due.pop(ref, None)
        if missing:
            pause = self._pauses[ref] = min(2 * self._pauses.get(ref, AGAIN_SECONDS / 2), SLOWEST_SECONDS)
            self._due[ref] = asyncio.get_running_loop().time() + pause
        if self._note(ref, missing=missing):
            self._on_change(ref)

    def _note(self, ref: Ref, *, missing: bool) -> bool:
        """Keep what is known, in a new set each time; whether it is news."""
        namespace, name = ref
        known = self.missing(namespace)
        fresh = known | {name} if missing else known - {name}
        if fresh:
            self._missing[namespace] = fresh
        else:
            self._missing.pop(namespace, None)
        return fresh != known
