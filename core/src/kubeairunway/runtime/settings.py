"""What a controller process is told: flags, each with its environment variable, checked once into one value."""

from __future__ import annotations

import re
import socket
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeVar

from kubeairunway.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CORE: Final = "core"
SHARD_PREFIX: Final = "provider:"
T = TypeVar("T")
LogFormat = Literal["auto", "json", "human"]
FORMATS: Final[dict[str, LogFormat]] = {"auto": "auto", "json": "json", "human": "human"}
LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
DEFAULT_NAMESPACE: Final = "kubeairunway-system"
NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True, slots=True)
class Option:
    """One setting as the command line and the environment spell it."""

    name: str
    metavar: str
    help: str

    @property
    def flag(self) -> str:
        """The command-line flag."""
        return f"--{self.name}"

    @property
    def variable(self) -> str:
        """The environment variable."""
        return f"KUBEAIRUNWAY_{self.name.replace('-', '_').upper()}"


OPTIONS: Final = (
    Option("kubeconfig", "FILE", "kubeconfig to use; default: KUBECONFIG, the pod's service account, ~/.kube/config"),
    Option("context", "NAME", "context of the kubeconfig; default: its current one"),
    Option("namespaces", "A,B", "namespaces to look after; default: all"),
    Option(
        "only",
        "SHARDS",
        "shards, comma-separated: provider:<name>, or core for what no loaded provider runs",
    ),
    Option("disable-providers", "A,B", "provider packages not to load"),
    Option("disable-policies", "A,B", "policy packages not to load"),
    Option("policy-settings", "FILE", "YAML with the settings of each policy under its name; default: none"),
    Option("workers", "N", "deployments handled at once; default 8"),
    Option("leader-elect", "true|false", "work only while holding the Lease; default true"),
    Option("lease-namespace", "NAME", "namespace of the Lease; default: the pod's, else kubeairunway-system"),
    Option("lease-name", "NAME", "name of the Lease; default: kubeairunway-controller, one per shard"),
    Option("lease-duration", "SECONDS", "how long a silent leader is respected; default 15"),
    Option("lease-renew", "SECONDS", "how often the leader renews; default 5"),
    Option("bind", "HOST:PORT", "address of /healthz, /readyz and /metrics; default 0.0.0.0:8081, port 0: any free"),
    Option("log-format", "auto|json|human", "default auto: human on a terminal, else json"),
    Option("log-level", "LEVEL", "debug, info, warning or error; default info"),
    Option("deletion-limit", "SECONDS", "how long a deletion waits for upstream; default 300"),
    Option("heartbeat", "SECONDS", "how often a provider's heartbeat is written; default 60"),
    Option("heartbeat-expiry", "SECONDS", "age at which a heartbeat no longer counts; default 300"),
    Option("hook-deadline", "SECONDS", "how long a provider's hook may take; default 2"),
    Option("crash-notes", "DIRECTORY", "where a provider that froze the process is remembered; default: nowhere"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything a controller process is told. Durations are seconds; no namespaces means all of them."""

    kubeconfig: Path | None = None
    context: str | None = None
    namespaces: tuple[str, ...] = ()
    only: frozenset[str] = frozenset()
    disabled_providers: frozenset[str] = frozenset()
    disabled_policies: frozenset[str] = frozenset()
    policy_settings: Path | None = None
    workers: int = 8  # 8 to 16 status writes in flight are best, 32 are slower: measured
    leader_elect: bool = True
    lease_namespace: str = DEFAULT_NAMESPACE
    lease_name: str = "kubeairunway-controller"
    lease_duration: float = 15.0
    lease_renew: float = 5.0
    identity: str = field(default_factory=lambda: f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}")
    bind_host: str = "0.0.0.0"  # noqa: S104 - probes and Prometheus come from outside the pod
    bind_port: int = 8081
    log_format: LogFormat = "auto"
    log_level: str = "info"
    deletion_limit: float = 300.0
    heartbeat: float = 60.0
    heartbeat_expiry: float = 300.0
    hook_deadline: float = 2.0
    crash_notes: Path | None = None

    def runs_core(self) -> bool:
        """Whether deployments that no loaded provider runs are this process's."""
        return not self.only or CORE in self.only

    def runs_provider(self, name: str) -> bool:
        """Whether deployments of that provider are this process's."""
        return not self.only or SHARD_PREFIX + name in self.only


def read_settings(flags: Mapping[str, str], environ: Mapping[str, str]) -> Settings:
    """Build settings from flags (by option name, without dashes in front) and the environment; flags win.

    Raises SettingsError naming the flag or variable and what would be right.
    """
    known = {option.name for option in OPTIONS}
    for name in flags:
        if name not in known:
            raise SettingsError(f"--{name}: there is no such setting")
    read = _Reader(flags, environ)
    only: frozenset[str] = read.value("only", frozenset(), _shards)
    settings = Settings(
        kubeconfig=read.value("kubeconfig", None, lambda text: Path(text).expanduser()),
        context=read.value("context", None, str),
        namespaces=read.value("namespaces", (), _names),
        only=only,
        disabled_providers=read.value("disable-providers", frozenset(), lambda text: frozenset(_names(text))),
        disabled_policies=read.value("disable-policies", frozenset(), lambda text: frozenset(_names(text))),
        policy_settings=read.value("policy-settings", None, lambda text: Path(text).expanduser()),
        workers=read.value("workers", 8, lambda text: _whole(text, 1, 256)),
        leader_elect=read.value("leader-elect", True, _boolean),  # noqa: FBT003 - the default's value
        lease_namespace=read.value("lease-namespace", _pod_namespace(environ), _name),
        lease_name=read.value("lease-name", _lease_name(only), _subdomain),
        lease_duration=read.value("lease-duration", 15.0, _seconds),
        lease_renew=read.value("lease-renew", 5.0, _seconds),
        bind_host=read.value("bind", ("0.0.0.0", 8081), _address)[0],  # noqa: S104 - see Settings
        bind_port=read.value("bind", ("", 8081), _address)[1],
        log_format=read.value("log-format", "auto", _log_format),
        log_level=read.value("log-level", "info", _log_level),
        deletion_limit=read.value("deletion-limit", 300.0, _seconds),
        heartbeat=read.value("heartbeat", 60.0, _seconds),
        heartbeat_expiry=read.value("heartbeat-expiry", 300.0, _seconds),
        hook_deadline=read.value("hook-deadline", 2.0, _seconds),
        crash_notes=read.value("crash-notes", None, lambda text: Path(text).expanduser()),
    )
    _check_together(settings)
    return settings


def _check_together(settings: Settings) -> None:
    if settings.lease_renew * 2 >= settings.lease_duration:
        raise SettingsError(
            f"--lease-renew {settings.lease_renew:g}: must be less than half of --lease-duration "
            f"({settings.lease_duration:g})"
        )
    if settings.heartbeat_expiry < settings.heartbeat * 2:
        raise SettingsError(
            f"--heartbeat-expiry {settings.heartbeat_expiry:g}: must be at least twice --heartbeat "
            f"({settings.heartbeat:g}), or one late beat takes every provider away"
        )


class _Reader:
    """Finds a setting's text, flag before variable, and names its source when it is wrong."""

    def __init__(self, flags: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self._flags = flags
        self._environ = environ

    def value(self, name: str, default: T, parse: Callable[[str], T]) -> T:
        option = next(option for option in OPTIONS if option.name == name)
        for source, text in (
            (option.flag, self._flags.get(name)),
            (option.variable, self._environ.get(option.variable)),
        ):
            if text:
                try:
                    return parse(text)
                except ValueError as error:
                    raise SettingsError(f"{source} {text!r}: {error}") from None
        return default


def _names(text: str) -> tuple[str, ...]:
    return tuple(sorted({_name(part.strip()) for part in text.split(",") if part.strip()}))


def _name(text: str) -> str:
    if not LABEL.fullmatch(text):
        raise ValueError(f"{text!r} is not a name; use lower-case letters, digits and '-', at most 63 characters")
    return text


def _subdomain(text: str) -> str:
    for part in text.split("."):
        _name(part)
    return text


def _shards(text: str) -> frozenset[str]:
    parts = frozenset(part.strip() for part in text.split(",") if part.strip())
    for part in parts:
        if part != CORE and not (part.startswith(SHARD_PREFIX) and LABEL.fullmatch(part.removeprefix(SHARD_PREFIX))):
            raise ValueError(f"{part!r} is no shard; use 'core' or 'provider:<name>'")
    return parts


def _whole(text: str, low: int, high: int) -> int:
    if not text.isdecimal() or not low <= int(text) <= high:
        raise ValueError(f"use a whole number from {low} to {high}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise ValueError("use a number of seconds greater than 0")
    return number


def _boolean(text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise ValueError("use true or false")
    return text.lower() == "true"


def _address(text: str) -> tuple[str, int]:
    host, found, port = text.rpartition(":")
    if not found or not port.isdecimal() or int(port) > 65535:  # noqa: PLR2004 - the largest port
        raise ValueError("use host:port, as in 0.0.0.0:8081")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - see Settings


def _log_format(text: str) -> LogFormat:
    if text in FORMATS:
        return FORMATS[text]
    raise ValueError("use auto, json or human")


def _log_level(text: str) -> str:
    if text.lower() not in {"debug", "info", "warning", "error"}:
        raise ValueError("use debug, info, warning or error")
    return text.lower()


def _lease_name(only: frozenset[str]) -> str:
    shard = "-".join(sorted(part.replace(":", "-") for part in only))
    return f"kubeairunway-controller{'-' if shard else ''}{shard}"


def _pod_namespace(environ: Mapping[str, str]) -> str:
    named = environ.get("POD_NAMESPACE", "")
    if named:
        return named
    try:
        return NAMESPACE_FILE.read_text().strip() or DEFAULT_NAMESPACE
    except OSError:
        return DEFAULT_NAMESPACE
