"""The stand-in CRDs say nothing that the real ones do not, as far as those are at hand."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kubeairunway_dev.standins import CRDS
from kubeairunway_dev.standins.definitions import make_dynamo_1_1

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSIONS = {
    "kaito.sh_inferencesets.yaml": ("v1beta1",),
    "kaito.sh_workspaces.yaml": ("v1beta1",),
    "nvidia.com_dynamographdeployments.yaml": ("v1beta1", "v1alpha1"),
    "ray.io_rayclusters.yaml": ("v1",),
    "ray.io_rayservices.yaml": ("v1",),
}
"""Each stand-in, and the versions whose fields are compared: those that anything of ours renders or reads."""

DYNAMO_1_1 = "nvidia.com_dynamographdeployments-1.1.x.yaml"
UPSTREAM = Path(os.environ.get("KUBEAIRUNWAY_UPSTREAM_CRDS", Path(__file__).parents[3] / "shared" / "upstream-crds"))
NAMES = sorted(path.name for path in CRDS.glob("*.yaml"))


@cache
def load(path: Path) -> dict[str, Any]:
    # The C loader: upstream's files have a megabyte and more.
    crd: dict[str, Any] = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    return crd


def load_upstream(name: str) -> dict[str, Any]:
    if not (UPSTREAM / name).is_file():
        pytest.skip(f"{UPSTREAM} holds no {name}; KUBEAIRUNWAY_UPSTREAM_CRDS names a directory of upstream CRDs")
    return load(UPSTREAM / name)


def load_ours(name: str) -> dict[str, Any]:
    if name == DYNAMO_1_1:
        crd: dict[str, Any] = yaml.safe_load(make_dynamo_1_1())
        return crd
    return load(CRDS / name)


def find_schema(crd: dict[str, Any], version: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        item["schema"]["openAPIV3Schema"] for item in crd["spec"]["versions"] if item["name"] == version
    )
    return found


def list_parts(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The schemas right below one: fields, items, values of a map."""
    for name, field in schema.get("properties", {}).items():
        yield f".{name}", field
    if "items" in schema:
        yield "[]", schema["items"]
    if isinstance(schema.get("additionalProperties"), dict):
        yield "{}", schema["additionalProperties"]


def list_fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every field of a schema with its type, items of lists included."""
    for name, field in list_parts(schema):
        if not name.endswith(("[]", "{}")):
            yield f"{path}{name}", field.get("type", "any")
        yield from list_fields(field, f"{path}{name}")


def list_free(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The fields below which a schema takes anything."""
    for name, field in list_parts(schema):
        if field.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{path}{name}"
        yield from list_free(field, f"{path}{name}")


def list_merging(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """How server-side apply merges each list and map, which decides who owns what of it."""
    for name, field in list_parts(schema):
        marks = {key: field[key] for key in field if key.startswith(("x-kubernetes-list", "x-kubernetes-map"))}
        if field.get("type") in {"array", "object"}:
            yield f"{path}{name}", marks
        yield from list_merging(field, f"{path}{name}")


def list_defaults(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """What the API server fills in."""
    for name, field in list_parts(schema):
        if "default" in field:
            yield f"{path}{name}", field["default"]
        yield from list_defaults(field, f"{path}{name}")


PAIRS = [*((name, version) for name, versions in VERSIONS.items() for version in versions), (DYNAMO_1_1, "v1alpha1")]


def test_there_are_stand_ins() -> None:
    assert sorted(VERSIONS) == NAMES


@pytest.mark.parametrize("name", [*NAMES, DYNAMO_1_1])
def test_names_scope_versions_and_subresources_are_the_real_ones(name: str) -> None:
    ours, theirs = load_ours(name), load_upstream(name)
    assert ours["metadata"]["name"] == theirs["metadata"]["name"]
    for key in ("group", "scope", "names"):
        assert ours["spec"][key] == theirs["spec"][key]

    def describe(crd: dict[str, Any]) -> dict[str, Any]:
        keys = ("served", "storage", "subresources", "deprecated")
        return {version["name"]: [version.get(key) for key in keys] for version in crd["spec"]["versions"]}

    assert describe(ours) == describe(theirs)


@pytest.mark.parametrize(("name", "version"), PAIRS)
def test_every_typed_field_is_a_real_one_of_that_type(name: str, version: str) -> None:
    theirs_schema = find_schema(load_upstream(name), version)
    theirs, free = dict(list_fields(theirs_schema)), tuple(list_free(theirs_schema))
    wrong = {
        path: (kind, theirs.get(path))
        for path, kind in list_fields(find_schema(load_ours(name), version))
        if not path.startswith(free) and theirs.get(path) != kind
    }
    assert wrong == {}


@pytest.mark.parametrize(("name", "version"), PAIRS)
def test_lists_and_maps_are_merged_as_the_real_ones_are(name: str, version: str) -> None:
    theirs = dict(list_merging(find_schema(load_upstream(name), version)))
    wrong = {
        path: (marks, theirs[path])
        for path, marks in list_merging(find_schema(load_ours(name), version))
        if theirs.get(path, marks) != marks
    }
    assert wrong == {}


@pytest.mark.parametrize(("name", "version"), PAIRS)
def test_nothing_is_filled_in_that_the_real_one_leaves_out(name: str, version: str) -> None:
    theirs = dict(list_defaults(find_schema(load_upstream(name), version)))
    ours = dict(list_defaults(find_schema(load_ours(name), version)))
    assert {path: value for path, value in ours.items() if theirs.get(path) != value} == {}
