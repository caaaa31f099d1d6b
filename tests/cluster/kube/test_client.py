"""The client against the real API server: what only Kubernetes can confirm."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.errors import ApiError, NotSentError, TransportError
from kubeairunway.kube.client import Client
from kubeairunway.kube.transport import is_conflict, is_expired, is_missing
from kubeairunway.objects.resources import Json, Resource

if TYPE_CHECKING:
    from tests.core.kube.faults import FaultyTransport

CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps")
DEPLOYMENTS = Resource("apps", "v1", "Deployment", "deployments")


def config_map(ns: str, name: str = "one", **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": ns, "name": name}, "data": data}


def with_uid(body: Json, made: Json) -> Json:
    return body | {"metadata": body["metadata"] | {"uid": made["metadata"]["uid"]}}


def widget(ns: str, name: str = "one", **spec: Any) -> Json:
    return {
        "apiVersion": "machinery.test/v1",
        "kind": "Widget",
        "metadata": {"namespace": ns, "name": name},
        "spec": spec,
    }


async def test_an_object_is_created_read_and_deleted(client: Client, ns: str) -> None:
    made = await client.create(CONFIG_MAPS, config_map(ns, a="1"))
    assert (await client.get(CONFIG_MAPS, "one", ns))["data"] == {"a": "1"}
    assert await client.delete(CONFIG_MAPS, "one", ns, uid=made["metadata"]["uid"]) is True
    assert await client.delete(CONFIG_MAPS, "one", ns, uid=made["metadata"]["uid"]) is False
    with pytest.raises(ApiError) as caught:
        await client.get(CONFIG_MAPS, "one", ns)
    assert is_missing(caught.value)
    assert caught.value.reason == "NotFound"


async def test_a_create_never_touches_what_exists(client: Client, ns: str) -> None:
    await client.create(CONFIG_MAPS, config_map(ns, a="theirs"))
    with pytest.raises(ApiError) as caught:
        await client.create(CONFIG_MAPS, config_map(ns, a="ours"))
    assert caught.value.reason == "AlreadyExists"
    assert (await client.get(CONFIG_MAPS, "one", ns))["data"] == {"a": "theirs"}


async def test_a_delete_spares_an_object_that_took_over_the_name(client: Client, ns: str) -> None:
    first = await client.create(CONFIG_MAPS, config_map(ns))
    await client.delete(CONFIG_MAPS, "one", ns, uid=first["metadata"]["uid"])
    second = await client.create(CONFIG_MAPS, config_map(ns))
    assert await client.delete(CONFIG_MAPS, "one", ns, uid=first["metadata"]["uid"]) is False
    assert (await client.get(CONFIG_MAPS, "one", ns))["metadata"]["uid"] == second["metadata"]["uid"]


async def test_a_delete_at_an_old_resource_version_is_refused(client: Client, ns: str) -> None:
    made = await client.create(CONFIG_MAPS, config_map(ns))
    uid, version = made["metadata"]["uid"], made["metadata"]["resourceVersion"]
    await client.merge_patch(CONFIG_MAPS, "one", ns, {"data": {"a": "2"}})
    with pytest.raises(ApiError) as caught:
        await client.delete(CONFIG_MAPS, "one", ns, uid=uid, resource_version=version)
    assert is_conflict(caught.value)


async def test_a_list_comes_in_pages_of_one_snapshot(client: Client, ns: str) -> None:
    for number in range(7):
        await client.create(CONFIG_MAPS, config_map(ns, f"c{number}"))
    pages = []
    async for page in client.list_pages(CONFIG_MAPS, namespace=ns, limit=3):
        pages.append(page)
        await client.create(CONFIG_MAPS, config_map(ns, f"z{len(pages)}"))
    assert [len(page.items) for page in pages] == [3, 3, 1]
    assert len({page.resource_version for page in pages}) == 1
    assert [item["metadata"]["name"] for page in pages for item in page.items] == [f"c{number}" for number in range(7)]


async def test_a_list_honours_selectors_and_can_be_metadata_only(client: Client, ns: str) -> None:
    labelled = config_map(ns, "labelled", a="1")
    labelled["metadata"]["labels"] = {"mine": "yes"}
    await client.create(CONFIG_MAPS, labelled)
    await client.create(CONFIG_MAPS, config_map(ns, "other"))
    (by_label,) = [page async for page in client.list_pages(CONFIG_MAPS, namespace=ns, labels="mine=yes")]
    (by_field,) = [page async for page in client.list_pages(CONFIG_MAPS, namespace=ns, fields="metadata.name=other")]
    (bare,) = [
        page async for page in client.list_pages(CONFIG_MAPS, namespace=ns, labels="mine=yes", metadata_only=True)
    ]
    assert [item["metadata"]["name"] for item in by_label.items] == ["labelled"]
    assert [item["metadata"]["name"] for item in by_field.items] == ["other"]
    assert "data" in by_label.items[0]
    assert "data" not in bare.items[0]


async def test_a_list_that_expires_between_pages_says_so(
    client: Client, transport: FaultyTransport, ns: str, faults: Any
) -> None:
    for number in range(4):
        await client.create(CONFIG_MAPS, config_map(ns, f"c{number}"))
    transport.plan(faults.pass_on, faults.answer(410, "Expired"))
    with pytest.raises(ApiError) as caught:
        [page async for page in client.list_pages(CONFIG_MAPS, namespace=ns, limit=2)]
    assert is_expired(caught.value)


async def test_apply_demands_a_uid(client: Client, ns: str) -> None:
    with pytest.raises(ValueError, match="uid"):
        await client.apply(CONFIG_MAPS, config_map(ns))


async def test_apply_can_neither_create_nor_touch_an_object_with_another_uid(client: Client, ns: str) -> None:
    first = await client.create(CONFIG_MAPS, config_map(ns, a="1"))
    await client.delete(CONFIG_MAPS, "one", ns, uid=first["metadata"]["uid"])
    for apply in (client.apply, client.apply_in_place):
        with pytest.raises(ApiError) as caught:
            await apply(CONFIG_MAPS, with_uid(config_map(ns, a="2"), first))
        assert is_conflict(caught.value) or is_missing(caught.value)
    with pytest.raises(ApiError, match="not found"):
        await client.get(CONFIG_MAPS, "one", ns)
    stranger = await client.create(CONFIG_MAPS, config_map(ns, b="theirs"))
    for apply in (client.apply, client.apply_in_place):
        with pytest.raises(ApiError) as caught:
            await apply(CONFIG_MAPS, with_uid(config_map(ns, a="2"), first))
        assert is_conflict(caught.value)
    assert (await client.get(CONFIG_MAPS, "one", ns))["metadata"] == stranger["metadata"]


async def test_apply_of_a_custom_resource_spares_another_uid_too(client: Client, ns: str, widgets: Resource) -> None:
    first = await client.create(widgets, widget(ns, a=1))
    await client.delete(widgets, "one", ns, uid=first["metadata"]["uid"])
    stale = with_uid(widget(ns, a=2), first)
    for apply in (client.apply, client.apply_in_place, client.apply_status):
        with pytest.raises(ApiError) as caught:
            await apply(widgets, stale)
        assert is_conflict(caught.value) or is_missing(caught.value)
    stranger = await client.create(widgets, widget(ns, b=1))
    for apply in (client.apply, client.apply_in_place):
        with pytest.raises(ApiError) as caught:
            await apply(widgets, stale)
        assert is_conflict(caught.value)
    assert await client.get(widgets, "one", ns) == stranger


async def test_only_the_resource_version_keeps_a_status_off_another_object_of_that_name(
    client: Client, ns: str, widgets: Resource
) -> None:
    first = await client.create(widgets, widget(ns, a=1))
    await client.delete(widgets, "one", ns, uid=first["metadata"]["uid"])
    await client.create(widgets, widget(ns, b=1))
    stale = with_uid(widget(ns), first) | {"status": {"phase": "Old"}}
    stale["metadata"]["resourceVersion"] = first["metadata"]["resourceVersion"]
    with pytest.raises(ApiError) as caught:
        await client.apply_status(widgets, stale)
    assert is_conflict(caught.value)
    del stale["metadata"]["resourceVersion"]
    assert (await client.apply_status(widgets, stale))["status"] == {"phase": "Old"}


async def test_plain_apply_after_create_leaves_removed_fields_which_is_why_in_place_adopts(
    client: Client, ns: str
) -> None:
    made = await client.create(CONFIG_MAPS, config_map(ns, keep="1", drop="1"))
    await client.apply(CONFIG_MAPS, with_uid(config_map(ns, keep="2"), made))
    assert (await client.get(CONFIG_MAPS, "one", ns))["data"] == {"keep": "2", "drop": "1"}


async def test_apply_in_place_removes_what_we_no_longer_send_and_keeps_what_others_own(client: Client, ns: str) -> None:
    made = await client.create(CONFIG_MAPS, config_map(ns, keep="1", drop="1"))
    other = Client(client.transport, field_manager="somebody-else")
    await other.merge_patch(CONFIG_MAPS, "one", ns, {"data": {"theirs": "1"}})
    await client.apply_in_place(CONFIG_MAPS, with_uid(config_map(ns, keep="2", fresh="1"), made))
    live = await client.get(CONFIG_MAPS, "one", ns)
    assert live["data"] == {"keep": "2", "fresh": "1", "theirs": "1"}
    ours = [entry["operation"] for entry in live["metadata"]["managedFields"] if entry["manager"] == "kubeairunway"]
    assert ours == ["Apply"]
    await client.apply_in_place(CONFIG_MAPS, with_uid(config_map(ns, fresh="2"), made))
    assert (await client.get(CONFIG_MAPS, "one", ns))["data"] == {"fresh": "2", "theirs": "1"}


async def test_apply_in_place_works_on_a_custom_resource_with_status_and_defaults(
    client: Client, ns: str, widgets: Resource
) -> None:
    made = await client.create(widgets, widget(ns, a=1, nested={"x": 1, "y": 2}))
    upstream = Client(client.transport, field_manager="operator")
    await upstream.apply_status(widgets, with_uid(widget(ns), made) | {"status": {"ready": True}, "spec": {}})
    await client.apply_in_place(widgets, with_uid(widget(ns, nested={"x": 3}), made))
    live = await client.get(widgets, "one", ns)
    assert live["spec"] == {"nested": {"x": 3}}
    assert live["status"] == {"ready": True}


async def test_a_later_apply_in_place_reads_nothing(client: Client, transport: FaultyTransport, ns: str) -> None:
    made = await client.create(CONFIG_MAPS, config_map(ns, a="1"))
    await client.apply_in_place(CONFIG_MAPS, with_uid(config_map(ns, a="2"), made))
    transport.sent.clear()
    await client.apply_in_place(CONFIG_MAPS, with_uid(config_map(ns, a="3"), made))
    assert [method for method, _ in transport.sent] == ["PATCH"]


async def test_adoption_survives_a_write_between_its_read_and_its_patch(
    client: Client, transport: FaultyTransport, ns: str
) -> None:
    made = await client.create(CONFIG_MAPS, config_map(ns, keep="1", drop="1"))
    intruder = Client(transport.inner, field_manager="intruder")

    async def read_then_intrude(send: Any) -> Any:
        response = await send()
        await intruder.merge_patch(CONFIG_MAPS, "one", ns, {"data": {"late": "1"}})
        return response

    transport.plan(read_then_intrude)
    await client.apply_in_place(CONFIG_MAPS, with_uid(config_map(ns, keep="2"), made))
    assert (await client.get(CONFIG_MAPS, "one", ns))["data"] == {"keep": "2", "late": "1"}


async def test_status_apply_at_an_old_resource_version_is_refused(client: Client, ns: str, widgets: Resource) -> None:
    made = await client.create(widgets, widget(ns, a=1))
    await client.merge_patch(widgets, "one", ns, {"spec": {"a": 2}})
    body = {key: made[key] for key in ("apiVersion", "kind")} | {
        "metadata": {key: made["metadata"][key] for key in ("namespace", "name", "uid", "resourceVersion")},
        "status": {"phase": "Stale"},
    }
    with pytest.raises(ApiError) as caught:
        await client.apply_status(widgets, body)
    assert is_conflict(caught.value)
    del body["metadata"]["resourceVersion"]
    written = await client.apply_status(widgets, body)
    assert written["status"] == {"phase": "Stale"}
    assert written["spec"] == {"a": 2}


async def test_apply_without_force_yields_to_another_manager(client: Client, ns: str) -> None:
    other = Client(client.transport, field_manager="somebody-else")
    made = await other.create(CONFIG_MAPS, config_map(ns, a="theirs"))
    with pytest.raises(ApiError) as caught:
        await client.apply(CONFIG_MAPS, with_uid(config_map(ns, a="ours"), made), force=False)
    assert is_conflict(caught.value)
    assert "somebody-else" in caught.value.message


async def test_a_json_patch_whose_test_fails_changes_nothing(client: Client, ns: str) -> None:
    await client.create(CONFIG_MAPS, config_map(ns, a="1"))
    patch = [
        {"op": "test", "path": "/data/a", "value": "0"},
        {"op": "replace", "path": "/data/a", "value": "2"},
    ]
    with pytest.raises(ApiError) as caught:
        await client.json_patch(CONFIG_MAPS, "one", ns, patch)
    assert caught.value.status == 422
    assert (await client.get(CONFIG_MAPS, "one", ns))["data"] == {"a": "1"}


async def test_a_429_is_retried_after_the_time_the_server_asks_for(
    client: Client, transport: FaultyTransport, ns: str, faults: Any
) -> None:
    transport.plan(faults.answer(429, "TooManyRequests", retry_after="1"))
    started = time.monotonic()
    await client.create(CONFIG_MAPS, config_map(ns))
    assert 1.0 <= time.monotonic() - started < 3.0


async def test_a_create_with_an_unknown_outcome_is_not_repeated(
    client: Client, transport: FaultyTransport, ns: str, faults: Any
) -> None:
    transport.plan(faults.reset_after)
    transport.sent.clear()
    with pytest.raises(TransportError):
        await client.create(CONFIG_MAPS, config_map(ns))
    assert len(transport.sent) == 1
    assert (await client.get(CONFIG_MAPS, "one", ns))["metadata"]["name"] == "one"


@pytest.mark.parametrize("fault", ["reset_before", "reset_after"])
async def test_an_apply_and_a_delete_with_an_unknown_outcome_are_repeated(
    client: Client, transport: FaultyTransport, ns: str, faults: Any, fault: str
) -> None:
    made = await client.create(CONFIG_MAPS, config_map(ns, a="1"))
    transport.plan(getattr(faults, fault))
    applied = await client.apply(CONFIG_MAPS, with_uid(config_map(ns, a="2"), made))
    assert applied["data"] == {"a": "2"}
    transport.plan(getattr(faults, fault))
    await client.delete(CONFIG_MAPS, "one", ns, uid=made["metadata"]["uid"])
    with pytest.raises(ApiError, match="not found"):
        await client.get(CONFIG_MAPS, "one", ns)


async def test_retries_are_bounded(client: Client, transport: FaultyTransport, ns: str, faults: Any) -> None:
    await client.create(CONFIG_MAPS, config_map(ns))
    transport.plan(*[faults.answer(500, "InternalError")] * 50)
    transport.sent.clear()
    with pytest.raises(ApiError, match="injected 500"):
        await client.get(CONFIG_MAPS, "one", ns)
    assert len(transport.sent) == 5


async def test_the_gate_stops_every_kind_of_write_before_it_starts_and_no_read(
    transport: FaultyTransport, ns: str
) -> None:
    class ClosedError(Exception):
        pass

    def gate() -> None:
        raise ClosedError

    gated = Client(transport, gate=gate)
    body = config_map(ns)
    body["metadata"]["uid"] = "u"
    transport.sent.clear()
    for write in (
        gated.create(CONFIG_MAPS, body),
        gated.apply(CONFIG_MAPS, body),
        gated.apply_status(CONFIG_MAPS, body),
        gated.delete(CONFIG_MAPS, "one", ns, uid="u"),
        gated.merge_patch(CONFIG_MAPS, "one", ns, {}),
        gated.json_patch(CONFIG_MAPS, "one", ns, []),
    ):
        with pytest.raises(ClosedError):
            await write
    assert transport.sent == []
    with pytest.raises(ApiError, match="not found"):
        await gated.get(CONFIG_MAPS, "one", ns)
    await gated.ungated().create(CONFIG_MAPS, config_map(ns))


async def test_the_gate_is_asked_again_before_a_retry(transport: FaultyTransport, ns: str, faults: Any) -> None:
    asked: list[int] = []

    def gate() -> None:
        asked.append(len(asked))
        if len(asked) == 2:
            raise PermissionError

    transport.plan(faults.answer(429, "TooManyRequests"))
    with pytest.raises(PermissionError):
        await Client(transport, gate=gate).create(CONFIG_MAPS, config_map(ns))


async def test_every_attempt_is_observed(transport: FaultyTransport, ns: str, faults: Any) -> None:
    seen: list[tuple[str, str, int]] = []

    def observe(verb: str, resource: Resource | None, status: int, seconds: float) -> None:
        assert seconds >= 0
        seen.append((verb, resource.plural if resource else "", status))

    client = Client(transport, observe=observe)
    transport.plan(faults.answer(429, "TooManyRequests"))
    made = await client.create(CONFIG_MAPS, config_map(ns, a="1"))
    transport.plan(faults.reset_before)
    await client.apply(CONFIG_MAPS, with_uid(config_map(ns, a="2"), made))
    await client.get_path("/version")
    names = [(verb, plural) for verb, plural, _ in seen]
    assert names == [("create", "configmaps")] * 2 + [("apply", "configmaps")] * 2 + [("get", "")]
    assert [status for *_, status in seen] == [429, 201, 0, 200, 200]


async def test_what_the_server_refuses_keeps_its_reason_and_details(client: Client, ns: str) -> None:
    bad = config_map(ns, "Not_A_Name")
    with pytest.raises(ApiError) as caught:
        await client.create(CONFIG_MAPS, bad)
    assert (caught.value.status, caught.value.reason) == (422, "Invalid")
    assert caught.value.details["causes"][0]["field"] == "metadata.name"


async def test_a_closed_transport_says_that_nothing_was_sent(client: Client, ns: str) -> None:
    await client.transport.close()
    with pytest.raises(NotSentError):
        await asyncio.wait_for(client.create(CONFIG_MAPS, config_map(ns)), 30)
