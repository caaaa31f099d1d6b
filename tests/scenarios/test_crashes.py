"""A process that dies right after any of its writes: the next one ends where an undisturbed one would."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

WRITES = 7
"""Config, its status, finalizer, ModelServer, Service, two statuses: what one deployment costs from nothing."""


def describe(stage: Any) -> dict[Any, Any]:
    """What stands in the end, without what differs from run to run."""
    found: dict[Any, Any] = {}
    for (plural, namespace, name), obj in stage.api.objects.items():
        if plural in {"modelservers", "services"}:
            annotations = obj["metadata"]["annotations"]
            found[plural, namespace, name] = (obj["spec"], sorted(annotations), obj["metadata"]["labels"])
    status = stage.api.get("modeldeployments", "one")["status"]
    rows = sorted((row["type"], row["status"], row["reason"]) for row in status["conditions"])
    found["status"] = (status["phase"], status["provider"], rows)
    found["finalizers"] = stage.api.get("modeldeployments", "one")["metadata"]["finalizers"]
    return found


async def finish(stage: Any, **settings: Any) -> None:
    async with stage.controller(**settings):
        await stage.until(lambda: stage.api.get("modelservers", "one") and stage.phase() != "", "it deploys")
        await stage.settle()
        if stage.phase() != "Running":
            await stage.serve()
        await stage.until(lambda: stage.phase() == "Running", "it runs")
        await stage.settle()


@pytest.mark.parametrize("writes", range(1, WRITES + 1))
async def test_a_crash_after_any_write_converges_without_a_second_create(
    stage: Any, acme_registry: Any, writes: int
) -> None:
    undisturbed = type(stage)(acme_registry)
    await undisturbed.deploy()
    await finish(undisturbed)

    await stage.deploy()
    stage.api.die_after = writes
    async with stage.controller():
        await stage.until(
            lambda: stage.api.dead.is_set() or stage.phase() == "Deploying", "the process dies, or waits for upstream"
        )
        if not stage.api.dead.is_set():
            await stage.serve()
        await stage.until(stage.api.dead.is_set, "the process dies")
    stage.revive()
    await finish(stage)

    assert describe(stage) == describe(undisturbed)
    creates = Counter(call.plural for call in stage.api.calls if call.method == "POST" and call.status == 201)
    assert (creates["modelservers"], creates["services"]) == (1, 1)


async def test_the_writes_of_one_deployment_are_as_many_as_are_cut_here(stage: Any) -> None:
    await stage.deploy()
    await finish(stage)
    assert len(stage.api.writes) == WRITES
