"""Watches of single foreign objects, and that nothing of them stays behind."""

from __future__ import annotations

import asyncio
from typing import Any

from kubeairunway.kube.client import Client
from kubeairunway.objects.resources import Resource
from kubeairunway.runtime.conflicts import Conflicts

SERVICES = Resource("", "v1", "Service", "services")
OBJ: dict[str, Any] = {
    "metadata": {"name": "one", "namespace": "ns", "uid": "u1", "resourceVersion": "5"},
}


async def wait_until(holds: Any) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - any condition at all
            await asyncio.sleep(0)


async def test_a_conflict_that_ends_before_it_could_be_watched_leaves_no_task(standin: Any) -> None:
    api = standin.StandIn(standin.Served("", "v1", "Service", "services"))
    api.refuse["GET", "services"] = 403, "Forbidden"
    before = asyncio.all_tasks()
    async with asyncio.TaskGroup() as tasks:
        conflicts = Conflicts(Client(api), tasks, lambda _key: None)
        conflicts.add(("ns", "one"), SERVICES, OBJ, watch=True)
        await wait_until(lambda: api.calls)
        assert asyncio.all_tasks() != before
        conflicts.clear(("ns", "one"))
        await wait_until(lambda: asyncio.all_tasks() == before)


async def test_an_object_that_went_before_its_watch_began_wakes_whom_it_blocked(standin: Any) -> None:
    api = standin.StandIn(standin.Served("", "v1", "Service", "services"))
    woken: list[tuple[str, str]] = []
    before = asyncio.all_tasks()
    async with asyncio.TaskGroup() as tasks:
        conflicts = Conflicts(Client(api), tasks, woken.append)
        conflicts.add(("ns", "one"), SERVICES, OBJ, watch=True)
        await wait_until(lambda: woken)
        await wait_until(lambda: asyncio.all_tasks() == before)
    assert woken == [("ns", "one")]
    assert len(conflicts) == 0
