"""Evidence for the walker: what is watched and looked up below the deployments that are not Ready, and no others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubeairunway.decide.causes.evidence import Evidence
from kubeairunway.objects.selectors import Selector, find_key, parse_selector, selects
from kubeairunway.runtime.free_gpus import FreeGpus
from kubeairunway.runtime.owners import Owners
from kubeairunway.runtime.pods import Mark, PodWatches, list_marks
from kubeairunway.runtime.secrets import Ref, SecretLooks
from kubeairunway.runtime.warnings import Warnings
from kubeairunway.runtime.world import Moment

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from kubeairunway.decide.causes.evidence import Wanted
    from kubeairunway.kube.client import Client
    from kubeairunway.kube.discovery import Discovery
    from kubeairunway.objects.resources import Json
    from kubeairunway.runtime.conflicts import Key
    from kubeairunway.runtime.kinds import KindWatches


@dataclass(slots=True)
class _Followed:
    """A deployment that is not Ready: what its decision asked for, and how often there was news of that."""

    uid: str
    wanted: Wanted
    selector: Selector
    marks: tuple[Mark, ...]
    news: int = 0


@dataclass(frozen=True, slots=True)
class Pods:
    """Pods that carry a label."""

    label: str


@dataclass(frozen=True, slots=True)
class Events:
    """Warnings in a namespace."""

    namespace: str


@dataclass(frozen=True, slots=True)
class Secret:
    """Whether a Secret exists."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Gpus:
    """What nodes have free."""


Need = Pods | Events | Secret | Gpus


def list_needs(key: Key, followed: _Followed) -> Iterator[Need]:
    """What one deployment that is not Ready needs of those things that several may share."""
    yield Pods(find_key(followed.selector))
    yield Events(key[0])
    yield from (Secret(key[0], name) for name in followed.wanted.secrets)
    if followed.wanted.capacity:
        yield Gpus()


