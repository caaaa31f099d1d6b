"""`carries` is exact: what is in it changes the rendering or is objected to by name, what is not in it does neither."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

import kubeairunway_dynamo
from kubeairunway.model.paths import covers, known_paths, leaf_paths
from kubeairunway.plugin import Engine, Request
from kubeairunway_dynamo.catalog import GRAPH, PROVIDER

Maker = Callable[..., Request]

CHANGES: Mapping[str, Any] = {
    "model.id": "other/model",
    "model.servedName": "other",
    "model.source": "custom",
    "model.storage.volumes": [{"name": "weights", "claimName": "weights", "mountPath": "/weights"}],
    "engine.contextLength": 4096,
    "engine.trustRemoteCode": True,
    "engine.args": {"dtype": "half"},
    "engine.image": "registry.example.com/other:1.4.0",
    "engine.enablePrefixCaching": False,
    "engine.enforceEager": True,
    "engine.extraArgs": ["--raw"],
    "scaling.replicas": 3,
    "scaling.prefill.replicas": 3,
    "scaling.prefill.gpu.count": 2,
    "scaling.prefill.gpu.type": "nvidia.com/mig-3g.40gb",
    "scaling.prefill.memory": "8Gi",
    "scaling.decode.replicas": 3,
    "scaling.decode.gpu.count": 2,
    "scaling.decode.gpu.type": "nvidia.com/mig-3g.40gb",
    "scaling.decode.memory": "8Gi",
    "resources.gpu.count": 2,
    "resources.gpu.type": "nvidia.com/mig-3g.40gb",
    "resources.memory": "8Gi",
    "resources.cpu": "4",
    "image": "registry.example.com/other:1.3.0",
    "env": [{"name": "A", "value": "b"}],
    "podTemplate.metadata.labels": {"team": "nlp"},
    "podTemplate.metadata.annotations": {"note": "x"},
    "secrets.huggingFaceToken": "hf-token",
    "nodeSelector": {"pool": "a"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
}
THE_CORES = ("provider.", "engine.type", "serving.", "gateway.")
"""What the core decides itself, and what reaches nobody yet."""
UNUSED = {"aggregated": ("scaling.prefill", "scaling.decode"), "disaggregated": ("scaling.replicas", "resources")}
"""Fields that the core allows in the other mode only, or that our base has no place for."""
ENTRIES = {f"{engine.name}-{engine.modes[0]}": engine for engine in PROVIDER.engines}
TUNED = ("engine.contextLength", "engine.trustRemoteCode", "engine.enablePrefixCaching", "engine.enforceEager")


def nest(path: str, value: Any) -> dict[str, Any]:
    for step in reversed(path.split(".")):
        value = {step: value}
    found: dict[str, Any] = value
    return found


def outcome(make: Maker, engine: Engine, version: str, change: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What is rendered, and which fields are objected to."""
    request = make(engine.name, engine.modes[0], change, version=version)
    problems = [problem.path for problem in kubeairunway_dynamo.validate(request) if not problem.warning]
    return repr(kubeairunway_dynamo.render(request)), problems


def rows(*, carried: bool) -> list[tuple[str, str]]:
    return [
        (entry, path)
        for entry, engine in ENTRIES.items()
        for path in CHANGES
        if covers(engine.carries, path) is carried and not (not carried and path.startswith(UNUSED[engine.modes[0]]))
    ]


def test_every_field_of_the_spec_has_a_change() -> None:
    assert {path for path in leaf_paths() if not path.startswith(THE_CORES)} == set(CHANGES)


@pytest.mark.parametrize("entry", ENTRIES)
def test_every_carried_path_is_a_path_of_the_spec(entry: str) -> None:
    assert ENTRIES[entry].carries <= known_paths()


@pytest.mark.parametrize("version", GRAPH.versions)
@pytest.mark.parametrize(("entry", "path"), rows(carried=True))
def test_a_carried_field_changes_the_rendering(make: Maker, version: str, entry: str, path: str) -> None:
    rendering, problems = outcome(make, ENTRIES[entry], version, nest(path, CHANGES[path]))
    assert problems == []
    assert rendering != outcome(make, ENTRIES[entry], version, {})[0]


@pytest.mark.parametrize("path", [path for entry, path in rows(carried=False) if entry == "vllm-aggregated"])
def test_a_field_that_is_not_carried_is_nowhere_in_the_rendering(make: Maker, path: str) -> None:
    engine = ENTRIES["vllm-aggregated"]
    assert outcome(make, engine, "v1beta1", nest(path, CHANGES[path])) == outcome(make, engine, "v1beta1", {})


def test_what_only_some_engines_or_modes_carry() -> None:
    """By name, since a path that is carried by mistake would change the rendering all the same."""
    missing = {
        entry: sorted(path for path in CHANGES if not covers(engine.carries, path)) for entry, engine in ENTRIES.items()
    }
    roles = [path for path in CHANGES if path.startswith(UNUSED["aggregated"])]
    whole = [path for path in CHANGES if path.startswith(UNUSED["disaggregated"])]
    assert missing == {
        "vllm-aggregated": sorted(["model.source", *roles]),
        "vllm-disaggregated": sorted(["model.source", *whole]),
        "sglang-aggregated": sorted(["model.source", *roles]),
        "sglang-disaggregated": sorted(["model.source", *whole]),
        "trtllm-aggregated": sorted(["model.source", *roles, *TUNED]),
    }
