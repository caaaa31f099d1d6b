"""Providers for the contract tests: the healthy example, and modules made of a few functions."""

import importlib.util
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kubeairunway.plugin import (
    Engine,
    Kind,
    Manifest,
    Observed,
    Provider,
    Rendering,
    Report,
    Request,
    Spec,
    State,
    View,
    hookimpl,
)
from kubeairunway.plugin.registry import Registry, load_registry

ACME = Path(__file__).parent / "acme"
THING = Kind(group="things.dev", name="Thing", versions=("v1",))

MakeModule = Callable[..., types.ModuleType]
Load = Callable[..., Registry]


@pytest.fixture(scope="session")
def acme() -> types.ModuleType:
    """The example provider, imported from its source."""
    spec = importlib.util.spec_from_file_location("acme", ACME / "src" / "acme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def make_module() -> MakeModule:
    """A provider module named `thing` whose hooks are replaced one by one; None leaves a hook out."""

    def make(**hooks: Any) -> types.ModuleType:
        def provider() -> Provider:
            engines = (Engine(name="vllm", carries=frozenset({"model.id"})),)
            return Provider(name="thing", contract=1, kinds=(THING,), engines=engines)

        def render(request: Request) -> Rendering:
            return Rendering(Manifest(THING, {"spec": {"model": request.spec.model.id}}))

        def status(request: Request, observed: Any) -> Report:  # noqa: ARG001 - the contract's arguments
            return Report(state=State.WAITING, generation=0)

        module = types.ModuleType("thing")
        found = {"provider": provider, "render": render, "status": status, **hooks}
        for name, function in found.items():
            if function is not None:
                setattr(module, name, hookimpl(function))
        return module

    return make


@pytest.fixture
def load(acme: types.ModuleType) -> Iterator[Load]:
    """Load modules beside the healthy example; registries end with the test."""
    made: list[Registry] = []

    def load(modules: Mapping[str, object], **arguments: Any) -> Registry:
        made.append(load_registry(modules={**modules, "acme": acme}, **arguments))
        return made[-1]

    yield load
    for registry in made:
        registry.close()


@pytest.fixture
def ask() -> Callable[..., Request]:
    """The request for a model, complete as hooks see it."""

    def ask(overrides: Any = None, **spec: Any) -> Request:
        whole = {"model": {"id": "acme/tiny", "servedName": "tiny"}, "engine": {"type": "vllm"}, **spec}
        return Request(
            name="demo", namespace="team", spec=Spec.model_validate(whole), versions={THING: "v1"}, overrides=overrides
        )

    return ask


@pytest.fixture
def still_works(acme: types.ModuleType, ask: Callable[..., Request]) -> Callable[[Registry], None]:
    """Assert that the healthy example answers every hook, whatever its neighbour did."""

    def check(registry: Registry) -> None:
        request = ask(acme.Overrides(), resources={"gpu": {"count": 3}})
        assert registry.providers["acme"].name == "acme"
        assert [problem.code for problem in registry.validate("acme", request)] == ["PowerOfTwo"]
        bid = registry.select("acme", request)
        assert bid is not None
        assert bid.priority == 80
        rendering = registry.render("acme", request)
        assert rendering.primary.body["spec"]["gpus"] == {"resource": "nvidia.com/gpu", "count": 3}
        assert [manifest.kind.name for manifest in rendering.after] == ["Service"]
        live = View({"status": {"phase": "Serving", "observedGeneration": 1, "ready": 2}})
        assert registry.status("acme", request, Observed(live)).state is State.RUNNING

    return check
