"""`carries` is exact: what is in it changes the rendering or is objected to by name, what is not in it does neither."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel

import kubeairunway_kaito
from kubeairunway.plugin import Request, Spec
from kubeairunway_kaito.catalog import LLAMACPP, PROVIDER, VLLM

CHANGES: Mapping[str, Any] = {
    "model.id": "other/model",
    "model.servedName": "other",
    "model.source": "custom",
    "model.storage.volumes": [{"name": "weights", "claimName": "weights", "mountPath": "/weights"}],
    "engine.contextLength": 4096,
    "engine.trustRemoteCode": True,
    "engine.args": {"dtype": "half"},
    "engine.image": "registry.example.com/other:1",
    "engine.enablePrefixCaching": False,
    "engine.enforceEager": True,
    "engine.extraArgs": ["--raw"],
    "scaling.replicas": 3,
    "resources.gpu.count": 2,
    "resources.gpu.type": "amd.com/gpu",
    "resources.memory": "8Gi",
    "resources.cpu": "4",
    "image": "registry.example.com/other:2",
    "env": [{"name": "A", "value": "b"}],
    "podTemplate.metadata.labels": {"team": "nlp"},
    "podTemplate.metadata.annotations": {"note": "x"},
    "secrets.huggingFaceToken": "hf-token",
    "nodeSelector": {"pool": "a"},
    "tolerations": [{"key": "dedicated", "operator": "Exists"}],
}
THE_CORES = ("provider.", "engine.type", "serving.", "scaling.prefill", "scaling.decode", "gateway.")
"""What the core decides itself, or in disaggregated mode only, which KAITO does not offer."""
BASES = {
    "vllm": {"model": {"id": "org/model"}, "engine": {"type": "vllm"}, "resources": {"gpu": {"count": 1}}},
    # With a GPU and an image of its own, so that each field can change alone.
    "llamacpp": {
        "model": {"id": "org/model-GGUF"},
        "engine": {"type": "llamacpp"},
        "resources": {"gpu": {"count": 1}},
        "image": "registry.example.com/runner:1",
    },
}
ENGINES = {"vllm": VLLM, "llamacpp": LLAMACPP}


def leaf_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for field in model.model_fields.values():
        path = f"{prefix}{field.alias or ''}"
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaf_paths(inner, f"{path}.")
        else:
            yield path


def is_carried(engine: str, path: str) -> bool:
    return any(path == carried or path.startswith(f"{carried}.") for carried in ENGINES[engine].carries)


def outcome(engine: str, path: str = "", value: Any = None) -> tuple[str, list[str]]:
    """What is rendered, and which fields are objected to."""
    spec = _put(BASES[engine], "model.servedName", "model")
    request = Request(
        name="demo",
        namespace="models",
        spec=Spec.model_validate(_put(spec, path, value) if path else spec),
        versions={kind: kind.versions[0] for kind in PROVIDER.kinds},
    )
    problems = [problem.path for problem in kubeairunway_kaito.validate(request) if not problem.warning]
    return repr(kubeairunway_kaito.render(request)), problems


def _put(spec: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    head, _, rest = path.partition(".")
    return {**spec, head: _put(spec.get(head, {}), rest, value) if rest else value}


def rows(*, carried: bool) -> list[tuple[str, str]]:
    return [(engine, path) for engine in ENGINES for path in CHANGES if is_carried(engine, path) is carried]


def test_every_field_of_the_spec_has_a_change() -> None:
    ours = {path for path in leaf_paths(Spec) if not path.startswith(THE_CORES)}
    assert ours == set(CHANGES)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_carried_path_is_a_path_of_the_spec(engine: str) -> None:
    known = set(CHANGES) | {path.rsplit(".", 1)[0] for path in CHANGES}
    assert ENGINES[engine].carries <= known


@pytest.mark.parametrize(("engine", "path"), rows(carried=True))
def test_a_carried_field_changes_the_rendering(engine: str, path: str) -> None:
    rendering, problems = outcome(engine, path, CHANGES[path])
    assert problems == []
    assert rendering != outcome(engine)[0]


@pytest.mark.parametrize(("engine", "path"), rows(carried=False))
def test_a_field_that_is_not_carried_is_nowhere_in_the_rendering(engine: str, path: str) -> None:
    assert outcome(engine, path, CHANGES[path])[0] == outcome(engine)[0]
