"""What others do to our objects and names: drift, conflicts, kinds and providers that come and go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS as KAITO_CRDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


async def test_a_changed_object_is_set_right_within_two_seconds_and_said(kaito_lab: Any, kinds: Any) -> None:
    await kaito_lab.deploy("drift", scaling={"replicas": 2})
    await kaito_lab.phase("drift", "Running")
    await kaito_lab.patch(kinds.INFERENCE_SET, "drift", {"spec": {"replicas": 5}})

    async def restored() -> bool:
        return bool((await kaito_lab.find(kinds.INFERENCE_SET, "drift"))["spec"]["replicas"] == 2)

    await kaito_lab.until(restored, 2, "replicas are 2 again")
    events = await kaito_lab.until(lambda: kaito_lab.events("DriftDetected"), 5, "an event")
    assert "spec.replicas" in events[0]["message"]


async def test_a_deleted_object_comes_back_within_two_seconds(kaito_lab: Any, kinds: Any) -> None:
    await kaito_lab.deploy("lost")
    running = await kaito_lab.phase("lost", "Running")
    service = running["status"]["endpoint"]["service"]
    old = await kaito_lab.find(kinds.SERVICE, service)
    await kaito_lab.delete(kinds.SERVICE, service)

    async def back() -> bool:
        new = await kaito_lab.find(kinds.SERVICE, service)
        return new is not None and new["metadata"]["uid"] != old["metadata"]["uid"]

    await kaito_lab.until(back, 2, "the Service is there again")


async def test_a_primary_of_somebody_else_is_left_alone_until_it_goes(kaito_lab: Any, kinds: Any) -> None:
    body = {"spec": {"replicas": 1, "labelSelector": {}, "template": {"inference": {"preset": {"name": "phi-4"}}}}}
    foreign = await kaito_lab.client.create(kinds.INFERENCE_SET, kaito_lab.object(kinds.INFERENCE_SET, "taken", body))
    await kaito_lab.deploy("taken")
    condition = await kaito_lab.condition("taken", "Ready", "ResourceConflict")
    assert "InferenceSet 'taken'" in condition["message"]
    assert (await kaito_lab.phase("taken", "Pending"))["metadata"].get("finalizers") is None
    unchanged = await kaito_lab.find(kinds.INFERENCE_SET, "taken")
    assert unchanged["metadata"]["uid"] == foreign["metadata"]["uid"]
    assert unchanged["spec"] == foreign["spec"]
    assert await kaito_lab.find(kinds.SERVICE, "taken-api") is None
    await kaito_lab.delete(kinds.INFERENCE_SET, "taken")
    await kaito_lab.gone(kinds.INFERENCE_SET, "taken", 5)
    await kaito_lab.phase("taken", "Running", 8)


async def test_a_service_of_somebody_else_stops_everything_and_healing_needs_no_polling(
    kaito_lab: Any, kinds: Any
) -> None:
    service = kaito_lab.object(kinds.SERVICE, "shop-api", {"spec": {"ports": [{"port": 80}]}})
    await kaito_lab.client.create(kinds.SERVICE, service)
    await kaito_lab.deploy("shop")
    condition = await kaito_lab.condition("shop", "Ready", "ResourceConflict")
    assert "Service 'shop-api'" in condition["message"]
    assert await kaito_lab.find(kinds.INFERENCE_SET, "shop") is None
    await kaito_lab.delete(kinds.SERVICE, "shop-api")
    await kaito_lab.phase("shop", "Running", 5)


async def test_an_identity_change_makes_the_primary_anew(kaito_lab: Any, kinds: Any) -> None:
    await kaito_lab.deploy("swap")
    await kaito_lab.phase("swap", "Running")
    old = await kaito_lab.find(kinds.INFERENCE_SET, "swap")
    await kaito_lab.patch(kinds.MD, "swap", {"spec": {"model": {"id": "Qwen/Qwen3-4B"}}})

    async def replaced() -> bool:
        new = await kaito_lab.find(kinds.INFERENCE_SET, "swap")
        return new is not None and new["metadata"]["uid"] != old["metadata"]["uid"]

    await kaito_lab.until(replaced, 5, "another InferenceSet")
    await kaito_lab.phase("swap", "Running")
    assert len(await kaito_lab.events("Recreating")) == 1


async def test_an_invalid_edit_leaves_what_runs_alone(kaito_lab: Any, kinds: Any) -> None:
    await kaito_lab.deploy("keep")
    await kaito_lab.phase("keep", "Running")
    before = await kaito_lab.find(kinds.INFERENCE_SET, "keep")
    await kaito_lab.patch(kinds.MD, "keep", {"spec": {"env": [{"name": "A", "value": "b"}]}})

    async def stalled() -> bool:
        rows = (await kaito_lab.find(kinds.MD, "keep"))["status"]["conditions"]
        return any(row["type"] == "Stalled" and row["status"] == "True" for row in rows)

    await kaito_lab.until(stalled, 5, "Stalled")
    deployment = await kaito_lab.find(kinds.MD, "keep")
    assert deployment["status"]["phase"] == "Running"
    after = await kaito_lab.find(kinds.INFERENCE_SET, "keep")
    assert (after["metadata"]["uid"], after["spec"]) == (before["metadata"]["uid"], before["spec"])


async def test_a_disabled_provider_takes_nothing_new_and_is_chosen_within_a_second_when_it_may(
    kaito_lab: Any, kinds: Any
) -> None:
    await kaito_lab.until(lambda: kaito_lab.find(kinds.CONFIG, "kaito"), 10, "the config is there")
    await kaito_lab.patch(kinds.CONFIG, "kaito", {"spec": {"disabled": True}})
    try:
        await kaito_lab.deploy("wait")
        condition = await kaito_lab.condition("wait", "ProviderSelected", "NoProvider")
        assert condition["status"] == "False"
    finally:
        await kaito_lab.patch(kinds.CONFIG, "kaito", {"spec": {"disabled": False}})

    async def chosen() -> bool:
        status = (await kaito_lab.find(kinds.MD, "wait")).get("status") or {}
        return (status.get("provider") or {}).get("name") == "kaito"

    await kaito_lab.until(chosen, 1, "kaito is chosen")


@pytest.mark.slow
async def test_a_crd_that_comes_later_is_seen_and_one_that_goes_takes_its_objects_along(
    own_lab: Callable[..., Awaitable[Any]], root: Path, kinds: Any
) -> None:
    with ControlPlane(scheduler=False, crds=[root / "crds"]) as plane:
        lab = await own_lab(plane)
        controller = await lab.controller()
        await lab.deploy("early")
        await lab.condition("early", "ProviderSelected", "NoProvider")
        await asyncio.to_thread(plane.install_crds, [KAITO_CRDS])
        await lab.kaito()
        await lab.phase("early", "Running", 15)
        await asyncio.to_thread(plane.kubectl, "delete", "crd", "inferencesets.kaito.sh", "--wait=false")

        async def moved() -> bool:
            status = (await lab.find(kinds.CONFIG, "kaito"))["status"]
            served = {row["name"]: row["version"] for row in status["upstream"]["kinds"]}
            return served.get("InferenceSet") == ""

        await lab.until(moved, 20, "the config says that InferenceSet is not served")
        assert controller.alive
