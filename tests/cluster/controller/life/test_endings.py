"""Pauses and ends: whatever is missing by then, a deletion comes to its end and leaves nothing of ours."""

from __future__ import annotations

import asyncio
from typing import Any


async def test_a_pause_holds_and_what_changed_meanwhile_follows(alive: Any, words: Any) -> None:
    async def check(case: Any) -> None:
        await alive.running(case)
        patch, path, value = case.in_place
        await alive.annotate(case.name, "true")
        paused = await alive.says(case.name, "Paused", "True")
        before = await alive.primary(case)
        await alive.change(case.name, patch)
        held = await alive.get(case.name)
        await asyncio.sleep(1)  # the thing under test is that nothing happens in this time
        assert (await alive.primary(case))["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        assert held["status"]["observedGeneration"] == paused["status"]["observedGeneration"]
        await alive.annotate(case.name, None)
        await alive.ready(case.name)
        assert words.has(await alive.primary(case), path, value)

    await alive.each(check, cases=tuple(case for case in alive.cases if case.in_place))


async def test_a_paused_deployment_is_deleted_within_three_seconds(alive: Any) -> None:
    async def check(case: Any) -> None:
        await alive.running(case)
        await alive.annotate(case.name, "true")
        await alive.says(case.name, "Paused", "True")
        await delete(alive, case, 3)

    await alive.each(check)


async def test_the_same_name_again_at_once_is_another_deployment(alive: Any) -> None:
    async def check(case: Any) -> None:
        first = await alive.running(case)
        old = await alive.primary(case)
        await delete(alive, case, 3)
        await alive.deploy(case)
        second = await alive.ready(case.name, 60)  # the old Service and ConfigMap go when Kubernetes collects garbage
        new = await alive.primary(case)
        assert second["metadata"]["uid"] != first["metadata"]["uid"]
        assert new["metadata"]["uid"] != old["metadata"]["uid"]
        assert {row["uid"] for row in new["metadata"]["ownerReferences"]} == {second["metadata"]["uid"]}

    await alive.each(check)


async def test_an_upstream_finalizer_that_never_ends_holds_a_deletion_to_the_limit_and_is_counted(life: Any) -> None:
    controller = await life.lab.controller("--deletion-limit", "4")

    async def check(case: Any) -> None:
        await life.running(case)
        primary = await life.primary(case)
        held = [*(primary["metadata"].get("finalizers") or []), "example.com/never"]
        await life.lab.patch(case.primary, case.name, {"metadata": {"finalizers": held}})
        await life.lab.delete(life.kinds.MD, case.name)
        await life.lab.phase(case.name, "Terminating", 3)
        await life.lab.gone(life.kinds.MD, case.name, 10)
        left = await life.primary(case)
        assert left["metadata"]["deletionTimestamp"]
        await life.lab.patch(case.primary, case.name, {"metadata": {"finalizers": None}})
        await life.lab.gone(case.primary, case.name, 10)

    await life.each(check)
    told = {event["involvedObject"]["name"] for event in await life.lab.events("FinalizerTimeout")}
    assert told == {case.name for case in life.cases}
    assert controller.metric("kubeairunway_finalizer_timeouts_total") == len(life.cases)


async def test_an_operator_that_is_gone_harms_nothing_that_runs_and_holds_no_deletion(alive: Any, words: Any) -> None:
    cases = tuple(case for case in alive.cases if case.provider in words.STANDINS)

    async def run(case: Any) -> None:
        await alive.running(case)

    await alive.each(run, cases=cases)
    await scale_operators(alive, words, 0)
    try:

        async def check(case: Any) -> None:
            async def noticed() -> bool:
                config = await alive.lab.find(alive.kinds.CONFIG, case.provider)
                return bool(words.condition(config, "Ready").get("reason") == "OperatorNotReady")

            await alive.lab.until(noticed, 10, f"{case.provider}'s config says so")
            kept = await alive.get(case.name)
            assert (kept["status"]["phase"], words.condition(kept, "Ready")["status"]) == ("Running", "True")
            await delete(alive, case, 3)

        await alive.each(check, cases=cases)
    finally:
        await scale_operators(alive, words, 1)

    async def back(case: Any) -> None:
        await alive.running(case)

    await alive.each(back, cases=cases)


async def scale_operators(life: Any, words: Any, replicas: int) -> None:
    """Have so many pods of each operator."""
    for namespace, name in words.STANDINS.values():
        command = ("-n", namespace, "scale", f"deployment/{name}", f"--replicas={replicas}")
        await asyncio.to_thread(life.lab.plane.kubectl, *command)


async def test_a_namespace_goes_with_all_that_is_in_it(alive: Any) -> None:
    async def run(case: Any) -> None:
        await alive.running(case)

    await alive.each(run)
    await asyncio.to_thread(alive.lab.plane.kubectl, "delete", "namespace", alive.lab.namespace, "--wait=false")

    async def check(case: Any) -> None:
        await alive.lab.gone(alive.kinds.MD, case.name, 15)
        await alive.lab.gone(case.primary, case.name, 15)

    await alive.each(check)


async def delete(life: Any, case: Any, seconds: float) -> None:
    """Delete a deployment and wait until it and its primary are gone."""
    await life.lab.delete(life.kinds.MD, case.name)
    await life.lab.gone(life.kinds.MD, case.name, seconds)
    assert await life.lab.find(case.primary, case.name) is None
