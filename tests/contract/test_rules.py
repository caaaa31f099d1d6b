"""The rules of docs/provider-contract.md that a provider can be held to without knowing it, over every installed one.

The example provider is always among them, installed or not.
"""

import importlib.util
import json
import random
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kubeairunway.model import ServingMode
from kubeairunway.model.paths import covers, known_paths, leaf_paths
from kubeairunway.plugin import CONTRACT, Engine, Kind, Observed, Provider, Rendering, Request, State, View
from kubeairunway.plugin.registry import LoadState, Registry, load_registry
from kubeairunway.plugin.typed import read_typed, schema_of
from kubeairunway.testing import OfflineDecision, deployment

ROLE = {"replicas": 1, "gpu": {"count": 1}}
BASES: Mapping[str, tuple[dict[str, Any], ...]] = {
    "aggregated": (
        {"resources": {"gpu": {"count": 1}}},
        {"resources": {"gpu": {"count": 1}}, "image": "registry.example/engine:1"},
        {"resources": {"gpu": {"count": 0}}},
        {"resources": {"gpu": {"count": 0}}, "image": "registry.example/engine:1"},
    ),
    "disaggregated": ({"serving": {"mode": "disaggregated"}, "scaling": {"prefill": ROLE, "decode": ROLE}},),
}
"""Specs that a provider may be able to serve; the first that it does not refuse is used."""

SAMPLES: Mapping[str, Any] = {
    "engine.args": {"seed": "7"},
    "engine.contextLength": 4096,
    "engine.enablePrefixCaching": False,
    "engine.enforceEager": True,
    "engine.extraArgs": ["--swap-space=2"],
    "engine.image": "registry.example/other:2",
    "engine.trustRemoteCode": True,
    "env": [{"name": "MODE", "value": "quiet"}],
    "gateway.enabled": True,
    "gateway.httpRouteRef": "mine",
    "gateway.modelName": "renamed",
    "image": "registry.example/other:2",
    "model.id": "sample-org/other-model",
    "model.servedName": "renamed",
    "model.source": "custom",
    "model.storage.volumes": [{"name": "cache", "claimName": "claim", "purpose": "modelCache"}],
    "nodeSelector": {"pool": "gpu"},
    "podTemplate.metadata.annotations": {"sample.example/note": "x"},
    "podTemplate.metadata.labels": {"sample.example/team": "x"},
    "resources.cpu": "3",
    "resources.gpu.count": 2,
    "resources.gpu.type": "amd.com/gpu",
    "resources.memory": "24Gi",
    "scaling.decode.gpu.count": 2,
    "scaling.decode.gpu.type": "amd.com/gpu",
    "scaling.decode.memory": "24Gi",
    "scaling.decode.replicas": 2,
    "scaling.prefill.gpu.count": 2,
    "scaling.prefill.gpu.type": "amd.com/gpu",
    "scaling.prefill.memory": "24Gi",
    "scaling.prefill.replicas": 2,
    "scaling.replicas": 2,
    "secrets.huggingFaceToken": "token",
    "tolerations": [{"key": "gpu", "operator": "Exists"}],
}
"""For every field that a provider may carry, a value that differs from the default."""

CORE_ONLY = frozenset({"engine.type", "provider.name", "provider.overrides", "serving.mode"})
HOSTILE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    "",
    "x",
    [],
    [None],
    [[]],
    {},
    {"status": None},
    {"type": "Ready"},
)


@dataclass(frozen=True)
class Case:
    """One provider, engine and mode: everything that is rendered differently."""

    provider: str
    engine: Engine
    mode: ServingMode

    def __str__(self) -> str:
        return f"{self.provider}-{self.engine.name}-{self.mode}"


