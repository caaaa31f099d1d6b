"""The passes: which deployments want one, whether there is anything to do, and from a decision to its writes."""

from __future__ import annotations

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from kubeairunway.decide.deployment import plan_deployment
from kubeairunway.decide.memory import remember
from kubeairunway.decide.plan import Memory, Plan
from kubeairunway.errors import KubeError, NotLeaderError
from kubeairunway.kube.backoff import Backoff
from kubeairunway.kube.workqueue import WorkQueue
from kubeairunway.model.reasons import EventReason, Reason
from kubeairunway.objects.resources import Json, Resource
from kubeairunway.runtime.backlog import Backlog
from kubeairunway.runtime.execute import Executor, Result, StaleError
from kubeairunway.runtime.urgency import Patience
from kubeairunway.runtime.world import View, World, describe_deployment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kubeairunway.decide.expressions import Expressions
    from kubeairunway.kube.events import EventRecorder
    from kubeairunway.plugin.calls import HookCalls
    from kubeairunway.runtime.admissions import Admissions
    from kubeairunway.runtime.causes import Causes
    from kubeairunway.runtime.conflicts import Key
    from kubeairunway.runtime.overlay import Address
    from kubeairunway.runtime.providers import Directory
    from kubeairunway.runtime.rules import RuleErrors
    from kubeairunway.runtime.settings import Settings
    from kubeairunway.runtime.telemetry import Telemetry

RETRY_BASE: Final = 0.2
RETRY_CAP: Final = 60.0
STALE_PAUSE: Final = 1.0
"""Seconds after which a deployment that was newer than our copy is looked at again, if its event has not come yet."""

SETTLING_PAUSE: Final = 0.05
"""Seconds between looks while a kind that has just appeared is being listed."""

NO_MEMORY: Final = Memory()
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Finished:
    """What the last pass that left nothing to do had seen, as digests, and when time makes another one due.

    `freed` is None unless policies refuse it for what else is in the namespace. `news` counts what was learnt of the
    cause why it is not Ready.
    """

    version: str
    deployment: int
    objects: int
    looked_up: tuple[Address, ...]
    epoch: int
    due: float | None
    freed: int | None
    news: int


@dataclass(slots=True)
class State:
    """What is remembered of one deployment between passes."""

    memory: Memory = NO_MEMORY
    finished: Finished | None = None
    backoff: Backoff | None = None
    patience: Patience = field(default_factory=Patience)


