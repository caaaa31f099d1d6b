"""Files, folders and standard input of `-f`: which documents are in them, and where each one is."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.cli.yaml_input import MAX_BYTES, InputError, Parsed, parse_yaml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kubeairunway.model import Problem

SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
STDIN: Final = "-"


@dataclass(frozen=True, slots=True)
class Document:
    """One object of the input. `place` says where it is: "x.yaml, document 2"."""

    place: str
    value: dict[str, Any]
    line: int = 1
    lines: dict[str, int] = field(default_factory=dict)
    prefix: str = ""

    @property
    def kind(self) -> str:
        """The object's kind, or nothing."""
        return str(self.value.get("kind") or "")

    def locate(self, problem: Problem) -> str:
        """Return file, document and line of a problem, from the nearest field that is written."""
        path = f"{self.prefix}.{problem.path}" if self.prefix and problem.path else self.prefix or problem.path
        while path and path not in self.lines:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return f"{self.place}, line {self.lines.get(path, self.line)}"


def read_documents(names: Iterable[str]) -> list[Document]:
    """Return every object of the named files, folders (their *.yaml, *.yml, *.json, not deeper) and "-".

    Lists are taken apart and empty documents skipped. Raises InputError for what cannot be read.
    """
    return [document for name in names for source, text in _read_texts(name) for document in _split(text, source)]


def _read_texts(name: str) -> Iterator[tuple[str, str]]:
    if name == STDIN:
        yield "standard input", _decode(sys.stdin.buffer.read(MAX_BYTES + 1), "standard input")
        return
    path = Path(name)
    try:
        if path.is_dir():
            found = sorted(entry for entry in path.iterdir() if entry.suffix in SUFFIXES and entry.is_file())
            if not found:
                raise InputError(f"{name}: no .yaml, .yml or .json file in this folder")
        else:
            found = [path]
        for file in found:
            with file.open("rb") as handle:
                yield str(file), _decode(handle.read(MAX_BYTES + 1), str(file))
    except OSError as error:
        raise InputError(f"{error.filename or name}: {error.strerror or error}") from error
    except ValueError as error:  # a name with a NUL in it
        raise InputError(f"{name!r}: {error}") from error


def _decode(data: bytes, source: str) -> str:
    if len(data) > MAX_BYTES:
        raise InputError(f"{source}: larger than {MAX_BYTES // 1024**2} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{source}, line {line}: not UTF-8 text; save it as UTF-8") from error


def _split(text: str, source: str) -> Iterator[Document]:
    for index, parsed in enumerate(_parse(text, source), start=1):
        if parsed.value is None:
            continue
        place = f"{source}, document {index}"
        if not isinstance(parsed.value, dict):
            raise InputError(f"{place}, line {parsed.line}: a Kubernetes object is a map with apiVersion and kind")
        yield from _take_apart(Document(place, parsed.value, parsed.line, parsed.lines))


def _take_apart(document: Document) -> Iterator[Document]:
    items = document.value.get("items")
    if not (document.kind.endswith("List") and isinstance(items, list)):
        yield document
        return
    for index, item in enumerate(items):
        prefix = f"items[{index}]"
        line = document.lines.get(prefix, document.line)
        place = f"{document.place}, item {index + 1}"
        if not isinstance(item, dict):
            raise InputError(f"{place}, line {line}: a Kubernetes object is a map with apiVersion and kind")
        yield Document(place, item, line, document.lines, prefix)


def _parse(text: str, source: str) -> list[Parsed]:
    try:
        return list(parse_yaml(text, source))
    except InputError:
        # JSON may be indented with tabs, which YAML does not take.
        if "\t" in text and text.lstrip().startswith("{"):
            return [Parsed(_parse_json(text, source), 1)]
        raise


def _parse_json(text: str, source: str) -> Any:  # noqa: ANN401 - JSON of any shape
    try:
        return json.loads(text, object_pairs_hook=_refuse_duplicates, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InputError(f"{source}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: {error}") from error


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = next(key for key, _ in pairs if sum(key == other for other, _ in pairs) > 1)
        raise ValueError(f"the field {twice} is in one object twice; keep one")
    return result


def _refuse_constant(name: str) -> Any:  # noqa: ANN401 - json's own signature
    raise ValueError(f"{name} is no number that JSON has")
