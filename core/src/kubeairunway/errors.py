"""Exceptions for a broken world; what a user can mend is a `Problem` value instead.

KubeAIRunwayError
├── SettingsError        a flag, a variable or a file of ours is wrong
├── PluginError          a provider package misbehaved
│   ├── PluginLoadError  it could not be imported, or what it declares is not usable
│   ├── HookError        a hook raised or returned nonsense
│   └── HookTimeoutError  a hook overran its deadline, or its circuit is still open
└── KubeError            the Kubernetes API could not be reached or refused
    ├── TransportError   connection, TLS, timeout: no answer that can be trusted
    │   ├── NotSentError    the request never left this process
    │   └── StaleListError  a list was older than what was seen already
    ├── ApiError         an answer of 400 or more, with Kubernetes' reason
    └── NotLeaderError   a write was about to start without the Lease

Errors that one module raises for its neighbour to catch stay there and never get out: `plugin.results.UnusableError`
(becomes a HookError or PluginLoadError) and `runtime.execute.StaleError` (the pass is made again). The command line
(`cli.yaml_input`) and the development tools (`kubeairunway_dev.errors`) add leaves of their own.
"""

from __future__ import annotations

from typing import Any


class KubeAIRunwayError(Exception):
    """Root of all exceptions this project raises on purpose."""


class SettingsError(KubeAIRunwayError):
    """A flag, an environment variable or a file of ours is wrong; the message names it and says what would be right."""


class PluginError(KubeAIRunwayError):
    """A provider package misbehaved in one operation ("load", "validate", "render", ...)."""

    def __init__(self, provider: str, operation: str, reason: str) -> None:
        super().__init__(f"provider {provider}: {operation}: {reason}")
        self.provider = provider
        self.operation = operation
        self.reason = reason


class PluginLoadError(PluginError):
    """The package could not be imported, or what it declares is not usable."""


class HookError(PluginError):
    """A hook raised, or returned what the contract does not allow."""


class HookTimeoutError(PluginError):
    """A hook overran its deadline, or is still running since an earlier overrun."""


class KubeError(KubeAIRunwayError):
    """The Kubernetes API could not be reached, or refused."""


class TransportError(KubeError):
    """No answer that can be trusted: connection, TLS, timeout, or a body cut short."""


class NotSentError(TransportError):
    """The request never left this process, so that even a create may be tried again."""


class StaleListError(TransportError):
    """A list was older than what was already seen; it is refused."""


class NotLeaderError(KubeError):
    """A write was about to start in a process that does not hold the Lease (any more)."""


class ApiError(KubeError):
    """An answer of 400 or more; `reason` is Kubernetes' own word ("NotFound", "Conflict", "Expired", ...)."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        details: dict[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message or reason or f"HTTP {status}")
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details or {}
        self.retry_after = retry_after
