"""Every field of the spec, varied: derived from the model's schema, so that a new field is varied from its first day.

A `Change` lays one value over a base spec and then another; a provider that carries the field shows the difference.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.model.base import MAX_INT32
from kubeairunway.model.schema import schema_at, structural_schema
from kubeairunway.model.spec import Spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Json = dict[str, Any]

CORE_ONLY: Final = ("engine.type", "provider.name", "provider.overrides", "serving.mode")
"""Fields that the core answers to."""

SAME_MEANING: Final = frozenset({"env[].valueFrom.fieldRef.apiVersion"})
"""Fields whose only possible value means the same as its absence: nothing can be seen of them."""

CANDIDATES: Final = (
    "sample", "other", "3", "5", "24Gi", "48Gi", "amd.com/gpu", "gpu.intel.com/i915",
)  # fmt: skip
"""Texts that are tried in turn where a field has a pattern."""

TEXTS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "image": ("registry.example/other:2", "registry.example/third:3"),
        "engine.image": ("registry.example/other:2", "registry.example/third:3"),
        "model.id": ("sample-org/other-model", "sample-org/third-model"),
        "resources.cpu": ("3", "5"),
        "resources.memory": ("24Gi", "48Gi"),
        "scaling.prefill.memory": ("24Gi", "48Gi"),
        "scaling.decode.memory": ("24Gi", "48Gi"),
    }
)
"""Values of texts that mean something."""

ROOM: Final[Mapping[str, Json]] = MappingProxyType({"engine.image": {"image": ""}})
"""What has to make way for a field, since the core takes one of the two."""

MAPS: Final[Mapping[str, tuple[Json, ...]]] = MappingProxyType(
    {
        "engine.args": ({"seed": "7"}, {"seed": "8"}, {"seeds": "8"}, {"seeds": "8", "more": "x"}),
        "nodeSelector": ({"pool": "a"}, {"pool": "b"}, {"place": "b"}),
        "podTemplate.metadata.labels": ({"sample.example/team": "a"}, {"sample.example/team": "b"}, {"team": "b"}),
        "podTemplate.metadata.annotations": ({"sample.example/note": "a"}, {"sample.example/note": "b"}, {"n": "b"}),
    }
)


@dataclass(frozen=True, slots=True)
class Change:
    """One field with two values; `field` is its path, `[]` being a list's item. Both are parts of a spec."""

    field: str
    before: Json
    after: Json

    @property
    def path(self) -> str:
        """The path as `carries` spells it: lists and maps are leaves."""
        return self.field.partition("[]")[0]


@cache
def list_fields() -> tuple[str, ...]:
    """Every field of the spec that has no field below it, those of lists' items included."""
    found = _walk_schema(structural_schema(Spec), "")
    return tuple(path for path in found if not path.startswith(CORE_ONLY))


def _walk_schema(schema: Json, path: str) -> Iterator[str]:
    if "properties" in schema:
        for name, below in schema["properties"].items():
            yield from _walk_schema(below, f"{path}.{name}".removeprefix("."))
    elif schema.get("type") == "array" and "properties" in schema["items"]:
        yield from _walk_schema(schema["items"], f"{path}[]")
    else:
        yield path


@cache
def list_changes() -> tuple[Change, ...]:
    """At least one change of every field in `list_fields`, but for those that have one meaning alone."""
    return tuple(
        change
        for field in list_fields()
        if field not in SAME_MEANING
        for change in (_ITEMS[field]() if "[]" in field else _vary_field(field))
    )


def _vary_field(field: str) -> Iterator[Change]:
    values: tuple[Any, ...] = (None, *_sample_values(field, schema_at(structural_schema(Spec), field)))
    room = ROOM.get(field, {})
    for first, second in itertools.pairwise(values):
        before, after = ({} if value is None else {**room, **nest(field, value)} for value in (first, second))
        yield Change(field, before, after)


def _sample_values(field: str, schema: Json) -> tuple[Any, ...]:
    """Two or more values that differ from the default and from each other."""
    if field in MAPS:
        return MAPS[field]
    kind = schema.get("type", "string")
    if "enum" in schema:
        return tuple(value for value in schema["enum"] if value != schema.get("default"))
    if kind == "boolean":
        return (not schema.get("default", False),)
    if kind == "integer":
        low = int(schema.get("default") or schema.get("minimum") or 0)
        return (2, 4) if low <= 1 and schema.get("maximum", MAX_INT32) < MAX_INT32 else (4096, 8192)
    if kind == "array":
        return (["--swap-space=2"], ["--swap-space=3"], ["--alpha", "--beta"], ["--beta", "--alpha"])
    fits = re.compile(schema.get("pattern", ""))
    return TEXTS.get(field) or tuple(text for text in CANDIDATES if fits.search(text))[:2]


def nest(path: str, value: Any) -> Json:  # noqa: ANN401 - JSON of any shape
    """The part of a spec that has a value at a dotted path."""
    for step in reversed(path.split(".")):
        value = {step: value}
    found: Json = value
    return found


# ---- items of lists: what makes one valid is no matter of its schema ----


def _make_items(
    field: str, base: Json, *pairs: tuple[str, Any, Any], drop: tuple[str, ...] = ()
) -> dict[str, tuple[Change, ...]]:
    """Changes of an item's fields: by field, the item with the first and with the second value (None: absent)."""
    found: dict[str, tuple[Change, ...]] = {}
    for name, first, second in pairs:
        rows = [_with(base, name, value, drop) for value in (first, second)]
        before, after = (nest(field, [row]) for row in rows)
        found[f"{field}[].{name}"] = (Change(f"{field}[].{name}", before, after),)
    return found


