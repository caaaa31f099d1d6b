"""Walking JSON: its leaves, paths and texts, and the documents that are written into texts."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from kubeairunway.testing.fixtures import LOADER

_DOCUMENTS = (".yaml", ".yml", ".json")
"""Ends of a ConfigMap's keys whose texts are read as documents, and by nobody as they are."""

Path = tuple[str | int, ...]


def walk_values(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:  # noqa: ANN401 - JSON of any shape
    """Every value with its path, containers before what is in them; the root comes first."""
    yield path, value
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from walk_values(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from walk_values(item, (*path, index))


def list_texts(value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON of any shape
    """Every text in it."""
    return (item for _, item in walk_values(value) if isinstance(item, str))


def spell_path(path: Path) -> str:
    """A path as people write it: spec.containers[0].args[1]."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def spell_json(value: Any) -> str:  # noqa: ANN401 - JSON of any shape
    """The value as text; the same text means the same object to the API server."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def replace_at(value: Any, path: Path, new: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """A copy with another value at a path."""
    if not path:
        return new
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        return [replace_at(item, rest, new) if index == step else item for index, item in enumerate(value)]
    return {**value, step: replace_at(value.get(step, {}), rest, new)}


def remove_at(value: Any, path: Path) -> Any:  # noqa: ANN401 - JSON of any shape
    """A copy without what is at a path."""
    step, rest = path[0], path[1:]
    if isinstance(step, int) and rest:
        return [remove_at(item, rest) if index == step else item for index, item in enumerate(value)]
    if isinstance(step, int):
        return [item for index, item in enumerate(value) if index != step]
    if not rest:
        return {key: item for key, item in value.items() if key != step}
    return {**value, step: remove_at(value[step], rest)}


def set_path(value: Mapping[str, Any], dotted: str, new: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON of any shape
    """A copy with a value at a dotted path, maps made on the way; what is no map there makes way."""
    step, _, rest = dotted.partition(".")
    held = value.get(step)
    inner = set_path(held if isinstance(held, Mapping) else {}, rest, new) if rest else new
    return {**value, step: inner}


def holds_text(value: Any, text: str) -> bool:  # noqa: ANN401 - JSON of any shape
    """Whether a text reaches whoever reads the object: as it is, in a command line, or in YAML or JSON in a text."""
    for path, item in walk_values(value):
        if isinstance(item, str):
            names_file = str(path[-1] if path else "").endswith(_DOCUMENTS)
            if _document_holds(item, text) or (not names_file and _line_holds(item, text)):
                return True
    return False


def _line_holds(item: str, text: str) -> bool:
    plain = text in item or text in item.replace("$$", "$")
    return plain or any(text in word for word in _split_words(item))


def _split_words(text: str) -> list[str]:
    """The words of a shell's command line; none if it is no such line."""
    if not any(mark in text for mark in "'\"\\"):
        return []
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _document_holds(item: str, text: str) -> bool:
    """Whether a YAML or JSON document says a text, or the number or truth that the text is in JSON."""
    return any(
        text in leaf if isinstance(leaf, str) else _is_scalar(text, leaf)
        for _, leaf in walk_values(_parse_document(item))
    )


def _is_scalar(text: str, leaf: Any) -> bool:  # noqa: ANN401 - a JSON scalar
    """Whether a text is that number or truth in JSON: an engine that takes a number gets one."""
    if isinstance(leaf, bool) or not isinstance(leaf, int | float):
        return isinstance(leaf, bool) and text == str(leaf).lower()
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, int | float) and float(value) == float(leaf)


def _parse_document(text: str) -> Any:  # noqa: ANN401 - JSON of any shape
    """The value of a YAML or JSON document; None if it is none, or one text alone."""
    if "\n" not in text and not text.lstrip().startswith(("{", "[")):
        return None
    for read in (json.loads, _load_yaml):  # an escaped emoji is one sign to JSON, and two halves to YAML
        try:
            value = read(text)
        except (yaml.YAMLError, ValueError):
            continue
        return None if isinstance(value, str) else value
    return None


def _load_yaml(text: str) -> Any:  # noqa: ANN401 - JSON of any shape
    return yaml.load(text, Loader=LOADER)  # noqa: S506 - a safe loader, in C
