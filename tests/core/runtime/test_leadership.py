"""Without the Lease nothing is written, whoever asks."""

from __future__ import annotations

from typing import Any

import pytest

from kubeairunway.errors import NotLeaderError
from kubeairunway.kube.client import Client
from kubeairunway.objects.resources import Resource
from kubeairunway.runtime.leadership import Leadership
from kubeairunway.runtime.settings import Settings

SERVICES = Resource("", "v1", "Service", "services")
OBJ: dict[str, Any] = {"metadata": {"name": "one", "namespace": "ns"}}


async def nothing() -> None:
    """Neither start nor stop."""


async def test_a_process_that_has_not_won_the_lease_writes_nothing(standin: Any) -> None:
    api = standin.StandIn(standin.Served("", "v1", "Service", "services"))
    client = Client(api)
    Leadership(client, Settings(leader_elect=True), start=nothing, stop=nothing)
    with pytest.raises(NotLeaderError):
        await client.create(SERVICES, OBJ)
    assert api.calls == []


async def test_without_leader_election_a_process_may_write(standin: Any) -> None:
    client = Client(standin.StandIn(standin.Served("", "v1", "Service", "services")))
    Leadership(client, Settings(leader_elect=False), start=nothing, stop=nothing)
    assert (await client.create(SERVICES, OBJ))["metadata"]["uid"]
