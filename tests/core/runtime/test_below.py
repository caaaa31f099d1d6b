"""Pods, and who is told of them: the parts of the evidence on their own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.decide.causes.evidence import Wanted
from kubeairunway.kube.client import Client
from kubeairunway.kube.discovery import Discovery
from kubeairunway.objects.selectors import parse_selector
from kubeairunway.runtime import watches
from kubeairunway.runtime.causes import Causes
from kubeairunway.runtime.pods import PodWatches
from kubeairunway.runtime.world import Moment

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DEPLOYMENT = {"metadata": {"namespace": "ns", "name": "one", "uid": "md-1"}}
KEY = ("ns", "one")


@pytest.fixture
def api(standin: Any) -> Any:
    served = (("", "v1", "Pod", "pods"), ("", "v1", "Event", "events"), ("", "v1", "Secret", "secrets"))
    return standin.StandIn(
        *(standin.Served(*row) for row in served), standin.Served("", "v1", "Node", "nodes", namespaced=False)
    )


@asynccontextmanager
async def working() -> AsyncIterator[asyncio.TaskGroup]:
    """A task group whose tasks are ended with it."""
    others = asyncio.all_tasks()
    async with asyncio.TaskGroup() as tasks:
        yield tasks
        for task in asyncio.all_tasks() - others:
            task.cancel()


async def wait_until(holds: Any) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - any condition at all
            await asyncio.sleep(0.001)


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": {"phase": "Pending"}}


async def test_pods_are_found_by_selectors_that_share_a_label(api: Any) -> None:
    for name, labels in {"a": {"m": "x", "r": "head"}, "b": {"m": "x"}, "c": {"m": "y"}, "d": {"other": "x"}}.items():
        await api.put("pods", pod(name, **labels))
    await api.put("pods", pod("far", m="x"), namespace="elsewhere")
    ready: list[str] = []
    async with working() as tasks:
        pods = PodWatches(Client(api), tasks, (), on_news=lambda *_: None, on_ready=ready.append)

        def find(text: str) -> list[str]:
            return sorted(found["metadata"]["name"] for found in pods.find("ns", parse_selector(text)))

        assert pods.is_pending(parse_selector("m=x"))
        assert find("m=x") == []
        pods.need("m")
        await wait_until(lambda: ready == ["m"])
        assert not pods.is_pending(parse_selector("m=x"))
        assert find("m=x") == ["a", "b"]
        assert find("m=x,r=head") == ["a"]
        assert find("m in (x,y),!r") == ["b", "c"]
        assert find("m") == ["a", "b", "c"]
        assert find("m=z") == find("other=x") == find("") == find("!m") == []
        assert not pods.is_pending(parse_selector("!m"))
        await api.change("pods", "a", {"metadata": {"labels": {"m": "y"}}})
        await wait_until(lambda: find("m=y") == ["a", "c"])
        assert find("m=x") == ["b"]
        await api.remove("pods", "b")
        await wait_until(lambda: find("m=x") == [])
        assert [call.plural for call in api.calls if call.method == "GET" and not call.name] == ["pods"]


async def test_only_what_is_kept_of_a_pod_is_news(api: Any) -> None:
    await api.put("pods", pod("a", m="x"))
    news: list[tuple[bool, bool]] = []
    async with working() as tasks:
        pods = PodWatches(
            Client(api),
            tasks,
            (),
            on_news=lambda _, old, new: news.append((bool(old), bool(new))),
            on_ready=lambda _: None,
        )
        pods.need("m")
        await wait_until(lambda: news == [(False, True)])
        await api.change("pods", "a", {"metadata": {"annotations": {"beat": "1"}}})
        await api.change("pods", "a", {"status": {"phase": "Running"}})
        await wait_until(lambda: len(news) > 1)
        await api.remove("pods", "a")
        await wait_until(lambda: len(news) > 2)
        assert news[1:] == [(True, True), (True, False)]


async def test_pods_that_come_late_are_told_of_all_the_same(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watches, "NEW_SECONDS", 0.05)
    api.refuse["GET", "pods"] = 500, "InternalError"
    await api.put("pods", pod("a", m="x"))
    ready: list[str] = []
    async with working() as tasks:
        pods = PodWatches(Client(api), tasks, (), on_news=lambda *_: None, on_ready=ready.append)
        selector = parse_selector("m=x")
        pods.need("m")
        await wait_until(lambda: ready == ["m"])
        assert not pods.is_pending(selector)
        assert pods.find("ns", selector) == ()
        del api.refuse["GET", "pods"]
        await wait_until(lambda: ready == ["m", "m"])
        assert len(pods.find("ns", selector)) == 1


async def test_pods_that_may_no_longer_be_read_are_not_shown(api: Any) -> None:
    await api.put("pods", pod("a", m="x"))
    ready: list[str] = []
    async with working() as tasks:
        pods = PodWatches(Client(api), tasks, (), on_news=lambda *_: None, on_ready=ready.append)
        pods.need("m")
        await wait_until(lambda: ready)
        selector = parse_selector("m=x")
        assert len(pods.find("ns", selector)) == 1
        watch = pods._watches["m"]
        watch._denied = True
        assert pods.find("ns", selector) == ()


async def test_what_happens_while_a_decision_is_made_wakes_whoever_is_followed_after_it(api: Any) -> None:
    woken: list[Any] = []
    async with working() as tasks:
        kinds: Any = None  # no event asks for an owner here
        causes = Causes(Client(api), tasks, Discovery(Client(api)), kinds, (), wake=woken.append)
        wanted = Wanted(selector="m=x")
        causes.follow(("ns", "other"), {"metadata": {"namespace": "ns", "uid": "md-2"}}, wanted, since=Moment())
        await wait_until(lambda: ("ns", "other") in woken and not causes.look_below(DEPLOYMENT)("m=x").pending)
        early = causes.moment(KEY)
        await api.put("pods", pod("a", m="x"))
        await wait_until(lambda: causes.moment(KEY).everything != early.everything)
        assert KEY not in woken
        causes.follow(KEY, DEPLOYMENT, wanted, since=early)
        assert KEY in woken
        woken.clear()
        causes.forget(KEY)
        causes.follow(KEY, DEPLOYMENT, wanted, since=causes.moment(KEY))
        assert woken == []
        await api.change("pods", "a", {"status": {"phase": "Running"}})
        await wait_until(lambda: sorted(woken) == [KEY, ("ns", "other")])
        assert causes.moment(KEY).own == 1


async def test_what_another_wants_is_begun_before_what_was_wanted_ends(api: Any) -> None:
    async with working() as tasks:
        kinds: Any = None
        causes = Causes(Client(api), tasks, Discovery(Client(api)), kinds, (), wake=lambda _: None)
        for wanted in (Wanted(selector="m=x"), Wanted(selector="m=x", capacity=True), Wanted(selector="n=x")):
            causes.follow(KEY, DEPLOYMENT, wanted, since=causes.moment(KEY))
        assert {mark[1] for mark in causes._by_mark} == {"n"}
        assert sorted(type(need).__name__ for need in causes._needs) == ["Events", "Pods"]
        causes.clear()
        assert not causes._needs
        assert not causes._by_mark
        assert not causes._by_uid
