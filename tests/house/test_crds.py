"""crds/ says what the models say: generated, and read back field by field with a walk of its own."""

from __future__ import annotations

import types
import typing
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel

from kubeairunway.model.__main__ import generated_files
from kubeairunway.model.crd import ModelDeploymentDocument, ProviderConfigDocument, crd_documents, crd_yaml

if typing.TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic.fields import FieldInfo

ROOT = Path(__file__).parents[2]
DOCUMENTS = {"ModelDeployment": ModelDeploymentDocument, "InferenceProviderConfig": ProviderConfigDocument}
KUBERNETES_OWN = {"apiVersion", "kind", "metadata"}
WRITTEN_OBJECTS = {"spec.scaling": {}, "status": {"observedGeneration": -1}}


def load_schema(kind: str) -> dict[str, Any]:
    for path in (ROOT / "crds").glob("*.yaml"):
        crd = yaml.safe_load(path.read_text(encoding="utf-8"))
        if crd["spec"]["names"]["kind"] == kind:
            schema: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
            return schema
    raise AssertionError(f"crds/ has no {kind}")


def schema_fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        if path or name not in KUBERNETES_OWN:
            yield f"{path}{name}", field
            yield from schema_fields(field.get("items", field), f"{path}{name}.")


def inner_types(annotation: Any) -> Iterator[Any]:
    """The types in an annotation without their wrappers: optional, annotated, list."""
    if get_origin(annotation) in {Annotated, Union, types.UnionType, tuple}:
        for part in get_args(annotation):
            yield from inner_types(part)
    else:
        yield annotation


def model_fields(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, FieldInfo, list[Any]]]:
    for name, info in model.model_fields.items():
        inner = list(inner_types(info.annotation))
        yield f"{path}{info.alias or name}", info, inner
        for part in inner:
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from model_fields(part, f"{path}{info.alias or name}.")


kinds = pytest.mark.parametrize("kind", DOCUMENTS)


@pytest.mark.parametrize("name", [name for name in generated_files() if name.startswith("crds/")])
def test_a_file_is_what_the_models_generate(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == generated_files()[name], "run python -m kubeairunway.model"


def test_no_other_crd_lies_in_the_directory() -> None:
    there = {f"crds/{path.name}" for path in (ROOT / "crds").iterdir() if path.is_file()}
    assert there == {name for name in generated_files() if name.startswith("crds/")}


def test_what_the_command_prints_is_what_lies_in_the_directory() -> None:
    assert list(yaml.safe_load_all(crd_yaml())) == crd_documents()
    assert crd_yaml() == "---\n".join(text for name, text in generated_files().items() if name.startswith("crds/"))


@kinds
def test_models_and_schema_have_the_same_fields(kind: str) -> None:
    of_model = [path for path, _, _ in model_fields(DOCUMENTS[kind])]
    of_schema = [path for path, _ in schema_fields(load_schema(kind))]
    assert of_model == of_schema


@kinds
def test_models_and_schema_have_the_same_enums(kind: str) -> None:
    schema = dict(schema_fields(load_schema(kind)))
    found = 0
    for path, _, inner in model_fields(DOCUMENTS[kind]):
        choices = [list(get_args(part)) for part in inner if get_origin(part) is Literal]
        field = schema[path].get("items", schema[path])
        assert ([field["enum"]] if "enum" in field else []) == choices, path
        found += len(choices)
    assert found >= 4


@kinds
def test_the_schema_writes_the_models_defaults_and_only_where_they_say_something(kind: str) -> None:
    schema = dict(schema_fields(load_schema(kind)))
    for path, info, _ in model_fields(DOCUMENTS[kind]):
        default = info.get_default(call_default_factory=True)
        scalar = type(default) in {bool, int, str} and default != "" and path != "status.observedGeneration"
        expected = default if scalar else WRITTEN_OBJECTS.get(path) if kind == "ModelDeployment" else None
        assert schema[path].get("default") == expected, path
        assert type(schema[path].get("default")) is type(expected), path


@kinds
def test_the_schema_requires_what_the_models_require(kind: str) -> None:
    schema = load_schema(kind)
    marked = {"spec", "spec.model"} if kind == "ModelDeployment" else set()
    expected = {path for path, info, _ in model_fields(DOCUMENTS[kind]) if info.is_required()} | marked
    assert set(required_fields(schema)) == expected


def required_fields(schema: dict[str, Any], path: str = "") -> Iterator[str]:
    yield from (f"{path}{name}" for name in schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        yield from required_fields(field.get("items", field), f"{path}{name}.")


@kinds
def test_every_list_map_and_text_has_a_bound(kind: str) -> None:
    unbounded = []
    for path, schema in every_schema(load_schema(kind)):
        if "x-kubernetes-int-or-string" in schema:
            continue
        bound = {"array": "maxItems", "string": "maxLength"}.get(schema["type"])
        if schema["type"] == "object" and "properties" not in schema:
            bound = "maxProperties"
        if bound and bound not in schema and "enum" not in schema:
            unbounded.append(path)
    assert unbounded == []


def every_schema(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema below the root's own fields, items and values included."""
    for name, field in schema.get("properties", {}).items():
        if path or name not in KUBERNETES_OWN:
            yield f"{path}{name}", field
            yield from every_schema(field, f"{path}{name}.")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield f"{path}[]", schema[key]
            yield from every_schema(schema[key], f"{path}[].")


@kinds
def test_every_field_is_described(kind: str) -> None:
    assert [path for path, field in schema_fields(load_schema(kind)) if not field.get("description")] == []


@kinds
def test_every_rule_has_a_message_and_a_reason_that_lets_it_through(kind: str) -> None:
    schema = load_schema(kind)
    rules = list(schema.get("x-kubernetes-validations", ()))
    for _, part in every_schema(schema):
        rules += part.get("x-kubernetes-validations", ())
    assert len({rule["rule"] for rule in rules}) >= 1
    for rule in rules:
        assert rule["message"]
        assert rule["reason"] != "FieldValueDuplicate", "the API server drops the message of this reason"


def test_a_text_is_never_cut_by_the_format_of_the_file() -> None:
    assert all("&id" not in text and "*id" not in text for text in generated_files().values())
