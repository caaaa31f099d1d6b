"""Rules that need nothing but a spec, held to the table that the CRD is held to."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeairunway.decide.validation import check_spec
from kubeairunway.model import Problem, Spec

ROOT = Path(__file__).parents[4]
TABLE = yaml.safe_load((ROOT / "tests" / "bad_specs.yaml").read_text())
LABEL = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"


def named(rows: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(row, id=row["name"]) for row in rows]


def check(spec: dict[str, Any], name: str = "model") -> tuple[Problem, ...]:
    return check_spec(name, Spec.model_validate(spec))


def errors(spec: dict[str, Any], name: str = "model") -> list[Problem]:
    return [problem for problem in check(spec, name) if not problem.warning]


@pytest.mark.parametrize("row", named([row for row in TABLE["refused"] if row["by"] == "rule"]))
def test_what_a_rule_of_the_crd_refuses_is_refused_at_the_same_path(row: dict[str, Any]) -> None:
    found = errors(row["spec"], row.get("object", "model"))
    assert row["field"] in {problem.path for problem in found}
    assert any(row["message"] in problem.message for problem in found if problem.path == row["field"])


@pytest.mark.parametrize("row", named([row for row in TABLE["refused"] if row["message"] == "Duplicate value"]))
def test_what_lists_keyed_by_name_refuse_is_refused_at_the_same_path(row: dict[str, Any]) -> None:
    assert [(problem.path, problem.code) for problem in errors(row["spec"])] == [(row["field"], "Duplicate")]


@pytest.mark.parametrize("row", named(TABLE["accepted"]))
def test_what_the_crd_takes_is_taken(row: dict[str, Any]) -> None:
    assert errors(row["spec"], row.get("object", "model")) == []


@pytest.mark.parametrize("path", sorted((ROOT / "crds" / "samples").glob("*.yaml")), ids=lambda path: path.stem)
def test_samples_are_taken(path: Path) -> None:
    documents = [item for item in yaml.safe_load_all(path.read_text()) if item["kind"] == "ModelDeployment"]
    for document in documents:
        assert errors(document["spec"], document["metadata"]["name"]) == []


def test_all_problems_are_found_at_once() -> None:
    spec = {"model": {}, "resources": {"cpu": "1024"}, "env": [{"name": "A"}], "gateway": {"enabled": False}}
    assert {problem.path for problem in errors(spec, "a.b")} == {
        "metadata.name",
        "spec.model.id",
        "spec.resources.cpu",
        "spec.env[0]",
    }


WARNINGS = {
    "remote code": (
        {"model": {"id": "a/b"}, "engine": {"trustRemoteCode": True}},
        "spec.engine.trustRemoteCode",
        "allows execution of arbitrary code",
    ),
    "a compilation cache that is read-only": (
        {"model": {"id": "a/b", "storage": {"volumes": [
            {"name": "v", "claimName": "c", "purpose": "compilationCache", "readOnly": True}]}}},
        "spec.model.storage.volumes[0].readOnly",
        "compilation cache requires write access",
    ),
    "a model cache that is read-only": (
        {"model": {"id": "a/b", "storage": {"volumes": [
            {"name": "v", "claimName": "c", "purpose": "modelCache", "readOnly": True}]}}},
        "spec.model.storage.volumes[0].readOnly",
        "download will be skipped",
    ),
    "a type of GPU without GPUs": (
        {"model": {"id": "a/b"}, "resources": {"gpu": {"type": "amd.com/gpu"}}},
        "spec.resources.gpu.type",
        "has no effect without GPUs",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "path", "message"), WARNINGS.values(), ids=WARNINGS.keys())
def test_a_warning_is_given_for(spec: dict[str, Any], path: str, message: str) -> None:
    found = check(spec)
    assert [(problem.path, problem.warning) for problem in found] == [(path, True)]
    assert message in found[0].message


NAMES = {
    "one letter": ("a", True),
    "63 characters": (LABEL, True),
    "64 characters": (f"{LABEL}a", False),
    "a digit first": ("1a", True),
    "a hyphen first": ("-a", False),
    "a hyphen last": ("a-", False),
    "a capital": ("A", False),
    "a dot": ("a.b", False),
    "nothing": ("", False),
    "a line end": ("a\n", False),
}


@pytest.mark.parametrize(("name", "good"), NAMES.values(), ids=NAMES.keys())
def test_the_name_is_a_dns_label(name: str, *, good: bool) -> None:
    assert (errors({"model": {"id": "a/b"}}, name) == []) is good


KEYS = {
    "a name": ("gpu", True),
    "a name with a prefix": ("node.kubernetes.io/gpu", True),
    "an empty name": ("node.kubernetes.io/", False),
    "an empty prefix": ("/gpu", False),
    "two slashes": ("a/b/c", False),
    "a capital in the prefix": ("Node/gpu", False),
    "63 characters": ("a" * 63, True),
    "64 characters": ("a" * 64, False),
    "a prefix of 254 characters": (f"{'a.' * 126}ab/gpu", False),
}


@pytest.mark.parametrize(("key", "good"), KEYS.values(), ids=KEYS.keys())
def test_a_node_selector_key_is_a_label_key(key: str, *, good: bool) -> None:
    found = {problem.path for problem in errors({"model": {"id": "a/b"}, "nodeSelector": {key: "x"}})}
    assert found == (set() if good else {"spec.nodeSelector"})
