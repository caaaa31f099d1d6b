"""Values for options that a provider declares, made from their schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeairunway.plugin.typed import read_typed
from kubeairunway.testing.conformance.leaves import set_path

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

TEXTS = ("sample", "Sample_1", "1Gi", "registry.example/other:2", "/sample", "a=b")
"""Texts that are tried where an option takes one."""


def list_options(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Every option that has no options below it, with its schema."""
    for name, below in schema.get("properties", {}).items():
        place = f"{path}.{name}".removeprefix(".")
        if "properties" in below:
            yield from list_options(below, place)
        else:
            yield place, below


def list_values(cls: type, path: str, schema: Json) -> tuple[Any, ...]:
    """Values of an option that its type takes, its default left out."""
    tried = [value for variant in (schema, *schema.get("anyOf", ())) for value in _values_of(variant)]
    return tuple(
        value
        for value in tried
        if value != schema.get("default") and not read_typed(cls, set_path({}, path, value), "options")[1]
    )


def _values_of(schema: Json) -> Iterator[Any]:
    kind = schema.get("type")
    if "enum" in schema:
        yield from schema["enum"]
    elif kind == "boolean":
        yield from (True, False)
    elif kind in ("integer", "number"):
        low = int(schema.get("minimum") or schema.get("exclusiveMinimum") or 0)
        default = int(schema.get("default") or 0)
        yield from dict.fromkeys((low, low + 1, default + 1, schema.get("maximum", 7)))
    elif kind == "array":
        yield from ([value] for value in _values_of(schema.get("items", {"type": "string"})))
    elif kind == "object" and "properties" in schema:
        rows = {name: next(_values_of(below), None) for name, below in schema["properties"].items()}
        yield {name: value for name, value in rows.items() if value is not None}
    elif kind == "object":
        below = schema.get("additionalProperties")
        yield from ({"sample": value} for value in _values_of(below if isinstance(below, dict) else {"type": "string"}))
    elif kind == "string":
        yield from TEXTS
