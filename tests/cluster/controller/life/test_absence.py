"""Providers that are gone, silent or older than what runs: it serves on, says so, and goes to nobody else."""

from __future__ import annotations

import json
from typing import Any

OLDER = """
import dataclasses, importlib, sys
from kubeairunway.cli import main
from kubeairunway.plugin import hookimpl

def age(name):
    module = importlib.import_module(f"kubeairunway_{name}")
    now = module.provider()
    engines = tuple(
        dataclasses.replace(engine, carries=engine.carries - {"engine.contextLength", "engine"})
        for engine in now.engines)
    module.provider = hookimpl(lambda: dataclasses.replace(now, engines=engines))

for name in NAMES:
    age(name)
sys.exit(main())
"""
"""A controller whose provider packages are of a release that could not yet carry the context length."""


async def test_a_package_that_is_gone_after_a_restart_leaves_what_runs_and_can_be_deleted(
    life: Any, words: Any
) -> None:
    first = await life.lab.controller()
    before = {}

    async def run(case: Any) -> None:
        await life.running(case)
        before[case.name] = await life.owned(case.name)

    await life.each(run)
    assert await first.stop() == 0
    await life.lab.controller("--disable-providers", ",".join({case.provider for case in life.cases}))

    async def check(case: Any) -> None:
        absent = await life.says(case.name, "ProviderAvailable", "False", "PackageMissing")
        assert words.condition(absent, "Ready")["status"] == "Unknown"
        assert absent["status"]["phase"] == "Running"
        assert absent["status"]["provider"]["name"] == case.provider
        await life.change(case.name, {"scaling": {"replicas": 2}})
        await life.says(case.name, "ProviderAvailable", "False", "PackageMissing")
        for resource, old in before[case.name]:
            now = await life.lab.find(resource, old["metadata"]["name"])
            assert now["metadata"]["uid"] == old["metadata"]["uid"]
            assert now.get("spec") == old.get("spec")
        await life.lab.delete(life.kinds.MD, case.name)
        await life.lab.gone(life.kinds.MD, case.name, 10)  # nobody watches the kind: it is looked for every 5 s
        assert await life.lab.find(case.primary, case.name) is None

    await life.each(check)


async def test_a_package_that_is_older_than_what_runs_leaves_it_as_it_is(life: Any, words: Any) -> None:
    first = await life.lab.controller()

    async def run(case: Any) -> None:
        engine = {**case.wanted()["engine"], "contextLength": 4096}
        await life.running(case, engine=engine)

    await life.each(run)
    before = {case.name: await life.primary(case) for case in life.cases}
    assert await first.stop() == 0
    providers = sorted({case.provider for case in life.cases})
    await words.start_program(life.lab, OLDER.replace("NAMES", json.dumps(providers)))

    async def check(case: Any) -> None:
        stalled = await life.says(case.name, "Stalled", "True")
        ready = words.condition(stalled, "Ready")
        assert ready["status"] == "False"
        assert "engine.contextLength" in ready["message"]
        assert stalled["status"]["phase"] == "Running"
        assert stalled["status"]["provider"]["name"] == case.provider
        after = await life.primary(case)
        assert (after["metadata"]["uid"], after.get("spec")) == (
            before[case.name]["metadata"]["uid"],
            before[case.name].get("spec"),
        )

    await life.each(check)


async def test_a_provider_nobody_looks_after_takes_nothing_new_and_what_runs_serves_on(life: Any, words: Any) -> None:
    """Shards: one process for each provider; when those stop, their heartbeats run out."""
    beat = ("--heartbeat", "1", "--heartbeat-expiry", "4")
    core = await life.lab.controller("--only", "core", *beat)
    shards = [
        await life.lab.controller("--only", f"provider:{name}", "--lease-name", f"{life.lab.namespace}-{name}", *beat)
        for name in sorted({case.provider for case in life.cases})
    ]

    async def run(case: Any) -> None:
        await life.running(case)

    await life.each(run)
    before = {case.name: await life.primary(case) for case in life.cases}
    for shard in shards:
        assert await shard.stop() == 0

    async def check(case: Any) -> None:
        async def expired() -> bool:
            config = await life.lab.find(life.kinds.CONFIG, case.provider)
            return bool(words.condition(config, "Ready").get("reason") == "HeartbeatExpired")

        await life.lab.until(expired, 10, f"{case.provider}'s config says so")
        unpinned = {key: value for key, value in case.wanted()["provider"].items() if key != "name"}
        await life.deploy(case, f"{case.name}-new", provider=unpinned)
        waiting = await life.says(f"{case.name}-new", "Reconciling", "True")
        assert await life.lab.find(case.primary, f"{case.name}-new") is None
        assert "has looked after provider" in words.condition(waiting, "Ready")["message"]
        assert (await life.primary(case))["metadata"]["uid"] == before[case.name]["metadata"]["uid"]

    await life.each(check)
    assert core.alive


async def test_rules_that_an_administrator_edits_adds_and_removes_move_nothing_that_runs(alive: Any) -> None:
    async def configure(provider: str, spec: Any) -> None:
        await alive.lab.patch(alive.kinds.CONFIG, provider, {"spec": spec})

    cases = tuple({case.provider: case for case in reversed(alive.cases)}.values())
    try:

        async def choose(case: Any) -> None:
            await alive.lab.until(lambda: alive.lab.find(alive.kinds.CONFIG, case.provider), 10, "it has its config")
            rule = {"name": "mine", "condition": f"spec.model.id == '{model_for(case)}'", "priority": 100}
            await configure(case.provider, {"autoSelect": True, "selectionRules": [rule]})
            unpinned = {key: value for key, value in case.wanted()["provider"].items() if key != "name"}
            model = {"id": model_for(case)}
            await alive.deploy(case, provider=unpinned, model=model)
            ready = await alive.ready(case.name)
            assert ready["status"]["provider"]["name"] == case.provider
            assert ready["status"]["selection"]["reason"]

        await alive.each(choose, cases=cases)
        before = {case.name: await alive.primary(case) for case in cases}
        rival = {"name": "all", "condition": "true", "priority": 100}
        await configure("vllm", {"selectionRules": [rival]})
        for name in sorted({case.provider for case in cases} - {"vllm"}):
            await configure(name, {"selectionRules": [{"name": "mine", "condition": "false", "priority": 1}]})
            await configure(name, {"selectionRules": []})

        async def check(case: Any) -> None:
            await alive.change(case.name, {"scaling": {"replicas": 1}, "engine": case.wanted()["engine"]})
            kept = await alive.ready(case.name)
            assert kept["status"]["provider"]["name"] == case.provider
            assert (await alive.primary(case))["metadata"]["uid"] == before[case.name]["metadata"]["uid"]

        await alive.each(check, cases=cases)
    finally:
        for name in sorted({case.provider for case in alive.cases}):
            await configure(name, {"autoSelect": None, "selectionRules": []})


def model_for(case: Any) -> str:
    """A model that only this case's rule names."""
    return str(case.wanted()["model"]["id"].replace("Qwen3", f"{case.provider}3"))
