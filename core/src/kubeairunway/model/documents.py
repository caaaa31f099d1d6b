"""Reading documents: a ModelDeployment or InferenceProviderConfig from a file, and a live object from the cluster.

A file is read strictly, since a mistyped field must not pass for one that was left out. A live object has been
accepted by the API server already, perhaps under an older or newer CRD: what this version does not know is ignored.
Neither raises for what a user can write.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from kubeairunway.model.annotations import nested_model
from kubeairunway.model.base import Model, empty_map, list_key
from kubeairunway.model.document_problems import describe_errors, unknown_field
from kubeairunway.model.names import API_VERSION, MODEL_DEPLOYMENT, PROVIDER_CONFIG
from kubeairunway.model.problems import Problem
from kubeairunway.model.provider_config import ProviderConfigSpec
from kubeairunway.model.spec import Spec
from kubeairunway.objects.resources import Json

M = TypeVar("M", bound=Model)

_TOP_FIELDS = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One ModelDeployment: its spec as far as it can be read, and the metadata that decisions look at.

    `problems` is what could not be read; then `spec` holds nothing but defaults and must not be acted upon.
    `raw` is the object as it came, never to be mutated.
    """

    name: str
    namespace: str
    uid: str = ""
    generation: int = 0
    spec: Spec = field(default_factory=Spec)
    labels: Mapping[str, str] = field(default_factory=empty_map)
    annotations: Mapping[str, str] = field(default_factory=empty_map)
    deletion_timestamp: str = ""
    finalizers: tuple[str, ...] = ()
    raw: Json = field(default_factory=dict, repr=False, compare=False)
    problems: tuple[Problem, ...] = ()

    @classmethod
    def from_object(cls, obj: Json) -> "Deployment":
        """Read a live object. Never raises: what cannot be read is in `problems`."""
        spec, problems = _parse(Spec, obj.get("spec"))
        return cls(**_metadata(obj), spec=spec or Spec(), raw=obj, problems=problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfig:
    """One InferenceProviderConfig: the administrator's spec as far as it can be read.

    `problems` is what could not be read; then `spec` holds nothing but defaults.
    """

    name: str
    uid: str = ""
    generation: int = 0
    spec: ProviderConfigSpec = field(default_factory=ProviderConfigSpec)
    raw: Json = field(default_factory=dict, repr=False, compare=False)
    problems: tuple[Problem, ...] = ()

    @classmethod
    def from_object(cls, obj: Json) -> "ProviderConfig":
        """Read a live object. Never raises: what cannot be read is in `problems`."""
        spec, problems = _parse(ProviderConfigSpec, obj.get("spec"))
        about = _metadata(obj)
        return cls(
            name=about["name"],
            uid=about["uid"],
            generation=about["generation"],
            spec=spec or ProviderConfigSpec(),
            raw=obj,
            problems=problems,
        )


def read_deployment(doc: object) -> tuple[Deployment | None, tuple[Problem, ...]]:
    """Read a ModelDeployment from a user's document; None if a problem keeps it from being read.

    Rules about how fields go together are not looked at here.
    """
    problems = _find_problems(doc, MODEL_DEPLOYMENT, Spec)
    return (Deployment.from_object(doc) if isinstance(doc, dict) and not problems else None), problems


def read_provider_config(doc: object) -> tuple[ProviderConfig | None, tuple[Problem, ...]]:
    """Read an InferenceProviderConfig from a user's document; None if a problem keeps it from being read."""
    problems = _find_problems(doc, PROVIDER_CONFIG, ProviderConfigSpec)
    return (ProviderConfig.from_object(doc) if isinstance(doc, dict) and not problems else None), problems


def _find_problems(doc: object, kind: str, spec: type[Model]) -> tuple[Problem, ...]:
    """All that is wrong with a document at once; a spec of another kind has nothing to be measured by."""
    problems = tuple(_check_document(doc, kind, spec))
    if not isinstance(doc, dict) or doc.get("kind") != kind:
        return problems
    return (*problems, *_parse(spec, doc.get("spec"), strict=True)[1])


def _parse(model: type[M], value: object, *, strict: bool = False) -> tuple[M | None, tuple[Problem, ...]]:
    """Read a spec; strictly means that "8" is no number and "yes" is not true, as the API server has it."""
    try:
        if value is None:
            return model(), ()
        return model.model_validate(_tuples(value) if strict else value, strict=strict), ()
    except ValidationError as error:
        return None, tuple(describe_errors(error, "spec"))


def _tuples(value: object) -> object:
    """The value with tuples for lists: pydantic's strictness would refuse a list."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _metadata(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of metadata that decisions look at, each of the type it must have."""
    metadata = _mapping(obj.get("metadata"))
    generation = metadata.get("generation")
    finalizers = metadata.get("finalizers")
    return {
        "name": _text(metadata.get("name")),
        "namespace": _text(metadata.get("namespace")),
        "uid": _text(metadata.get("uid")),
        "generation": generation if isinstance(generation, int) else 0,
        "labels": _mapping(metadata.get("labels")),
        "annotations": _mapping(metadata.get("annotations")),
        "deletion_timestamp": _text(metadata.get("deletionTimestamp")),
        "finalizers": tuple(finalizers) if isinstance(finalizers, list) else (),
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return MappingProxyType(value) if isinstance(value, dict) else empty_map()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _check_document(doc: object, kind: str, spec: type[Model]) -> Iterator[Problem]:
    """Problems of the frame around the spec, and of fields that do not exist."""
    if not isinstance(doc, dict):
        yield Problem("", "NotAnObject", f"a {kind} is a map with apiVersion, kind, metadata and spec")
        return
    if doc.get("apiVersion") != API_VERSION:
        yield Problem("apiVersion", "WrongApiVersion", f"apiVersion must be {API_VERSION}")
    if doc.get("kind") != kind:
        yield Problem("kind", "WrongKind", f"kind must be {kind}")
    yield from (unknown_field(str(name), "", _TOP_FIELDS) for name in doc if name not in _TOP_FIELDS)
    metadata = doc.get("metadata")
    if not isinstance(metadata, dict):
        yield Problem("metadata", "Required", "metadata must be a map with at least a name")
    else:
        yield from _check_metadata(metadata)
    if "spec" in doc:
        yield from _check_fields(spec, doc["spec"], "spec")


def _check_metadata(metadata: Mapping[str, Any]) -> Iterator[Problem]:
    if not (isinstance(metadata.get("name"), str) and metadata["name"]):
        yield Problem("metadata.name", "Required", "metadata.name is required; give a DNS label such as my-model")
    if not isinstance(metadata.get("namespace") or "", str):
        yield Problem("metadata.namespace", "WrongType", "metadata.namespace must be a text")
    for name in ("labels", "annotations"):
        texts = metadata.get(name)
        if texts is None:
            continue
        if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
            message = f"metadata.{name} must be a map of texts (in quotes if they look like numbers)"
            yield Problem(f"metadata.{name}", "WrongType", message)


def _check_fields(model: type[Model], value: object, path: str) -> Iterator[Problem]:
    """Fields that do not exist, and items of a keyed list that share a key, at any depth."""
    if not isinstance(value, dict):
        return
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    for name, item in value.items():
        if name not in fields:
            yield unknown_field(str(name), path, fields)
            continue
        info, below = fields[name], f"{path}.{name}"
        nested = nested_model(info.annotation)
        if nested is not None:
            for place, part in _parts(item, below):
                yield from _check_fields(nested, part, place)
        if isinstance(item, list) and isinstance(info.json_schema_extra, dict):
            yield from _check_keys(item, list_key(info.json_schema_extra), below)


def _check_keys(items: list[object], key: str, path: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, item in enumerate(items):
        name = item.get(key) if isinstance(item, dict) else None
        if not key or not isinstance(name, str):
            continue
        if name in seen:
            place = f"{path}[{index}]"
            yield Problem(
                place, "Duplicate", f"{place} is a duplicate: there is another with {key} {name}; give each its own"
            )
        seen.add(name)


def _parts(value: object, path: str) -> Iterable[tuple[str, object]]:
    """The items of a list, or the value itself, each with its path."""
    return (
        [(f"{path}[{index}]", item) for index, item in enumerate(value)] if isinstance(value, list) else [(path, value)]
    )
