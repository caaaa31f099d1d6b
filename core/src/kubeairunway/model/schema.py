"""From a model to the structural OpenAPI schema that a CRD carries.

pydantic says what a model is in JSON Schema; this narrows it to what Kubernetes calls structural: references
resolved, `null` dropped (absent and null are the same to the API server), defaults only where the API server shall
write them, bounds under the names that fit the type.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from kubeairunway.model.base import DEFAULTED, MAX_INT32, REQUIRED

Schema = dict[str, Any]

_DROPPED = frozenset({"title", "default", "$ref", "anyOf", REQUIRED, DEFAULTED, "additionalProperties"})


def structural_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a model, without validation rules."""
    schema = model.model_json_schema(by_alias=True)
    return _convert(schema, schema.get("$defs", {}))


def schema_at(schema: Schema, path: str) -> Schema:
    """The part of a structural schema at a dotted path, `[]` being a list's item. Raises KeyError if there is none."""
    for step in path.split(".") if path else ():
        name = step.removesuffix("[]")
        schema = schema["properties"][name] if name else schema
        schema = schema["items"] if step.endswith("[]") else schema
    return schema


def fill_defaults(schema: Schema, value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """A JSON value with the defaults that the API server writes into it."""
    if isinstance(value, Mapping):
        fields = schema.get("properties", {})
        absent = {name: field["default"] for name, field in fields.items() if "default" in field and name not in value}
        return {name: fill_defaults(fields.get(name, {}), item) for name, item in {**value, **absent}.items()}
    if isinstance(value, list):
        return [fill_defaults(schema.get("items", {}), item) for item in value]
    return value


def _convert(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    source = _resolve(node, definitions)
    result: Schema = {key: value for key, value in source.items() if key not in _DROPPED and key != "$defs"}
    if "x-kubernetes-int-or-string" in source:
        return {**result, "anyOf": source["anyOf"]}
    kind = source["type"]
    if kind == "object":
        return _convert_object(source, result, definitions)
    if kind == "array":
        return result | {"items": _convert(source["items"], definitions)}
    if kind == "integer":
        result["format"] = "int32" if source.get("maximum", MAX_INT32 + 1) <= MAX_INT32 else "int64"
    if source.get("default") not in {None, ""}:
        result["default"] = source["default"]
    return result


def _resolve(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The node with its reference and its only non-null alternative merged in; what the field itself says wins."""
    if "$ref" in node:
        target = definitions[str(node["$ref"]).rpartition("/")[2]]
        return _resolve({**target, **_without(node, "$ref")}, definitions)
    choices = [choice for choice in node.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        return _resolve({**choices[0], **_without(node, "anyOf")}, definitions)
    return dict(node)


def _without(node: Mapping[str, Any], dropped: str) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key != dropped}


def _convert_object(source: Mapping[str, Any], result: Schema, definitions: Mapping[str, Any]) -> Schema:
    if DEFAULTED in source:
        result["default"] = source[DEFAULTED]
    if "properties" in source:
        properties = source["properties"]
        required = [
            name for name, field in properties.items() if REQUIRED in field or name in source.get("required", ())
        ]
        result["properties"] = {name: _convert(field, definitions) for name, field in properties.items()}
        return _without(result, "required") | ({"required": required} if required else {})
    if "maxLength" in result:
        result["maxProperties"] = result.pop("maxLength")
    values = source.get("additionalProperties", True)
    if values is True:
        return result | {"x-kubernetes-preserve-unknown-fields": True}
    return result | {"additionalProperties": _convert(values, definitions)}
