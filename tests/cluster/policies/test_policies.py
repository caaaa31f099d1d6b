"""Policies in a real controller: what they refuse is not made, what runs goes on, and a cap holds for everybody."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from kubeairunway.objects.resources import Resource

MD = Resource("kubeairunway.ai", "v1alpha1", "ModelDeployment", "modeldeployments")
DEPLOYMENT = Resource("apps", "v1", "Deployment", "deployments")


async def test_a_refusal_names_the_policy_and_nothing_is_created(court: Any) -> None:
    await court.deploy("evil", model={"id": "evil/model"})
    status = await court.condition("evil", "Admitted", "PolicyRefused")
    text = "spec.model.id: policy allowed-models: model 'evil/model' may not run here; allowed are: org/*"
    assert (status["row"]["status"], status["row"]["message"]) == ("False", text)
    assert (status["phase"], status["message"]) == ("Pending", text)
    assert await court.rendered("evil") is None
    await court.patch("evil", model={"id": "org/model"})
    status = await court.condition("evil", "Ready", "DeploymentReady")
    assert status["provider"]["gpus"] == 1
    assert [row for row in status["conditions"] if row["type"] == "Admitted"] == []


async def test_a_refused_change_leaves_what_runs(court: Any) -> None:
    await court.deploy("model")
    await court.condition("model", "Ready", "DeploymentReady")
    await court.patch("model", model={"id": "evil/model"})
    status = await court.condition("model", "Stalled", "PolicyRefused")
    assert status["phase"] == "Running"
    assert status["observedGeneration"] == 2
    assert await court.rendered("model") == "1"
    await court.patch("model", model={"id": "org/model"})
    await court.condition("model", "Ready", "DeploymentReady")


async def test_kubectl_scale_is_a_change(court: Any) -> None:
    await court.deploy("model", 4)
    await court.condition("model", "Ready", "DeploymentReady")
    words = ("scale", "md", "model", "-n", court.namespace)
    kubectl = court.house.plane.kubectl
    await asyncio.to_thread(lambda: kubectl(*words, "--replicas=3"))
    status = await court.condition("model", "Admitted", "PolicyRefused")
    assert status["row"]["message"].endswith(
        f"policy gpu-quota: 12 GPUs are too many: namespace {court.namespace} may hold 10, and 10 of them are left"
    )
    assert (await court.rendered("model"), status["provider"]["gpus"], status["phase"]) == ("1", 4, "Running")
    await asyncio.to_thread(lambda: kubectl(*words, "--replicas=2"))
    status = await court.condition("model", "Ready", "DeploymentReady")
    await court.until(lambda: _holds(court, "model", 8), "the new number is on record")
    assert await court.rendered("model") == "2"


async def _holds(court: Any, name: str, gpus: int) -> bool:
    obj = await court.find(MD, name)
    return bool(obj["status"]["provider"].get("gpus") == gpus)


def find_running(reasons: dict[str, str]) -> list[str]:
    return sorted(name for name, reason in reasons.items() if reason == "DeploymentReady")


async def test_twenty_at_once_never_hold_more_than_the_cap(court: Any) -> None:
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, len(await court.list_all(DEPLOYMENT)))

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(court.deploy(f"m{number}", 3) for number in range(20)))
    running = find_running(await court.settled(20))
    assert len(running) == 3
    # What is freed goes to the next, by itself.
    await court.delete(running[0])
    more = await court.until(lambda: _running(court, but=running), "the next one runs", 5)
    assert len(more) == 1
    # So does what a peer gives back by shrinking, to one that asks for no more than that.
    await court.deploy("small", 2)
    await court.condition("small", "Admitted", "PolicyRefused")
    watching.cancel()
    assert most == 3
    await court.patch(running[1], resources={"gpu": {"count": 2}})
    await court.condition("small", "Ready", "DeploymentReady", 5)
    assert len(await court.list_all(DEPLOYMENT)) == 4


async def _running(court: Any, but: list[str]) -> list[str]:
    objects = await court.list_all(DEPLOYMENT)
    return [obj["metadata"]["name"] for obj in objects if obj["metadata"]["name"] not in but]


@pytest.mark.parametrize(
    ("mood", "words"),
    [
        ("raise", r"RuntimeError: in a bad mood \(moods.py:"),
        ("nonsense", "returned None; return an iterable of Problem"),
        # Events that come at once are one, with the last message: of the call that hangs, or of one that waits for it.
        ("hang", "has not returned after 2 s|waits for an earlier call: admit for"),
    ],
)
async def test_a_policy_that_fails_blocks_changes_and_spares_what_runs(moody: Any, mood: str, words: str) -> None:
    await moody.deploy("model")
    await moody.condition("model", "Ready", "DeploymentReady")
    await moody.deploy("leaves")
    await moody.condition("leaves", "Ready", "DeploymentReady")
    moody.house.mood.write_text(mood)
    before = moody.house.controller.metric("kubeairunway_hook_errors_total", 'provider="moods"', 'hook="admit"')
    await moody.patch("model", scaling={"replicas": 2})
    await moody.deploy("new")
    for name, phase in (("model", "Running"), ("new", "Pending")):
        status = await moody.condition(name, "Stalled", "PolicyError")
        assert "policy moods: " in status["row"]["message"]
        assert status["phase"] == phase
    told = "".join(await moody.until(lambda: moody.events("PolicyError"), "an event"))
    assert re.search(f"its admit hook failed: ({words})", told)
    assert moody.house.controller.metric("kubeairunway_hook_errors_total", 'provider="moods"', 'hook="admit"') > before
    assert (await moody.rendered("model"), await moody.rendered("new")) == ("1", None)
    await moody.delete("leaves")
    await moody.until(lambda: _is_gone(moody, "leaves"), "a deletion is never held up", 5)
    moody.house.mood.write_text("")
    for name in ("model", "new"):
        await moody.condition(name, "Ready", "DeploymentReady", 15)
    assert await moody.rendered("model") == "2"


async def _is_gone(court: Any, name: str) -> bool:
    return await court.find(MD, name) is None


async def test_a_policy_that_cannot_be_loaded_blocks_changes_and_spares_what_runs(court: Any, lay: Any) -> None:
    await court.deploy("model")
    await court.deploy("leaves")
    await court.settled()
    lay("late", "raise RuntimeError('no such luck')\n")
    court.house.restart()
    await court.ready()
    await court.deploy("new")
    status = await court.condition("new", "Admitted", "PolicyNotLoaded")
    text = "policy late: it cannot be asked: Failed: import: RuntimeError: no such luck"
    assert text in status["row"]["message"]
    assert court.house.controller.metric("kubeairunway_policies", 'state="Failed"') == 1
    obj = await court.find(MD, "model")
    assert obj["status"]["phase"] == "Running"
    await court.condition("model", "Ready", "DeploymentReady")
    await court.patch("model", scaling={"replicas": 2})
    await court.condition("model", "Stalled", "PolicyNotLoaded")
    assert (await court.rendered("model"), await court.rendered("new")) == ("1", None)
    await court.delete("leaves")
    await court.until(lambda: _is_gone(court, "leaves"), "a deletion is never held up", 5)
    court.house.restart("--disable-policies", "late")
    await court.ready()
    await court.condition("new", "Ready", "DeploymentReady")
    await court.until(lambda: _renders(court, "model", "2"), "the change is made")


async def _renders(court: Any, name: str, replicas: str) -> bool:
    return bool(await court.rendered(name) == replicas)


async def test_what_runs_is_not_judged_again_when_the_rules_become_stricter(court: Any) -> None:
    await court.deploy("model", 8)
    await court.condition("model", "Ready", "DeploymentReady")
    before = await court.find(MD, "model")
    court.house.restart(settings={"allowed-models": {"models": ["other/*"]}, "gpu-quota": {"default": 1}}, kill=True)
    try:
        await court.ready()
        await court.deploy("new", model={"id": "other/model"})
        await court.condition("new", "Admitted", "PolicyRefused")  # every deployment has had its pass by then
        after = await court.find(MD, "model")
        assert (after["status"], after["metadata"]["resourceVersion"]) == (
            before["status"],
            before["metadata"]["resourceVersion"],
        )
        await court.patch("model", scaling={"replicas": 2})
        status = await court.condition("model", "Admitted", "PolicyRefused")
        assert "policy allowed-models" in status["row"]["message"]
        assert "policy gpu-quota" in status["row"]["message"]
        assert await court.rendered("model") == "1"
    finally:
        court.house.restart()
        await court.ready()
    await court.condition("new", "Admitted", "PolicyRefused")


async def test_what_was_held_before_a_restart_is_held_after_it(court: Any) -> None:
    await court.deploy("holds", 8)
    await court.condition("holds", "Ready", "DeploymentReady")
    await court.patch("holds", resources={"gpu": {"count": 16}})
    await court.condition("holds", "Admitted", "PolicyRefused")
    court.house.restart(kill=True)
    await asyncio.gather(*(court.deploy(f"m{number}", 2) for number in range(6)))
    await court.ready()
    assert len(find_running(await court.settled(7))) == 1
    await court.delete("holds")
    await court.until(lambda: _count(court, 5), "four more run", 10)
    assert len(find_running(await court.settled())) == 5


async def _count(court: Any, number: int) -> bool:
    return len(await court.list_all(DEPLOYMENT)) == number


async def test_explain_counts_what_the_cluster_has_already(court: Any) -> None:
    await court.deploy("holds", 8)
    await court.condition("holds", "Ready", "DeploymentReady")
    code, text = await asyncio.to_thread(court.explain, "next", 3)
    assert code == 1
    assert "policy gpu-quota: 3 GPUs are too many" in text
    assert "may hold 10, and 2 of them are left" in text
    assert (await asyncio.to_thread(court.explain, "next", 2))[0] == 0
    assert (await asyncio.to_thread(court.explain, "holds", 10))[0] == 0  # it would take the place of its own
    code, text = await asyncio.to_thread(court.explain, "holds", 12, "--diff")
    assert code == 1
    assert "policy gpu-quota: 12 GPUs are too many" in text
