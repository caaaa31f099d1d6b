"""Who wrote a field, as server-side apply keeps it in metadata.managedFields."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson


def find_writer(obj: Mapping[str, Any], path: str, *, but: str) -> str:
    """The manager that last wrote the field at a path ("spec.env[A].value"), leaving one out; empty if none did."""
    entries = (obj.get("metadata") or {}).get("managedFields") or ()
    writers = [
        (str(entry.get("time", "")), str(entry.get("manager", "")))
        for entry in entries
        if entry.get("manager") != but and _holds(entry.get("fieldsV1") or {}, path)
    ]
    return max(writers, default=("", ""))[1]


def is_applied(obj: Mapping[str, Any], path: str) -> bool:
    """Whether somebody owns the field at a path by server-side apply, so that applying without it removes it."""
    return any(_holds(fields, path) for fields in _applied(obj))


def has_appliers(obj: Mapping[str, Any]) -> bool:
    """Whether somebody applied the object's spec by server-side apply."""
    return any("f:spec" in fields for fields in _applied(obj))


def _applied(obj: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for entry in (obj.get("metadata") or {}).get("managedFields") or ():
        if entry.get("operation") == "Apply" and not entry.get("subresource"):
            yield entry.get("fieldsV1") or {}


def _holds(fields: Mapping[str, Any], path: str) -> bool:
    """Whether a tree of fieldsV1 has the path, or ends above it: then it is the whole value that was written."""
    if not path or not fields:
        return True
    return any(_holds_below(key, below, path) for key, below in fields.items())


def _holds_below(key: str, below: Mapping[str, Any], path: str) -> bool:
    kind, _, name = key.partition(":")
    if kind == "f" and path.startswith(name):  # a name may have dots, as labels do
        rest = path[len(name) :]
        return (not rest or rest[0] in ".[") and _holds(below, rest.removeprefix("."))
    if kind == "k" and path.startswith("["):
        label, _, rest = path[1:].partition("]")
        return label in map(str, orjson.loads(name).values()) and _holds(below, rest.removeprefix("."))
    return False
