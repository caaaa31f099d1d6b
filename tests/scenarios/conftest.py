"""The whole controller over a stand-in API server in memory, with the example provider of the contract tests."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.plugin import Provider, hookimpl
from kubeairunway.plugin.registry import load_registry
from kubeairunway.runtime.operator import Operator
from kubeairunway.runtime.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from kubeairunway.plugin.registry import Registry

HERE = Path(__file__).parent
SECONDS = 10.0
"""How long anything may take here; nothing waits for a real network."""


def load_module(name: str, path: Path) -> ModuleType:
    """Load a file: in importlib mode tests are no packages that import each other."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


STANDIN: Any = load_module("runtime_standin", HERE.parent / "core" / "runtime" / "standin.py")


class Stage:
    """A cluster in memory and the controllers that work on it."""

    def __init__(self, registry: Registry) -> None:
        served = STANDIN.Served
        self.api = STANDIN.StandIn(
            served("kubeairunway.ai", "v1alpha1", "ModelDeployment", "modeldeployments"),
            served(
                "kubeairunway.ai", "v1alpha1", "InferenceProviderConfig", "inferenceproviderconfigs", namespaced=False
            ),
            served("serving.acme.dev", "v1", "ModelServer", "modelservers"),
            served("", "v1", "Service", "services"),
            served("", "v1", "Event", "events"),
            served(
                "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
            ),
        )
        self.registry = registry

    @asynccontextmanager
    async def controller(self, **settings: Any) -> AsyncIterator[Operator]:
        """A running controller; it is stopped in good order, or left for dead if the API server is."""
        chosen = {"leader_elect": False, "bind_host": "127.0.0.1", "bind_port": 0, "workers": 2, **settings}
        operator = Operator(Settings(**chosen), self.registry, self.api)
        stop = asyncio.Event()
        task = asyncio.create_task(operator.run(stop))
        try:
            await self.until(lambda: not operator.missing() or self.api.dead.is_set(), "the controller is ready")
            yield operator
        finally:
            stop.set()
            assert await asyncio.wait_for(task, SECONDS) == 0

    def revive(self) -> None:
        """Let the API server answer again, to whoever comes next."""
        self.api.die_after = None
        self.api.dead.clear()

    async def deploy(self, name: str = "one", **spec: Any) -> Any:
        body = {
            "metadata": {"name": name},
            "spec": {
                "model": {"id": "acme/m", "source": "huggingface"},
                "resources": {"gpu": {"count": 2, "type": "nvidia.com/gpu"}},
                "scaling": {"replicas": 1},
                **spec,
            },
            "status": {"observedGeneration": -1},
        }
        return await self.api.put("modeldeployments", body)

    async def serve(self, name: str = "one") -> None:
        """Do what Acme's operator would: report that the present generation serves."""
        server = self.api.get("modelservers", name)
        status = {"phase": "Serving", "observedGeneration": server["metadata"]["generation"], "ready": 1}
        await self.api.change("modelservers", name, {"status": status})

    def phase(self, name: str = "one") -> str:
        deployment = self.api.get("modeldeployments", name) or {}
        return str((deployment.get("status") or {}).get("phase", ""))

    def condition(self, kind: str, name: str = "one") -> tuple[str, str]:
        deployment = self.api.get("modeldeployments", name) or {}
        rows = (deployment.get("status") or {}).get("conditions") or ()
        return next(((row["status"], row["reason"]) for row in rows if row["type"] == kind), ("", ""))

    async def until(self, holds: Callable[[], Any], what: str, seconds: float = SECONDS) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not holds():  # noqa: ASYNC110 - any condition at all
                    await asyncio.sleep(0.005)
        except TimeoutError:
            pytest.fail(f"not within {seconds} s: {what}; calls: {self.api.calls[-12:]}")

    async def settle(self) -> None:
        """Wait until nothing was asked for half a second."""
        count, since = -1, asyncio.get_running_loop().time()

        def quiet() -> bool:
            nonlocal count, since
            if len(self.api.calls) != count:
                count, since = len(self.api.calls), asyncio.get_running_loop().time()
            return asyncio.get_running_loop().time() - since > 0.5

        await self.until(quiet, "nothing happens any more")


@pytest.fixture(scope="session")
def acme_module() -> ModuleType:
    return load_module("acme_of_scenarios", HERE.parent / "contract" / "acme" / "src" / "acme.py")


@pytest.fixture(scope="session")
def acme_registry(acme_module: ModuleType) -> Iterator[Registry]:
    registry = load_registry(modules={"acme": acme_module})
    assert "acme" in registry.providers
    yield registry
    registry.close()


@pytest.fixture
def make_rivals(acme_module: Any) -> Iterator[Callable[..., Registry]]:
    """Loads Acme's provider and another one, "aaa", that takes Acme's kind in versions of its own, or as a child."""
    made: list[Registry] = []

    def make(*, versions: tuple[str, ...] = ("v1",), children: bool = False) -> Registry:
        declared: Provider = acme_module.provider()
        newer, others = replace(declared.kinds[0], versions=versions), declared.kinds[1:]
        kinds = others if children else (newer, *others)
        rival = replace(declared, name="aaa", kinds=kinds, children=(newer,) if children else ())
        module = ModuleType("aaa")
        vars(module)["provider"] = hookimpl(specname="provider")(lambda: rival)
        for hook in ("select", "render", "status"):
            vars(module)[hook] = getattr(acme_module, hook)
        made.append(load_registry(modules={"acme": acme_module, "aaa": module}))
        assert sorted(made[-1].providers) == ["aaa", "acme"]
        return made[-1]

    yield make
    for registry in made:
        registry.close()


@pytest.fixture
def make_stage() -> type[Stage]:
    """Makes stages with other providers than Acme's alone."""
    return Stage


@pytest.fixture
def stage(acme_registry: Registry) -> Stage:
    return Stage(acme_registry)