@cache
def example() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("acme", Path(__file__).parent / "acme" / "src" / "acme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def registries() -> Mapping[str, Registry]:
    """The registry that holds each provider."""
    installed, at_hand = load_registry(), load_registry(modules={"acme": example()})
    return {"acme": at_hand} | {package.name: installed for package in installed.packages}


@cache
def cases() -> tuple[Case, ...]:
    return tuple(
        Case(name, engine, mode)
        for name, registry in registries().items()
        if name in registry.providers
        for engine in registry.providers[name].engines
        for mode in engine.modes
    )


every_provider = pytest.mark.parametrize("name", sorted(registries()))
every_case = pytest.mark.parametrize("case", cases(), ids=str)


@pytest.fixture(scope="module", autouse=True)
def _close() -> Iterator[None]:
    yield
    for registry in set(registries().values()):
        registry.close()
    registries.cache_clear()


def find_provider(name: str) -> Provider:
    return registries()[name].providers[name]


@cache
def decide(case: Case) -> OfflineDecision:
    """A deployment that this provider renders."""
    provider = example() if case.provider == "acme" else case.provider
    tried = [
        deployment(provider, model={"id": "sample-org/sample-model"}, engine={"type": case.engine.name}, **base)
        for base in BASES[case.mode]
    ]
    for found in tried:
        if not found.errors and found.objects:
            return found
    return pytest.fail(f"{case} renders none of the plain specs; the last one: {tried[-1].errors}")


def make_request(case: Case) -> Request:
    provider, spec = find_provider(case.provider), decide(case).spec
    return Request(
        name="model",
        namespace="default",
        spec=spec,
        versions={kind: kind.versions[0] for kind in provider.kinds},
        overrides=provider.overrides() if provider.overrides else None,
        settings=provider.settings() if provider.settings else None,
    )


def nest(path: str, value: Any) -> dict[str, Any]:
    for step in reversed(path.split(".")):
        value = {step: value}
    found: dict[str, Any] = value
    return found


def spell(rendering: Rendering) -> str:
    """All objects of a rendering as text, byte for byte as they would be sent."""
    return json.dumps(
        [
            [manifest.kind.name, manifest.suffix, manifest.body, dict(manifest.labels), dict(manifest.annotations)]
            for manifest in (*rendering.before, rendering.primary, *rendering.after)
        ]
    )


def make_hostile(random_: random.Random, depth: int = 0) -> Any:
    """A JSON value that no operator should write, shaped like a status now and then."""
    if depth < 3 and random_.random() < 0.7:
        keys = ("conditions", "status", "phase", "observedGeneration", "ready", "replicas", "type", "readyReplicas")
        many = [make_hostile(random_, depth + 1) for _ in range(random_.randint(0, 4))]
        return many if random_.random() < 0.3 else {random_.choice(keys): value for value in many}
    return random_.choice(HOSTILE)


@every_provider
def test_the_package_is_loaded(name: str) -> None:
    package = registries()[name].get(name)
    assert package is not None
    assert (package.state, package.reason) == (LoadState.LOADED, "")


@every_provider
def test_the_name_is_the_entry_points_and_the_contract_is_this_one(name: str) -> None:
    assert (find_provider(name).name, find_provider(name).contract) == (name, CONTRACT)


@every_provider
def test_what_is_carried_exists_in_the_spec(name: str) -> None:
    for engine in find_provider(name).engines:
        assert engine.carries <= known_paths()


def test_there_is_a_sample_for_every_field_a_provider_may_carry() -> None:
    assert leaf_paths() - CORE_ONLY == set(SAMPLES)


@every_case
def test_a_carried_field_that_changes_changes_the_rendering_or_is_refused(case: Case) -> None:
    before = decide(case)
    dropped = []
    for path in sorted(leaf_paths() - CORE_ONLY):
        if covers(case.engine.carries, path):
            after = before.change(**nest(path, SAMPLES[path]))
            if not after.errors and after.objects == before.objects:
                dropped.append(path)
    assert dropped == []


@every_case
def test_a_field_that_is_not_carried_is_refused_at_its_path(case: Case) -> None:
    before = decide(case)
    silent = []
    for path in sorted(leaf_paths() - CORE_ONLY):
        if not covers(case.engine.carries, path):
            errors = before.change(**nest(path, SAMPLES[path])).errors
            if not any(f"spec.{path}".startswith(problem.path) for problem in errors):
                silent.append(path)
    assert silent == []


@every_case
def test_the_same_request_gives_the_same_bytes_and_is_left_as_it_was(case: Case) -> None:
    registry, request = registries()[case.provider], make_request(case)
    before = request.spec.model_dump_json()
    first, second = registry.render(case.provider, request), registry.render(case.provider, make_request(case))
    assert spell(first) == spell(second)
    assert request.spec.model_dump_json() == before


@every_case
def test_what_is_rendered_is_declared_and_no_name_is_used_twice(case: Case) -> None:
    rendering = registries()[case.provider].render(case.provider, make_request(case))
    objects = (*rendering.before, rendering.primary, *rendering.after)
    kinds = find_provider(case.provider).kinds
    assert all(manifest.kind in kinds for manifest in objects)
    assert len({(manifest.kind, manifest.suffix) for manifest in objects}) == len(objects)


@every_case
def test_the_kind_that_exists_is_kept(case: Case) -> None:
    registry, request = registries()[case.provider], make_request(case)
    kind = registry.render(case.provider, request).primary.kind
    again = Request(**{field: getattr(request, field) for field in Request.__slots__} | {"primary": kind})
    assert registry.render(case.provider, again).primary.kind == kind


@every_case
def test_objections_and_bids_are_of_the_right_types(case: Case) -> None:
    registry, request = registries()[case.provider], make_request(case)
    assert [problem for problem in registry.validate(case.provider, request) if not problem.warning] == []
    bid = registry.select(case.provider, request)
    assert bid is None or 0 <= bid.priority <= 100


@every_case
def test_an_object_without_a_status_proves_nothing(case: Case) -> None:
    request = make_request(case)
    empty: tuple[dict[str, Any], ...] = ({}, {"status": {}}, {"status": None}, {"metadata": {"generation": 3}})
    for raw in empty:
        report = registries()[case.provider].status(case.provider, request, Observed(View(raw)))
        assert report.state is not State.RUNNING
        assert report.generation in (0, None)
        assert report.ready == 0


@every_case
def test_no_object_can_crash_status(case: Case) -> None:
    registry, provider, request = registries()[case.provider], find_provider(case.provider), make_request(case)
    random_ = random.Random(4)  # noqa: S311 - a fixed seed, no secret
    rendering = registry.render(case.provider, request)
    for _ in range(300):
        others = {
            (manifest.kind, manifest.suffix): View(as_object(make_hostile(random_)))
            for manifest in (*rendering.before, *rendering.after)
        }
        children: dict[Kind, tuple[View, ...]] = {
            kind: tuple(View(as_object(make_hostile(random_))) for _ in range(random_.randint(0, 2)))
            for kind in provider.children
        }
        observed = Observed(View(as_object(make_hostile(random_))), others, children)
        report = registry.status(case.provider, request, observed)
        assert isinstance(report.state, State)


def as_object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"status": value}


@every_provider
def test_overrides_and_settings_have_defaults_and_a_schema(name: str) -> None:
    provider = find_provider(name)
    for options in (provider.overrides, provider.settings):
        if options is not None:
            assert read_typed(options, {}, "spec") == (options(), ())
            assert schema_of(options)["type"] == "object"
            _, problems = read_typed(options, {"noSuchOption": 1}, "spec.provider.overrides")
            assert [problem.path for problem in problems] == ["spec.provider.overrides.noSuchOption"]
