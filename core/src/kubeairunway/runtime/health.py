"""One small server for probes and Prometheus: /healthz, /readyz, /metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from kubeairunway.errors import SettingsError
from kubeairunway.runtime.telemetry import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeairunway.runtime.telemetry import Telemetry

STUCK_SECONDS: Final = 60.0
"""A decision that takes longer is stuck: hooks are cut off after 2 s each, and there are a few for each provider."""


class HealthServer:
    """Answers while the event loop lives, which is what /healthz proves.

    `missing` lists what readiness still waits for; `deciding_for` says how long the longest decision runs.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        telemetry: Telemetry,
        missing: Callable[[], list[str]],
        deciding_for: Callable[[], float],
    ) -> None:
        self._host = host
        self._port = port
        self._telemetry = telemetry
        self._missing = missing
        self._deciding_for = deciding_for
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, which matters where 0 was asked for."""
        if self._runner is None or not self._runner.addresses:
            return self._port
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Listen. Raises SettingsError when the address cannot be had."""
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port).start()
        except OSError as error:
            await self._runner.cleanup()
            raise SettingsError(
                f"--bind {self._host}:{self._port}: {error.strerror or error}; choose a free address, port 0 finds one"
            ) from error

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _healthz(self, request: web.Request) -> web.Response:
        del request
        seconds = self._deciding_for()
        if seconds > STUCK_SECONDS:
            return web.Response(status=500, text=f"a decision has been running for {seconds:.0f} s\n")
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        del request
        missing = self._missing()
        if missing:
            return web.Response(status=503, text=f"waiting for {', '.join(missing)}\n")
        return web.Response(text="ok\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        del request
        return web.Response(body=self._telemetry.render(), headers={"Content-Type": CONTENT_TYPE})
