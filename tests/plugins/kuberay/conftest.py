"""Requests for the tests of the KubeRay provider, made by hand: no registry, no cluster."""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

import kubeairunway_kuberay
from kubeairunway.plugin import Manifest, Request, Spec
from kubeairunway_kuberay.catalog import PROVIDER, Overrides, Settings

MODEL = {"model": {"id": "org/model"}, "engine": {"type": "vllm"}}
AGGREGATED = {**MODEL, "resources": {"gpu": {"count": 1}}}
DISAGGREGATED = {
    **MODEL,
    "serving": {"mode": "disaggregated"},
    "scaling": {"prefill": {"replicas": 2, "gpu": {"count": 1}}, "decode": {"replicas": 1, "gpu": {"count": 2}}},
}

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
    overrides: Overrides | None = None,
    settings: Settings | None = None,
) -> Request:
    """A request as the core makes it: served name filled in, every kind served."""
    spec = merge(base, change or {})
    model = spec["model"]
    model.setdefault("servedName", model["id"].rsplit("/", 1)[-1])
    return Request(
        name=name,
        namespace="models",
        spec=Spec.model_validate(spec),
        versions={kind: kind.versions[0] for kind in PROVIDER.kinds},
        overrides=overrides or Overrides(),
        settings=settings or Settings(),
    )


def render_objects(request: Request) -> list[dict[str, Any]]:
    """All objects of a request that has no errors, in the order of creation, completed as the core completes them."""
    errors = [problem for problem in kubeairunway_kuberay.validate(request) if not problem.warning]
    assert errors == []
    rendering = kubeairunway_kuberay.render(request)
    return [_complete(request, manifest) for manifest in (*rendering.before, rendering.primary, *rendering.after)]


def _complete(request: Request, manifest: Manifest) -> dict[str, Any]:
    kind, version = manifest.kind, request.versions[manifest.kind]
    name = f"{request.name}-{manifest.suffix}" if manifest.suffix else request.name
    group = f"{kind.group}/" if kind.group else ""
    head = {"apiVersion": f"{group}{version}", "kind": kind.name}
    return {**head, "metadata": {"name": name, "namespace": request.namespace}, **_plain(manifest.body)}


def _plain(value: Any) -> Any:
    """JSON, parts of the spec included, as the core writes it."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


@pytest.fixture(scope="session")
def aggregated() -> Maker:
    """Requests with one GPU per replica; the first argument changes the spec."""
    return lambda change=None, **rest: make_request(AGGREGATED, change, **rest)


@pytest.fixture(scope="session")
def disaggregated() -> Maker:
    """Requests for two prefill workers and one decode worker; the first argument changes the spec."""
    return lambda change=None, **rest: make_request(DISAGGREGATED, change, **rest)


@pytest.fixture(scope="session")
def modes(aggregated: Maker, disaggregated: Maker) -> dict[str, Maker]:
    return {"aggregated": aggregated, "disaggregated": disaggregated}


@pytest.fixture(scope="session")
def objects_of() -> Callable[[Request], list[dict[str, Any]]]:
    """Renders a request that has no errors."""
    return render_objects


@pytest.fixture(scope="session")
def spec_of() -> Callable[[Request], Any]:
    """The rendered RayService's spec."""
    return lambda request: _plain(kubeairunway_kuberay.render(request).primary.body["spec"])


@pytest.fixture(scope="session")
def application_of(spec_of: Callable[[Request], Any]) -> Callable[[Request], Any]:
    """The one application of the rendered serveConfigV2."""

    def read(request: Request) -> Any:
        (application,) = yaml.safe_load(spec_of(request)["serveConfigV2"])["applications"]
        return application

    return read


@pytest.fixture(scope="session")
def given() -> Callable[[Mapping[str, Any]], Request]:
    """A request from the `given` part of a golden file."""

    def read(raw: Mapping[str, Any]) -> Request:
        return make_request(
            raw["spec"],
            name=raw["name"],
            overrides=Overrides(**raw.get("overrides", {})),
            settings=Settings(**raw.get("settings", {})),
        )

    return read
