"""Policies beside the controller: what each deployment of a namespace holds, so that a cap holds for all of them.

What is granted in a decision is known to the next one at once, whatever the caches have seen of it. With no policy that
asks for peers, none of this is kept.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubeairunway.decide.admission import Admission, describe_peer
from kubeairunway.model import names
from kubeairunway.model.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from kubeairunway.decide.plan import Memory, Plan
    from kubeairunway.objects.resources import Json
    from kubeairunway.plugin import Peer
    from kubeairunway.plugin.calls import PolicyCalls
    from kubeairunway.runtime.conflicts import Key


@dataclass(frozen=True, slots=True)
class _Row:
    """One deployment as its peers see it; `decided` says that it comes from a decision of this process."""

    uid: str
    peer: Peer
    decided: bool = False
    unsure: bool = False  # something may have been created for it that its status does not tell of yet


class Admissions:
    """The policies, and what they granted. Everything belongs to the event loop."""

    def __init__(
        self, calls: PolicyCalls, wake: Callable[[Iterable[Key]], None], has_objects: Callable[[str], bool]
    ) -> None:
        """`wake(keys)` gives those that were refused another pass; `has_objects(uid)`: is anything there for one."""
        self._calls = calls
        self.asked = bool(calls.asked)
        """Whether there is any policy."""
        self._wake = wake
        self._has_objects = has_objects
        self._counting = calls.wants_peers
        self._rows: dict[str, dict[str, _Row]] = {}
        self._waiting: dict[str, dict[str, None]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._freed: dict[str, int] = {}

    def begin(self, deployments: Iterable[Json]) -> None:
        """Start anew from the deployments as they are: another process may have led since."""
        self._waiting.clear()
        self._rows.clear()
        for deployment in deployments:
            self.note(None, deployment)

    def freed(self, namespace: str) -> int:
        """A number that changes with everything that may let a deployment pass that was refused."""
        return self._freed.get(namespace, 0)

    def note(self, old: Json | None, new: Json | None) -> None:
        """A deployment came, changed or went."""
        present = new if new is not None else old
        if not self._counting or present is None:
            return
        meta = present["metadata"]
        namespace, name = meta["namespace"], meta["name"]
        if new is None:
            self._waiting.get(namespace, {}).pop(name, None)
            self._put(namespace, name, None)
            return
        row = self._rows.get(namespace, {}).get(name)
        if row is None or row.uid != meta["uid"] or not row.decided:
            self._put(namespace, name, _read_row(new))

    @asynccontextmanager
    async def turn(self, namespace: str) -> AsyncIterator[None]:
        """Decide alone in a namespace, where what one is granted bears on the next."""
        if not self._counting:
            yield
            return
        async with self._turns.setdefault(namespace, asyncio.Lock()):
            yield

    def take(self, deployment: Json, memory: Memory) -> Admission | None:
        """What the decision about a deployment needs; None if there is no policy to ask."""
        if not self.asked:
            return None
        meta = deployment["metadata"]
        granted = memory.granted[1] if memory.granted[0] == meta["uid"] else ""
        if not self._counting:
            return Admission(calls=self._calls, granted=granted)
        namespace, name = meta["namespace"], meta["name"]
        # Before the decision, so that what is freed meanwhile is news for it.
        self._waiting.setdefault(namespace, {}).setdefault(name)
        rows = self._rows.get(namespace, {})
        own = rows.get(name)
        peer = describe_peer(deployment) if own is None or own.uid != meta["uid"] else self._show(own)
        peers = tuple(self._show(row) for other, row in sorted(rows.items()) if other != name)
        return Admission(calls=self._calls, peers=peers, before=peer if peer.admitted else None, granted=granted)

    def settle(self, deployment: Json, plan: Plan | None) -> bool:
        """Keep what a decision granted, and say whether the deployment waits for others to free something.

        Without a plan the decision is another process's, or there is none.
        """
        if not self._counting:
            return False
        meta = deployment["metadata"]
        namespace, name = meta["namespace"], meta["name"]
        stage = plan.stage if plan is not None else None
        blocked = stage.blocked if stage is not None else None
        waits = blocked is not None and blocked.reason == Reason.POLICY_REFUSED
        if not waits:
            self._waiting.get(namespace, {}).pop(name, None)
        row = self._rows.get(namespace, {}).get(name)
        if row is None or row.uid != meta["uid"]:  # it went while the decision was made
            return False
        if stage is not None:
            peer = describe_peer(deployment, {**stage.provider, **stage.resource})
            self._put(namespace, name, _Row(meta["uid"], peer, decided=True))
        elif row.decided and plan is None:
            self._put(namespace, name, _read_row(deployment))
        return waits

    def _show(self, row: _Row) -> Peer:
        """A row's peer; after a crash something may exist that no status tells of."""
        if row.unsure and not row.peer.admitted and self._has_objects(row.uid):
            return row.peer._replace(admitted=True)
        return row.peer

    def _put(self, namespace: str, name: str, row: _Row | None) -> None:
        rows = self._rows.setdefault(namespace, {})
        old = rows.get(name)
        if row is None:
            rows.pop(name, None)
        else:
            rows[name] = row
        if not rows:
            del self._rows[namespace]
        if old is not None and _frees(self._show(old), row):
            self._freed[namespace] = self._freed.get(namespace, 0) + 1
            waiting = [(namespace, other) for other in self._waiting.get(namespace, {}) if other != name]
            if waiting:
                self._wake(waiting)


def _read_row(deployment: Json) -> _Row:
    meta = deployment["metadata"]
    unsure = names.FINALIZER in (meta.get("finalizers") or ())
    return _Row(meta["uid"], describe_peer(deployment), unsure=unsure)


def _frees(old: Peer, row: _Row | None) -> bool:
    """Whether a change may let another pass: something admitted goes, shrinks, or becomes something else."""
    if not old.admitted:
        return False
    if row is None or not row.peer.admitted:
        return True
    new = row.peer
    return new.gpus < old.gpus or (new.model, new.provider) != (old.model, old.provider)
