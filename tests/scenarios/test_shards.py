"""Several controllers that share the work by provider, and those that only keep a provider's config."""

from __future__ import annotations

import re
from typing import Any


async def test_a_shard_works_for_its_provider_and_the_core_for_the_rest(stage: Any) -> None:
    async with stage.controller(only=frozenset({"core"})):
        await stage.settle()
        assert stage.api.get("inferenceproviderconfigs", "acme", "") is None
        await stage.deploy("stray", provider={"name": "nobody"})
        await stage.until(
            lambda: stage.condition("ProviderSelected", "stray")[1] == "UnknownProvider", "the core says so"
        )
        async with stage.controller(only=frozenset({"provider:acme"})):
            await stage.deploy()
            await stage.until(lambda: stage.phase() == "Deploying", "the shard deploys")
            config = stage.api.get("inferenceproviderconfigs", "acme", "")
            assert config["status"]["ready"] is True
            await stage.settle()
    creates = [call for call in stage.api.writes if (call.method, call.plural) == ("POST", "modelservers")]
    assert len(creates) == 1


def figures(operator: Any) -> set[str]:
    return set(re.findall(r'deployment_phase{name="(.*?)"', operator.telemetry.render().decode()))


async def test_each_deployment_is_counted_by_the_process_that_works_for_it(stage: Any) -> None:
    async with (
        stage.controller(only=frozenset({"core"})) as core,
        stage.controller(only=frozenset({"provider:acme"})) as shard,
        stage.controller(only=frozenset({"provider:acme"}), leader_elect=True) as follower,
    ):
        await stage.deploy()
        await stage.deploy("stray", provider={"name": "nobody"})
        await stage.until(lambda: stage.phase() == "Deploying", "the shard deploys")
        await stage.until(lambda: figures(shard) == {"one"}, "the shard counts its own")
        await stage.until(lambda: figures(core) == {"stray"}, "the core counts the rest")
        assert figures(follower) == set()


async def test_names_that_users_make_up_are_no_series(stage: Any) -> None:
    async with stage.controller() as operator:
        await stage.deploy("stray", provider={"name": "made-up"})
        await stage.until(lambda: stage.condition("ProviderSelected", "stray")[0] == "False", "it is refused")
        await stage.settle()
        assert "made-up" not in operator.telemetry.render().decode()


async def test_the_config_of_a_provider_is_kept_and_the_administrators_part_left_alone(stage: Any) -> None:
    async with stage.controller():
        await stage.until(lambda: stage.api.get("inferenceproviderconfigs", "acme", ""), "the config is made")
        await stage.settle()
        writes = len(stage.api.writes)
        await stage.api.change("inferenceproviderconfigs", "acme", {"spec": {"disabled": True}}, namespace="")
        await stage.until(lambda: len(stage.api.writes) > writes, "the status follows")
        config = stage.api.get("inferenceproviderconfigs", "acme", "")
        assert config["spec"] == {"disabled": True}
        assert config["status"]["declared"]["kinds"][0]["name"] == "ModelServer"


async def test_a_deleted_config_is_made_again(stage: Any) -> None:
    async with stage.controller():
        await stage.until(lambda: stage.api.get("inferenceproviderconfigs", "acme", ""), "the config is made")
        await stage.settle()
        await stage.api.remove("inferenceproviderconfigs", "acme", namespace="")
        await stage.until(
            lambda: (stage.api.get("inferenceproviderconfigs", "acme", "") or {}).get("status"), "it is there again"
        )


async def test_heartbeats_are_one_status_write_each(stage: Any) -> None:
    async with stage.controller(heartbeat=1.2, heartbeat_expiry=300.0):
        await stage.until(lambda: stage.api.get("inferenceproviderconfigs", "acme", ""), "the config is made")
        await stage.settle()
        writes = len(stage.api.writes)
        await stage.until(lambda: len(stage.api.writes) >= writes + 2, "two beats")
    beats = {(call.method, call.plural, call.subresource) for call in stage.api.writes[writes:]}
    assert beats == {("PATCH", "inferenceproviderconfigs", "status")}


async def test_a_kind_that_goes_away_takes_its_provider_out_and_back_in(stage: Any) -> None:
    async with stage.controller():
        await stage.until(lambda: stage.api.get("inferenceproviderconfigs", "acme", ""), "the config is made")
        kind = stage.api.served.pop("modelservers")
        crd = {"metadata": {"name": "modelservers.serving.acme.dev"}}
        await stage.api.put("customresourcedefinitions", crd, namespace="")
        await stage.until(
            lambda: stage.api.get("inferenceproviderconfigs", "acme", "")["status"]["ready"] is False, "it is not ready"
        )
        await stage.deploy()
        await stage.until(lambda: stage.condition("ProviderSelected")[0] == "False", "nobody can run it")
        stage.api.served["modelservers"] = kind
        await stage.api.change("customresourcedefinitions", crd["metadata"]["name"], {"x": 1}, namespace="")
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
