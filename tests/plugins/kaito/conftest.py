"""Requests and live objects for the tests of the KAITO provider, made by hand: no registry, no cluster."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import kubeairunway_kaito
from kubeairunway.plugin import Kind, Manifest, Rendering, Request, Spec
from kubeairunway_kaito.catalog import INFERENCE_SET, PROVIDER, Overrides, Settings

VLLM = {"model": {"id": "org/model"}, "engine": {"type": "vllm"}, "resources": {"gpu": {"count": 1}}}
LLAMACPP = {"model": {"id": "org/model-GGUF"}, "engine": {"type": "llamacpp"}}

Maker = Callable[..., Request]


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The base with the change's leaves over it."""
    merged = copy.deepcopy(dict(base))
    for key, value in change.items():
        below = merged.get(key)
        merged[key] = (
            merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else copy.deepcopy(value)
        )
    return merged


def make_request(
    base: Mapping[str, Any],
    change: Mapping[str, Any] | None = None,
    *,
    name: str = "demo",
    kinds: tuple[Kind, ...] = PROVIDER.kinds,
    primary: Kind | None = None,
    overrides: Overrides | None = None,
    settings: Settings | None = None,
) -> Request:
    """A request as the core makes it: served name filled in, versions of the kinds that are served."""
    spec = merge(base, change or {})
    model = spec.setdefault("model", {})
    model.setdefault("servedName", model.get("id", "").rsplit("/", 1)[-1])
    return Request(
        name=name,
        namespace="models",
        spec=Spec.model_validate(spec),
        versions={kind: kind.versions[0] for kind in kinds},
        primary=primary,
        overrides=overrides or Overrides(),
        settings=settings or Settings(),
    )


def make_objects(request: Request, rendering: Rendering) -> list[dict[str, Any]]:
    """The rendered objects in the order in which they are created, completed as the core completes them."""
    manifests = (*rendering.before, rendering.primary, *rendering.after)
    return [_complete(request, manifest) for manifest in manifests]


def _complete(request: Request, manifest: Manifest) -> dict[str, Any]:
    kind, version = manifest.kind, request.versions[manifest.kind]
    metadata: dict[str, Any] = {
        "name": f"{request.name}-{manifest.suffix}" if manifest.suffix else request.name,
        "namespace": request.namespace,
    }
    for field in ("labels", "annotations"):
        if values := dict(getattr(manifest, field)):
            metadata[field] = values
    group = f"{kind.group}/" if kind.group else ""
    return {"apiVersion": f"{group}{version}", "kind": kind.name, "metadata": metadata, **_plain(manifest.body)}


def _plain(value: Any) -> Any:
    """JSON, parts of the spec included, as the core writes it."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def render_objects(request: Request) -> list[dict[str, Any]]:
    """All objects of a request that has no errors."""
    errors = [problem for problem in kubeairunway_kaito.validate(request) if not problem.warning]
    assert errors == []
    return make_objects(request, kubeairunway_kaito.render(request))


def without_set() -> tuple[Kind, ...]:
    return tuple(kind for kind in PROVIDER.kinds if kind != INFERENCE_SET)


@pytest.fixture(scope="session")
def vllm() -> Maker:
    """Requests for vLLM with one GPU; the first argument changes the spec."""
    return lambda change=None, **rest: make_request(VLLM, change, **rest)


@pytest.fixture(scope="session")
def llamacpp() -> Maker:
    """Requests for llama.cpp without a GPU; the first argument changes the spec."""
    return lambda change=None, **rest: make_request(LLAMACPP, change, **rest)


@pytest.fixture(scope="session")
def engines(vllm: Maker, llamacpp: Maker) -> dict[str, Maker]:
    return {"vllm": vllm, "llamacpp": llamacpp}


@pytest.fixture(scope="session")
def kinds_without_set() -> tuple[Kind, ...]:
    """What a cluster serves whose KAITO has no InferenceSet."""
    return without_set()


@pytest.fixture(scope="session")
def objects_of() -> Callable[[Request], list[dict[str, Any]]]:
    """Renders a request that has no errors."""
    return render_objects


@pytest.fixture(scope="session")
def given() -> Callable[[Mapping[str, Any]], Request]:
    """A request from the `given` part of a golden file."""

    def read(raw: Mapping[str, Any]) -> Request:
        kinds = tuple(kind for kind in PROVIDER.kinds if kind.name not in raw.get("notServed", []))
        return make_request(
            raw["spec"],
            name=raw["name"],
            kinds=kinds,
            overrides=Overrides(**raw.get("overrides", {})),
            settings=Settings(**raw.get("settings", {})),
        )

    return read
