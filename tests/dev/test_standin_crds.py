"""The stand-in CRDs say nothing that the real ones do not, as far as those are at hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kubeairunway_dev.standins import CRDS

if TYPE_CHECKING:
    from collections.abc import Iterator

UPSTREAM = Path(os.environ.get("KUBEAIRUNWAY_UPSTREAM_CRDS", Path(__file__).parents[3] / "shared" / "upstream-crds"))
NAMES = sorted(path.name for path in CRDS.glob("*.yaml"))


def load(path: Path) -> dict[str, Any]:
    crd: dict[str, Any] = yaml.safe_load(path.read_text())
    return crd


def load_upstream(name: str) -> dict[str, Any]:
    if not (UPSTREAM / name).is_file():
        pytest.skip(f"{UPSTREAM} holds no {name}; KUBEAIRUNWAY_UPSTREAM_CRDS names a directory of upstream CRDs")
    return load(UPSTREAM / name)


def find_schema(crd: dict[str, Any], version: str) -> dict[str, Any]:
    found: dict[str, Any] = next(
        item["schema"]["openAPIV3Schema"] for item in crd["spec"]["versions"] if item["name"] == version
    )
    return found


def list_fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every field of a schema with its type, items of lists included."""
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field.get("type", "any")
        yield from list_fields(field, f"{path}.{name}")
        yield from list_fields(field.get("items", {}), f"{path}.{name}[]")


def list_free(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    """The fields below which a schema takes anything."""
    for name, field in schema.get("properties", {}).items():
        if field.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{path}.{name}"
        yield from list_free(field, f"{path}.{name}")
        yield from list_free(field.get("items", {}), f"{path}.{name}[]")


def test_there_are_stand_ins() -> None:
    assert NAMES == ["kaito.sh_inferencesets.yaml", "kaito.sh_workspaces.yaml"]


@pytest.mark.parametrize("name", NAMES)
def test_names_scope_versions_and_subresources_are_the_real_ones(name: str) -> None:
    ours, theirs = load(CRDS / name), load_upstream(name)
    assert ours["metadata"]["name"] == theirs["metadata"]["name"]
    for key in ("group", "scope", "names"):
        assert ours["spec"][key] == theirs["spec"][key]

    def describe(crd: dict[str, Any]) -> dict[str, Any]:
        return {
            version["name"]: (version["served"], version["storage"], version.get("subresources"))
            for version in crd["spec"]["versions"]
        }

    assert describe(ours) == describe(theirs)


@pytest.mark.parametrize("name", NAMES)
def test_every_typed_field_is_a_real_one_of_that_type(name: str) -> None:
    theirs_schema = find_schema(load_upstream(name), "v1beta1")
    theirs, free = dict(list_fields(theirs_schema)), tuple(list_free(theirs_schema))
    wrong = {
        path: (kind, theirs.get(path))
        for path, kind in list_fields(find_schema(load(CRDS / name), "v1beta1"))
        if not path.startswith(free) and theirs.get(path) != kind
    }
    assert wrong == {}
