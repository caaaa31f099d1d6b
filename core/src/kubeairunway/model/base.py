"""What every model of ours shares: camelCase in YAML, snake_case in Python, immutable to the leaves."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel

QUANTITY_PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
"""What Kubernetes' own CRDs accept as a resource quantity."""


MAX_INT32 = 2**31 - 1

REQUIRED = "x-required"
"""Mark of a field (json_schema_extra) that the CRD requires though reading does without it."""

DEFAULTED = "x-defaulted"
"""Mark of an object that the CRD fills in when it is absent: only scalars are filled in unmarked."""

ATOMIC: dict[str, JsonValue] = {"x-kubernetes-map-type": "atomic"}
"""Mark of a model (json_schema_extra) that server-side apply takes or leaves as a whole, as Kubernetes does its own."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Model(BaseModel):
    """Base of all models: frozen, read and written under its YAML names, unknown fields ignored.

    Unknown fields are ignored because an object written under a newer CRD must still be readable after a
    downgrade; input from a file is checked for them where it is read.
    """

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        validate_by_alias=True,
        validate_by_name=True,
        serialize_by_alias=True,
        extra="ignore",
    )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return itself: immutable values need no copies, and read-only maps cannot make them."""
        return self


def empty_map() -> Mapping[str, Any]:
    """The read-only empty map, as a default."""
    return _EMPTY


def freeze(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """A JSON value whose maps are read-only and whose lists are tuples, to the leaves."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: freeze(item) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return tuple(freeze(item) for item in value)
    return value


def thaw(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """The plain dicts and lists behind a frozen JSON value."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [thaw(item) for item in value]
    return value


def list_map(key: str) -> dict[str, Any]:
    """Mark of a list whose items are told apart by one field (json_schema_extra)."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def list_key(marks: Mapping[str, Any]) -> str:
    """The field that tells a list's items apart, from the list's marks; empty if there is none."""
    keys = marks.get("x-kubernetes-list-map-keys")
    return str(keys[0]) if keys else ""


def _quantity_text(value: Any) -> Any:  # noqa: ANN401 - YAML writes whole quantities as numbers, too
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def read_only(value: Mapping[str, str]) -> Mapping[str, str]:
    """A read-only copy of a map of strings."""
    return MappingProxyType(dict(value))


LabelValue = Annotated[str, Field(max_length=63, pattern=r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$")]
"""Value of a Kubernetes label."""

LabelMap = Annotated[Mapping[str, LabelValue], AfterValidator(read_only), PlainSerializer(dict), Field(max_length=64)]
"""A read-only map of Kubernetes labels."""

JsonMap = Annotated[Mapping[str, Any], AfterValidator(freeze), PlainSerializer(thaw), Field(max_length=64)]
"""A read-only JSON object of any shape, with at most 64 members at its top."""

Quantity = Annotated[
    str,
    BeforeValidator(_quantity_text),
    Field(max_length=64, pattern=QUANTITY_PATTERN),
    WithJsonSchema(
        {
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "maxLength": 64,
            "pattern": QUANTITY_PATTERN,
            "x-kubernetes-int-or-string": True,
        }
    ),
]
"""A resource quantity, kept as written ("500m", "16Gi"); a whole number in YAML reads as its text.

Fractions must be text: the API server takes integers and strings where a quantity stands in a CRD.
"""