class Controller:
    """Hands deployments to passes while `start`ed; keys that are added while it is stopped are not kept."""

    def __init__(  # noqa: PLR0913 - everything a pass needs
        self,
        settings: Settings,
        world: World,
        directory: Directory,
        executor: Executor,
        calls: HookCalls,
        expressions: Expressions,
        *,
        recorder: EventRecorder,
        rules: RuleErrors,
        telemetry: Telemetry,
        admissions: Admissions,
        causes: Causes,
    ) -> None:
        self._settings = settings
        self._world = world
        self._directory = directory
        self._executor = executor
        self._calls = calls
        self._expressions = expressions
        self._recorder = recorder
        self._rules = rules
        self._telemetry = telemetry
        self._admissions = admissions
        self._causes = causes
        self._states: dict[Key, State] = {}
        self._deciding: dict[Key, float] = {}
        self._queue: WorkQueue[Key] | None = None
        self._backlog: Backlog | None = None
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="decide")

    @property
    def deciding_for(self) -> float:
        """Seconds the longest running decision has taken so far; 0 if none runs."""
        now = time.monotonic()
        return max((now - started for started in self._deciding.values()), default=0.0)

    def start(self) -> None:
        """Take up work: every deployment gets a pass, a few at a time.

        What was remembered is dropped: another process may have led since.
        """
        for key in list(self._states):
            self._forget(key)
        self._admissions.begin(self._world.deployments.values())
        queue = WorkQueue(self._settings.workers, self._handle, observer=self._telemetry.queue)
        self._backlog = Backlog(batch=2 * self._settings.workers, depth=lambda: queue.depth, add=queue.add)
        self._queue = queue
        queue.start()
        self.wake_all()

    async def stop(self, seconds: float) -> bool:
        """Take nothing new and let passes that run end; false if some had to be cut short after so many seconds."""
        queue, self._queue = self._queue, None
        backlog, self._backlog = self._backlog, None
        if backlog is not None:
            backlog.close()
        if queue is None:
            return True
        ended = await queue.stop(seconds)
        self._causes.clear()
        return ended

    def close(self) -> None:
        """End the threads on which decisions are made."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def wake(self, key: Key) -> None:
        """Something about a deployment may have changed."""
        if self._queue is not None:
            self._queue.add(key)

    def take_up(self, key: Key) -> None:
        """A deployment is new: its turn comes after what concerns those that run already."""
        if self._backlog is not None:
            self._backlog.put([key])

    def wake_again(self, keys: Iterable[Key]) -> None:
        """Deployments that policies refused may pass now: in this order, and behind what concerns those that run."""
        if self._backlog is not None:
            self._backlog.put(keys)

    def wake_all(self, providers: frozenset[str] | None = None) -> None:
        """Give a pass to every deployment, or to those that changed facts of some providers concern."""
        if self._backlog is not None:
            self._backlog.put(list(self._concerned(providers)))

    def _concerned(self, providers: frozenset[str] | None) -> Iterator[Key]:
        for deployment in self._world.deployments.values():
            meta = deployment["metadata"]
            key = (meta["namespace"], meta["name"])
            if providers is None or is_concerned(self._world.deployment(key) or deployment, providers):
                yield key

    async def _handle(self, key: Key) -> float | None:
        deployment = self._world.deployment(key)
        if deployment is None:
            self._forget(key)
            return None
        if self._world.kinds.is_settling:
            return SETTLING_PAUSE
        state = self._states.setdefault(key, State())
        if state.finished is not None:
            if self._is_done(key, state.finished, deployment):
                due = state.finished.due
                return None if due is None else max(0.05, due - time.monotonic())
            state.finished = None
        return await self._pass(key, deployment, state)

    def _is_done(self, key: Key, finished: Finished, deployment: Json) -> bool:
        if finished.epoch != self._directory.epoch:
            return False
        if finished.due is not None and time.monotonic() >= finished.due:
            return False
        if finished.freed not in {None, self._admissions.freed(deployment["metadata"]["namespace"])}:
            return False
        if finished.news != self._causes.moment(key).own:
            return False
        version = deployment["metadata"]["resourceVersion"]
        if version != finished.version and hash(describe_deployment(deployment)) != finished.deployment:
            return False
        return hash_objects(self._world.look_again(deployment, finished.looked_up)) == finished.objects

    async def _pass(self, key: Key, deployment: Json, state: State) -> float | None:
        started, provider = time.perf_counter(), current_provider(deployment)
        try:
            epoch = self._directory.epoch
            view = self._world.take(
                deployment, self._directory.facts, state.memory, datetime.now(UTC), self._settings.deletion_limit
            )
            view.moment = self._causes.moment(key)
            view.snapshot = replace(view.snapshot, look_below=self._causes.look_below(deployment))
            plan = await self._decide_in_turn(key, view)
            provider = plan.provider or provider
            if not self._is_ours(provider):
                state.memory, state.finished = NO_MEMORY, self._finish(deployment, view, epoch, None)
                self._causes.forget(key)
                return None
            self._rules.note(plan)
            patient = state.patience.holds(time.monotonic())
            result = await self._executor.execute(plan, deployment, patient=patient)
        except NotLeaderError:
            return None
        except StaleError:
            return STALE_PAUSE
        except KubeError as error:
            self._telemetry.failed(self._known(provider), type(error).__name__)
            delay = self._next_delay(state)
            log.warning(
                "%s/%s: again in %.1f s: %s",
                *key,
                delay,
                error,
                extra={"deployment": "/".join(key), "error": str(error)},
            )
            return delay
        finally:
            self._telemetry.passed(self._known(provider), time.perf_counter() - started)
        self._report(key, plan, deployment, result)
        return self._settle(key, state, (view, plan, result, epoch))

    async def _decide_in_turn(self, key: Key, view: View) -> Plan:
        """Decide, and keep what policies granted before another deployment of the namespace has its turn."""
        if not self._admissions.asked:
            return await self._decide(key, view)
        deployment = view.snapshot.deployment
        async with self._admissions.turn(key[0]):
            freed = self._admissions.freed(key[0])
            admission = self._admissions.take(deployment, view.snapshot.memory)
            view.snapshot = replace(view.snapshot, admission=admission)
            plan = await self._decide(key, view)
            ours = self._is_ours(plan.provider or current_provider(deployment))
            view.freed = freed if self._admissions.settle(deployment, plan if ours else None) else None
            return plan

    async def _decide(self, key: Key, view: View) -> Plan:
        self._deciding[key] = time.monotonic()
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(
                self._pool, plan_deployment, view.snapshot, self._calls, self._expressions
            )
        finally:
            del self._deciding[key]

    def _known(self, provider: str) -> str:
        """A provider as a metric's label; users may ask for any name, and each would be a series for ever."""
        return provider if provider in self._directory.facts else ""

    def figures(self) -> Iterator[Json]:
        """The deployments that this process works for now, for metrics: each is counted by one process."""
        if self._queue is None:
            return
        for deployment in self._world.deployments.values():
            if self._is_ours(current_provider(deployment)):
                yield deployment

    def _is_ours(self, provider: str) -> bool:
        """Whether this process's shard has that provider; what no loaded provider runs is the core's."""
        if self._directory.is_tried(provider):
            return False
        fact = self._directory.facts.get(provider)
        if fact is None or fact.provider is None:
            return self._settings.runs_core()
        return self._settings.runs_provider(provider)

    def _settle(self, key: Key, state: State, done: tuple[View, Plan, Result, int]) -> float | None:
        view, plan, result, epoch = done
        if plan.steps or plan.finalizer is False:
            uid = view.snapshot.deployment["metadata"]["uid"]
            state.memory = remember(state.memory, plan, result.outcomes, view.snapshot.now, uid=uid)
        self._note_conflicts(key, view, result)
        self._causes.follow(key, result.deployment, plan.wanted, since=view.moment)
        if result.conclusion.retry or has_failed_hook(plan):
            return self._next_delay(state)
        state.backoff = None
        written = result.conclusion.status is not None and not result.deferred
        wait = state.patience.note(time.monotonic(), deferred=result.deferred, written=written)
        after = min((seconds for seconds in (plan.after, wait) if seconds is not None), default=None)
        if result.settled:
            view.seen.update(result.created)
            state.finished = self._finish(result.deployment, view, epoch, after)
        return after

    def _finish(self, deployment: Json, view: View, epoch: int, after: float | None) -> Finished:
        return Finished(
            version=deployment["metadata"]["resourceVersion"],
            deployment=hash(describe_deployment(deployment)),
            objects=hash_objects(view.seen),
            looked_up=tuple(sorted(view.looked_up)),
            epoch=epoch,
            due=None if after is None else time.monotonic() + after,
            freed=view.freed,
            news=view.moment.own,
        )

    def _note_conflicts(self, key: Key, view: View, result: Result) -> None:
        """Remember which objects of others stand in the way, so that their events wake this deployment."""
        conflicts, blocked = self._world.conflicts, set[tuple[str, str, str, str]]()
        for address in view.looked_up:
            obj = self._world.find_at(address) if view.seen.get(address) is not None else None
            if obj is not None and address not in result.created:
                resource = Resource(address[0], obj["apiVersion"].rpartition("/")[2], address[1], "")
                blocked.add(conflicts.add(key, resource, obj))
        if result.conflict is not None:
            resource, obj = result.conflict
            watch = not self._world.kinds.use(resource).whole
            blocked.add(conflicts.add(key, resource, obj, watch=watch))
            if not watch and not self._world.is_there(resource, obj):
                self.wake(key)
        if len(conflicts):
            conflicts.clear(key, but=frozenset(blocked))

    def _next_delay(self, state: State) -> float:
        if state.backoff is None:
            state.backoff = Backoff(RETRY_BASE, RETRY_CAP)
        return state.backoff.next()

    def _report(self, key: Key, plan: Plan, deployment: Json, result: Result) -> None:
        name = "/".join(key)
        for note in result.conclusion.events:
            self._recorder.record(deployment, note.type, note.reason, note.message)
            level = logging.INFO if note.type == "Normal" else logging.WARNING
            log.log(level, "%s: %s", name, note.message, extra={"deployment": name, "reason": str(note.reason)})
        provider = self._known(plan.provider or current_provider(deployment))
        if any(note.reason == EventReason.FINALIZER_TIMEOUT for note in result.conclusion.events):
            self._telemetry.gave_up(provider)
        for outcome in result.outcomes:
            if outcome.error:
                self._telemetry.failed(provider, outcome.error)
            elif outcome.step.repair:
                self._telemetry.repaired(provider, outcome.step.kind.name)
        if result.conclusion.status is not None and not result.deferred:
            self._report_status(name, plan, deployment, result.conclusion.status)

    def _report_status(self, name: str, plan: Plan, deployment: Json, status: Json) -> None:
        if plan.provider and current_provider(deployment) != plan.provider:
            pinned = ((deployment.get("spec") or {}).get("provider") or {}).get("name")
            self._telemetry.selected(plan.provider, "explicit" if pinned else "auto")
        before = (deployment.get("status") or {}).get("phase") or "new"
        if before != status.get("phase"):
            message = status.get("message", "")
            log.info(
                "%s: %s -> %s: %s",
                name,
                before,
                status.get("phase"),
                message,
                extra={"deployment": name, "provider": plan.provider, "reason": str(status.get("phase"))},
            )

    def _forget(self, key: Key) -> None:
        self._states.pop(key, None)
        self._world.conflicts.clear(key)
        self._causes.forget(key)
        if self._queue is not None:
            self._queue.forget(key)


