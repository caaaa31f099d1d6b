"""What every model of ours shares: camelCase in YAML, snake_case in Python, immutable to the leaves."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

QUANTITY_PATTERN = (
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
)
"""What Kubernetes' own CRDs accept as a resource quantity."""


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


def _quantity_text(value: Any) -> Any:  # noqa: ANN401 - YAML writes quantities as numbers, too
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


StrMap = Annotated[
    Mapping[str, str], AfterValidator(lambda value: MappingProxyType(dict(value))), PlainSerializer(dict)
]
"""A read-only map of strings; give its bound with Field(max_length=...)."""

JsonMap = Annotated[Mapping[str, Any], AfterValidator(freeze), PlainSerializer(thaw)]
"""A read-only JSON object of any shape."""

Quantity = Annotated[str, BeforeValidator(_quantity_text), Field(max_length=64, pattern=QUANTITY_PATTERN)]
"""A resource quantity, kept as written ("500m", "16Gi"); a number in YAML reads as its text."""
