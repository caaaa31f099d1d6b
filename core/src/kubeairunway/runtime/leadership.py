"""Working only while holding the Lease: take up work when it is won, stand down when it is lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from kubeairunway.kube.lease import LeaderElector

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kubeairunway.kube.client import Client
    from kubeairunway.runtime.settings import Settings


class Leadership:
    """Runs `start` when work may begin and `stop` when it must end; without leader election at once and never."""

    def __init__(
        self,
        client: Client,
        settings: Settings,
        *,
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
    ) -> None:
        self._start = start
        self._stop = stop
        self._elector: LeaderElector | None = None
        if settings.leader_elect:
            self._elector = LeaderElector(
                client,
                settings.lease_namespace,
                settings.lease_name,
                settings.identity,
                duration=settings.lease_duration,
                renew=settings.lease_renew,
            )
            client.gate = self._elector.check

    async def run(self) -> None:
        """Compete and work until cancelled; the Lease is released when work has ended."""
        if self._elector is not None:
            await self._elector.run(self._start, self._stop)
            return
        try:
            await self._start()
            await asyncio.Event().wait()
        finally:
            await self._stop()