class Causes:
    """`look_below` makes what a decision reads, from any thread; after it `follow` takes what the decision wants next.

    `wake(key)` is called when something is learnt about a deployment that is followed.
    """

    def __init__(
        self,
        client: Client,
        tasks: asyncio.TaskGroup,
        discovery: Discovery,
        kinds: KindWatches,
        namespaces: tuple[str, ...],
        *,
        wake: Callable[[Key], None],
    ) -> None:
        self._wake = wake
        self._followed: dict[Key, _Followed] = {}
        self._by_mark: dict[Mark, set[Key]] = {}
        self._by_uid: dict[str, Key] = {}
        self._needs: Counter[Need] = Counter()
        self._news = 0
        self._pods = PodWatches(client, tasks, namespaces, on_news=self._on_pod, on_ready=self._on_pods)
        self._warnings = Warnings(
            client,
            tasks,
            Owners(client, discovery, kinds),
            namespaces,
            on_pod=self._on_pod_warning,
            on_owner=self._on_owner,
            on_ready=self._tell_all,
        )
        self._gpus = FreeGpus(client, tasks, on_change=self._on_capacity)
        self._secrets = SecretLooks(client, tasks, on_change=self._on_secret)

    def moment(self, key: Key) -> Moment:
        """Where the news stand now; taken before a decision is begun."""
        followed = self._followed.get(key)
        return Moment(self._news, followed.news if followed is not None else 0)

    def look_below(self, deployment: Json) -> Callable[[str], Evidence]:
        """What a decision about a deployment calls with the selector of its pods."""
        namespace, uid = deployment["metadata"]["namespace"], deployment["metadata"]["uid"]

        def look(text: str) -> Evidence:
            selector = parse_selector(text)
            pods = self._pods.find(namespace, selector)
            return Evidence(
                pods=pods,
                pod_events=self._warnings.about(pod["metadata"]["uid"] for pod in pods),
                owner_events=self._warnings.below(uid),
                capacity=self._gpus.capacity,
                missing_secrets=self._secrets.missing(namespace),
                pending=self._pods.is_pending(selector) or self._warnings.pending or self._gpus.pending,
            )

        return look

    def follow(self, key: Key, deployment: Json, wanted: Wanted | None, *, since: Moment) -> None:
        """Look for what a decision wants, from now until it wants nothing; `since` is when it was begun."""
        before = self._followed.get(key)
        if wanted is None:
            self.forget(key)
            return
        uid = deployment["metadata"]["uid"]
        if before is not None and before.uid == uid and before.wanted == wanted:
            return
        selector = parse_selector(wanted.selector)
        marks = tuple(list_marks(key[0], selector))
        self._enlist(key, _Followed(uid, wanted, selector, marks, before.news if before is not None else 0))
        if before is not None:
            self._release(key, before)
        if self._news != since.everything:
            self._tell(key)

    def forget(self, key: Key) -> None:
        """A deployment is gone, or serves."""
        followed = self._followed.pop(key, None)
        if followed is not None:
            self._release(key, followed)

    def clear(self) -> None:
        """Follow nothing: another process works now."""
        for key in list(self._followed):
            self.forget(key)

    def _enlist(self, key: Key, followed: _Followed) -> None:
        """Begin what nobody else needed yet; done before the old needs are released, so that nothing stops between."""
        self._followed[key] = followed
        self._by_uid[followed.uid] = key
        for mark in followed.marks:
            self._by_mark.setdefault(mark, set()).add(key)
        for need in list_needs(key, followed):
            self._needs[need] += 1
            if self._needs[need] == 1:
                self._begin(need)

    def _release(self, key: Key, followed: _Followed) -> None:
        """End what nobody else needs."""
        now = self._followed.get(key)
        if now is None or now.uid != followed.uid:
            self._by_uid.pop(followed.uid, None)
        for mark in set(followed.marks) - set(now.marks if now is not None else ()):
            keys = self._by_mark[mark]
            keys.discard(key)
            if not keys:
                del self._by_mark[mark]
        for need in list_needs(key, followed):
            self._needs[need] -= 1
            if not self._needs[need]:
                del self._needs[need]
                self._end(need)

    def _begin(self, need: Need) -> None:
        if isinstance(need, Pods):
            self._pods.need(need.label)
        elif isinstance(need, Events):
            self._warnings.need(need.namespace)
        elif isinstance(need, Secret):
            self._secrets.need((need.namespace, need.name))
        else:
            self._gpus.need(waiting=True)

    def _end(self, need: Need) -> None:
        if isinstance(need, Pods):
            self._pods.release(need.label)
        elif isinstance(need, Events):
            self._warnings.release(need.namespace)
        elif isinstance(need, Secret):
            self._secrets.release((need.namespace, need.name))
        else:
            self._gpus.need(waiting=False)

    # ---- news ----

    def _tell(self, key: Key) -> None:
        followed = self._followed.get(key)
        if followed is not None:
            followed.news += 1
            self._wake(key)

    def _tell_all(self) -> None:
        self._news += 1
        for key in list(self._followed):
            self._tell(key)

    def _on_pods(self, label: str) -> None:
        self._news += 1
        for key, followed in list(self._followed.items()):
            if find_key(followed.selector) == label:
                self._tell(key)

    def _on_pod(self, label: str, old: Json | None, new: Json | None) -> None:
        self._news += 1
        keys = {key: None for pod in (old, new) if pod is not None for key in self._find_keys(label, pod)}
        for key in keys:
            if self._followed[key].wanted.capacity:
                self._gpus.hint()
            self._tell(key)

    def _find_keys(self, label: str, pod: Json) -> list[Key]:
        labels = pod["metadata"].get("labels") or {}
        namespace = pod["metadata"].get("namespace", "")
        marks: tuple[Mark, ...] = ((namespace, label, labels.get(label, "")), (namespace, label, None))
        keys = (key for mark in marks for key in self._by_mark.get(mark, ()))
        return [key for key in keys if selects(self._followed[key].selector, labels)]

    def _on_pod_warning(self, uid: str) -> None:
        self._news += 1
        for label, pod in self._pods.list_at(uid):
            for key in self._find_keys(label, pod):
                self._tell(key)

    def _on_owner(self, uid: str) -> None:
        self._news += 1
        key = self._by_uid.get(uid)
        if key is not None:
            self._tell(key)

    def _on_capacity(self) -> None:
        for key, followed in list(self._followed.items()):
            if followed.wanted.capacity:
                self._tell(key)

    def _on_secret(self, ref: Ref) -> None:
        namespace, name = ref
        for key, followed in list(self._followed.items()):
            if key[0] == namespace and name in followed.wanted.secrets:
                self._tell(key)
