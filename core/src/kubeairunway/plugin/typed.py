"""Overrides and settings: from the YAML a user wrote to the frozen dataclass a provider declared, and its schema.

The dataclass is the one source: what it accepts, the JSON schema that UIs see, and the names in every message.
"""

import dataclasses
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ConfigDict, PydanticUserError, ValidationError, create_model
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from kubeairunway.model.base import thaw
from kubeairunway.model.paths import nearest
from kubeairunway.model.problems import Problem
from kubeairunway.objects.resources import Json

T = TypeVar("T")

_CONFIG = ConfigDict(
    alias_generator=to_camel,
    extra="forbid",
    strict=True,  # "2" is no number; read as JSON, so that lists become tuples and integers pass for floats
    allow_inf_nan=False,
    serialize_by_alias=True,
    use_attribute_docstrings=True,
)
_LONGEST_SHOWN = 60
_UNKNOWN = frozenset({"unexpected_keyword_argument", "extra_forbidden"})
_RIGHT = {
    "string_type": "use a string",
    "int_type": "use an integer",
    "int_from_float": "use an integer",
    "float_type": "use a number",
    "finite_number": "use a finite number",
    "bool_type": "use true or false",
    "dict_type": "use a mapping",
    "dataclass_type": "use a mapping",
    "tuple_type": "use a list",
    "list_type": "use a list",
    "frozen_set_type": "use a list",
    "none_required": "leave it out",
    "literal_error": "use {expected}",
    "enum": "use {expected}",
    "greater_than_equal": "use at least {ge}",
    "greater_than": "use more than {gt}",
    "less_than_equal": "use at most {le}",
    "less_than": "use less than {lt}",
    "multiple_of": "use a multiple of {multiple_of}",
    "string_pattern_mismatch": "match {pattern}",
    "string_too_short": "use at least {min_length} characters",
    "string_too_long": "use at most {max_length} characters",
    "too_short": "give at least {min_length} items",
    "too_long": "give at most {max_length} items",
    "missing": "give it a value",
}
"""What would be right, by pydantic's name of the error; its context fills the braces."""


def read_typed(cls: type[T], raw: Mapping[str, Any], path: str) -> tuple[T | None, tuple[Problem, ...]]:
    """Read what a user wrote at `path` into `cls`; either the instance, or every problem with it.

    `cls` is a frozen dataclass whose fields all have defaults; keys in `raw` are its fields in camelCase.
    Codes: UnknownField, InvalidValue.
    """
    text = json.dumps({"value": thaw(raw)}, default=str)
    try:
        holder: Any = _holder(cast("type", cls)).model_validate_json(text)
    except ValidationError as error:
        return None, _as_problems(error, cls, raw, path)
    value: T = holder.value
    return value, ()


def schema_of(cls: type) -> Json:
    """The JSON schema of `cls` in the structural form Kubernetes reads: camelCase, no references, `nullable`.

    Descriptions come from `field(metadata={"description": ...})`, `Annotated[..., Field(description=...)]`, or a
    string below the field. Raises TypeError for a type that has no such schema (it contains itself).
    """
    document = _holder(cls).model_json_schema()
    return _make_structural(document["properties"]["value"], document.get("$defs", {}), ())


