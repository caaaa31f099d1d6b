"""Warning events that may tell why a deployment is not Ready, by the pod or the deployment they are about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubeairunway.decide.causes.reading import read_text
from kubeairunway.decide.causes.trim import trim_event
from kubeairunway.kube.events import EVENTS
from kubeairunway.objects.resources import Json
from kubeairunway.runtime.lazy_watch import LazyWatch
from kubeairunway.runtime.owners import read_subject
from kubeairunway.runtime.pods import differs
from kubeairunway.runtime.watches import Watch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable

    from kubeairunway.kube.client import Client
    from kubeairunway.objects.resources import Resource
    from kubeairunway.runtime.owners import Owners

POD: Final = "Pod"
Events = dict[str, Json]
"""Trimmed events by name."""


class Warnings:
    """One watch of all warnings while a deployment is not Ready. `about` and `below` are safe from any thread.

    Warnings about pods are found by the pod's uid. For those about other objects the owners are looked up, one object
    after the other, in namespaces where somebody waits. `on_pod(uid)` and `on_owner(uid)` tell of news about a pod and
    below a deployment; `on_ready()` that the first list is complete, or refused.
    """

    def __init__(
        self,
        client: Client,
        tasks: asyncio.TaskGroup,
        owners: Owners,
        namespaces: tuple[str, ...],
        *,
        on_pod: Callable[[str], None],
        on_owner: Callable[[str], None],
        on_ready: Callable[[], None],
    ) -> None:
        self._client = client
        self._owners = owners
        self._namespaces = namespaces
        self._on_pod = on_pod
        self._on_owner = on_owner
        self._watch = LazyWatch(self._make, tasks, on_ready=on_ready, on_end=self._drop)
        self._tasks = tasks
        self._events: dict[str, Events] = {}
        self._below: dict[str, frozenset[str]] = {}
        self._waiting: set[str] = set()
        self._unknown: dict[str, None] = {}
        self._climbing: asyncio.Task[None] | None = None

    @property
    def pending(self) -> bool:
        """Whether warnings will be known in a moment."""
        return self._watch.pending

    def need(self, namespace: str) -> None:
        """Follow warnings in a namespace in which somebody waits."""
        self._waiting.add(namespace)
        self._watch.need()
        self._climb(uid for uid, events in self._events.items() if _find_namespace(events) == namespace)

    def release(self, namespace: str) -> None:
        """Nobody waits in a namespace."""
        self._waiting.discard(namespace)
        if not self._waiting:
            self._watch.release()

    def about(self, uids: Iterable[str]) -> dict[str, tuple[Json, ...]]:
        """Warnings about objects, by their uid, the oldest first."""
        found = ((uid, self._events.get(uid)) for uid in uids)
        return {uid: _sort(events) for uid, events in found if events}

    def below(self, deployment: str) -> tuple[Json, ...]:
        """Warnings about objects between the deployment of a uid and its pods."""
        return tuple(event for events in self.about(self._below.get(deployment, ())).values() for event in events)

    def _make(self) -> Watch:
        self._drop()
        return Watch(
            self._client,
            EVENTS,
            self._namespaces,
            fields="type=Warning",
            trim=trim_event,
            on_event=self._handle,
        )

    def _drop(self) -> None:
        self._events, self._below = {}, {}

    def _handle(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        del resource
        present = new or old or {}
        uid = read_text(present, "involvedObject.uid")
        if not uid:
            return
        name = present["metadata"]["name"]
        events = {key: event for key, event in self._events.get(uid, {}).items() if key != name}
        if new is not None:
            events[name] = new
        if events:
            self._events[uid] = events
        else:
            self._events.pop(uid, None)
        if old is None or new is None or differs(old, new):
            self._tell(uid, present)

    def _tell(self, uid: str, event: Json) -> None:
        if read_text(event, "involvedObject.kind") == POD:
            self._on_pod(uid)
            return
        deployment = self._owners.known(uid)
        if deployment:
            self._note(uid, deployment)
        elif deployment is None and read_text(event, "involvedObject.namespace") in self._waiting:
            self._climb([uid])

    def _note(self, uid: str, deployment: str) -> None:
        self._below[deployment] = self._below.get(deployment, frozenset()) | {uid}
        self._on_owner(deployment)

    def _climb(self, uids: Iterable[str]) -> None:
        self._unknown |= dict.fromkeys(uids)
        if self._unknown and self._climbing is None:
            self._climbing = self._tasks.create_task(self._find_owners(), name="owners of warnings")

    async def _find_owners(self) -> None:
        try:
            while self._unknown:
                uid = next(iter(self._unknown))
                del self._unknown[uid]
                events = self._events.get(uid, {})
                event = next(iter(events.values()), None)
                if event is None or read_text(event, "involvedObject.kind") == POD:
                    continue
                deployment = await self._owners.find(read_subject(event))
                if deployment:
                    self._note(uid, deployment)
        finally:
            self._climbing = None


def _find_namespace(events: Events) -> str:
    return next((read_text(event, "involvedObject.namespace") for event in events.values()), "")


def _sort(events: Events) -> tuple[Json, ...]:
    return tuple(sorted(events.values(), key=lambda event: read_text(event, "lastTimestamp")))
