"""What an API server that is killed and comes back does to informer, writes and leader."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from kubeairunway.errors import KubeError
from kubeairunway.kube.client import Client
from kubeairunway.kube.config import load_config
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.kube.informer import EventKind, Informer
from kubeairunway.kube.lease import LeaderElector
from kubeairunway.objects.resources import Json, Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from kubeairunway_dev.controlplane import ControlPlane

CONFIG_MAPS = Resource("", "v1", "ConfigMap", "configmaps")
GHOSTS = Resource("restart.test", "v1", "Ghost", "ghosts")
SECONDS = 60.0


@pytest.fixture(scope="module")
def own_plane() -> Iterator[ControlPlane]:
    """A control plane that no other test shares, since this one is harmed."""
    from kubeairunway_dev.controlplane import ControlPlane  # noqa: PLC0415 - only runs with cluster tests pay

    with ControlPlane(controller_manager=False, scheduler=False) as started:
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        started.apply(
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "metadata": {"name": "ghosts.restart.test"},
                "spec": {
                    "group": GHOSTS.group,
                    "scope": "Namespaced",
                    "names": {"kind": GHOSTS.kind, "plural": GHOSTS.plural},
                    "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
                },
            }
        )
        started.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/ghosts.restart.test")
        yield started


@pytest.fixture
async def direct(own_plane: ControlPlane) -> AsyncIterator[Client]:
    transport = open_transport(load_config(own_plane.kubeconfig))
    yield Client(transport)
    await transport.close()


def body(resource: Resource, name: str) -> Json:
    meta = {"namespace": "default", "name": name}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": meta}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - polls memory, so that nothing needs a hook for tests
            await asyncio.sleep(0.02)


async def create_in_the_end(client: Client, resource: Resource, name: str) -> None:
    """Create as a controller does: an unknown outcome or an absent server means another pass."""
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                await client.create(resource, body(resource, name))
            except KubeError as error:
                if getattr(error, "reason", "") == "AlreadyExists":
                    return
                await asyncio.sleep(0.1)
            else:
                return


async def test_caches_and_leader_live_through_a_killed_api_server(own_plane: ControlPlane, direct: Client) -> None:
    events: list[tuple[str, EventKind, str]] = []

    def note(kind: EventKind, old: Json | None, new: Json | None) -> None:
        item = new or old or {}
        events.append((item["kind"], kind, item["metadata"]["name"]))

    informers = [
        Informer(direct, resource, namespace="default", on_event=note, fields="metadata.name!=kube-root-ca.crt")
        for resource in (CONFIG_MAPS, GHOSTS)
    ]
    history: list[str] = []

    async def begin() -> None:
        history.append("started")

    async def end() -> None:
        history.append("stopped")

    elector = LeaderElector(direct, "default", "controller", "a")
    tasks = [asyncio.create_task(informer.run()) for informer in informers]
    tasks.append(asyncio.create_task(elector.run(begin, end)))
    for informer, resource in zip(informers, (CONFIG_MAPS, GHOSTS), strict=True):
        assert await informer.wait_synced(SECONDS)
        await direct.create(resource, body(resource, "before"))
    await until(lambda: len(events) == 2 and history == ["started"])
    await asyncio.to_thread(own_plane.restart_apiserver)
    for resource in (CONFIG_MAPS, GHOSTS):
        await create_in_the_end(direct, resource, "after")
    await until(lambda: len(events) >= 4)
    assert sorted(events) == sorted(
        (resource.kind, EventKind.ADDED, name) for resource in (CONFIG_MAPS, GHOSTS) for name in ("before", "after")
    )
    assert not any(informer.gone for informer in informers)
    await until(lambda: elector.is_leader)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