def is_concerned(deployment: Json, providers: frozenset[str]) -> bool:
    """Whether facts of these providers matter to a deployment: chosen, pinned, or nothing created yet."""
    pinned = ((deployment.get("spec") or {}).get("provider") or {}).get("name")
    chosen = (deployment.get("status") or {}).get("provider") or {}
    return pinned in providers or chosen.get("name") in providers or not chosen.get("resourceName")


def has_failed_hook(plan: Plan) -> bool:
    """Whether a hook could not be asked: one that overran may answer later, and no event will tell."""
    explanation = getattr(plan.decision, "explanation", None)
    blocked = plan.stage.blocked if plan.stage is not None else None
    if blocked is not None and blocked.reason in {Reason.PROVIDER_ERROR, Reason.POLICY_ERROR}:
        return True
    if explanation is None or plan.provider:
        return False
    return any(candidate.reason == Reason.PROVIDER_ERROR for candidate in explanation.all_candidates())


def current_provider(deployment: Json) -> str:
    """The provider on record, or the one that is asked for."""
    chosen = ((deployment.get("status") or {}).get("provider") or {}).get("name")
    return str(chosen or ((deployment.get("spec") or {}).get("provider") or {}).get("name") or "")


def hash_objects(seen: dict[Address, tuple[str, str] | None]) -> int:
    """A digest of the versions of objects that a decision saw."""
    return hash(frozenset(seen.items()))
