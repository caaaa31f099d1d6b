"""Processes and API servers that die in the middle of things, and two controllers where one must work."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS as KAITO_CRDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


async def running(lab: Any, kinds: Any) -> int:
    """How many deployments run."""
    count = 0
    async for page in lab.client.list_pages(kinds.MD, namespace=lab.namespace):
        count += sum(1 for item in page.items if (item.get("status") or {}).get("phase") == "Running")
    return count


async def all_running(lab: Any, kinds: Any, number: int, seconds: float) -> None:
    async def look() -> bool:
        return await running(lab, kinds) == number

    await lab.until(look, seconds, f"{number} deployments run")


async def burst(lab: Any, number: int) -> None:
    gate = asyncio.Semaphore(8)

    async def deploy(index: int) -> None:
        async with gate:
            await lab.deploy(f"many-{index}")

    await asyncio.gather(*(deploy(index) for index in range(number)))


@pytest.mark.slow
async def test_a_controller_killed_in_the_middle_of_a_burst_leaves_nothing_behind(lab: Any, kinds: Any) -> None:
    await lab.kaito()
    first = await lab.controller("--lease-duration", "3", "--lease-renew", "1")
    since = datetime.now(UTC)
    await burst(lab, 100)
    await lab.until(lambda: first.metric("kubeairunway_reconciliation_duration_seconds_count") > 30, 20, "it works")
    first.kill()
    await lab.controller("--lease-duration", "3", "--lease-renew", "1")
    await all_running(lab, kinds, 100, 90)
    creates = Counter(request for request in lab.requests(since, writes=True) if request[0] == "create")
    assert creates["create", "inferencesets"] <= 101  # one in flight may be sent again; the name makes it one object
    sets = 0
    async for page in lab.client.list_pages(kinds.INFERENCE_SET, namespace=lab.namespace):
        sets += len(page.items)
    assert sets == 100


@pytest.mark.slow
async def test_an_api_server_that_dies_and_comes_back_finds_everything_true(
    own_lab: Callable[..., Awaitable[Any]], root: Path, kinds: Any
) -> None:
    with ControlPlane(scheduler=False, crds=[root / "crds", KAITO_CRDS]) as plane:
        lab = await own_lab(plane)
        await lab.kaito()
        controller = await lab.controller("--lease-duration", "3", "--lease-renew", "1")
        await lab.deploy("first")
        await lab.phase("first", "Running", 30)
        await burst(lab, 20)
        await asyncio.to_thread(plane.restart_apiserver)
        await all_running(lab, kinds, 21, 60)
        await lab.patch(kinds.MD, "many-3", {"spec": {"scaling": {"replicas": 4}}})

        async def scaled() -> bool:
            return bool((await lab.find(kinds.INFERENCE_SET, "many-3"))["spec"]["replicas"] == 4)

        await lab.until(scaled, 10, "it goes on after that")
        assert controller.alive


async def test_sigterm_ends_the_process_with_code_0_and_releases_the_lease(kaito_lab: Any, kinds: Any) -> None:
    await kaito_lab.deploy("last")
    await kaito_lab.phase("last", "Running")
    for process in kaito_lab.processes[1:]:
        assert await process.stop() == 0
    lease = await kaito_lab.client.get(kinds.LEASE, kaito_lab.namespace, kinds.CONTROLLER_NAMESPACE)
    assert not lease["spec"].get("holderIdentity")


async def test_a_second_controller_waits_and_takes_over_within_two_seconds_of_a_stop(lab: Any) -> None:
    await lab.kaito()
    first = await lab.controller()
    second = await lab.controller()
    await lab.deploy("before")
    await lab.phase("before", "Running")
    assert (first.metric("kubeairunway_leader"), second.metric("kubeairunway_leader")) == (1, 0)
    assert second.metric("kubeairunway_api_requests_total") > 0
    stopping = asyncio.create_task(first.stop())
    await lab.until(lambda: second.metric("kubeairunway_leader") == 1, 3, "the second leads")
    assert await stopping == 0
    await lab.deploy("after")
    await lab.phase("after", "Running")


async def test_a_second_controller_takes_over_a_lease_after_a_crash(lab: Any) -> None:
    await lab.kaito()
    flags = ("--lease-duration", "3", "--lease-renew", "1")
    first, second = await lab.controller(*flags), await lab.controller(*flags)
    await lab.deploy("before")
    await lab.phase("before", "Running")
    first.kill()
    await lab.deploy("after")
    await lab.phase("after", "Running", 10)
    assert second.metric("kubeairunway_leader") == 1


async def test_probes_and_metrics_say_what_is(kaito_lab: Any) -> None:
    await kaito_lab.deploy("seen", scaling={"replicas": 2})
    await kaito_lab.phase("seen", "Running")
    controller = kaito_lab.processes[1]
    assert controller.ask("/healthz") == (200, "ok\n")
    assert controller.ask("/readyz") == (200, "ok\n")
    where = f'name="seen",namespace="{kaito_lab.namespace}"'
    wanted = [
        f'kubeairunway_deployment_phase{{{where},phase="Running"}} 1',
        f'kubeairunway_deployment_replicas{{{where},state="ready"}} 2',
        f'kubeairunway_modeldeployment_total{{namespace="{kaito_lab.namespace}",phase="Running"}} 1',
        'kubeairunway_provider_selection{provider="kaito",reason="auto"} 1',
    ]
    await kaito_lab.until(
        lambda: set(wanted) <= set(controller.ask("/metrics")[1].splitlines()), 5, f"metrics say {wanted}"
    )
    text = controller.ask("/metrics")[1]
    assert 'kubeairunway_reconciliation_duration_seconds_count{provider="kaito"}' in text
    assert "kubeairunway_reconciliation_errors_total" in text
    moves = [line for line in controller.lines() if line.get("reason") == "Running"]
    assert moves[0]["deployment"] == f"{kaito_lab.namespace}/seen"


async def test_readiness_names_the_crd_that_is_missing(own_lab: Callable[..., Awaitable[Any]], root: Path) -> None:
    with ControlPlane(scheduler=False, controller_manager=False) as plane:
        lab = await own_lab(plane)
        controller = await lab.controller(ready=False)
        await lab.until(
            lambda: "the CRD modeldeployments.kubeairunway.ai" in controller.ask("/readyz")[1], 15, "it says so"
        )
        assert controller.ask("/readyz")[0] == 503
        assert controller.ask("/healthz")[0] == 200
        await asyncio.to_thread(plane.install_crds, [root / "crds"])
        await lab.until(lambda: controller.ask("/readyz")[0] == 200, 15, "ready without a restart")


async def test_a_leader_that_loses_its_lease_stands_down_and_works_again_when_it_has_it_back(
    lab: Any, kinds: Any
) -> None:
    await lab.kaito()
    controller = await lab.controller("--lease-duration", "4", "--lease-renew", "0.5")
    await lab.deploy("mine")
    await lab.phase("mine", "Running")
    stolen = {"spec": {"holderIdentity": "somebody-else", "leaseDurationSeconds": 3}}
    await lab.client.merge_patch(kinds.LEASE, lab.namespace, kinds.CONTROLLER_NAMESPACE, stolen)
    await lab.until(lambda: controller.metric("kubeairunway_leader") == 0, 5, "it stands down")
    await lab.deploy("later")
    await lab.until(lambda: controller.metric("kubeairunway_leader") == 1, 10, "it leads again")
    await lab.phase("later", "Running")
    assert await controller.stop() == 0
