"""What provider configs say when the cluster keeps something from us."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubeairunway.objects.times import format_time
from kubeairunway.runtime import served
from kubeairunway.runtime.heartbeat import ConfigKeeper
from kubeairunway.runtime.operator import Operator
from kubeairunway.runtime.settings import Settings

LATE = "CRDs may not be watched"


def config(stage: Any, name: str = "acme") -> Any:
    return (stage.api.get("inferenceproviderconfigs", name, "") or {}).get("status") or {}


def message(stage: Any, kind: str) -> str:
    rows = config(stage).get("conditions") or ()
    return next((row["message"] for row in rows if row["type"] == kind), "")


async def test_a_config_says_so_while_crds_may_not_be_watched(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "REREAD_SECONDS", 0.1)
    stage.api.refuse["GET", "customresourcedefinitions"] = 403, "Forbidden"
    async with stage.controller():
        await stage.until(lambda: LATE in message(stage, "KindsServed"), "the condition says so")
        assert config(stage)["ready"] is True
        kind = stage.api.served.pop("modelservers")
        await stage.until(lambda: not config(stage)["ready"], "a kind that went is missed all the same")
        assert LATE in message(stage, "KindsServed")
        assert "does not serve ModelServer" in message(stage, "KindsServed")
        stage.api.served["modelservers"] = kind
        await stage.until(lambda: config(stage)["ready"], "it is back")
        del stage.api.refuse["GET", "customresourcedefinitions"]
        await stage.until(lambda: LATE not in message(stage, "KindsServed"), "with the right the words go")


async def test_a_config_that_is_refused_leaves_the_others_their_heartbeats(make_stage: Any, make_rivals: Any) -> None:
    stage = make_stage(make_rivals())
    stage.api.refuse["PATCH", "inferenceproviderconfigs", "aaa"] = 422, "Invalid"
    async with stage.controller():
        await stage.until(lambda: config(stage).get("ready"), "the other one is kept")
        await stage.deploy()
        await stage.until(lambda: stage.phase() == "Deploying", "and works")
        del stage.api.refuse["PATCH", "inferenceproviderconfigs", "aaa"]
        await stage.until(lambda: config(stage, "aaa").get("ready"), "the first one is tried again")


@pytest.mark.parametrize(("expiry", "counts"), [(300.0, True), (60.0, False)], ids=["young enough", "too old"])
async def test_a_heartbeat_of_another_shard_counts_as_long_as_the_settings_say(
    stage: Any,
    expiry: float,
    counts: bool,  # noqa: FBT001 - the expected verdict
) -> None:
    beat = format_time(datetime.now(UTC) - timedelta(seconds=100))
    status = {"lastHeartbeat": beat, "ready": True}
    await stage.api.put("inferenceproviderconfigs", {"metadata": {"name": "acme"}, "status": status}, namespace="")
    async with stage.controller(only=frozenset({"core"}), heartbeat_expiry=expiry):
        await stage.deploy()
        await stage.deploy("stray", provider={"name": "nobody"})
        await stage.until(lambda: stage.condition("ProviderSelected", "stray")[0] == "False", "the core works")
        await stage.settle()
        # A provider that is well is another shard's to run; nobody runs what no provider can.
        assert stage.condition("ProviderSelected")[0] == ("" if counts else "False")


async def test_a_bug_in_keeping_configs_ends_the_process(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unseen, it would let every provider's heartbeat expire."""
    keep = ConfigKeeper.keep_all
    calls = 0

    async def fail_later(keeper: ConfigKeeper) -> float:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise RuntimeError("a bug")
        return await keep(keeper)

    monkeypatch.setattr(ConfigKeeper, "keep_all", fail_later)
    settings = Settings(leader_elect=False, bind_host="127.0.0.1", bind_port=0)
    assert await asyncio.wait_for(Operator(settings, stage.registry, stage.api).run(asyncio.Event()), 10) == 1


async def test_a_heartbeat_that_stops_is_noticed_without_any_event(stage: Any) -> None:
    beat = format_time(datetime.now(UTC) - timedelta(seconds=100))
    status = {"lastHeartbeat": beat, "ready": True}
    await stage.api.put("inferenceproviderconfigs", {"metadata": {"name": "acme"}, "status": status}, namespace="")
    async with stage.controller(only=frozenset({"core"}), heartbeat_expiry=102.0):
        await stage.deploy()
        await stage.until(lambda: stage.condition("ProviderSelected")[0] == "False", "nobody can run it any more")
