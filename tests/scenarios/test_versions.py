"""Two providers that declare one kind, each in a version of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kubeairunway.plugin.registry import Registry


@pytest.fixture(params=[False, True], ids=["rendered by both", "a child of the other"])
def both(request: pytest.FixtureRequest, make_rivals: Any) -> Registry:
    registry: Registry = make_rivals(versions=("v2", "v1"), children=request.param)
    return registry


async def test_an_object_is_its_providers_whatever_version_another_one_reads(make_stage: Any, both: Registry) -> None:
    stage = make_stage(both)
    served = stage.api.served["modelservers"]
    stage.api.versions = [replace(served, version="v2")]
    async with stage.controller():
        await stage.deploy(provider={"name": "acme"})
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
        await stage.serve()
        await stage.until(lambda: stage.phase() == "Running", "it runs")
        await stage.settle()
        writes = len(stage.api.writes)
        # The version that only the other provider takes goes away, so both use one, and its watch has to serve both.
        stage.api.versions = []
        crd = {"metadata": {"name": "modelservers.serving.acme.dev"}}
        await stage.api.put("customresourcedefinitions", crd, namespace="")
        await stage.settle()
        await stage.api.change("modelservers", "one", {"spec": {"replicas": 5}})
        await stage.until(lambda: stage.api.get("modelservers", "one")["spec"]["replicas"] == 1, "drift is undone")
        rival = stage.api.get("inferenceproviderconfigs", "aaa", "")["status"]
        assert rival["upstream"]["kinds"][0]["version"] == "v1"
    assert not [call for call in stage.api.calls if call.method == "DELETE"]
    assert [call.plural for call in stage.api.writes[:writes] if call.method == "POST"].count("modelservers") == 1


async def test_an_edited_label_does_not_make_an_object_somebody_elses(make_stage: Any, both: Registry) -> None:
    stage = make_stage(both)
    stage.api.versions = [replace(stage.api.served["modelservers"], version="v2")]
    async with stage.controller():
        await stage.deploy(provider={"name": "acme"})
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
        for label in ("nobody", None):
            await stage.api.change("modelservers", "one", {"metadata": {"labels": {"kubeairunway.ai/provider": label}}})
            await stage.until(
                lambda: (
                    stage.api.get("modelservers", "one")["metadata"]["labels"].get("kubeairunway.ai/provider") == "acme"
                ),
                "the label is put back",
            )
    assert not [call for call in stage.api.calls if call.method == "DELETE"]
