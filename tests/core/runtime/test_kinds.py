"""Watches of declared kinds follow what is served."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from kubeairunway.kube.client import Client
from kubeairunway.kube.discovery import Discovery
from kubeairunway.plugin import Kind
from kubeairunway.runtime.kinds import KindWatches

SERVER = Kind(group="serving.acme.dev", name="ModelServer", versions=("v1",))


async def test_what_a_kind_that_goes_leaves_behind_is_reported_gone(standin: Any) -> None:
    served = standin.Served("serving.acme.dev", "v1", "ModelServer", "modelservers")
    api = standin.StandIn(served)
    await api.put("modelservers", {"metadata": {"name": "one"}})
    told: list[tuple[str, bool]] = []
    discovery = Discovery(Client(api))
    provider: Any = SimpleNamespace(name="acme", kinds=(SERVER,), children=())
    kinds = KindWatches(
        Client(api),
        discovery,
        (provider,),
        (),
        on_event=lambda _resource, old, new: told.append(((new or old or {})["metadata"]["name"], new is not None)),
        on_gone=lambda _resource: None,
    )
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(5):
        await discovery.refresh()
        assert await kinds.update(tasks)
        watch = kinds.watch(SERVER)
        assert watch is not None
        await watch.wait_synced()
        assert told == [("one", True)]
        assert not await kinds.update(tasks)
        api.served["modelservers"] = replace(served, version="v2")
        await discovery.refresh()
        assert await kinds.update(tasks)
    assert told == [("one", True), ("one", False)]
    assert kinds.watch(SERVER) is None
