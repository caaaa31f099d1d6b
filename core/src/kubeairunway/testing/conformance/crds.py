"""Upstream's CRDs from a directory of YAML files: each file stands for a cluster that serves what it says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from kubeairunway.testing.fixtures import LOADER, FixtureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from kubeairunway.plugin import Kind

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Crd:
    """One CustomResourceDefinition: the file it is in, and the schema of each version that it serves."""

    file: str
    group: str
    kind: str
    schemas: Mapping[str, Json]

    def choose(self, kind: Kind) -> str:
        """The version of a kind that a cluster with this CRD would be written in; empty if it serves none of them."""
        return next((version for version in kind.versions if version in self.schemas), "")


def read_crds(directory: Path, groups: frozenset[str]) -> tuple[Crd, ...]:
    """Every CRD of these groups in a directory, in the order of its files. Raises FixtureError."""
    if not directory.is_dir():
        raise FixtureError(f"{directory} is no directory; give one that holds CustomResourceDefinitions in YAML files")
    files = sorted(path for path in directory.rglob("*") if path.suffix in {".yaml", ".yml"})
    return tuple(crd for path in files for crd in _read_file(path, groups))


def _read_file(path: Path, groups: frozenset[str]) -> Iterator[Crd]:
    text = path.read_text(encoding="utf-8")
    # A file of another group costs a second to parse and nothing to pass over.
    if not groups.intersection(re.findall(r"^\s*group:\s*[\"']?([\w.-]+)", text, re.MULTILINE)):
        return
    try:
        documents = list(yaml.load_all(text, Loader=LOADER))
    except yaml.YAMLError as error:
        raise FixtureError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    for document in documents:
        for item in document.get("items", [document]) if isinstance(document, dict) else ():
            if item.get("kind") == "CustomResourceDefinition" and item["spec"]["group"] in groups:
                yield _read_crd(path, item["spec"])


def _read_crd(path: Path, spec: Json) -> Crd:
    schemas = {
        row["name"]: row.get("schema", {}).get("openAPIV3Schema", {})
        for row in spec["versions"]
        if row.get("served", True)
    }
    return Crd(path.name, spec["group"], spec["names"]["kind"], schemas)


def as_json_schema(node: Json, *, top: bool = False) -> Json:
    """A structural schema as JSON Schema (draft 4, whose exclusive bounds are flags as OpenAPI 3.0's are).

    Unknown fields, which the API server would drop, are errors here. Only what validates is kept.
    """
    schema: Json = {key: node[key] for key in _KEPT if key in node}
    if "pattern" in schema and not _compiles(schema["pattern"]):
        del schema["pattern"]  # Go's dialect has what Python's lacks
    if node.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
        schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    elif node.get("nullable") and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
        if "enum" in schema:
            schema["enum"] = [*schema["enum"], None]
    for key in ("allOf", "anyOf", "oneOf"):
        if key in node and not node.get("x-kubernetes-int-or-string"):
            schema[key] = [_as_condition(item) for item in node[key]]
    if "items" in node:
        schema["items"] = as_json_schema(node["items"])
        schema |= _unique_items(node)
    return schema | _object_rules(node, top=top)


_KEPT = (
    "type", "enum", "pattern", "required", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
    "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties",
)  # fmt: skip


def _object_rules(node: Json, *, top: bool) -> Json:
    rules: Json = {}
    properties = {name: as_json_schema(below) for name, below in node.get("properties", {}).items()}
    if top or node.get("x-kubernetes-embedded-resource"):
        properties |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    if properties:
        rules["properties"] = properties
    below = node.get("additionalProperties")
    if isinstance(below, dict):
        rules["additionalProperties"] = as_json_schema(below)
    elif below is None and "properties" in node and not node.get("x-kubernetes-preserve-unknown-fields"):
        rules["additionalProperties"] = False
    return rules


def _as_condition(node: Json) -> Json:
    """What stands below anyOf and its like: conditions on values alone, which say nothing of unknown fields."""
    schema: Json = {key: node[key] for key in _KEPT if key in node}
    for key in ("allOf", "anyOf", "oneOf"):
        if key in node:
            schema[key] = [_as_condition(item) for item in node[key]]
    if "not" in node:
        schema["not"] = _as_condition(node["not"])
    if "properties" in node:
        schema["properties"] = {name: _as_condition(below) for name, below in node["properties"].items()}
    if "items" in node:
        schema["items"] = _as_condition(node["items"])
    return schema


def _unique_items(node: Json) -> Json:
    return {"x-list-keys": node["x-kubernetes-list-map-keys"]} if node.get("x-kubernetes-list-type") == "map" else {}


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True
