"""Deployments, providers, CRDs, Secrets and namespaces may come in any order, and go, without a restart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


async def test_a_deployment_that_waits_for_its_provider_is_applied_within_a_second(alive: Any, words: Any) -> None:
    providers = {case.provider for case in alive.cases}
    for name in providers:
        await alive.lab.until(lambda: alive.lab.find(alive.kinds.CONFIG, name), 10, f"{name} has its config")  # noqa: B023 - waited for here
        await alive.lab.patch(alive.kinds.CONFIG, name, {"spec": {"disabled": True}})
    try:

        async def wait(case: Any) -> None:
            await alive.deploy(case, secrets={"huggingFaceToken": "comes-later"})
            waiting = await alive.says(case.name, "Reconciling", "True")
            assert case.provider in words.condition(waiting, "Ready")["message"]
            assert await alive.lab.find(case.primary, case.name) is None

        await alive.each(wait)
    finally:
        for name in providers:
            await alive.lab.patch(alive.kinds.CONFIG, name, {"spec": {"disabled": False}})

    async def check(case: Any) -> None:
        await alive.lab.until(lambda: alive.lab.find(case.primary, case.name), 1, f"{case.primary.kind} is there")

    await alive.each(check)
    secret = {"stringData": {"HF_TOKEN": "x"}}
    body = alive.lab.object_of("v1", "Secret", "comes-later", secret)
    await alive.lab.client.create(words.SECRET, body)

    async def run(case: Any) -> None:
        await alive.ready(case.name)

    await alive.each(run)


@pytest.mark.slow
async def test_crds_may_come_last_go_and_come_back(
    own_lab: Callable[..., Awaitable[Any]], root: Path, kinds: Any, words: Any
) -> None:
    with ControlPlane(scheduler=False, crds=[root / "crds"]) as plane:
        lab = await own_lab(plane)
        lab.without = ""
        await lab.controller()
        life = words.Life(lab, kinds, tuple(case for case in words.installed() if "." in case.primary.group))

        async def wait(case: Any) -> None:
            await life.deploy(case)
            waiting = await life.says(case.name, "Reconciling", "True")
            assert "serve" in words.condition(waiting, "Ready")["message"]

        await life.each(wait)
        await asyncio.to_thread(plane.install_crds, [CRDS])
        words.start_standins(plane)

        async def run(case: Any) -> None:
            await lab.until(lambda: lab.find(case.primary, case.name), 10, f"{case.primary.kind} is there")
            await life.ready(case.name)

        await life.each(run)
        crds = sorted({f"{case.primary.plural}.{case.primary.group}" for case in life.cases})
        await asyncio.to_thread(plane.kubectl, "delete", "crd", *crds, "--timeout=60s")

        async def gone(case: Any) -> None:
            lost = await life.says(case.name, "ProviderAvailable", "False", seconds=20)
            assert words.condition(lost, "Ready")["status"] == "Unknown"
            assert lost["status"]["provider"]["name"] == case.provider, "nothing is re-selected"

        await life.each(gone)
        first = life.cases[0]
        await lab.delete(kinds.MD, first.name)
        await lab.gone(kinds.MD, first.name, 5)
        await asyncio.to_thread(plane.install_crds, [CRDS])
        await life.each(run, cases=life.cases[1:])


async def test_a_namespace_may_come_after_the_controller_that_looks_after_it(alive: Any) -> None:
    name = f"{alive.lab.namespace}-late"
    first = alive.lab.namespace
    alive.lab.namespace = name
    try:
        await alive.lab.controller("--lease-name", name)
        await alive.lab.open()

        async def run(case: Any) -> None:
            await alive.running(case)

        await alive.each(run)
        await alive.lab.delete_all(alive.kinds.MD)
    finally:
        alive.lab.namespace = first