def check_options(cls: object) -> tuple[str, ...]:
    """Why `cls` cannot be a provider's overrides or settings; empty when it can."""
    if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
        return (f"{cls!r} is not a dataclass; declare one with @dataclass(frozen=True)",)
    found = []
    if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]  # typeshed leaves it out
        found.append(f"{cls.__name__} can be changed; declare it with @dataclass(frozen=True)")
    found += [
        f"{cls.__name__}.{field.name} has no default; users may leave out any field"
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if not found:
        found += _check_schema(cls)
    return tuple(found)


def _check_schema(cls: type) -> list[str]:
    try:
        schema_of(cls)
        cls()
    except (TypeError, ValueError, NameError, PydanticUserError) as error:
        line = str(error).partition("\n")[0]
        return [
            f"{cls.__name__} cannot be read from YAML: {line}; use str, int, float, bool, Literal, tuples, dataclasses"
        ]
    return []


@lru_cache(maxsize=128)
def _holder(cls: type) -> type[BaseModel]:
    """A model around `cls`: pydantic hands a model's configuration on to the plain dataclasses in it."""
    return create_model(f"{cls.__name__}Holder", __config__=_CONFIG, value=(cls, ...))


def _make_structural(node: Json, definitions: Json, above: tuple[str, ...]) -> Json:
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        if name in above:
            raise TypeError(f"{name} contains itself")
        target = definitions[name] | {key: value for key, value in node.items() if key != "$ref"}
        return _make_structural(target, definitions, (*above, name))
    variants = [item for item in node.get("anyOf", ()) if item != {"type": "null"}]
    if len(variants) < len(node.get("anyOf", ())):
        rest = {key: value for key, value in node.items() if key != "anyOf" and (key, value) != ("default", None)}
        inner = variants[0] if len(variants) == 1 else {"anyOf": variants}
        return _make_structural({**inner, **rest}, definitions, above) | {"nullable": True}
    schema = {key: value for key, value in node.items() if key not in ("title", "$defs")}
    if "properties" in schema:  # a structural schema has either properties or additionalProperties
        schema.pop("additionalProperties", None)
        schema["properties"] = {
            name: _make_structural(item, definitions, above) for name, item in schema["properties"].items()
        }
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            schema[key] = _make_structural(schema[key], definitions, above)
    if "default" in schema:
        schema["default"] = _respell(schema["default"], schema)
    if "anyOf" in schema:
        schema["anyOf"] = [_make_structural(item, definitions, above) for item in schema["anyOf"]]
    if "const" in schema:
        schema["enum"] = [schema.pop("const")]
    return schema


def _respell(default: Any, schema: Json) -> Any:  # noqa: ANN401 - JSON
    """A default in camelCase: pydantic writes those of plain dataclasses under their Python names."""
    if isinstance(default, dict) and "properties" in schema:
        fields = schema["properties"]
        return {(alias := to_camel(name)): _respell(value, fields.get(alias, {})) for name, value in default.items()}
    if isinstance(default, list) and "items" in schema:
        return [_respell(value, schema["items"]) for value in default]
    return default


def _as_problems(error: ValidationError, cls: type, raw: Mapping[str, Any], path: str) -> tuple[Problem, ...]:
    found: dict[str, Problem] = {}
    for detail in error.errors(include_url=False):
        steps = _steps_in(raw, detail["loc"][1:])
        place = _spell(path, steps)
        if detail["type"] in _UNKNOWN:
            found.setdefault(place, _unknown_field(place, cls, steps))
        elif place in found:  # the variants of a union object one by one
            right = f"{found[place].message}, or {_right(detail)}"
            found[place] = dataclasses.replace(found[place], message=right)
        else:
            found[place] = Problem(place, "InvalidValue", f"{_show(detail['input'])} does not fit; {_right(detail)}")
    return tuple(found[place] for place in sorted(found))


def _steps_in(raw: Any, location: tuple[int | str, ...]) -> tuple[int | str, ...]:  # noqa: ANN401 - JSON
    """The part of an error's location that is in the input: unions add the names of their variants."""
    steps: list[int | str] = []
    here = raw
    for step in location:
        if isinstance(here, Mapping):
            known = step in here
        else:
            known = isinstance(here, list | tuple) and isinstance(step, int) and step < len(here)
        if known:
            here = here[step]
            steps.append(step)
    return tuple(steps)


def _spell(path: str, steps: tuple[int | str, ...]) -> str:
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path


def _unknown_field(place: str, cls: type, steps: tuple[int | str, ...]) -> Problem:
    name = str(steps[-1])
    known = _fields_at(schema_of(cls), steps[:-1])
    near = nearest(to_camel(name) if "_" in name else name, known)
    hint = f"did you mean {near}?" if near else f"known are {', '.join(sorted(known)) or 'none'}"
    return Problem(place, "UnknownField", f"{name} is unknown; {hint}")


def _fields_at(schema: Json, steps: tuple[int | str, ...]) -> tuple[str, ...]:
    """The fields a schema knows below `steps`."""
    nodes = [schema]
    for step in steps:
        nodes = [
            child
            for node in nodes
            for variant in (node, *node.get("anyOf", ()))
            for child in (
                variant.get("items") if isinstance(step, int) else variant.get("properties", {}).get(step),
                variant.get("additionalProperties") if isinstance(step, str) else None,
            )
            if isinstance(child, dict)
        ]
    return tuple(
        name for node in nodes for variant in (node, *node.get("anyOf", ())) for name in variant.get("properties", ())
    )


def _right(detail: ErrorDetails) -> str:
    template = _RIGHT.get(detail["type"])
    if template is None:
        return detail["msg"][:1].lower() + detail["msg"][1:]
    return template.format(**detail.get("ctx", {}))


def _show(value: object) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
