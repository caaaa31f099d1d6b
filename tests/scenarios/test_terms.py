"""One process that leads, stands down and leads again, while others may have led between."""

from __future__ import annotations

from typing import Any


async def test_a_new_term_begins_with_no_memory_and_writes_nothing_that_stands(stage: Any) -> None:
    async with stage.controller() as operator:
        for name in ("one", "two"):
            await stage.deploy(name)
            await stage.until(lambda name=name: stage.phase(name) == "Deploying", "it deploys")
        await stage.settle()
        assert set(operator._controller._states) == {("ns", "one"), ("ns", "two")}
        await operator._stand_down()
        finalizers = {"metadata": {"finalizers": None}}
        await stage.api.change("modeldeployments", "two", finalizers)
        await stage.api.remove("modeldeployments", "two")
        await stage.settle()
        writes = len(stage.api.writes)
        await operator._lead()
        await stage.until(lambda: set(operator._controller._states) == {("ns", "one")}, "what is gone is forgotten")
        await stage.settle()
        assert stage.api.writes[writes:] == []
        await stage.serve()
        await stage.until(lambda: stage.phase() == "Running", "and it works again")


async def test_a_process_that_stood_down_writes_nothing(stage: Any) -> None:
    async with stage.controller() as operator:
        await stage.deploy()
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
        await stage.settle()
        await operator._stand_down()
        writes = len(stage.api.writes)
        await stage.api.change("modelservers", "one", {"spec": {"replicas": 7}})
        await stage.deploy("two")
        await stage.settle()
        assert stage.api.writes[writes:] == []
