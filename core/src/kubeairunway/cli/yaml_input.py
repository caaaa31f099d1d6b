"""YAML from a user: strict, bounded, and with the line of every field, which yaml's own loaders do not give.

Refused are duplicate keys, keys that are no text, tags, and input whose aliases blow up. What YAML would turn into
something JSON does not have (dates, infinities) is a text or an error, as the API server has it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from kubeairunway.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_BYTES: Final = 4 * 1024 * 1024
"""Largest input; the API server takes 1.5 MiB per object."""
MAX_VALUES: Final = 200_000
"""Most values in one document, each alias counted as often as it is used."""
MAX_DEPTH: Final = 64
"""Deepest nesting; our own schema has 8."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_PREFIX: Final = "tag:yaml.org,2002:"


class InputError(SettingsError):
    """Input that cannot be read; the message has file, document, line and field as far as they are known."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """One document as plain JSON values. `lines` has the line (from 1) of every path, spelled `spec.env[0].name`."""

    value: Any
    line: int
    lines: dict[str, int] = field(default_factory=dict)


def parse_yaml(text: str, source: str) -> Iterator[Parsed]:
    """Yield the documents of a stream, empty ones included. Raises InputError naming `source`."""
    loader = _LOADER(text)
    index = 0
    try:
        while loader.check_node():
            index += 1
            yield _Conversion(loader, f"{source}, document {index}").convert_document(loader.get_node())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{source}{where}: not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise InputError(f"{source}, document {index + 1}: nested deeper than {MAX_DEPTH} levels") from error
    finally:
        loader.dispose()


class _Conversion:
    """Turns the nodes of one document into values, counting them."""

    def __init__(self, loader: Any, place: str) -> None:  # noqa: ANN401 - yaml's loaders share no useful type
        self._loader = loader
        self._place = place
        self._count = 0
        self._lines: dict[str, int] = {}

    def convert_document(self, node: yaml.Node) -> Parsed:
        """Return the document's value with the lines of its fields."""
        value = self._convert(node, "", 0)
        return Parsed(value, node.start_mark.line + 1, self._lines)

    def _convert(self, node: yaml.Node, path: str, depth: int) -> Any:  # noqa: ANN401 - JSON of any shape
        self._count += 1
        if self._count > MAX_VALUES:
            raise self._error(node, path, f"more than {MAX_VALUES} values; aliases count as often as they are used")
        if depth > MAX_DEPTH:
            raise self._error(node, path, f"nested deeper than {MAX_DEPTH} levels, or an alias that contains itself")
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode) and node.tag == f"{_PREFIX}map":
            return self._convert_map(node, path, depth)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{_PREFIX}seq":
            return [self._convert(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._convert_scalar(node, path)
        raise self._error(node, path, f"the tag {_show_tag(node)} is not supported")

    def _convert_map(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if key_node.tag == f"{_PREFIX}merge":
                merged = {**self._convert_merge(value_node, path, depth), **merged}
                continue
            key = self._read_key(key_node, path)
            inner = f"{path}.{key}" if path else key
            if key in own:
                raise self._error(key_node, inner, "this field is here twice; keep one")
            self._lines[inner] = key_node.start_mark.line + 1
            own[key] = self._convert(value_node, inner, depth + 1)
        return {**merged, **own}

    def _convert_merge(self, node: yaml.Node, path: str, depth: int) -> dict[str, Any]:
        value = self._convert(node, path, depth + 1)
        rows = value if isinstance(value, list) else [value]
        if not all(isinstance(row, dict) for row in rows):
            raise self._error(node, path, "<< takes a map or a list of maps")
        return {key: item for row in reversed(rows) for key, item in row.items()}

    def _read_key(self, node: yaml.Node, path: str) -> str:
        # `on:` and `404:` are a boolean and a number to YAML, and text to everybody who writes them as keys.
        if not isinstance(node, yaml.ScalarNode):
            raise self._error(node, path, "a key must be a text")
        return str(node.value)

    def _convert_scalar(self, node: yaml.ScalarNode, path: str) -> Any:  # noqa: ANN401 - JSON of any shape
        kind = node.tag.removeprefix(_PREFIX)
        if kind in {"str", "timestamp", "value"} or (kind in {"int", "float"} and ":" in node.value):
            return node.value
        if kind not in {"null", "bool", "int", "float"}:
            raise self._error(node, path, f"the tag {_show_tag(node)} is not supported")
        try:
            value = self._loader.construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            raise self._error(node, path, f"{node.value[:40]!r} is not of type {kind}") from error
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(node, path, f"{node.value} is no number that JSON has")
        return value

    def _error(self, node: yaml.Node, path: str, message: str) -> InputError:
        at = f"{path}: " if path else ""
        return InputError(f"{self._place}, line {node.start_mark.line + 1}: {at}{message}")


def _show_tag(node: yaml.Node) -> str:
    return str(node.tag).replace(_PREFIX, "!!")
