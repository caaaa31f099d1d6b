"""How a model becomes a structural schema: one case for each thing that JSON Schema says otherwise."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from kubeairunway.model.base import DEFAULTED, REQUIRED, JsonMap, LabelMap, Model, Quantity, empty_map, list_map
from kubeairunway.model.schema import schema_at, structural_schema


class Leaf(Model):
    """A leaf."""

    count: int = Field(0, ge=0, le=8, description="How many.")
    name: str = Field("", max_length=9)


class Tree(Model):
    """A tree."""

    needed: str = Field(max_length=3)
    marked: Leaf = Field(Leaf(), json_schema_extra={REQUIRED: True})
    plain: Leaf = Field(Leaf(), description="Mine.")
    maybe: Leaf | None = None
    filled: Leaf = Field(Leaf(), json_schema_extra={DEFAULTED: {}})
    big: int | None = None
    on: bool = True
    off: bool = False
    choice: Literal["a", "b"] | None = None
    size: Quantity | None = None
    leaves: Annotated[tuple[Leaf, ...], Field(max_length=4)] = Field((), json_schema_extra=list_map("name"))
    labels: LabelMap = Field(default_factory=empty_map)
    free: JsonMap = Field(default_factory=empty_map)


SCHEMA = structural_schema(Tree)
LEAF: dict[str, Any] = {
    "type": "object",
    "properties": {
        "count": {
            "type": "integer",
            "format": "int32",
            "minimum": 0,
            "maximum": 8,
            "default": 0,
            "description": "How many.",
        },
        "name": {"type": "string", "maxLength": 9},
    },
}

PARTS: dict[str, Any] = {
    "needed": {"type": "string", "maxLength": 3},
    "plain": {**LEAF, "description": "Mine."},
    "maybe": {**LEAF, "description": "A leaf."},
    "filled": {**LEAF, "description": "A leaf.", "default": {}},
    "big": {"type": "integer", "format": "int64"},
    "on": {"type": "boolean", "default": True},
    "off": {"type": "boolean", "default": False},
    "choice": {"type": "string", "enum": ["a", "b"]},
    "free": {"type": "object", "maxProperties": 64, "x-kubernetes-preserve-unknown-fields": True},
}


@pytest.mark.parametrize("name", PARTS)
def test_a_field_becomes(name: str) -> None:
    assert schema_at(SCHEMA, name) == PARTS[name]


def test_fields_without_a_default_and_marked_ones_are_required() -> None:
    assert SCHEMA["required"] == ["needed", "marked"]
    assert "required" not in schema_at(SCHEMA, "marked")


def test_a_keyed_list_has_its_key_and_its_bound() -> None:
    leaves = schema_at(SCHEMA, "leaves")
    assert (leaves["type"], leaves["maxItems"]) == ("array", 4)
    assert (leaves["x-kubernetes-list-type"], leaves["x-kubernetes-list-map-keys"]) == ("map", ["name"])
    assert schema_at(SCHEMA, "leaves[].count")["default"] == 0


def test_a_map_bounds_its_members_and_their_values() -> None:
    labels = schema_at(SCHEMA, "labels")
    assert labels["maxProperties"] == 64
    assert labels["additionalProperties"]["maxLength"] == 63
    assert "maxLength" not in labels


def test_a_quantity_is_int_or_string_and_has_no_type() -> None:
    size = schema_at(SCHEMA, "size")
    assert size["x-kubernetes-int-or-string"] is True
    assert size["anyOf"] == [{"type": "integer"}, {"type": "string"}]
    assert "type" not in size


def test_a_place_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        schema_at(SCHEMA, "plain.colour")
