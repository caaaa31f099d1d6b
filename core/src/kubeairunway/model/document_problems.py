"""pydantic's errors and unknown fields, in the words of a user: the path as in YAML, and what would be right."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from kubeairunway.model.paths import nearest
from kubeairunway.model.problems import Problem

Words = Callable[[Mapping[str, Any], Any], tuple[str, str]]
"""From an error's context and the value to a Problem's code and what would be right."""

_PATTERNS = (
    ("[KMGTPE]i", "a resource quantity such as 500m, 4 or 16Gi"),
    ("A-Za-z0-9.\\-]+/", "the name of an extended resource, domain/name, such as nvidia.com/gpu"),
    ("[-A-Za-z0-9_.]*", "a label value: at most 63 letters, digits, -, _ and ., with a letter or digit at both ends"),
    ("a-z0-9.\\-", "a Kubernetes name: lower case letters, digits, - and ., with a letter or digit at both ends"),
    ("a-z0-9\\-", "a DNS label: lower case letters, digits and -, with a letter or digit at both ends"),
)
"""A part by which a pattern of ours is known, and its words; the first that fits."""


def unknown_field(name: str, parent: str, known: Iterable[str]) -> Problem:
    """The Problem of a field that does not exist, naming the one that was likely meant."""
    path = f"{parent}.{name}" if parent else name
    choices = sorted(known)
    guess = nearest(name, choices)
    hint = f"did you mean {guess}?" if guess else f"known here: {', '.join(choices)}"
    return Problem(path, "UnknownField", f"{path} is not a field; {hint}")


def describe_errors(error: ValidationError, root: str) -> Iterator[Problem]:
    """One Problem for each error of a model that was validated at the path `root`."""
    for item in error.errors(include_url=False):
        path = _spell_path(root, item["loc"])
        describe: Words = _WORDS.get(str(item["type"]), _any_other)
        code, words = describe(item.get("ctx", {}), item["input"])
        yield Problem(path, code, f"{path} {words}")


def _spell_path(root: str, location: Iterable[int | str]) -> str:
    """A location as a YAML path: the index of a list in brackets, the key of a map after a dot."""
    path = root
    for step in location:
        if step == "[key]":
            continue
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path


def _got(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - one line of a terminal


def _must_be(what: str) -> Words:
    return lambda _, value: ("WrongType", f"must be {what}, not {_got(value)}")


def _pattern(context: Mapping[str, Any], value: object) -> tuple[str, str]:
    pattern = str(context["pattern"])
    words = next((words for part, words in _PATTERNS if part in pattern), f"a text that matches {pattern}")
    return "WrongForm", f"must be {words}, not {_got(value)}"


def _choice(context: Mapping[str, Any], value: object) -> tuple[str, str]:
    return "UnknownValue", f"must be one of {context['expected']}, not {_got(value)}"


def _bound(code: str, words: str) -> Words:
    return lambda context, value: (code, f"must {words.format(**context)}, not {_got(value)}")


def _too_long(context: Mapping[str, Any], _: object) -> tuple[str, str]:
    return "TooLong", f"must have at most {context['max_length']} characters"


def _too_many(context: Mapping[str, Any], _: object) -> tuple[str, str]:
    return "TooMany", f"must have at most {context['max_length']} items"


def _required(_: Mapping[str, Any], __: object) -> tuple[str, str]:
    return "Required", "is required"


def _too_short(context: Mapping[str, Any], _: object) -> tuple[str, str]:
    return "TooShort", f"must have at least {context['min_length']} characters"


def _any_other(_: Mapping[str, Any], value: object) -> tuple[str, str]:
    return "Invalid", f"cannot be {_got(value)}"


_WORDS: dict[str, Words] = {
    "missing": _required,
    "string_type": _must_be("a text (in quotes if it looks like a number)"),
    "int_type": _must_be("a whole number"),
    "int_parsing": _must_be("a whole number"),
    "int_from_float": _must_be("a whole number"),
    "bool_type": _must_be("true or false"),
    "bool_parsing": _must_be("true or false"),
    "dict_type": _must_be("a map"),
    "mapping_type": _must_be("a map"),
    "model_type": _must_be("a map"),
    "model_attributes_type": _must_be("a map"),
    "tuple_type": _must_be("a list"),
    "literal_error": _choice,
    "string_pattern_mismatch": _pattern,
    "greater_than_equal": _bound("TooSmall", "be {ge} or more"),
    "less_than_equal": _bound("TooLarge", "be at most {le}"),
    "string_too_long": _too_long,
    "string_too_short": _too_short,
    "too_long": _too_many,
}
