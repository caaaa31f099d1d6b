"""A controller that dies at any moment, and an API server that does, in a burst of deployments of all providers."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

BURST = 300
LEASE = ("--lease-duration", "3", "--lease-renew", "1")
KILLS = (0.02, 0.3, 0.5, 0.7, 0.98)
"""Shares of the burst that are created when the controller is killed."""


@pytest.mark.slow
async def test_a_controller_killed_again_and_again_in_a_burst_applies_everything_once(life: Any) -> None:
    since = datetime.now(UTC)
    controller = await life.lab.controller(*LEASE)
    burst = asyncio.create_task(create_all(life, BURST))
    for share in KILLS:
        await life.lab.until(lambda: created(life, BURST * share), 60, f"{share:.0%} are created")  # noqa: B023 - waited for here
        controller.kill()
        controller = await life.lab.controller(*LEASE)
    await burst
    await life.lab.until(lambda: all_ready(life, BURST), 120, f"{BURST} deployments are Ready")
    await check_once(life, since, BURST)


@pytest.mark.slow
async def test_an_api_server_that_restarts_in_a_burst_and_watches_that_expire_leave_everything_true(
    own_lab: Callable[..., Awaitable[Any]], root: Path, kinds: Any, words: Any
) -> None:
    """Its watch cache is new: watches that have seen no news for a while are told that they are too old (410)."""
    with ControlPlane(scheduler=False, audit=True, crds=[root / "crds", CRDS]) as plane:
        words.start_standins(plane)
        lab = await own_lab(plane)
        lab.without = ""
        cases = tuple(case for case in words.installed() if "." in case.primary.group)
        life = words.Life(lab, kinds, cases)
        controller = await lab.controller(*LEASE)
        number = 20 * len(cases)
        burst = asyncio.create_task(create_all(life, number))
        await lab.until(lambda: created(life, number // 3), 30, "a third is created")
        since = datetime.now(UTC)
        await asyncio.to_thread(plane.restart_apiserver)
        await burst
        await lab.until(lambda: all_ready(life, number), 90, f"{number} deployments are Ready")
        assert controller.alive
        listed = [place for verb, place in lab.requests(since) if verb == "list"]
        assert "modeldeployments" in listed, "its watch was not told to list anew, so the test has not done its part"

        async def check(case: Any) -> None:
            await life.change(f"{case.name}-0", case.in_place[0])
            await life.ready(f"{case.name}-0")

        await life.each(check, cases=tuple(case for case in cases if case.in_place))


async def create_all(life: Any, number: int) -> None:
    """Create so many deployments, of every provider in turn, trying again while the API server is away."""
    gate = asyncio.Semaphore(8)

    async def create(index: int) -> None:
        case = life.cases[index % len(life.cases)]
        name = f"{case.name}-{index // len(life.cases)}"
        async with gate:
            for _ in range(100):
                if await try_create(life, case, name):
                    return
                await asyncio.sleep(0.3)  # the API server is away
        pytest.fail(f"{name} could not be created")

    await asyncio.gather(*(create(index) for index in range(number)))


async def try_create(life: Any, case: Any, name: str) -> bool:
    """Whether a deployment is there now."""
    try:
        if await life.lab.find(life.kinds.MD, name) is None:
            await life.deploy(case, name)
    except Exception:  # noqa: BLE001 - whatever an API server that restarts answers, the next attempt tells
        return False
    return True


async def deployments(life: Any) -> list[Any]:
    """All deployments of the namespace."""
    found: list[Any] = []
    async for page in life.lab.client.list_pages(life.kinds.MD, namespace=life.lab.namespace):
        found += page.items
    return found


async def created(life: Any, number: float) -> bool:
    """Whether so many deployments have been looked at."""
    return sum(1 for item in await deployments(life) if item["status"].get("phase")) >= number


async def all_ready(life: Any, number: int) -> bool:
    """Whether so many deployments run."""
    return sum(1 for item in await deployments(life) if item["status"].get("phase") == "Running") == number


async def check_once(life: Any, since: datetime, number: int) -> None:
    """Every deployment has one primary, every object an owner, and no create succeeded twice."""
    owners = {item["metadata"]["uid"]: item["metadata"]["name"] for item in await deployments(life)}
    objects = Counter[str]()
    for resource in life.known():
        async for page in life.lab.client.list_pages(
            resource, namespace=life.lab.namespace, labels="kubeairunway.ai/managed-by=kubeairunway"
        ):
            for item in page.items:
                assert {row["uid"] for row in item["metadata"]["ownerReferences"]} <= owners.keys()
                objects[resource.plural] += 1
    primaries = Counter(case.primary.plural for case in life.cases)
    each = number // len(life.cases)
    assert {plural: objects[plural] for plural in primaries} == {
        plural: count * each for plural, count in primaries.items()
    }
    wanted = Counter({("create", plural): count for plural, count in objects.items()})
    asked = Counter(row for row in life.lab.requests(since, writes=True) if row[0] == "create")
    # Each kill may leave one create per worker in flight: it is sent again, and the name makes it one object.
    assert sum((asked - wanted).values()) <= 8 * (len(KILLS) + 1)
    again = [row for row in life.lab.requests(since, writes=True) if row[0] == "delete"]
    assert again == [], "nothing was made anew"