def _with(base: Json, name: str, value: Any, drop: tuple[str, ...]) -> Json:  # noqa: ANN401 - JSON of any shape
    kept = {key: item for key, item in base.items() if key not in drop}
    if value is None:
        return {key: item for key, item in kept.items() if key != name}
    head, _, rest = name.partition(".")
    if not rest:
        return {**kept, name: value}
    return {**kept, head: _with(kept.get(head, {}), rest, value, ())}


_VARIABLE: Final = {"name": "MODE", "value": "quiet"}
_KEY: Final = {"name": "from", "key": "one"}
_FILE: Final = {"volumeName": "files", "path": "one.env", "key": "one"}
_VOLUME: Final = {"name": "cache", "claimName": "claim", "mountPath": "/data"}
_CLAIM: Final = {"name": "cache", "size": "10Gi", "mountPath": "/data"}
_TAINT: Final = {"key": "gpu", "operator": "Equal", "value": "a"}


def _from_source(source: str, base: Json, *pairs: tuple[str, Any, Any]) -> dict[str, tuple[Change, ...]]:
    whole = {"name": "MODE", "valueFrom": {source: base}}
    return _make_items("env", whole, *((f"valueFrom.{source}.{name}", first, second) for name, first, second in pairs))


_TABLE: Final[Mapping[str, tuple[Change, ...]]] = {
    **_make_items("env", _VARIABLE, ("name", "MODE", "TONE"), ("value", "quiet", "loud")),
    **_from_source("configMapKeyRef", _KEY, ("name", "a", "b"), ("key", "one", "two"), ("optional", None, True)),
    **_from_source("secretKeyRef", _KEY, ("name", "a", "b"), ("key", "one", "two"), ("optional", None, True)),
    **_from_source("fieldRef", {}, ("fieldPath", "metadata.name", "metadata.namespace")),
    **_from_source(
        "resourceFieldRef",
        {"resource": "limits.memory", "containerName": "engine"},
        ("containerName", "engine", "other"),
        ("resource", "limits.memory", "limits.cpu"),
        ("divisor", None, "1Mi"),
    ),
    **_from_source(
        "fileKeyRef",
        _FILE,
        ("volumeName", "files", "others"),
        ("path", "one.env", "two.env"),
        ("key", "one", "two"),
        ("optional", None, True),
    ),
    **_make_items(
        "model.storage.volumes",
        _VOLUME,
        ("claimName", "claim", "other"),
        ("mountPath", "/data", "/srv"),
        ("readOnly", None, True),
    ),
    **_make_items("model.storage.volumes", _VOLUME, ("purpose", "modelCache", "compilationCache"), drop=("mountPath",)),
    **_make_items(
        "model.storage.volumes",
        _CLAIM,
        ("name", "cache", "other"),
        ("size", "10Gi", "20Gi"),
        ("storageClassName", None, "fast"),
        ("accessMode", "ReadWriteMany", "ReadWriteOnce"),
    ),
    **_make_items(
        "tolerations",
        _TAINT,
        ("key", "gpu", "other"),
        ("value", "a", "b"),
        ("effect", "NoSchedule", "NoExecute"),
    ),
    **_make_items("tolerations", {"key": "gpu", "operator": "Exists"}, ("operator", "Exists", "Equal")),
    **_make_items("tolerations", {**_TAINT, "effect": "NoExecute"}, ("tolerationSeconds", 30, 60)),
}
_ITEMS: Final = {field: (lambda changes=changes: changes) for field, changes in _TABLE.items()}


# ---- the ends of what a field may hold ----


@cache
def list_bounds() -> tuple[tuple[str, Json], ...]:
    """The smallest and greatest value of every number, the longest of every text, and a full list and map of each."""
    schema = structural_schema(Spec)
    return (
        tuple(
            (f"{field} = {shown}", nest(field, value))
            for field in list_fields()
            if "[]" not in field
            for shown, value in _find_bounds(schema_at(schema, field))
        )
        + _full_lists()
    )


def _find_bounds(schema: Json) -> Iterator[tuple[str, Any]]:
    kind = schema.get("type")
    if kind == "integer":
        for value in sorted({schema["minimum"], schema["minimum"] + 1, schema["maximum"]}):
            yield str(value), value
    elif kind == "string" and "pattern" not in schema and "enum" not in schema:
        size = schema["maxLength"]
        yield f"{size} letters", "x" * size
        yield f"{size} letters of four bytes each", "\U0001f680" * size
        yield "empty", ""


def _full_lists() -> tuple[tuple[str, Json], ...]:
    words = {f"word-{number}": "x" * 63 for number in range(64)}
    variables = [{"name": f"NAME_{number}", "value": "\u00e9" * 1024} for number in range(128)]
    taints = [{"key": f"taint-{number}", "operator": "Exists"} for number in range(64)]
    return (
        ("engine.args of 64 arguments", nest("engine.args", {name: text * 16 for name, text in words.items()})),
        ("engine.extraArgs of 64 arguments", nest("engine.extraArgs", [f"--{name}" for name in words])),
        ("env of 128 variables", nest("env", variables)),
        ("env with a value of 32768 letters", nest("env", [{"name": "LONG", "value": "x" * 32768}])),
        ("nodeSelector of 64 labels", nest("nodeSelector", words)),
        ("podTemplate.metadata.labels of 64 labels", nest("podTemplate.metadata.labels", words)),
        ("tolerations of 64 taints", nest("tolerations", taints)),
    )
