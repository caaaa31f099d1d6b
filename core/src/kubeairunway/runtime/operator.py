"""The controller process from start to stop: everything is made, wired, run and ended here."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import time
from typing import TYPE_CHECKING, Final

from kubeairunway.decide.expressions import Expressions
from kubeairunway.kube.client import Client
from kubeairunway.kube.config import load_config
from kubeairunway.kube.discovery import Discovery
from kubeairunway.kube.events import EventRecorder
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.plugin.policies import NO_SETTINGS, Policies, load_policies
from kubeairunway.plugin.registry import load_registry
from kubeairunway.runtime.admissions import Admissions
from kubeairunway.runtime.causes import Causes
from kubeairunway.runtime.conflicts import Conflicts
from kubeairunway.runtime.controller import Controller
from kubeairunway.runtime.execute import Executor
from kubeairunway.runtime.health import HealthServer
from kubeairunway.runtime.heartbeat import ConfigKeeper
from kubeairunway.runtime.hook_errors import HookErrors
from kubeairunway.runtime.kinds import KindWatches
from kubeairunway.runtime.leadership import Leadership
from kubeairunway.runtime.logs import set_up_logging
from kubeairunway.runtime.measured import MeasuredCalls, MeasuredPolicies, MeasuredTransport
from kubeairunway.runtime.operators import Operators
from kubeairunway.runtime.overlay import Overlay
from kubeairunway.runtime.providers import Directory
from kubeairunway.runtime.routes import Routes
from kubeairunway.runtime.rules import RuleErrors
from kubeairunway.runtime.served import ServedKinds
from kubeairunway.runtime.telemetry import Telemetry
from kubeairunway.runtime.watches import Watch
from kubeairunway.runtime.world import CONFIGS, DEPLOYMENTS, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from kubeairunway.kube.transport import Transport
    from kubeairunway.objects.resources import Json, Resource
    from kubeairunway.plugin.policies import PolicySettings
    from kubeairunway.plugin.registry import Registry
    from kubeairunway.runtime.conflicts import Key
    from kubeairunway.runtime.settings import Settings

GRACE_SECONDS: Final = 10.0
"""How long passes that run may take to end when the process is asked to stop, or loses the Lease."""

FLUSH_SECONDS: Final = 3.0
"""How long Events that were recorded may take to be written then."""

log = logging.getLogger(__name__)


class _StopError(Exception):
    """Ends the task group when the process was asked to stop."""


async def run(settings: Settings, policy_settings: PolicySettings = NO_SETTINGS) -> int:
    """Run the controller until SIGTERM or SIGINT; returns the exit code.

    Raises SettingsError for settings that cannot work (no cluster, a port that is taken).
    """
    set_up_logging(settings)
    config = load_config(settings.kubeconfig, settings.context)
    log.info("cluster: %s", config.source)
    registry = await asyncio.to_thread(
        load_registry,
        disabled=settings.disabled_providers,
        deadline=settings.hook_deadline,
        crash_notes=settings.crash_notes,
    )
    policies = await asyncio.to_thread(
        load_policies,
        disabled=settings.disabled_policies,
        settings=policy_settings,
        deadline=settings.hook_deadline,
        crash_notes=(settings.crash_notes, registry.notes) if settings.crash_notes else None,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    transport = open_transport(config)
    try:
        return await Operator(settings, registry, transport, policies).run(stop)
    finally:
        await transport.close()
        policies.close()
        registry.close()


class Operator:
    """One controller process over a transport and the providers of a registry."""

    def __init__(
        self, settings: Settings, registry: Registry, transport: Transport, policies: Policies | None = None
    ) -> None:
        self._policies = policies if policies is not None else Policies((), {})
        self._settings = settings
        self._registry = registry
        self._started_at = time.monotonic()
        self._started = self._ready = False
        self.telemetry = Telemetry(self._list_deployments)
        self._client = Client(MeasuredTransport(transport, self.telemetry), observe=self.telemetry.requested)
        self._discovery = Discovery(self._client)
        self._overlay = Overlay()
        self._keeping: asyncio.Task[None] | None = None
        self.server = HealthServer(
            settings.bind_host,
            settings.bind_port,
            telemetry=self.telemetry,
            missing=self.missing,
            deciding_for=lambda: self._controller.deciding_for if self._started else 0.0,
        )
        self.telemetry.set_packages(package.state for package in registry.packages)
        for package in registry.packages:
            level = logging.INFO if package.provider is not None else logging.WARNING
            text = f"package {package.name} {package.version}: {package.state}"
            log.log(level, "%s %s", text, package.reason, extra={"provider": package.name})
        self.telemetry.set_policies(package.state for package in self._policies.packages)
        for policy in self._policies.packages:
            level = logging.INFO if policy.policy is not None else logging.WARNING
            text = f"policy {policy.name} {policy.version}: {policy.state}"
            log.log(level, "%s %s", text, policy.reason, extra={"policy": policy.name})
        for remark in (*registry.remarks, *self._policies.remarks):
            log.warning("%s", remark)

    async def run(self, stop: asyncio.Event) -> int:
        """Work until `stop` is set; returns 0, or 1 when a bug ended it."""
        await self.server.start()
        log.info("probes and metrics on %s:%d", self._settings.bind_host, self.server.port)
        code = 0
        try:
            async with asyncio.TaskGroup() as tasks:
                working = tasks.create_task(self._work(tasks), name="work")
                await stop.wait()
                log.info("stopping")
                working.cancel()
                await asyncio.wait({working})
                raise _StopError  # noqa: TRY301 - how a task group is told to end its tasks
        except* _StopError:
            log.info("stopped")
        except* Exception:
            log.exception("the controller ends because of a bug")
            code = 1
        finally:
            await self.server.stop()
            if self._started:
                self._directory.close()
                self._controller.close()
        return code

    def missing(self) -> list[str]:
        """What readiness still waits for."""
        if not self._started:
            return ["the API server"]
        missing = []
        for watch in (self._deployments_watch, self._configs):
            if watch.gone:
                missing.append(f"the CRD {watch.resource.plural}.{watch.resource.group}")
            elif not (watch.has_synced or (watch is self._configs and watch.forbidden)):
                missing.append(watch.resource.plural + (f" ({watch.problem})" if watch.problem else ""))
        missing += self._kinds.waiting()
        missing += [f"the operator of {name}" for name in self._operators.waiting()]
        return missing

    # ---- wiring ----

    async def _work(self, tasks: asyncio.TaskGroup) -> None:
        self._make(tasks)
        self._tasks = tasks
        tasks.create_task(asyncio.to_thread(self._compile_rules), name="rules")
        self._operators.start(tasks)
        await self._served.start(tasks)
        self._started = True
        await self._wait_ready()
        self._ready = True
        self._directory.update()
        gc.collect()
        gc.freeze()
        log.info(
            "ready after %.2f s with %d deployments", time.monotonic() - self._started_at, len(self._deployments_watch)
        )
        await self._leadership.run()

    def _make(self, tasks: asyncio.TaskGroup) -> None:
        settings, client = self._settings, self._client
        providers = tuple(self._registry.providers.values())
        conflicts = Conflicts(client, tasks, self._wake)
        self._deployments_watch = Watch(client, DEPLOYMENTS, settings.namespaces, on_event=self._on_deployment)
        self._configs = Watch(client, CONFIGS, on_event=self._on_config)
        self._kinds = KindWatches(
            client,
            self._discovery,
            providers,
            settings.namespaces,
            on_event=self._on_object,
            on_gone=self._on_gone,
        )
        self._world = World(self._deployments_watch, self._kinds, self._overlay, conflicts)
        self._routes = Routes(self._world, self._wake, self._take_up)
        self._operators = Operators(client, providers, on_change=self._on_upstream)
        self._served = ServedKinds(
            client, self._discovery, self._kinds, (self._deployments_watch, self._configs), on_change=self._on_upstream
        )
        self._directory = Directory(
            self._registry,
            settings,
            self._kinds,
            self._operators,
            self._configs,
            self._overlay,
            crds_watched=lambda: self._served.watching,
            on_change=self._on_facts,
        )
        self._expressions = Expressions()
        self._rules = rules = RuleErrors(self._expressions, self._on_trouble, self.telemetry.rule_failed)
        self._hooks = hooks = HookErrors(self._on_trouble)
        self._keeper = ConfigKeeper(
            client, self._directory, self._overlay, heartbeat=settings.heartbeat, rules=rules, hooks=hooks
        )
        self._recorder = EventRecorder(client, "kubeairunway-controller", settings.identity)
        self._admissions = Admissions(
            MeasuredPolicies(self._policies, self.telemetry),
            self._wake_again,
            self._world.has_objects,
        )
        causes = Causes(client, tasks, self._discovery, self._kinds, settings.namespaces, wake=self._wake)
        self._controller = Controller(
            settings,
            self._world,
            self._directory,
            Executor(client, self._world, self._discovery),
            MeasuredCalls(self._registry, self.telemetry, hooks),
            self._expressions,
            recorder=self._recorder,
            rules=rules,
            telemetry=self.telemetry,
            admissions=self._admissions,
            causes=causes,
        )
        self._leadership = Leadership(client, settings, start=self._lead, stop=self._stand_down)

    def _compile_rules(self) -> None:
        """Compile the packages' rules beside the first lists: loading the CEL library alone takes half a second."""
        for provider in self._registry.providers.values():
            for rule in provider.rules:
                self._expressions.program(rule.condition)

    async def _wait_ready(self) -> None:
        while self.missing():  # noqa: ASYNC110 - a dozen conditions of as many watches, once, at the start
            await asyncio.sleep(0.01)

    # ---- leading ----

    async def _lead(self) -> None:
        self._directory.leading = True
        self.telemetry.set_leading(leading=True)
        self._recorder.start()
        self._hooks.begin()
        self._directory.update()
        await self._keeper.keep_all()
        self._directory.update()
        self._keeping = self._tasks.create_task(self._keeper.run(), name="heartbeats")
        self._controller.start()
        log.info("working as %s", self._settings.identity)

    async def _stand_down(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._keeping = None
        if not await self._controller.stop(GRACE_SECONDS):
            log.warning("some passes did not end within %.0f s and were cut short", GRACE_SECONDS)
        await self._recorder.stop(FLUSH_SECONDS)
        self._directory.leading = False
        self.telemetry.set_leading(leading=False)

    # ---- news ----

    def _wake(self, key: Key) -> None:
        if self._ready:
            self._controller.wake(key)

    def _wake_again(self, keys: Iterable[Key]) -> None:
        if self._ready:
            self._controller.wake_again(keys)

    def _take_up(self, key: Key) -> None:
        if self._ready:
            self._controller.take_up(key)

    def _on_deployment(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        self._admissions.note(old, new)
        self._routes.handle_deployment(resource, old, new)

    def _on_object(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        self._routes.handle_object(resource, old, new)

    def _on_gone(self, resource: Resource) -> None:
        self._served.forget(resource)

    def _on_config(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        self._overlay.settle(resource, old, new)
        self._on_upstream()

    def _on_upstream(self) -> None:
        if self._ready:
            self._directory.update()
            self._keeper.wake()

    def _on_trouble(self) -> None:
        self._keeper.wake()

    def _on_facts(self, names: frozenset[str]) -> None:
        self._rules.check(fact for name, fact in self._directory.facts.items() if name in names)
        self._controller.wake_all(names)
        self._keeper.wake()

    def _list_deployments(self) -> Iterable[Mapping[str, Any]]:
        return self._controller.figures() if self._started else ()
