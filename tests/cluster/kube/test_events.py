"""Events as kubectl shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeairunway.kube.events import EVENTS, EventRecorder
from kubeairunway.objects.resources import Resource

if TYPE_CHECKING:
    from tests.core.kube.faults import FaultyTransport

    from kubeairunway.kube.client import Client
    from kubeairunway.objects.resources import Json
    from kubeairunway_dev.controlplane import Cluster

CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps")
NAMESPACES = Resource("", "v1", "Namespace", "namespaces", namespaced=False)


async def make_object(client: Client, ns: str) -> Json:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": ns, "name": "one"}}
    return await client.create(CONFIG_MAPS, body)


async def list_events(client: Client, ns: str) -> list[Json]:
    return [item async for page in client.list_pages(EVENTS, namespace=ns) for item in page.items]


async def test_an_event_is_shown_by_kubectl_beside_its_object(client: Client, plane: Cluster, ns: str) -> None:
    recorder = EventRecorder(client, "kubeairunway", "pod-1")
    recorder.start()
    recorder.record(await make_object(client, ns), "Warning", "DriftDetected", "spec.replicas was changed")
    await recorder.stop()
    shown = plane.kubectl("describe", "configmap", "one", "-n", ns).stdout
    assert "DriftDetected" in shown
    assert "spec.replicas was changed" in shown
    (event,) = plane.get("events", "-n", ns)["items"]
    assert event["source"]["component"] == "kubeairunway"
    assert event["reportingInstance"] == "pod-1"
    assert recorder.dropped == 0


async def test_repetitions_become_one_event_with_a_count(client: Client, ns: str) -> None:
    about = await make_object(client, ns)
    recorder = EventRecorder(client, "kubeairunway", "pod-1")
    recorder.start()
    for number in range(3):
        recorder.record(about, "Normal", "Recreating", f"round {number}")
        await recorder._queue.join()
    recorder.record(about, "Normal", "Other", "another reason")
    await recorder.stop()
    counts = {event["reason"]: (event["count"], event["message"]) for event in await list_events(client, ns)}
    assert counts == {"Recreating": (3, "round 2"), "Other": (1, "another reason")}


async def test_a_series_goes_on_in_a_new_event_when_somebody_deleted_the_first(client: Client, ns: str) -> None:
    about = await make_object(client, ns)
    recorder = EventRecorder(client, "kubeairunway", "pod-1")
    recorder.start()
    recorder.record(about, "Normal", "Recreating", "one")
    await recorder._queue.join()
    (event,) = await list_events(client, ns)
    await client.delete(EVENTS, event["metadata"]["name"], ns, uid=event["metadata"]["uid"])
    recorder.record(about, "Normal", "Recreating", "two")
    await recorder.stop()
    (event,) = await list_events(client, ns)
    assert (event["count"], event["message"]) == (2, "two")


async def test_events_about_cluster_scoped_objects_live_in_default(client: Client, ns: str) -> None:
    recorder = EventRecorder(client, "kubeairunway", "pod-1")
    recorder.start()
    about = await client.get(NAMESPACES, ns)
    recorder.record(about, "Normal", "Seen", "x" * 5000)
    await recorder.stop()
    found = [event for event in await list_events(client, "default") if event["involvedObject"]["name"] == ns]
    assert [len(event["message"]) for event in found] == [1024]


async def test_a_failing_api_server_costs_the_caller_nothing(
    client: Client, transport: FaultyTransport, ns: str, faults: Any
) -> None:
    about = await make_object(client, ns)
    recorder = EventRecorder(client, "kubeairunway", "pod-1")
    recorder.start()
    transport.plan(faults.answer(403, "Forbidden"))
    recorder.record(about, "Normal", "Refused", "lost")
    await recorder._queue.join()
    assert recorder.dropped == 1
    recorder.record(about, "Normal", "Next", "written")
    await recorder.stop()
    assert [event["reason"] for event in await list_events(client, ns)] == ["Next"]
