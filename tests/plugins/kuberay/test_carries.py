"""`carries` is exact: what is in it changes the rendering or is objected to by name, what is not in it does neither."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from pydantic import BaseModel

import kubeairunway_kuberay
from kubeairunway.plugin import Request, Spec
from kubeairunway_kuberay.catalog import AGGREGATED, DISAGGREGATED

Maker = Callable[..., Request]

ROLE = {"replicas": 3, "gpu": {"count": 4}}
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
    "scaling.prefill": ROLE,
    "scaling.decode": ROLE,
    "resources.gpu.count": 2,
    "resources.gpu.type": "example.com/gpu",
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
ROLES = {"replicas": 3, "gpu.count": 4, "gpu.type": "example.com/gpu", "memory": "8Gi"}
THE_CORES = ("provider.", "engine.type", "serving.", "gateway.")
"""What the core decides itself, or serves itself."""
ENGINES = {"aggregated": AGGREGATED, "disaggregated": DISAGGREGATED}


def leaf_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    for field in model.model_fields.values():
        path = f"{prefix}{field.alias or ''}"
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaf_paths(inner, f"{path}.")
        else:
            yield path


def is_carried(mode: str, path: str) -> bool:
    return any(path == carried or path.startswith(f"{carried}.") for carried in ENGINES[mode].carries)


def nest(path: str, value: Any) -> dict[str, Any]:
    head, _, rest = path.partition(".")
    return {head: nest(rest, value) if rest else value}


@pytest.fixture(scope="module")
def outcome(modes: dict[str, Maker]) -> Callable[..., tuple[str, list[str]]]:
    """What is rendered, and which fields are objected to; with an image, so that the GPU's type can change alone."""

    def read(mode: str, path: str = "", value: Any = None) -> tuple[str, list[str]]:
        image = {} if path in {"image", "engine.image"} else {"image": "registry.example.com/mine:1"}
        request = modes[mode]({**image, **(nest(path, value) if path else {})})
        problems = [row.path for row in kubeairunway_kuberay.validate(request) if not row.warning]
        return repr(kubeairunway_kuberay.render(request)), problems

    return read


def rows(*, carried: bool) -> list[tuple[str, str]]:
    return [(mode, path) for mode in ENGINES for path in CHANGES if is_carried(mode, path) is carried]


def test_every_field_of_the_spec_has_a_change() -> None:
    ours = {path for path in leaf_paths(Spec) if not path.startswith(THE_CORES)}
    assert ours == set(CHANGES)


@pytest.mark.parametrize("mode", ENGINES)
def test_every_carried_path_is_a_path_of_the_spec(mode: str) -> None:
    known = set(CHANGES) | {path.rsplit(".", 1)[0] for path in CHANGES}
    assert ENGINES[mode].carries <= known


@pytest.mark.parametrize(("mode", "path"), rows(carried=True))
def test_a_carried_field_changes_the_rendering(
    outcome: Callable[..., tuple[str, list[str]]], mode: str, path: str
) -> None:
    rendering, problems = outcome(mode, path, CHANGES[path])
    assert problems == []
    assert rendering != outcome(mode)[0]


@pytest.mark.parametrize("role", ["prefill", "decode"])
@pytest.mark.parametrize("field", ROLES)
def test_a_field_of_a_role_changes_the_rendering(
    outcome: Callable[..., tuple[str, list[str]]], role: str, field: str
) -> None:
    rendering, problems = outcome("disaggregated", f"scaling.{role}.{field}", ROLES[field])
    assert problems == []
    assert rendering != outcome("disaggregated")[0]


@pytest.mark.parametrize(("mode", "path"), rows(carried=False))
def test_a_field_that_is_not_carried_is_nowhere_in_the_rendering(
    outcome: Callable[..., tuple[str, list[str]]], mode: str, path: str
) -> None:
    assert outcome(mode, path, CHANGES[path])[0] == outcome(mode)[0]
