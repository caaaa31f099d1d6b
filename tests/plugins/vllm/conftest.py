"""Requests and live objects for the tests of the vLLM provider, made by hand: no registry, no cluster."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import kubeairunway_vllm
from kubeairunway.plugin import Manifest, Problem, Request, Spec
from kubeairunway_vllm.catalog import Overrides, Settings, provider

BASE = {"model": {"id": "org/model"}, "engine": {"type": "vllm"}, "resources": {"gpu": {"count": 1}}}

Maker = Callable[..., Request]


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the change's leaves over it."""
    merged = copy.deepcopy(dict(base))
    for key, value in change.items():
        below = merged.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(below, value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def make_request(
    change: Mapping[str, Any] | None = None,
    *,
    name: str = "demo",
    overrides: Overrides | None = None,
    settings: Settings | None = None,
) -> Request:
    """A request as the core makes it: served name filled in; the first argument changes the spec."""
    spec = merge(BASE, change or {})
    model = spec["model"]
    model.setdefault("servedName", model.get("id", "").rsplit("/", 1)[-1])
    return Request(
        name=name,
        namespace="models",
        spec=Spec.model_validate(spec),
        versions={kind: kind.versions[0] for kind in provider().kinds},
        overrides=overrides or Overrides(),
        settings=settings or Settings(),
    )


def find_errors(request: Request) -> list[Problem]:
    return [problem for problem in kubeairunway_vllm.validate(request) if not problem.warning]


def render_objects(request: Request) -> list[dict[str, Any]]:
    """All objects of a request that has no errors, completed as the core completes them."""
    assert find_errors(request) == []
    rendering = kubeairunway_vllm.render(request)
    return [_complete(request, manifest) for manifest in (*rendering.before, rendering.primary, *rendering.after)]


def _complete(request: Request, manifest: Manifest) -> dict[str, Any]:
    kind, version = manifest.kind, request.versions[manifest.kind]
    name = f"{request.name}-{manifest.suffix}" if manifest.suffix else request.name
    group = f"{kind.group}/" if kind.group else ""
    metadata = {"name": name, "namespace": request.namespace}
    body = _plain(manifest.body)
    return {"apiVersion": f"{group}{version}", "kind": kind.name, "metadata": metadata, **body}


def _plain(value: Any) -> Any:
    """JSON as the core sends it: parts of the spec under their YAML names."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.fixture(scope="session")
def make() -> Maker:
    """Requests for one GPU; the first argument changes the spec."""
    return make_request


@pytest.fixture(scope="session")
def objects_of() -> Callable[[Request], list[dict[str, Any]]]:
    """Renders a request that has no errors."""
    return render_objects


@pytest.fixture(scope="session")
def container_of() -> Callable[[Request], dict[str, Any]]:
    """The container of a request that has no errors."""

    def find(request: Request) -> dict[str, Any]:
        pods = next(row for row in render_objects(request) if row["kind"] == "Deployment")
        container: dict[str, Any] = pods["spec"]["template"]["spec"]["containers"][0]
        return container

    return find


@pytest.fixture(scope="session")
def given() -> Callable[[Mapping[str, Any]], Request]:
    """A request from the `given` part of a golden file."""

    def read(raw: Mapping[str, Any]) -> Request:
        overrides, settings = Overrides(**raw.get("overrides", {})), Settings(**raw.get("settings", {}))
        return make_request(raw["spec"], name=raw["name"], overrides=overrides, settings=settings)

    return read
