"""Pods of models, watched by the label that a provider names: one watch for each label in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubeairunway.decide.causes.trim import trim_pod
from kubeairunway.objects.resources import Json, Resource
from kubeairunway.objects.selectors import Operator, Selector, find_key, selects
from kubeairunway.runtime.lazy_watch import LazyWatch
from kubeairunway.runtime.watches import Watch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator

    from kubeairunway.kube.client import Client

PODS: Final = Resource("", "v1", "Pod", "pods")

Mark = tuple[str, str, str | None]
"""Namespace, label and its value; None stands for every value."""


class PodWatches:
    """Trimmed pods by namespace, label and value; `find` is safe from any thread, all else belongs to the event loop.

    `on_news(old, new)` is called when a pod changes in what is kept of it, `on_ready(label)` once the pods that carry a
    label are known, or known to be denied.
    """

    def __init__(
        self,
        client: Client,
        tasks: asyncio.TaskGroup,
        namespaces: tuple[str, ...],
        *,
        on_news: Callable[[str, Json | None, Json | None], None],
        on_ready: Callable[[str], None],
    ) -> None:
        self._client = client
        self._tasks = tasks
        self._namespaces = namespaces
        self._on_news = on_news
        self._on_ready = on_ready
        self._watches: dict[str, LazyWatch] = {}
        self._found: dict[Mark, dict[str, Json]] = {}
        self._by_uid: dict[tuple[str, str], Json] = {}
        self._turns: dict[str, int] = {}

    def need(self, label: str) -> None:
        """Watch the pods that carry a label; without one there is nothing to watch them by."""
        if label and label not in self._watches:
            self._watches[label] = self._make_watch(label)
        if label:
            self._watches[label].need()

    def release(self, label: str) -> None:
        """Nobody needs the pods that carry a label."""
        if label in self._watches:
            self._watches[label].release()

    def list_at(self, uid: str) -> Iterator[tuple[str, Json]]:
        """A pod by its uid, under each label that it is watched by."""
        for label in self._watches:
            pod = self._by_uid.get((label, uid))
            if pod is not None:
                yield label, pod

    def find(self, namespace: str, selector: Selector) -> tuple[Json, ...]:
        """The pods that a selector matches; none while they are not all known."""
        label = find_key(selector)
        watch = self._watches.get(label)
        if watch is None or not watch.known:
            return ()
        pods = (pod for mark in list_marks(namespace, selector) for pod in self._at(mark))
        return tuple(pod for pod in pods if selects(selector, pod["metadata"].get("labels") or {}))

    def is_pending(self, selector: Selector) -> bool:
        """Whether pods of a selector will be known in a moment."""
        label = find_key(selector)
        watch = self._watches.get(label)
        return bool(label) and (watch is None or watch.pending)

    def _at(self, mark: Mark) -> Iterable[Json]:
        namespace, label, value = mark
        if value is not None:
            return self._found.get(mark, {}).values()
        found = [pods for (where, name, _), pods in list(self._found.items()) if (where, name) == (namespace, label)]
        return [pod for pods in found for pod in pods.values()]

    def _make_watch(self, label: str) -> LazyWatch:
        def make() -> Watch:
            self._drop(label)
            turn = self._turns[label]

            def handle(resource: Resource, old: Json | None, new: Json | None) -> None:
                del resource
                if turn != self._turns[label]:
                    return  # the last words of a watch that is being stopped
                self._keep(label, old, new)
                if old is None or new is None or differs(old, new):
                    self._on_news(label, old, new)

            return Watch(self._client, PODS, self._namespaces, labels=label, trim=trim_pod, on_event=handle)

        return LazyWatch(make, self._tasks, on_ready=lambda: self._on_ready(label), on_end=lambda: self._drop(label))

    def _keep(self, label: str, old: Json | None, new: Json | None) -> None:
        """Every change makes a new inner dict: a thread that reads one never sees it change."""
        for pod in (old, new):
            if pod is None:
                continue
            meta = pod["metadata"]
            mark = (meta.get("namespace", ""), label, (meta.get("labels") or {}).get(label, ""))
            pods = {name: kept for name, kept in self._found.get(mark, {}).items() if name != meta["name"]}
            if pod is new:
                pods[meta["name"]] = pod
            if pods:
                self._found[mark] = pods
            else:
                self._found.pop(mark, None)
            if pod is new:
                self._by_uid[label, meta["uid"]] = pod
            elif new is None:
                self._by_uid.pop((label, meta["uid"]), None)

    def _drop(self, label: str) -> None:
        self._turns[label] = self._turns.get(label, 0) + 1
        self._by_uid = {key: pod for key, pod in self._by_uid.items() if key[0] != label}
        self._found = {mark: pods for mark, pods in self._found.items() if mark[1] != label}


def list_marks(namespace: str, selector: Selector) -> Iterator[Mark]:
    """Where pods of a selector are found: under each value of its first label, or under all of them."""
    label = find_key(selector)
    first = next((requirement for requirement in selector if requirement.key == label), None)
    if first is not None and first.operator is Operator.IN:
        yield from ((namespace, label, value) for value in sorted(first.values))
    elif first is not None:
        yield (namespace, label, None)


def differs(old: Json, new: Json) -> bool:
    """Whether two versions of what is kept of an object differ in more than their version."""
    if old["metadata"] | {"resourceVersion": ""} != new["metadata"] | {"resourceVersion": ""}:
        return True
    return any(old.get(part) != new.get(part) for part in {*old, *new} - {"metadata"})
