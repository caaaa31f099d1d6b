"""Requests for the tests of the Dynamo provider, made by hand: no registry, no cluster."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import kubeairunway_dynamo
from kubeairunway.plugin import Manifest, Rendering, Request, Spec
from kubeairunway.plugin.typed import read_typed
from kubeairunway_dynamo.catalog import ALPHA, BETA, GRAPH, PROVIDER, Overrides, Settings

AGGREGATED = {"model": {"id": "org/model"}, "resources": {"gpu": {"count": 1}}}
DISAGGREGATED = {
    "model": {"id": "org/model"},
    "serving": {"mode": "disaggregated"},
    "scaling": {"prefill": {"gpu": {"count": 1}}, "decode": {"gpu": {"count": 1}}},
}
BASES = {"aggregated": AGGREGATED, "disaggregated": DISAGGREGATED}
MODES = [(engine.name, mode) for engine in PROVIDER.engines for mode in engine.modes]

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
    spec: Mapping[str, Any],
    *,
    name: str = "demo",
    version: str = BETA,
    overrides: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Request:
    """A request as the core makes it: served name and volumes completed, options read from YAML."""
    whole = merge({"model": {"servedName": spec["model"]["id"].rsplit("/", 1)[-1]}}, spec)
    options, problems = read_typed(Overrides, overrides or {}, "spec.provider.overrides")
    assert problems == ()
    cluster, problems = read_typed(Settings, settings or {}, "spec.settings")
    assert problems == ()
    versions = {kind: kind.versions[0] for kind in PROVIDER.kinds} | {GRAPH: version}
    return Request(
        name=name,
        namespace="models",
        spec=Spec.model_validate(whole),
        versions=versions,
        overrides=options,
        settings=cluster,
    )


def make_objects(request: Request, rendering: Rendering) -> list[dict[str, Any]]:
    """The rendered objects in the order in which they are created, completed as the core completes them."""
    manifests = (*rendering.before, rendering.primary, *rendering.after)
    return [_complete(request, manifest) for manifest in manifests]


def _complete(request: Request, manifest: Manifest) -> dict[str, Any]:
    kind, version = manifest.kind, request.versions[manifest.kind]
    name = f"{request.name}-{manifest.suffix}" if manifest.suffix else request.name
    group = f"{kind.group}/" if kind.group else ""
    metadata = {"name": name, "namespace": request.namespace}
    body: dict[str, Any] = _plain(manifest.body)
    return {"apiVersion": f"{group}{version}", "kind": kind.name, "metadata": metadata, **body}


def _plain(value: Any) -> Any:
    """JSON, parts of the spec included, as the core writes it."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def render_objects(request: Request) -> list[dict[str, Any]]:
    """All objects of a request that has no errors."""
    errors = [problem for problem in kubeairunway_dynamo.validate(request) if not problem.warning]
    assert errors == []
    return make_objects(request, kubeairunway_dynamo.render(request))


def list_components(request: Request) -> dict[str, Any]:
    """The components of a graph by name, in either API version."""
    spec = render_objects(request)[-1]["spec"]
    if request.versions[GRAPH] == ALPHA:
        services: dict[str, Any] = spec["services"]
        return services
    return {row["name"]: row for row in spec["components"]}


@pytest.fixture(scope="session")
def make() -> Maker:
    """Requests for an engine in a mode, one GPU each; `change` changes the spec."""

    def build(
        engine: str = "vllm", mode: str = "aggregated", change: Mapping[str, Any] | None = None, **rest: Any
    ) -> Request:
        return make_request(merge(merge(BASES[mode], {"engine": {"type": engine}}), change or {}), **rest)

    return build


@pytest.fixture(scope="session")
def components_of() -> Callable[[Request], dict[str, Any]]:
    """Renders a request that has no errors: its components by name."""
    return list_components


@pytest.fixture(scope="session")
def objects_of() -> Callable[[Request], list[dict[str, Any]]]:
    """Renders a request that has no errors."""
    return render_objects


@pytest.fixture(scope="session")
def given() -> Callable[[Mapping[str, Any]], Request]:
    """A request from the `given` part of a golden file."""
    return lambda raw: make_request(
        raw["spec"],
        name=raw["name"],
        version=raw["version"],
        overrides=raw.get("overrides"),
        settings=raw.get("settings"),
    )
