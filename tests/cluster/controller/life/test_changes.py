"""What a change of the spec does to what runs: in place, side by side, anew, or not at all."""

from __future__ import annotations

import asyncio
from typing import Any


async def test_a_change_in_place_keeps_the_object(alive: Any, words: Any) -> None:
    async def check(case: Any) -> None:
        await alive.running(case)
        before = await alive.primary(case)
        patch, path, value = case.in_place
        await alive.change(case.name, patch)
        await alive.ready(case.name)
        after = await alive.primary(case)
        assert words.has(after, path, value)
        assert after["metadata"]["uid"] == before["metadata"]["uid"]
        assert await recreations(alive, case.name) == 0

    await alive.each(check, cases=tuple(case for case in alive.cases if case.in_place))


async def test_another_model_ends_the_old_object_before_the_new_one_starts(alive: Any) -> None:
    async def check(case: Any) -> None:
        await alive.running(case)
        old = await alive.primary(case)
        model = case.wanted()["model"]["id"].replace("Qwen", "Qwex")
        await alive.change(case.name, {"model": {"id": model}})
        await alive.lab.until(lambda: is_another(alive, case, old), 5, f"another {case.primary.kind}")
        await alive.ready(case.name)
        assert await recreations(alive, case.name) == 1

    await alive.each(check)


async def test_a_path_that_upstream_cannot_change_makes_the_object_anew_and_shows_the_downtime(
    alive: Any, words: Any
) -> None:
    async def check(case: Any) -> None:
        await alive.running(case)
        for number, patch in enumerate(case.anew, start=1):
            old = await alive.primary(case)
            held = [*(old["metadata"].get("finalizers") or []), "example.com/hold"]
            await alive.lab.patch(case.primary, case.name, {"metadata": {"finalizers": held}})
            await alive.change(case.name, patch)
            down = await alive.says(case.name, "Ready", "False", "Recreating")
            assert words.condition(down, "Reconciling")["status"] == "True"
            going = await alive.primary(case)
            assert going["metadata"]["uid"] == old["metadata"]["uid"], "nothing new before the old one is gone"
            assert going["metadata"]["deletionTimestamp"]
            await drop_hold(alive, case)
            await alive.lab.until(lambda: is_another(alive, case, old), 5, f"anew for {patch}")  # noqa: B023 - waited for here
            await alive.ready(case.name)
            assert await recreations(alive, case.name) == number

    await alive.each(check, cases=tuple(case for case in alive.cases if case.anew))


async def test_a_change_that_upstream_rolls_side_by_side_is_ready_only_when_the_old_side_is_gone(alive: Any) -> None:
    async def check(case: Any) -> None:
        await alive.running(case)
        for patch in case.beside:
            old = await alive.primary(case)
            await alive.change(case.name, patch)
            await alive.says(case.name, "Ready", "False")
            ready = await alive.ready(case.name)
            new = await alive.primary(case)
            assert new["metadata"]["uid"] == old["metadata"]["uid"]
            assert new["metadata"]["generation"] > old["metadata"]["generation"]
            assert ready["status"]["replicas"]["ready"] == ready["status"]["replicas"]["desired"]
        assert await recreations(alive, case.name) == 0

    await alive.each(check, cases=tuple(case for case in alive.cases if case.beside))


async def test_what_the_provider_cannot_express_stalls_and_what_runs_serves_on(alive: Any, words: Any) -> None:
    async def check(case: Any) -> None:
        await alive.running(case)
        before = await alive.primary(case)
        await alive.change(case.name, case.refused)
        stalled = await alive.says(case.name, "Stalled", "True")
        assert stalled["status"]["phase"] == "Running"
        assert stalled["status"]["observedGeneration"] == stalled["metadata"]["generation"]
        assert words.condition(stalled, "Ready")["status"] == "False"
        after = await alive.primary(case)
        assert (after["metadata"]["uid"], after["spec" if "spec" in after else "inference"]) == (
            before["metadata"]["uid"],
            before["spec" if "spec" in before else "inference"],
        )
        await alive.change(case.name, undo(case.refused, case.wanted()))
        await alive.ready(case.name)
        assert (await alive.primary(case))["metadata"]["uid"] == before["metadata"]["uid"]

    await alive.each(check)


async def test_kubectl_scales_to_three_to_zero_and_back(alive: Any) -> None:
    async def check(case: Any) -> None:
        await alive.running(case)
        uid = (await alive.primary(case))["metadata"]["uid"]
        for replicas in (3, 0, 1):
            await asyncio.to_thread(alive.kubectl, "scale", f"md/{case.name}", f"--replicas={replicas}")
            ready = await alive.ready(case.name)
            assert ready["status"]["replicas"] == {"desired": replicas, "ready": replicas, "available": replicas}
            assert ready["status"]["phase"] == "Running"
        assert (await alive.primary(case))["metadata"]["uid"] == uid

    await alive.each(check, cases=tuple(case for case in alive.cases if case.scales))


async def is_another(life: Any, case: Any, old: Any) -> bool:
    """Whether the primary is there, and not the old one."""
    new = await life.lab.find(case.primary, case.name)
    return new is not None and new["metadata"]["uid"] != old["metadata"]["uid"]


async def drop_hold(life: Any, case: Any) -> None:
    """Let go of an object that a test held."""
    found = await life.primary(case)
    kept = [name for name in found["metadata"]["finalizers"] if name != "example.com/hold"]
    await life.lab.patch(case.primary, case.name, {"metadata": {"finalizers": kept}})


async def recreations(life: Any, name: str) -> int:
    """How often an event said that a deployment's object is made anew."""
    events = [event for event in await life.lab.events("Recreating") if event["involvedObject"]["name"] == name]
    return sum(event.get("count") or 1 for event in events)


def undo(patch: Any, base: Any) -> Any:
    """The merge patch that takes another one back."""
    return {
        key: undo(value, base[key]) if isinstance(value, dict) and isinstance(base.get(key), dict) else base.get(key)
        for key, value in patch.items()
    }
