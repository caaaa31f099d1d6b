"""Keeping InferenceProviderConfigs: made when missing, what the package says of itself, readiness, heartbeat."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from kubeairunway.decide.provider_config import config_status, overdue_status
from kubeairunway.errors import ApiError, KubeError
from kubeairunway.kube.backoff import Backoff
from kubeairunway.model import names
from kubeairunway.objects.digests import digest
from kubeairunway.objects.times import parse_time
from kubeairunway.runtime.world import CONFIGS

if TYPE_CHECKING:
    from kubeairunway.kube.client import Client
    from kubeairunway.objects.resources import Json
    from kubeairunway.runtime.hook_errors import HookErrors
    from kubeairunway.runtime.overlay import Overlay
    from kubeairunway.runtime.providers import Directory
    from kubeairunway.runtime.rules import RuleErrors

RETRY_BASE: Final = 0.5
RETRY_CAP: Final = 30.0
log = logging.getLogger(__name__)


class ConfigKeeper:
    """Writes the configs of this process's providers; only a leader runs it."""

    def __init__(
        self,
        client: Client,
        directory: Directory,
        overlay: Overlay,
        *,
        heartbeat: float,
        rules: RuleErrors,
        hooks: HookErrors,
    ) -> None:
        self._client = client
        self._directory = directory
        self._overlay = overlay
        self._heartbeat = heartbeat
        self._rules = rules
        self._hooks = hooks
        self._wake = asyncio.Event()
        self._written: dict[str, tuple[str, str]] = {}
        self._backoffs: dict[str, Backoff] = {}

    def wake(self) -> None:
        """Look now: something that a config says may have changed."""
        self._wake.set()

    async def keep_all(self) -> float:
        """Bring every config up to date; returns seconds until the next heartbeat, or the next try of one, is due."""
        if not self._directory.readable:
            return self._heartbeat
        names = self._directory.names()
        waits = [
            await self._try(name) for name in names if self._directory.keeps(name) or self._directory.is_late(name)
        ]
        return min(waits, default=self._heartbeat)

    async def run(self) -> None:
        """Keep the configs until cancelled."""
        while True:
            self._wake.clear()
            wait = await self.keep_all()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _try(self, name: str) -> float:
        """Keep one config; one that the API server refuses is no reason to leave the others."""
        try:
            wait = await (self._keep(name) if self._directory.keeps(name) else self._mark_late(name))
        except KubeError as error:
            wait = self._backoffs.setdefault(name, Backoff(RETRY_BASE, RETRY_CAP)).next()
            text = "the config of provider %s could not be written, again in %.1f s: %s"
            log.warning(text, name, wait, error, extra={"provider": name, "error": str(error)})
        else:
            self._backoffs.pop(name, None)
        return wait

    async def _keep(self, name: str) -> float:
        package = self._directory.package(name)
        config = self._directory.config(name)
        if config is None:
            if package.provider is None and not self._directory.broken(name):
                return self._heartbeat
            config = await self._create(name)
            if config is None:
                return self._heartbeat
        now = datetime.now(UTC)
        left = self._until_beat(config, now) if package.provider is not None else self._heartbeat
        fact = self._directory.facts.get(name)
        texts = {active.rule.name: active.rule.condition for active in fact.rules} if fact is not None else {}
        status = config_status(
            package,
            config,
            self._directory.upstream(name),
            rule_errors=self._rules.of(name, texts),
            hook_errors=self._hooks.of(name),
            now=now,
            beat=left <= 0,
        )
        if status is None or (left > 0 and self._stands(config, status)):
            return max(left, 0.1)
        await self._write(config, status)
        return self._heartbeat

    async def _mark_late(self, name: str) -> float:
        """Say of another shard's provider that nobody looks after it."""
        config, fact = self._directory.config(name), self._directory.facts.get(name)
        status = overdue_status(config, fact, datetime.now(UTC)) if config is not None and fact is not None else None
        if config is not None and status is not None:
            await self._write(config, status)
        return self._heartbeat

    def _stands(self, config: Json, status: Json) -> bool:
        """Whether the status is what the API server made of the same wish before: writing it again changes nothing."""
        wanted, answered = self._written.get(config["metadata"]["name"], ("", ""))
        return wanted == _digest_wish(status) and answered == digest(config.get("status") or {})

    def _until_beat(self, config: Json, now: datetime) -> float:
        beat = parse_time((config.get("status") or {}).get("lastHeartbeat"))
        if beat is None or beat > now:
            return 0.0
        return self._heartbeat - (now - beat).total_seconds()

    async def _create(self, name: str) -> Json | None:
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.PROVIDER_CONFIG,
            "metadata": {"name": name},
            "spec": {},
        }
        try:
            answer = await self._client.create(CONFIGS, body)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            answer = await self._client.get(CONFIGS, name)
        else:
            log.info("made the config of provider %s", name, extra={"provider": name})
        self._overlay.put(CONFIGS, answer)
        return answer

    async def _write(self, config: Json, status: Json) -> None:
        meta = config["metadata"]
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.PROVIDER_CONFIG,
            "metadata": {key: meta[key] for key in ("name", "uid", "resourceVersion")},
            "status": status,
        }
        try:
            answer = await self._client.apply_status(CONFIGS, body)
            self._overlay.put(CONFIGS, answer)
            self._written[meta["name"]] = (_digest_wish(status), digest(answer.get("status") or {}))
        except ApiError as error:
            if error.status not in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
                raise
            self._overlay.drop((CONFIGS.group, CONFIGS.kind, "", meta["name"]))  # deleted meanwhile: the watch will say


def _digest_wish(status: Json) -> str:
    """A digest of a wanted status without the times in it."""
    rows = [{**row, "lastTransitionTime": ""} for row in status.get("conditions") or ()]
    return digest({**status, "lastHeartbeat": "", "conditions": rows})
