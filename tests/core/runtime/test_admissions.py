"""What each deployment of a namespace holds, as decisions make it known to one another."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kubeairunway.decide.plan import Memory, Plan, Stage
from kubeairunway.model import names
from kubeairunway.model.reasons import Reason
from kubeairunway.objects.conditions import Condition
from kubeairunway.plugin import Peer
from kubeairunway.runtime.admissions import Admissions


class Calls:
    """Policies of which nobody is asked here."""

    def __init__(self, *, wants_peers: bool = True, asked: tuple[str, ...] = ("quota",)) -> None:
        self.wants_peers = wants_peers
        self.asked = asked

    def obstacle(self, policy: str) -> str:
        return policy

    def admit(self, policy: str, _request: Any, _provider: str) -> Any:
        raise AssertionError(policy)


class Bench:
    """Admissions, whom they woke, and which uids have objects."""

    def __init__(self, **calls: Any) -> None:
        self.woken: list[list[tuple[str, str]]] = []
        self.objects: set[str] = set()
        self.admissions = Admissions(
            Calls(**calls), lambda keys: self.woken.append(list(keys)), self.objects.__contains__
        )

    def peers(self, name: str, namespace: str = "team") -> dict[str, tuple[int, bool]]:
        admission = self.admissions.take(deployment(name, namespace=namespace), Memory())
        assert admission is not None
        return {peer.name: (peer.gpus, peer.admitted) for peer in admission.peers}

    def decide(self, obj: dict[str, Any], gpus: int | None, reason: str = "") -> bool:
        """A decision that grants so many GPUs, or refuses."""
        self.admissions.take(obj, Memory())
        blocked = Condition("Ready", "False", reason, "") if reason else None
        provider = {"name": "acme"} if gpus is None else {"name": "acme", "gpus": gpus}
        return self.admissions.settle(obj, Plan(stage=Stage(provider=provider, blocked=blocked)))


def deployment(
    name: str,
    gpus: int = 4,
    *,
    uid: str = "",
    namespace: str = "team",
    finalizer: bool = False,
    model: str = "a/b",
    **provider: Any,
) -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace, "uid": uid or f"uid-{name}"}
    if finalizer:
        meta["finalizers"] = [names.FINALIZER]  # type: ignore[assignment]  # a list among texts
    spec = {"model": {"id": model}, "resources": {"gpu": {"count": gpus}}, "scaling": {"replicas": 1}}
    return {"metadata": meta, "spec": spec, "status": {"provider": provider}}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_peers_are_the_others_of_the_namespace_by_name(bench: Bench) -> None:
    for name in ("c", "a", "b"):
        bench.admissions.note(None, deployment(name, gpus=2))
    bench.admissions.note(None, deployment("far", namespace="other"))
    admission = bench.admissions.take(deployment("b"), Memory())
    assert admission is not None
    assert admission.peers == (Peer("a", "a/b", "", 2, admitted=False), Peer("c", "a/b", "", 2, admitted=False))
    assert admission.before is None


def test_what_a_decision_grants_is_known_before_any_cache_shows_it(bench: Bench) -> None:
    one, two = deployment("one"), deployment("two")
    bench.admissions.note(None, one)
    bench.admissions.note(None, two)
    assert not bench.decide(one, 4)
    assert bench.peers("two") == {"one": (4, True)}
    bench.admissions.note(one, deployment("one", finalizer=True))  # an older state comes by the watch
    assert bench.peers("two") == {"one": (4, True)}
    admission = bench.admissions.take(one, Memory())
    assert admission is not None
    assert admission.before == Peer("one", "a/b", "acme", 4, admitted=True)


def test_one_that_is_deleted_and_made_anew_holds_nothing(bench: Bench) -> None:
    one = deployment("one")
    bench.admissions.note(None, one)
    bench.decide(one, 4)
    bench.admissions.note(one, deployment("one", uid="another"))
    assert bench.peers("two") == {"one": (4, False)}


def test_one_that_went_while_it_was_decided_holds_nothing(bench: Bench) -> None:
    one = deployment("one")
    bench.admissions.note(None, one)
    bench.admissions.take(one, Memory())
    bench.admissions.note(one, None)
    assert not bench.admissions.settle(one, Plan(stage=Stage(provider={"gpus": 4})))
    assert bench.peers("two") == {}


FREES: dict[str, tuple[Any, bool]] = {
    "gone": (None, True),
    "shrunk": (deployment("holds", gpus=2, resourceName="m"), True),
    "grown": (deployment("holds", gpus=8, resourceName="m"), False),
    "given up": (deployment("holds"), True),
    "another model": (deployment("holds", model="a/c", resourceName="m"), True),
    "as before": (deployment("holds", resourceName="m"), False),
}


@pytest.mark.parametrize("case", FREES)
def test_those_that_were_refused_are_woken_when_something_is_freed(bench: Bench, case: str) -> None:
    after, frees = FREES[case]
    before = deployment("holds", resourceName="m")
    refused = [deployment(name) for name in ("late", "early")]
    for obj in (before, *refused, deployment("else", namespace="other")):
        bench.admissions.note(None, obj)
    for obj in refused:
        assert bench.decide(obj, None, Reason.POLICY_REFUSED)
    freed = bench.admissions.freed("team")
    bench.admissions.note(before, after)
    assert bench.woken == ([[("team", "late"), ("team", "early")]] if frees else [])
    assert (bench.admissions.freed("team") != freed) is frees
    assert bench.admissions.freed("other") == 0


def test_only_those_that_policies_refused_are_woken_and_the_longest_refused_first(bench: Bench) -> None:
    rows = {name: deployment(name) for name in ("first", "second", "third", "failed")}
    holds = deployment("holds", resourceName="m")
    for obj in (holds, *rows.values()):
        bench.admissions.note(None, obj)
    for name in ("first", "second", "third"):
        bench.decide(rows[name], None, Reason.POLICY_REFUSED)
    assert not bench.decide(rows["failed"], None, Reason.POLICY_ERROR)
    bench.decide(rows["first"], None, Reason.POLICY_REFUSED)  # it looked again, and keeps its place
    bench.decide(rows["second"], 4)
    bench.admissions.note(holds, None)
    assert bench.woken == [[("team", "first"), ("team", "third")]]


def test_a_change_decided_here_frees_too(bench: Bench) -> None:
    one, two = deployment("one"), deployment("two")
    bench.admissions.note(None, one)
    bench.admissions.note(None, two)
    bench.decide(one, 4)
    bench.decide(two, None, Reason.POLICY_REFUSED)
    bench.decide(one, 2, Reason.POLICY_REFUSED)  # which wakes not itself
    assert bench.woken == [[("team", "two")]]


def test_what_is_freed_while_a_decision_is_made_wakes_the_one_it_is_about(bench: Bench) -> None:
    holds, one = deployment("holds", resourceName="m"), deployment("one")
    bench.admissions.note(None, holds)
    bench.admissions.note(None, one)
    bench.admissions.take(one, Memory())
    bench.admissions.note(holds, None)
    assert bench.woken == [[("team", "one")]]


def test_one_that_was_refused_and_is_gone_is_not_woken(bench: Bench) -> None:
    holds, one = deployment("holds", resourceName="m"), deployment("one")
    bench.admissions.note(None, holds)
    bench.admissions.note(None, one)
    bench.decide(one, None, Reason.POLICY_REFUSED)
    bench.admissions.note(one, None)
    bench.admissions.note(holds, None)
    assert bench.woken == []


def test_another_term_starts_from_what_the_caches_show(bench: Bench) -> None:
    one = deployment("one")
    bench.admissions.note(None, one)
    bench.decide(one, 4)
    bench.admissions.begin([deployment("one"), deployment("new", gpus=1, resourceName="m")])
    assert bench.peers("two") == {"new": (1, True), "one": (4, False)}


def test_what_a_crash_left_without_a_status_is_held(bench: Bench) -> None:
    bench.admissions.begin([deployment("one", finalizer=True), deployment("two", finalizer=True), deployment("three")])
    bench.objects |= {"uid-one", "uid-three"}
    assert bench.peers("four") == {"one": (4, True), "three": (4, False), "two": (4, False)}


def test_what_another_process_decides_counts_as_its_status_says(bench: Bench) -> None:
    one = deployment("one")
    bench.admissions.note(None, one)
    bench.decide(one, 4)
    bench.admissions.take(one, Memory())
    assert not bench.admissions.settle(one, None)
    assert bench.peers("two") == {"one": (4, False)}


def test_a_grant_is_remembered_for_the_very_deployment(bench: Bench) -> None:
    memory = Memory(granted=("uid-one", "digest"))
    for uid, granted in (("uid-one", "digest"), ("another", "")):
        admission = bench.admissions.take(deployment("one", uid=uid), memory)
        assert admission is not None
        assert admission.granted == granted


async def test_decisions_of_one_namespace_take_turns_and_those_of_others_do_not_wait(bench: Bench) -> None:
    order: list[str] = []

    async def decide(namespace: str, name: str, until: asyncio.Event | None = None) -> None:
        async with bench.admissions.turn(namespace):
            order.append(f"{name} in")
            if until is not None:
                await until.wait()
            order.append(f"{name} out")

    gate = asyncio.Event()
    tasks = [asyncio.create_task(decide("team", "a", gate)), asyncio.create_task(decide("team", "b"))]
    await asyncio.wait_for(decide("other", "c"), 5)
    gate.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert order == ["a in", "c in", "c out", "a out", "b in", "b out"]


async def test_without_policies_that_look_at_peers_nothing_is_kept() -> None:
    bench = Bench(wants_peers=False)
    bench.admissions.note(None, deployment("one"))
    admission = bench.admissions.take(deployment("two"), Memory(granted=("uid-two", "digest")))
    assert admission is not None
    assert (admission.peers, admission.before, admission.granted) == ((), None, "digest")
    assert not bench.admissions.settle(deployment("two"), None)
    async with bench.admissions.turn("team"), bench.admissions.turn("team"):
        pass
    assert Bench(wants_peers=False, asked=()).admissions.take(deployment("two"), Memory()) is None
