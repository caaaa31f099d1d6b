"""What is known of every provider: its package, its InferenceProviderConfig, and what of its upstream is there."""

from __future__ import annotations

import asyncio
import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from kubeairunway.decide.provider_config import PackageFacts, Upstream, read_facts
from kubeairunway.model import names
from kubeairunway.model.reasons import ConfigReason
from kubeairunway.objects.times import parse_time
from kubeairunway.plugin.registry import LoadState
from kubeairunway.runtime.world import CONFIGS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubeairunway.decide.facts import ProviderFacts
    from kubeairunway.objects.resources import Json
    from kubeairunway.plugin.registry import Registry
    from kubeairunway.runtime.kinds import KindWatches
    from kubeairunway.runtime.operators import Operators
    from kubeairunway.runtime.overlay import Overlay
    from kubeairunway.runtime.settings import Settings
    from kubeairunway.runtime.watches import Watch

log = logging.getLogger(__name__)

_BROKEN = frozenset({LoadState.FAILED, LoadState.INCOMPATIBLE, LoadState.QUARANTINED})
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")  # an entry point may have any name, a config may not


class Directory:
    """The facts of every provider; `on_change(names)` tells whose changed, and `epoch` counts the changes."""

    def __init__(  # noqa: PLR0913 - everything that facts are made from
        self,
        registry: Registry,
        settings: Settings,
        kinds: KindWatches,
        operators: Operators,
        configs: Watch,
        overlay: Overlay,
        *,
        crds_watched: Callable[[], bool],
        on_change: Callable[[frozenset[str]], None],
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._kinds = kinds
        self._operators = operators
        self._configs = configs
        self._overlay = overlay
        self._crds_watched = crds_watched
        self._on_change = on_change
        self._expiry = timedelta(seconds=settings.heartbeat_expiry)
        self._timer: asyncio.TimerHandle | None = None
        self._untold: frozenset[str] = frozenset()
        self._tried: frozenset[str] = frozenset()
        self.facts: Mapping[str, ProviderFacts] = MappingProxyType({})
        self.epoch = 0
        self.leading = False
        """Whether this process writes the heartbeats of its shard, which makes their age no news to it."""

    @property
    def readable(self) -> bool:
        """Whether configs may be read; without that right none is written either."""
        return not self._configs.forbidden

    def names(self) -> tuple[str, ...]:
        """Every provider that has a package or a config."""
        configured = {obj["metadata"]["name"] for obj in self._configs.values()}
        return tuple(sorted(configured | {package.name for package in self._registry.packages}))

    def config(self, name: str) -> Json | None:
        """The provider's config as it is now, our own last write included."""
        cached = self._configs.get("", name)
        return self._overlay.find((CONFIGS.group, CONFIGS.kind, "", name), cached, self._configs.seen(""))

    def package(self, name: str) -> PackageFacts:
        """The installed package of a provider; why it is not loaded, where it is not."""
        package = self._registry.get(name)
        if package is None:
            return PackageFacts(provider=None)
        reason = f"{package.state}: {package.reason}" if package.reason else str(package.state)
        return PackageFacts(
            provider=package.provider,
            reason="" if package.provider is not None else reason,
            distribution=package.distribution,
            version=package.version,
        )

    def broken(self, name: str) -> bool:
        """Whether a package is installed that cannot be loaded, so that its config must say why."""
        package = self._registry.get(name)
        return package is not None and package.state in _BROKEN and _NAME.fullmatch(name) is not None

    def upstream(self, name: str) -> Upstream:
        """What of a provider's upstream this cluster has."""
        provider = self._registry.providers.get(name)
        if provider is None:
            return Upstream(served={})
        state, deployment, version = self._operators.state(name)
        return Upstream(
            served=self._kinds.served(provider),
            operator=state,
            operator_name=deployment,
            version=version,
            crds_watched=self._crds_watched(),
        )

    def keeps(self, name: str) -> bool:
        """Whether this process looks after a provider's config; those without a package are the core's."""
        if self.tried_by(name, datetime.now(UTC)):
            return False
        if self._registry.providers.get(name) is None:
            return self._settings.runs_core()
        return self._settings.runs_provider(name)

    def tried_by(self, name: str, now: datetime) -> str:
        """The other process that tries a provider's package (`providers try`); empty if none does, or does any more.

        It has the provider and its deployments to itself while its heartbeat is fresh.
        """
        config = self.config(name) or {}
        holder = str((config.get("metadata", {}).get("annotations") or {}).get(names.TRIED_BY, ""))
        if holder in {"", self._settings.identity}:
            return ""
        beat = parse_time((config.get("status") or {}).get("lastHeartbeat"))
        return holder if beat is None or now - beat <= self._expiry else ""

    def is_tried(self, name: str) -> bool:
        """Whether another process tried a provider when the facts were worked out last."""
        return name in self._tried

    def is_late(self, name: str) -> bool:
        """Whether it is the core's to say of another shard's provider that its heartbeat has expired."""
        fact = self.facts.get(name)
        return self._settings.runs_core() and fact is not None and fact.reason == ConfigReason.HEARTBEAT_EXPIRED

    def update(self) -> None:
        """Work the facts out anew and tell whose changed."""
        now = datetime.now(UTC)
        facts = {name: self._read(name, now) for name in self.names()}
        self._tried = frozenset(name for name in facts if self.tried_by(name, now))
        changed = frozenset(name for name in (*facts, *self.facts) if facts.get(name) != self.facts.get(name))
        self._set_timer(now)
        self._tell(facts, changed | self._untold)
        if not changed:
            return
        self.facts = MappingProxyType(facts)
        self.epoch += 1
        self._on_change(changed)

    def _tell(self, facts: Mapping[str, ProviderFacts], names: frozenset[str]) -> None:
        untold = set()
        for name in sorted(names):
            fact = facts.get(name)
            new = name not in self.facts or name in self._untold
            if new and fact is not None and fact.reason == ConfigReason.HEARTBEAT_EXPIRED and not self.leading:
                untold.add(name)  # this process has only just started, and is perhaps the one to look after it
                continue
            state = "gone" if fact is None else "ready" if fact.usable else f"not usable: {fact.message or fact.reason}"
            log.info("provider %s is %s", name, state, extra={"provider": name})
        self._untold = frozenset(untold)

    def _read(self, name: str, now: datetime) -> ProviderFacts:
        own = self.leading and self.keeps(name)
        moment = None if own or not self.readable else now
        facts = read_facts(
            name, self.package(name), self.config(name), self.upstream(name), moment, expiry=self._expiry
        )
        holder = self.tried_by(name, now)
        return replace(facts, message=f"{holder} tries it, and has it to itself") if holder else facts

    def _set_timer(self, now: datetime) -> None:
        """Come back when the next heartbeat of somebody else expires."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waits = [
            (beat + self._expiry - now).total_seconds()
            for name in self.names()
            if not (self.leading and self.keeps(name))
            and (beat := parse_time(((self.config(name) or {}).get("status") or {}).get("lastHeartbeat"))) is not None
            and now - beat <= self._expiry
        ]
        if waits:
            delay = min(waits) + timedelta(milliseconds=100).total_seconds()
            self._timer = asyncio.get_running_loop().call_later(delay, self.update)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
