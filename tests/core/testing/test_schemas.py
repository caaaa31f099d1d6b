"""Upstream's structural schemas as JSON Schema: what the API server refuses, and what it would drop."""

from pathlib import Path
from typing import Any

import pytest

from kubeairunway.plugin import Kind
from kubeairunway.testing.conformance.crds import as_json_schema, read_crds
from kubeairunway.testing.conformance.schemas import _Validator
from kubeairunway.testing.fixtures import FixtureError

TEXT: dict[str, Any] = {"type": "string"}
PORTS = {
    "type": "array",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
    "items": {"type": "object"},
}
OPEN = {"type": "object", "properties": {"a": TEXT}, "x-kubernetes-preserve-unknown-fields": True}

CASES: dict[str, tuple[dict[str, Any], Any, str]] = {
    "an unknown field": ({"properties": {"a": TEXT}}, {"b": 1}, "b is no field of the schema, and would be dropped"),
    "a known field": ({"properties": {"a": TEXT}}, {"a": "x"}, ""),
    "a wrong type": ({"properties": {"a": TEXT}}, {"a": 1}, "1 is not of type 'string'"),
    "a required field": ({"required": ["a"], "properties": {"a": TEXT}}, {}, "'a' is a required property"),
    "an unknown field where all are kept": ({"properties": {"x": OPEN}}, {"x": {"b": 1}}, ""),
    "a known field where all are kept": ({"properties": {"x": OPEN}}, {"x": {"a": 1}}, "1 is not of type 'string'"),
    "a value of a map": ({"additionalProperties": TEXT}, {"a": 1}, "1 is not of type 'string'"),
    "null": ({"properties": {"a": TEXT}}, {"a": None}, "None is not of type 'string'"),
    "null where it may be": ({"properties": {"a": {**TEXT, "nullable": True}}}, {"a": None}, ""),
    "no member of an enum": ({"properties": {"a": {**TEXT, "enum": ["x"]}}}, {"a": "y"}, "'y' is not one of ['x']"),
    "no match of a pattern": (
        {"properties": {"a": {**TEXT, "pattern": "^x$"}}},
        {"a": "y"},
        "'y' does not match '^x$'",
    ),
    "a pattern of Go's alone": ({"properties": {"a": {**TEXT, "pattern": r"\p{Greek}"}}}, {"a": "y"}, ""),
    "an integer or text": ({"properties": {"a": {"x-kubernetes-int-or-string": True}}}, {"a": 1}, ""),
    "neither integer nor text": (
        {"properties": {"a": {"x-kubernetes-int-or-string": True}}},
        {"a": []},
        "[] is not valid under any of the given schemas",
    ),
    "too great": (
        {"properties": {"a": {"type": "integer", "maximum": 3}}},
        {"a": 4},
        "4 is greater than the maximum of 3",
    ),
    "as great as it must not be": (
        {"properties": {"a": {"type": "integer", "maximum": 3, "exclusiveMaximum": True}}},
        {"a": 3},
        "3 is greater than or equal to the maximum of 3",
    ),
    "two items of one key": (
        {"properties": {"a": PORTS}},
        {"a": [{"name": "x"}, {"name": "x"}]},
        "two items have name x",
    ),
    "one of two must be there": (
        {"properties": {"a": TEXT, "b": TEXT}, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {},
        "{} is not valid under any of the given schemas",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_object_under_a_structural_schema(name: str) -> None:
    schema, value, said = CASES[name]
    whole = as_json_schema({"type": "object", "properties": {"spec": {"type": "object", **schema}}}, top=True)
    obj = {"apiVersion": "a/v1", "kind": "A", "metadata": {"name": "x"}, "spec": value}
    found = [finding.message for finding in _Validator(whole)("file.yaml", "a case", obj, "render()")]
    assert [message.partition(": ")[2].partition(": ")[2].removesuffix(" (file.yaml)") for message in found] == (
        [said] if said else []
    )


CRD = """\
kind: CustomResourceDefinition
spec:
  group: {group}
  names: {{kind: Thing}}
  versions:
    - {{name: v2, served: false}}
    - {{name: v1, served: true, schema: {{openAPIV3Schema: {{type: object}}}}}}
"""


def test_of_a_crd_the_versions_that_are_served_count(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(CRD.format(group="things.dev"))
    (tmp_path / "b.yaml").write_text(CRD.format(group="others.dev"))
    (tmp_path / "c.yaml").write_text("{never: parsed")
    (found,) = read_crds(tmp_path, frozenset({"things.dev"}))
    assert (found.file, found.kind, list(found.schemas)) == ("a.yaml", "Thing", ["v1"])
    assert found.choose(Kind(group="things.dev", name="Thing", versions=("v2", "v1"))) == "v1"
    assert found.choose(Kind(group="things.dev", name="Thing", versions=("v2",))) == ""


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("group: things.dev\n  x: [")
    with pytest.raises(FixtureError, match=r"bad\.yaml: not YAML"):
        read_crds(tmp_path, frozenset({"things.dev"}))
