"""Leader election on a Lease: one leader at a time, proved by local clocks alone, released on the way out."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.errors import ApiError, KubeError, NotLeaderError
from kubeairunway.kube.backoff import Backoff
from kubeairunway.kube.informer import EventKind, Informer
from kubeairunway.kube.transport import is_conflict, is_missing
from kubeairunway.objects.resources import Json, Resource

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kubeairunway.kube.client import Client

LEASES: Final = Resource("coordination.k8s.io", "v1", "Lease", "leases")
RETRY_BASE: Final = 0.5

log = logging.getLogger(__name__)


def read_clock() -> float:
    """Return seconds that also pass while the machine sleeps, so that a leader waking up knows it is late."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class LeaderElector:
    """One candidate. `identity` must be this process's alone (pod name and a random part).

    The leader renews every `renew` seconds and counts as leader until `duration - renew` seconds after the start of
    its last successful renewal: `check` raises from then on, also when the loop was blocked or the machine slept.
    Others take over `duration` seconds after they last saw the Lease change, by their own clock; times written in it
    are for people. What lies between the two is the time that requests in flight have to land.
    """

    def __init__(
        self,
        client: Client,
        namespace: str,
        name: str,
        identity: str,
        *,
        duration: float = 15.0,
        renew: float = 5.0,
        clock: Callable[[], float] = read_clock,
    ) -> None:
        if not 0 < renew < duration / 2:
            raise ValueError(f"renew ({renew} s) must be less than half of duration ({duration} s)")
        self._client = client.ungated()
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._duration = duration
        self._renew = renew
        self._clock = clock
        self._deadline = float("-inf")
        self._version = ""
        self._transitions = 0
        self._seen_change = clock()
        self._changed = asyncio.Event()
        self._informer = Informer(
            self._client,
            LEASES,
            namespace=namespace,
            fields=f"metadata.name={name}",
            on_event=self._observe,
        )

    @property
    def is_leader(self) -> bool:
        """Whether a write may start now."""
        return self._clock() < self._deadline

    @property
    def holder(self) -> str:
        """Who holds the Lease as last seen; empty when nobody does."""
        return _holder(self._informer.get(self._namespace, self._name))

    def check(self) -> None:
        """Raise NotLeaderError unless a write may start now; made to be a client's gate."""
        if self._clock() >= self._deadline:
            raise NotLeaderError(f"{self._identity} does not hold the lease {self._namespace}/{self._name}")

    async def run(self, on_started: Callable[[], Awaitable[None]], on_stopped: Callable[[], Awaitable[None]]) -> None:
        """Compete until cancelled; each time the Lease is won, await `on_started`, and `on_stopped` when it ends.

        Both should return soon: start and stop tasks there. On cancellation the Lease is renewed until `on_stopped` has
        returned and released then, so that the next leader starts at once.
        """
        watching = asyncio.create_task(self._informer.run(), name="lease watch")
        try:
            while True:
                await self._acquire()
                await self._lead(on_started, on_stopped)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def _lead(self, on_started: Callable[[], Awaitable[None]], on_stopped: Callable[[], Awaitable[None]]) -> None:
        log.info("%s leads as %s", self._identity, self._name)
        renewing = asyncio.create_task(self._keep(), name="lease renewal")
        starting = asyncio.ensure_future(on_started())
        try:
            await asyncio.wait({renewing, starting}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
            await renewing
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            try:
                await on_stopped()
            finally:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)
                await self._release()
        log.warning("%s lost the lease %s", self._identity, self._name)

    async def _acquire(self) -> None:
        backoff = Backoff(RETRY_BASE, self._renew)
        await self._informer.wait_synced()
        while True:
            self._changed.clear()
            lease = self._informer.get(self._namespace, self._name)
            wait = self._remaining(lease)
            if wait <= 0:
                try:
                    if await self._take(lease):
                        return
                    wait = self._duration  # somebody was faster: the watch will tell
                except KubeError as error:
                    log.warning("lease %s/%s: %s", self._namespace, self._name, error)
                    wait = backoff.next()
            try:
                async with asyncio.timeout(wait):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _remaining(self, lease: Json | None) -> float:
        """Return how long the present holder must be respected, by our own clock since we last saw it change."""
        holder = _holder(lease)
        if lease is None or not holder or holder == self._identity:
            return 0.0
        seconds = lease["spec"].get("leaseDurationSeconds") or self._duration
        return float(self._seen_change + seconds - self._clock())

    async def _take(self, lease: Json | None) -> bool:
        self._transitions = 0 if lease is None else int(lease["spec"].get("leaseTransitions") or 0) + 1
        started = self._clock()
        spec = self._build_spec() | {"acquireTime": _now()}
        meta = {"name": self._name, "namespace": self._namespace}
        try:
            async with asyncio.timeout(self._renew):
                if lease is None:
                    body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": meta, "spec": spec}
                    answer = await self._client.create(LEASES, body)
                else:
                    answer = await self._patch(lease["metadata"]["resourceVersion"], spec)
        except TimeoutError as error:
            raise KubeError("no answer in time") from error
        except ApiError as error:
            if is_conflict(error) or (is_missing(error) and lease is not None):
                return False
            raise  # missing though it was to be made: there is no such namespace
        self._accept(answer, started)
        return True

    async def _keep(self) -> None:
        """Renew until the deadline passes or somebody else holds the Lease."""
        wait = self._renew
        while True:
            await asyncio.sleep(min(wait, max(0.0, self._deadline - self._clock())))
            if self._clock() >= self._deadline:
                return
            started = self._clock()
            try:
                async with asyncio.timeout(self._deadline - started):
                    answer = await self._patch(self._version, self._build_spec())
                self._accept(answer, started)
                wait = self._renew
            except TimeoutError:
                wait = 0.0
            except KubeError as error:
                log.warning("lease %s/%s was not renewed: %s", self._namespace, self._name, error)
                if (is_missing(error) or is_conflict(error)) and not await self._still_ours():
                    self._deadline = float("-inf")
                    return
                wait = RETRY_BASE * random.uniform(1.0, 2.0)  # noqa: S311 - spreads load

    async def _still_ours(self) -> bool:
        """After a conflict: read the Lease, and go on from its version if we are its holder."""
        try:
            lease = await self._client.get(LEASES, self._name, self._namespace)
        except ApiError as error:
            return not is_missing(error)
        except KubeError:
            return True
        self._version = lease["metadata"]["resourceVersion"]
        return _holder(lease) == self._identity

    async def _release(self) -> None:
        if self._clock() >= self._deadline:
            return
        self._deadline = float("-inf")
        try:
            async with asyncio.timeout(self._renew):
                await self._patch(self._version, {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()})
        except (KubeError, TimeoutError) as error:
            log.warning("lease %s/%s was not released: %s", self._namespace, self._name, error)

    async def _patch(self, version: str, spec: Json) -> Json:
        patch = {"metadata": {"resourceVersion": version}, "spec": spec}
        return await self._client.merge_patch(LEASES, self._name, self._namespace, patch)

    def _build_spec(self) -> dict[str, Any]:
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": max(1, round(self._duration)),
            "leaseTransitions": self._transitions,
            "renewTime": _now(),
        }

    def _accept(self, answer: Json, started: float) -> None:
        self._version = answer["metadata"]["resourceVersion"]
        self._deadline = started + self._duration - self._renew

    def _observe(self, kind: EventKind, old: Json | None, new: Json | None) -> None:
        del kind, old, new
        self._seen_change = self._clock()
        self._changed.set()


def _holder(lease: Json | None) -> str:
    return str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")


def _now() -> str:
    """metav1.MicroTime: UTC with exactly six digits."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
