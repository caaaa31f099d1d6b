"""The informer against the real API server, with faults at the seam and on the wire."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kubeairunway.kube import informer as informer_module
from kubeairunway.kube.client import Client
from kubeairunway.kube.config import load_config
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.kube.informer import EventKind, Informer
from kubeairunway.objects.resources import Json, Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from tests.core.kube.faults import FaultyTransport, TcpProxy

    from kubeairunway_dev.controlplane import Cluster

CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps")
SECONDS = 15.0


class Watcher:
    """An informer that runs, what it told, and waiting for what it knows."""

    def __init__(self, client: Client, resource: Resource, **options: Any) -> None:
        self.events: list[tuple[EventKind, str]] = []
        self.changed = asyncio.Condition()
        self.informer = Informer(client, resource, on_event=self.note, **options)

    def note(self, kind: EventKind, old: Json | None, new: Json | None) -> None:
        assert (old is None) == (kind is EventKind.ADDED)
        assert (new is None) == (kind is EventKind.DELETED)
        self.events.append((kind, (new or old or {})["metadata"]["name"]))

    def names(self) -> set[str]:
        return {item["metadata"]["name"] for item in self.informer.values()}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(SECONDS):
            while not condition():  # noqa: ASYNC110 - polls memory, so that the informer needs no hook for tests
                await asyncio.sleep(0.01)

    async def until_told(self, kind: EventKind, name: str) -> None:
        await self.until(lambda: (kind, name) in self.events)


@asynccontextmanager
async def watching(client: Client, ns: str, resource: Resource = CONFIG_MAPS, **options: Any) -> AsyncIterator[Watcher]:
    watcher = Watcher(client, resource, namespace=ns, **options)
    task = asyncio.create_task(watcher.informer.run())
    try:
        assert await watcher.informer.wait_synced(SECONDS)
        yield watcher
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def config_map(ns: str, name: str, labels: dict[str, str] | None = None, **data: str) -> Json:
    meta = {"namespace": ns, "name": name} | ({"labels": labels} if labels else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


async def remove(client: Client, ns: str, name: str) -> None:
    live = await client.get(CONFIG_MAPS, name, ns)
    await client.delete(CONFIG_MAPS, name, ns, uid=live["metadata"]["uid"])


async def test_what_exists_and_what_happens_is_seen_once_each(client: Client, ns: str) -> None:
    await client.create(CONFIG_MAPS, config_map(ns, "before"))
    async with watching(client, ns) as seen:
        assert seen.names() == {"before"}
        await client.create(CONFIG_MAPS, config_map(ns, "after"))
        await client.merge_patch(CONFIG_MAPS, "after", ns, {"data": {"a": "1"}})
        await remove(client, ns, "before")
        await seen.until(lambda: len(seen.events) == 4)
        assert seen.events == [
            (EventKind.ADDED, "before"),
            (EventKind.ADDED, "after"),
            (EventKind.MODIFIED, "after"),
            (EventKind.DELETED, "before"),
        ]
        item = seen.informer.get(ns, "after")
        assert item is not None
        assert item["data"] == {"a": "1"}
        assert (item["apiVersion"], item["kind"]) == ("v1", "ConfigMap")
        assert "managedFields" not in item["metadata"]
        assert len(seen.informer) == 1


async def test_indexes_follow_every_change(client: Client, ns: str) -> None:
    indexes = {"team": lambda item: [item["metadata"].get("labels", {}).get("team", "none")]}
    async with watching(client, ns, indexes=indexes) as seen:
        for name in ("a", "b"):
            await client.create(CONFIG_MAPS, config_map(ns, name, {"team": "red"}))
        await seen.until(lambda: len(seen.informer.by_index("team", "red")) == 2)
        await client.merge_patch(CONFIG_MAPS, "a", ns, {"metadata": {"labels": {"team": "blue"}}})
        await seen.until(lambda: len(seen.informer.by_index("team", "blue")) == 1)
        assert [item["metadata"]["name"] for item in seen.informer.by_index("team", "red")] == ["b"]
        await remove(client, ns, "b")
        await seen.until(lambda: seen.informer.by_index("team", "red") == [])


async def test_metadata_only_and_trimmed_objects_hold_less(client: Client, ns: str) -> None:
    await client.create(CONFIG_MAPS, config_map(ns, "a", big="x" * 1000))

    def trim(item: Json) -> Json:
        return {key: value for key, value in item.items() if key != "data"}

    for options in ({"metadata_only": True}, {"trim": trim}):
        async with watching(client, ns, **options) as seen:
            (item,) = seen.informer.values()
            assert "data" not in item
            assert (item["kind"], item["metadata"]["name"]) == ("ConfigMap", "a")
            await client.merge_patch(CONFIG_MAPS, "a", ns, {"data": {"more": str(options)}})
            await seen.until_told(EventKind.MODIFIED, "a")
            (item,) = seen.informer.values()
            assert "data" not in item
            assert item["kind"] == "ConfigMap"


async def test_label_and_field_selectors_bound_what_is_seen(client: Client, ns: str) -> None:
    await client.create(CONFIG_MAPS, config_map(ns, "mine", {"mine": "yes"}))
    await client.create(CONFIG_MAPS, config_map(ns, "other"))
    async with (
        watching(client, ns, labels="mine=yes") as by_label,
        watching(client, ns, fields="metadata.name=other") as by_field,
    ):
        assert by_label.names() == {"mine"}
        assert by_field.names() == {"other"}
        await client.merge_patch(CONFIG_MAPS, "mine", ns, {"metadata": {"labels": {"mine": None}}})
        await by_label.until(lambda: by_label.names() == set())
        assert by_label.events[-1] == (EventKind.DELETED, "mine")


async def test_a_cut_watch_resumes_where_it_was_without_a_list(
    client: Client, transport: FaultyTransport, ns: str, faults: Any
) -> None:
    transport.plan_stream(faults.cut_after(1))
    async with watching(client, ns) as seen:
        lists = len(transport.sent)
        await client.create(CONFIG_MAPS, config_map(ns, "a"))
        await client.create(CONFIG_MAPS, config_map(ns, "b"))
        await seen.until(lambda: seen.names() == {"a", "b"})
        await client.create(CONFIG_MAPS, config_map(ns, "c"))
        await seen.until(lambda: seen.names() == {"a", "b", "c"})
        assert [name for _, name in seen.events] == ["a", "b", "c"]
        assert [method for method, _ in transport.sent[lists:]] == ["POST"] * 3
        assert int(transport.streams[1]["resourceVersion"]) > int(transport.streams[0]["resourceVersion"])


async def test_an_expired_watch_lists_again_and_tells_only_differences(
    client: Client, transport: FaultyTransport, ns: str, faults: Any
) -> None:
    for name in ("stays", "goes", "changes"):
        await client.create(CONFIG_MAPS, config_map(ns, name))
    hold = asyncio.Event()

    async def expire_later(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        await hold.wait()
        async for line in faults.expire(lines):
            yield line

    transport.plan_stream(expire_later)
    async with watching(client, ns) as seen:
        seen.events.clear()
        await remove(client, ns, "goes")
        await client.merge_patch(CONFIG_MAPS, "changes", ns, {"data": {"a": "1"}})
        await client.create(CONFIG_MAPS, config_map(ns, "comes"))
        assert seen.events == []
        hold.set()
        await seen.until(lambda: len(seen.events) >= 3)
        await client.create(CONFIG_MAPS, config_map(ns, "last"))
        await seen.until(lambda: "last" in seen.names())
        assert set(seen.events) == {
            (EventKind.DELETED, "goes"),
            (EventKind.MODIFIED, "changes"),
            (EventKind.ADDED, "comes"),
            (EventKind.ADDED, "last"),
        }
        assert len(seen.events) == 4


async def test_an_object_replaced_while_nobody_watched_is_told_as_deleted_and_added(
    client: Client, transport: FaultyTransport, ns: str, faults: Any
) -> None:
    await client.create(CONFIG_MAPS, config_map(ns, "a"))
    hold = asyncio.Event()

    async def expire_later(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        await hold.wait()
        async for line in faults.expire(lines):
            yield line

    transport.plan_stream(expire_later)
    async with watching(client, ns) as seen:
        await remove(client, ns, "a")
        await client.create(CONFIG_MAPS, config_map(ns, "a"))
        hold.set()
        await seen.until(lambda: len(seen.events) == 3)
        assert seen.events[1:] == [(EventKind.DELETED, "a"), (EventKind.ADDED, "a")]


async def test_a_list_that_expires_between_pages_starts_again(
    transport: FaultyTransport, client: Client, ns: str, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        await client.create(CONFIG_MAPS, config_map(ns, f"c{number}"))
    original = Client.list_pages
    monkeypatch.setattr(Client, "list_pages", lambda *args, **options: original(*args, **options | {"limit": 2}))
    transport.plan(faults.pass_on, faults.answer(410, "Expired"))
    async with watching(client, ns) as seen:
        assert seen.names() == {f"c{number}" for number in range(5)}
        assert len(seen.events) == 5


async def test_seen_promises_no_more_than_the_store_holds(
    transport: FaultyTransport, client: Client, ns: str, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        await client.create(CONFIG_MAPS, config_map(ns, f"c{number}"))
    original = Client.list_pages
    monkeypatch.setattr(Client, "list_pages", lambda *args, **options: original(*args, **options | {"limit": 2}))
    arrived, go = asyncio.Event(), asyncio.Event()

    async def hold(send: Any) -> Any:
        arrived.set()
        await go.wait()
        return await send()

    transport.plan(faults.pass_on, hold)
    watcher = Watcher(client, CONFIG_MAPS, namespace=ns)
    task = asyncio.create_task(watcher.informer.run())
    await asyncio.wait_for(arrived.wait(), SECONDS)
    assert len(watcher.informer) == 2
    assert watcher.informer.seen == 0
    go.set()
    assert await watcher.informer.wait_synced(SECONDS)
    made = await client.create(CONFIG_MAPS, config_map(ns, "last"))
    await watcher.until_told(EventKind.ADDED, "last")
    assert watcher.informer.seen == int(made["metadata"]["resourceVersion"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_refusals_and_resets_while_listing_are_lived_through(
    transport: FaultyTransport, client: Client, ns: str, faults: Any
) -> None:
    await client.create(CONFIG_MAPS, config_map(ns, "a"))
    transport.plan(
        faults.answer(429, "TooManyRequests", retry_after="0.1"),
        *[faults.reset_before] * 5,
        faults.answer(500, "InternalError"),
        faults.reset_after,
    )
    async with watching(client, ns) as seen:
        assert seen.names() == {"a"}
        assert len(seen.events) == 1


async def test_a_watch_that_is_refused_backs_off_instead_of_hammering(
    transport: FaultyTransport, client: Client, ns: str, faults: Any
) -> None:
    transport.refuse_streams.extend([faults.status_response(403, "Forbidden")] * 1000)
    async with watching(client, ns) as seen:
        await seen.until(lambda: len(transport.streams) >= 3)
        started, count = asyncio.get_running_loop().time(), len(transport.streams)
        await seen.until(lambda: len(transport.streams) >= count + 2)
        assert asyncio.get_running_loop().time() - started > 1.0
        assert seen.informer.last_error is not None
        assert "injected 403" in str(seen.informer.last_error)


async def test_a_garbled_line_ends_the_watch_and_loses_nothing(
    transport: FaultyTransport, client: Client, ns: str, faults: Any
) -> None:
    transport.plan_stream(faults.babble)
    async with watching(client, ns) as seen:
        await client.create(CONFIG_MAPS, config_map(ns, "a"))
        await seen.until(lambda: seen.names() == {"a"})


async def test_events_from_the_past_change_nothing(transport: FaultyTransport, client: Client, ns: str) -> None:
    """As a stale replica behind a load balancer may send them after a reconnect."""

    async def replay(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        seen: list[bytes] = []
        async for line in lines:
            yield line
            seen.append(line)
            if b'"end"' in line:
                for old in seen[:3]:  # added, deleted, added again
                    yield old

    transport.plan_stream(replay)
    async with watching(client, ns) as seen:
        await client.create(CONFIG_MAPS, config_map(ns, "a"))
        await remove(client, ns, "a")
        again = await client.create(CONFIG_MAPS, config_map(ns, "a", state="1"))
        await client.merge_patch(CONFIG_MAPS, "a", ns, {"data": {"state": "2"}})
        await client.create(CONFIG_MAPS, config_map(ns, "end"))
        await seen.until_told(EventKind.ADDED, "end")
        await client.create(CONFIG_MAPS, config_map(ns, "after"))
        await seen.until_told(EventKind.ADDED, "after")
        item = seen.informer.get(ns, "a")
        assert item is not None
        assert (item["data"]["state"], item["metadata"]["uid"]) == ("2", again["metadata"]["uid"])
        assert [kind for kind, name in seen.events if name == "a"] == [
            EventKind.ADDED,
            EventKind.DELETED,
            EventKind.ADDED,
            EventKind.MODIFIED,
        ]


async def test_a_list_from_the_past_is_refused(
    transport: FaultyTransport, client: Client, ns: str, faults: Any
) -> None:
    await client.create(CONFIG_MAPS, config_map(ns, "a"))
    hold = asyncio.Event()

    async def expire_later(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        await hold.wait()
        async for line in faults.expire(lines):
            yield line

    old = await transport.inner.request("GET", CONFIG_MAPS.path(ns))

    async def answer_from_the_past(send: Any) -> Any:
        del send
        return old

    transport.plan_stream(expire_later)
    await client.create(CONFIG_MAPS, config_map(ns, "b"))
    async with watching(client, ns) as seen:
        transport.plan(answer_from_the_past, answer_from_the_past)
        hold.set()
        await seen.until(lambda: not transport.faults and seen.informer.last_error is None)
        assert seen.names() == {"a", "b"}
        assert seen.events == [(EventKind.ADDED, "a"), (EventKind.ADDED, "b")]


async def test_a_server_that_went_back_for_good_is_believed_in_the_end(
    transport: FaultyTransport, client: Client, ns: str, faults: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(informer_module, "BACKOFF_BASE", 0.001)
    await client.create(CONFIG_MAPS, config_map(ns, "a"))
    hold = asyncio.Event()

    async def expire_later(lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        await hold.wait()
        async for line in faults.expire(lines):
            yield line

    old = await transport.inner.request("GET", CONFIG_MAPS.path(ns))

    async def answer_from_the_past(send: Any) -> Any:
        del send
        return old

    await client.create(CONFIG_MAPS, config_map(ns, "lost"))
    transport.plan_stream(expire_later)
    async with watching(client, ns) as seen:
        transport.plan(*[answer_from_the_past] * (informer_module.REFUSALS + 1))
        hold.set()
        await seen.until(lambda: (EventKind.DELETED, "lost") in seen.events)


async def test_a_kind_that_is_no_longer_served_is_reported_and_the_informer_ends(
    client: Client, plane: Cluster, ns: str
) -> None:
    kind = Resource("vanishing.test", "v1", "Ghost", "ghosts")
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "ghosts.vanishing.test"},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {"kind": kind.kind, "plural": kind.plural},
            "versions": [version],
        },
    }
    plane.apply(crd)
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/ghosts.vanishing.test")
    body = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"namespace": ns, "name": "boo"}}
    await client.create(kind, body)
    gone: list[bool] = []
    watcher = Watcher(client, kind, on_gone=lambda: gone.append(True))
    task = asyncio.create_task(watcher.informer.run())
    assert await watcher.informer.wait_synced(SECONDS)
    plane.kubectl("delete", "crd", "ghosts.vanishing.test", "--wait=false")
    await asyncio.wait_for(task, 30)
    assert watcher.informer.gone
    assert gone == [True]
    assert watcher.events == [(EventKind.ADDED, "boo"), (EventKind.DELETED, "boo")]
    assert len(watcher.informer) == 0


async def test_an_event_handler_that_raises_harms_nobody(
    client: Client, ns: str, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(kind: EventKind, old: Json | None, new: Json | None) -> None:
        raise RuntimeError(f"handler {kind} {old} {new}")

    informer = Informer(client, CONFIG_MAPS, namespace=ns, on_event=explode)
    task = asyncio.create_task(informer.run())
    assert await informer.wait_synced(SECONDS)
    await client.create(CONFIG_MAPS, config_map(ns, "a"))
    async with asyncio.timeout(SECONDS):
        while not len(informer):  # noqa: ASYNC110 - polls memory, see Watcher.until
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "the event handler failed" in caplog.text


@pytest.fixture
async def proxied(plane: Cluster, faults: Any, tmp_path: Path) -> AsyncIterator[tuple[TcpProxy, Client]]:
    """A client whose bytes run through a proxy of the test."""
    config = yaml.safe_load(plane.kubeconfig.read_text())
    server = config["clusters"][0]["cluster"]["server"]
    host, _, port = server.removeprefix("https://").partition(":")
    proxy: TcpProxy = faults.TcpProxy(host, int(port))
    await proxy.start()
    config["clusters"][0]["cluster"]["server"] = f"https://{host}:{proxy.port}"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    transport = open_transport(load_config(path))
    yield proxy, Client(transport)
    await transport.close()
    await proxy.stop()


async def test_a_half_open_watch_is_noticed_by_its_silence(
    proxied: tuple[TcpProxy, Client], client: Client, ns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(informer_module, "SILENCE_SECONDS", 0.5)
    proxy, through = proxied
    async with watching(through, ns) as seen:
        await client.create(CONFIG_MAPS, config_map(ns, "a"))
        await seen.until(lambda: seen.names() == {"a"})
        proxy.silent = True
        await client.create(CONFIG_MAPS, config_map(ns, "missed"))
        before = proxy.connections
        await seen.until(lambda: proxy.connections > before)
        proxy.silent = False
        proxy.reset()
        await seen.until(lambda: seen.names() == {"a", "missed"})
        assert [kind for kind, _ in seen.events] == [EventKind.ADDED] * 2


async def test_broken_connections_and_slow_bodies_lose_nothing(
    proxied: tuple[TcpProxy, Client], client: Client, ns: str
) -> None:
    proxy, through = proxied
    proxy.delay = 0.05
    for number in range(20):
        await client.create(CONFIG_MAPS, config_map(ns, f"c{number}", blob="x" * 20000))
    async with watching(through, ns) as seen:
        assert len(seen.informer) == 20
        for number in range(20, 25):
            proxy.reset()
            await client.create(CONFIG_MAPS, config_map(ns, f"c{number}"))
            await seen.until_told(EventKind.ADDED, f"c{number}")
        assert len(seen.events) == 25
