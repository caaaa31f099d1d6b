"""The seams with a stopwatch: provider hooks and the transport, counted as they are used."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from kubeairunway.errors import PluginError
from kubeairunway.kube.transport import JSON_TYPE, REQUEST_SECONDS, Query, Response, Transport

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from kubeairunway.model.problems import Problem
    from kubeairunway.plugin import Bid, Observed, Rendering, Report, Request
    from kubeairunway.plugin.calls import HookCalls, PolicyCalls
    from kubeairunway.runtime.hook_errors import HookErrors
    from kubeairunway.runtime.telemetry import Telemetry

R = TypeVar("R")


class MeasuredCalls:
    """HookCalls that note how long each call took and whether it failed; called from several threads."""

    def __init__(self, calls: HookCalls, telemetry: Telemetry, errors: HookErrors) -> None:
        self._calls = calls
        self._telemetry = telemetry
        self._errors = errors

    def validate(self, provider: str, request: Request) -> tuple[Problem, ...]:
        """See HookCalls."""
        return self._measure(provider, "validate", lambda: self._calls.validate(provider, request))

    def select(self, provider: str, request: Request) -> Bid | None:
        """See HookCalls."""
        return self._measure(provider, "select", lambda: self._calls.select(provider, request))

    def render(self, provider: str, request: Request) -> Rendering:
        """See HookCalls."""
        return self._measure(provider, "render", lambda: self._calls.render(provider, request))

    def status(self, provider: str, request: Request, observed: Observed) -> Report:
        """See HookCalls."""
        return self._measure(provider, "status", lambda: self._calls.status(provider, request, observed))

    def _measure(self, provider: str, hook: str, call: Callable[[], R]) -> R:
        started = time.perf_counter()
        failure: PluginError | None = None
        try:
            result = call()
        except PluginError as error:
            failure = error
            self._errors.fail(provider, hook, error.reason)
            raise
        else:
            self._errors.succeed(provider, hook)
            return result
        finally:
            self._telemetry.hooked(provider, hook, time.perf_counter() - started, failure)


class MeasuredPolicies:
    """PolicyCalls that note how long each call took and whether it failed; called from several threads."""

    def __init__(self, calls: PolicyCalls, telemetry: Telemetry) -> None:
        self._calls = calls
        self._telemetry = telemetry
        self.asked = calls.asked
        self.wants_peers = calls.wants_peers

    def obstacle(self, policy: str) -> str:
        """See PolicyCalls."""
        return self._calls.obstacle(policy)

    def admit(self, policy: str, request: Request, provider: str) -> tuple[Problem, ...]:
        """See PolicyCalls."""
        started = time.perf_counter()
        failure: PluginError | None = None
        try:
            return self._calls.admit(policy, request, provider)
        except PluginError as error:
            failure = error
            raise
        finally:
            self._telemetry.hooked(policy, "admit", time.perf_counter() - started, failure)


class MeasuredTransport:
    """A transport that counts the watches it opens; requests are counted by the client, which knows their resource."""

    def __init__(self, transport: Transport, telemetry: Telemetry) -> None:
        self._transport = transport
        self._telemetry = telemetry

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
        """See Transport."""
        return await self._transport.request(
            method, path, query=query, body=body, content_type=content_type, accept=accept, timeout=timeout
        )

    def stream(
        self, path: str, query: Query, read_timeout: float, *, accept: str = JSON_TYPE
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """See Transport."""
        self._telemetry.watch_opened(path)
        return self._transport.stream(path, query, read_timeout, accept=accept)

    async def close(self) -> None:
        """See Transport."""
        await self._transport.close()
