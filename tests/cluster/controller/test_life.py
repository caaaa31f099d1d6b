"""One deployment from nothing to Running and away again, with KAITO's stand-in on a real API server."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

WORKSPACE_ONLY = {"provider": {"name": "kaito", "overrides": {"resource": "Workspace"}}}


def ready_of(deployment: Mapping[str, Any]) -> tuple[str, str]:
    row = next(row for row in deployment["status"]["conditions"] if row["type"] == "Ready")
    return row["status"], row["reason"]


async def test_a_deployment_goes_from_pending_to_running(lab: Any, kinds: Any) -> None:
    kaito = await lab.kaito(delay=2.0)
    await lab.controller()
    await lab.until(lambda: lab.find(kinds.CONFIG, "kaito"), 10, "the config is there")
    await lab.patch(kinds.CONFIG, "kaito", {"spec": {"disabled": True}})
    try:
        await lab.deploy("qwen")
        pending = await lab.phase("qwen", "Pending")
        assert ready_of(pending) == ("False", "NoProvider")
    finally:
        await lab.patch(kinds.CONFIG, "kaito", {"spec": {"disabled": False}})
    deploying = await lab.phase("qwen", "Deploying")
    assert ready_of(deploying) == ("False", "DeploymentInProgress")
    running = await lab.phase("qwen", "Running")
    assert ready_of(running) == ("True", "DeploymentReady")
    assert running["status"]["provider"]["name"] == "kaito"
    assert running["status"]["observedGeneration"] == running["metadata"]["generation"]
    primary = await lab.find(kinds.INFERENCE_SET, "qwen")
    assert primary["metadata"]["ownerReferences"][0]["uid"] == running["metadata"]["uid"]
    await kaito.stop()


async def test_the_writes_until_running_are_the_ones_that_are_needed(kaito_lab: Any, kinds: Any) -> None:
    await quiet(kaito_lab)  # the config of a provider is made and told of when it is first loaded
    since = datetime.now(UTC)
    await kaito_lab.deploy("one", **WORKSPACE_ONLY)
    await kaito_lab.phase("one", "Running")
    objects = Counter[tuple[str, str]]()
    for resource in (kinds.WORKSPACE, kinds.CONFIG_MAP, kinds.SERVICE):
        async for page in kaito_lab.client.list_pages(
            resource, namespace=kaito_lab.namespace, labels="kubeairunway.ai/managed-by=kubeairunway"
        ):
            objects["create", resource.plural] += len(page.items)
    wanted = objects + Counter({("patch", "modeldeployments"): 1, ("patch", "modeldeployments/status"): 2})

    def written() -> Counter[tuple[str, str]]:
        return Counter(request for request in kaito_lab.requests(since, writes=True) if request not in BEATS)

    await kaito_lab.until(lambda: written() >= wanted, 5, "the audit log has it")
    assert written() == wanted


async def test_an_idle_controller_asks_for_nothing(kaito_lab: Any) -> None:
    for number in range(5):
        await kaito_lab.deploy(f"idle-{number}")
    for number in range(5):
        await kaito_lab.phase(f"idle-{number}", "Running")
    await quiet(kaito_lab, writes=False, seconds=6)  # CRDs that are young are looked at until 8 s after the start
    since = datetime.now(UTC)
    await asyncio.sleep(20)  # the thing under test is that nothing happens in this time
    found = Counter(kaito_lab.requests(since))
    assert set(found) <= BEATS, found
    assert found["patch", "inferenceproviderconfigs/status"] <= 1


async def test_a_restart_with_nothing_changed_writes_nothing_but_the_lease(lab: Any) -> None:
    await lab.kaito()
    first = await lab.controller()
    for number in range(3):
        await lab.deploy(f"same-{number}", scaling={"replicas": 2})
    for number in range(3):
        await lab.phase(f"same-{number}", "Running")
    await quiet(lab)
    assert await first.stop() == 0
    since = datetime.now(UTC)
    second = await lab.controller()
    await lab.until(lambda: second.metric("kubeairunway_workqueue_work_seconds_count") >= 3, 10, "all were looked at")
    await quiet(lab)
    assert lab.requests(since, writes=True) == []


async def test_a_paused_deployment_is_followed_and_not_written(kaito_lab: Any, kinds: Any) -> None:
    await kaito_lab.deploy("halt")
    await kaito_lab.phase("halt", "Running")
    pause = {"metadata": {"annotations": {"kubeairunway.ai/reconcile-paused": "true"}}}
    await kaito_lab.patch(kinds.MD, "halt", pause)
    await kaito_lab.condition("halt", "Paused", "ReconciliationPaused")
    before = await kaito_lab.find(kinds.INFERENCE_SET, "halt")
    await kaito_lab.patch(kinds.MD, "halt", {"spec": {"scaling": {"replicas": 3}}})
    await quiet(kaito_lab)
    after = await kaito_lab.find(kinds.INFERENCE_SET, "halt")
    assert after["spec"] == before["spec"]
    await kaito_lab.patch(kinds.MD, "halt", {"metadata": {"annotations": {"kubeairunway.ai/reconcile-paused": None}}})

    async def scaled() -> bool:
        return bool((await kaito_lab.find(kinds.INFERENCE_SET, "halt"))["spec"]["replicas"] == 3)

    await kaito_lab.until(scaled, 5, "what changed meanwhile is applied")


async def test_deletion_takes_the_primary_along_within_three_seconds(kaito_lab: Any, kinds: Any) -> None:
    await kaito_lab.deploy("bye")
    running = await kaito_lab.phase("bye", "Running")
    assert running["metadata"]["finalizers"] == ["kubeairunway.ai/provider-cleanup"]
    await kaito_lab.delete(kinds.MD, "bye")
    await kaito_lab.gone(kinds.MD, "bye", 3)
    assert await kaito_lab.find(kinds.INFERENCE_SET, "bye") is None


async def test_a_paused_deployment_can_be_deleted(kaito_lab: Any, kinds: Any) -> None:
    await kaito_lab.deploy("stay")
    await kaito_lab.phase("stay", "Running")
    pause = {"metadata": {"annotations": {"kubeairunway.ai/reconcile-paused": "true"}}}
    await kaito_lab.patch(kinds.MD, "stay", pause)
    await kaito_lab.condition("stay", "Paused", "ReconciliationPaused")
    await kaito_lab.delete(kinds.MD, "stay")
    await kaito_lab.gone(kinds.MD, "stay", 3)


async def test_a_stuck_upstream_finalizer_holds_a_deletion_no_longer_than_the_limit(lab: Any, kinds: Any) -> None:
    await lab.kaito()
    await lab.controller("--deletion-limit", "3")
    await lab.deploy("stuck")
    await lab.phase("stuck", "Running")
    primary = await lab.find(kinds.INFERENCE_SET, "stuck")
    held = [*(primary["metadata"].get("finalizers") or []), "example.com/never"]
    await lab.patch(kinds.INFERENCE_SET, "stuck", {"metadata": {"finalizers": held}})
    await lab.delete(kinds.MD, "stuck")
    await lab.phase("stuck", "Terminating", 3)
    await lab.gone(kinds.MD, "stuck", 8)
    assert await lab.find(kinds.INFERENCE_SET, "stuck") is not None
    await lab.until(lambda: lab.events("FinalizerTimeout"), 5, "the event says so")
    await lab.patch(kinds.INFERENCE_SET, "stuck", {"metadata": {"finalizers": None}})


BEATS = {("patch", "leases"), ("patch", "inferenceproviderconfigs/status")}
"""What a controller sends for as long as it lives."""


async def quiet(lab: Any, *, writes: bool = True, seconds: float = 3.0) -> None:
    """Wait until no controller has written, or asked for anything, for so long: words of a status wait for two."""
    loop = asyncio.get_running_loop()
    count, since = -1, loop.time()
    start = datetime(2000, 1, 1, tzinfo=UTC)

    def settled() -> bool:
        nonlocal count, since
        found = sum(request not in BEATS for request in lab.requests(start, writes=writes))
        if found != count:
            count, since = found, loop.time()
        return loop.time() - since > seconds

    await lab.until(settled, 30, "nothing is written any more")
