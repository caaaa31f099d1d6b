"""What is kept of a recorded object, and what reads it back."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from kubeairunway.testing import deployment
from kubeairunway.testing.fixtures import FixtureError, format_fixture, make_fixture, read_fixture

ACME = Path(__file__).parents[2] / "contract" / "acme" / "src" / "acme.py"
LIVE: dict[str, Any] = {
    "apiVersion": "serving.acme.dev/v1",
    "kind": "ModelServer",
    "metadata": {
        "name": "demo",
        "namespace": "team",
        "uid": "1",
        "resourceVersion": "2",
        "generation": 3,
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "managedFields": [{"manager": "x"}],
        "ownerReferences": [{"uid": "9"}],
        "labels": {"b": "1", "a": "2"},
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": '{"token": "secret"}',
            "kubeairunway.ai/owner-uid": "9",
            "acme.dev/note": "kept",
        },
    },
    "spec": {"replicas": 1, "model": "org/model"},
    "status": {"phase": "Serving", "observedGeneration": 3, "ready": 1},
}


def test_what_is_volatile_or_private_is_left_out() -> None:
    assert make_fixture(LIVE) == {
        "apiVersion": "serving.acme.dev/v1",
        "kind": "ModelServer",
        "metadata": {
            "name": "demo",
            "generation": 3,
            "labels": {"a": "2", "b": "1"},
            "annotations": {"acme.dev/note": "kept"},
        },
        "spec": LIVE["spec"],
        "status": LIVE["status"],
    }


def test_the_same_object_gives_the_same_bytes() -> None:
    turned = {key: LIVE[key] for key in reversed(LIVE)} | {"spec": {"model": "org/model", "replicas": 1}}
    text = format_fixture(LIVE)
    assert format_fixture(turned) == text
    assert text.startswith("apiVersion: serving.acme.dev/v1\nkind: ModelServer\nmetadata:\n")
    assert yaml.safe_load(text) == make_fixture(LIVE)


def test_a_secret_is_never_recorded() -> None:
    with pytest.raises(FixtureError, match="a Secret is never recorded"):
        make_fixture({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x"}, "data": {"a": "b"}})


@pytest.mark.parametrize(
    ("text", "said"),
    [("a: [", "cannot be read"), ("- 1", "holds no object"), ("kind: A\n", "holds no object")],
    ids=["no YAML", "a list", "no apiVersion"],
)
def test_a_file_that_is_no_fixture_is_said_by_its_name(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "serving.yaml"
    path.write_text(text)
    with pytest.raises(FixtureError, match=said) as caught:
        read_fixture(path)
    assert "serving.yaml" in str(caught.value)


@pytest.fixture(scope="module")
def acme() -> ModuleType:
    spec = importlib.util.spec_from_file_location("acme", ACME)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_recorded_status_is_judged_as_the_controller_would(acme: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "serving.yaml"
    path.write_text(format_fixture(LIVE))
    decided = deployment(acme, model={"id": "acme/m"}, resources={"gpu": {"count": 1}})
    seen = decided.observe_fixture(path)
    assert (seen.ready, seen.phase) == (True, "Running")
    path.write_text(format_fixture({**LIVE, "status": {**LIVE["status"], "observedGeneration": 2}}))
    assert decided.observe_fixture(path).ready is False
    path.write_text(format_fixture({**LIVE, "kind": "Other"}))
    with pytest.raises(LookupError, match="has a Other, and the primary is a ModelServer"):
        decided.observe_fixture(path)
