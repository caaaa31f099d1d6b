"""Two providers that declare one kind, each in a version of its own."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.plugin import Provider, hookimpl
from kubeairunway.plugin.registry import load_registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeairunway.plugin.registry import Registry


def make_rival(acme: Any, *, children: bool = False) -> ModuleType:
    """A provider whose name comes first and that knows Acme's kind in v2, v1 if it must; as its own or as a child."""
    declared: Provider = acme.provider()
    newer = replace(declared.kinds[0], versions=("v2", "v1"))
    others = declared.kinds[1:]
    rival = (
        replace(declared, name="aaa", kinds=others, children=(newer,))
        if children
        else replace(declared, name="aaa", kinds=(newer, *others))
    )
    module = ModuleType("aaa")
    vars(module)["provider"] = hookimpl(specname="provider")(lambda: rival)
    for hook in ("select", "render", "status"):
        vars(module)[hook] = getattr(acme, hook)
    return module


@pytest.fixture(params=[False, True], ids=["rendered by both", "a child of the other"])
def both(request: pytest.FixtureRequest, acme_module: Any) -> Iterator[Registry]:
    registry = load_registry(modules={"acme": acme_module, "aaa": make_rival(acme_module, children=request.param)})
    assert sorted(registry.providers) == ["aaa", "acme"]
    yield registry
    registry.close()


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
