"""Overrides and settings: YAML in camelCase to a frozen dataclass, problems that name what is right, and the schema."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import Field

from kubeairunway.plugin.typed import check_options, read_typed, schema_of


@dataclass(frozen=True, slots=True)
class Tuning:
    """How hard to try."""

    max_steps: Annotated[int, Field(ge=1, le=8)] = 2
    mode: Literal["fast", "exact"] = "fast"


@dataclass(frozen=True)
class Options:
    cache_size: int = 1
    label: Annotated[str, Field(pattern="^[a-z]+$", description="A word.")] = "word"
    ratio: float = 0.5
    eager: bool = field(default=False, metadata={"description": "Start at once."})
    names: tuple[str, ...] = ()
    tuning: Tuning = Tuning()
    extra: Tuning | None = None
    old: Optional[int] = None  # noqa: UP045 - the older spelling is read, too
    limits: Mapping[str, int] = field(default_factory=dict)
    steps: tuple[Tuning, ...] = ()
    count: int | Literal["all"] = "all"


@dataclass(frozen=True)
class Looped:
    again: "Looped | None" = None


@dataclass(frozen=True)
class Unreadable:
    thing: object = None
    other: "NoSuchType" = None  # type: ignore[name-defined]  # noqa: F821 - the mistake under test


READ: dict[str, tuple[Mapping[str, Any], Options]] = {
    "nothing": ({}, Options()),
    "camel case": ({"cacheSize": 3}, Options(cache_size=3)),
    "zero and false": ({"cacheSize": 0, "eager": False}, Options(cache_size=0, eager=False)),
    "a whole number for a fraction": ({"ratio": 2}, Options(ratio=2.0)),
    "a list": ({"names": ["a", "b"]}, Options(names=("a", "b"))),
    "read-only values": (MappingProxyType({"names": ("a",)}), Options(names=("a",))),
    "nested": ({"tuning": {"maxSteps": 4}}, Options(tuning=Tuning(max_steps=4))),
    "optional": ({"extra": {"mode": "exact"}, "old": 1}, Options(extra=Tuning(mode="exact"), old=1)),
    "null": ({"extra": None}, Options(extra=None)),
    "map": ({"limits": {"a": 1}}, Options(limits={"a": 1})),
    "list of mappings": ({"steps": [{"maxSteps": 1}, {}]}, Options(steps=(Tuning(max_steps=1), Tuning()))),
    "union": ({"count": 3}, Options(count=3)),
}


@pytest.mark.parametrize("case", READ)
def test_what_fits_is_read_into_the_dataclass(case: str) -> None:
    raw, expected = READ[case]
    assert read_typed(Options, raw, "spec.provider.overrides") == (expected, ())


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "misspelt": ({"cacheSiez": 1}, "o.cacheSiez", "cacheSiez is unknown; did you mean cacheSize?"),
    "snake case": ({"cache_size": 1}, "o.cache_size", "cache_size is unknown; did you mean cacheSize?"),
    "nested misspelt": ({"tuning": {"maxStep": 1}}, "o.tuning.maxStep", "maxStep is unknown; did you mean maxSteps?"),
    "in an optional": ({"extra": {"mod": 1}}, "o.extra.mod", "mod is unknown; did you mean mode?"),
    "in a list": ({"steps": [{}, {"mod": 1}]}, "o.steps[1].mod", "mod is unknown; did you mean mode?"),
    "nothing near": ({"tuning": {"qqq": 1}}, "o.tuning.qqq", "qqq is unknown; known are maxSteps, mode"),
    "text for a number": ({"cacheSize": "2"}, "o.cacheSize", '"2" does not fit; use an integer'),
    "fraction for a number": ({"cacheSize": 2.5}, "o.cacheSize", "2.5 does not fit; use an integer"),
    "yes for a number": ({"cacheSize": True}, "o.cacheSize", "true does not fit; use an integer"),
    "number for a flag": ({"eager": 1}, "o.eager", "1 does not fit; use true or false"),
    "number for text": ({"label": 1}, "o.label", "1 does not fit; use a string"),
    "pattern": ({"label": "A"}, "o.label", '"A" does not fit; match ^[a-z]+$'),
    "too low": ({"tuning": {"maxSteps": 0}}, "o.tuning.maxSteps", "0 does not fit; use at least 1"),
    "too high": ({"tuning": {"maxSteps": 9}}, "o.tuning.maxSteps", "9 does not fit; use at most 8"),
    "not a choice": ({"tuning": {"mode": "slow"}}, "o.tuning.mode", "\"slow\" does not fit; use 'fast' or 'exact'"),
    "text for a mapping": ({"tuning": "fast"}, "o.tuning", '"fast" does not fit; use a mapping'),
    "text for a list": ({"names": "a"}, "o.names", '"a" does not fit; use a list'),
    "null": ({"ratio": None}, "o.ratio", "null does not fit; use a number"),
    "item": ({"names": ["a", 2]}, "o.names[1]", "2 does not fit; use a string"),
    "value of a map": ({"limits": {"a": "b"}}, "o.limits.a", '"b" does not fit; use an integer'),
    "union": ({"count": "some"}, "o.count", "\"some\" does not fit; use an integer, or use 'all'"),
    "no finite number": ({"ratio": float("inf")}, "o.ratio", "Infinity does not fit; use a finite number"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_does_not_fit_is_a_problem_at_its_path_that_says_what_is_right(case: str) -> None:
    raw, path, message = BAD[case]
    value, problems = read_typed(Options, raw, "o")
    assert value is None
    assert [(problem.path, problem.message) for problem in problems] == [(path, message)]
    assert problems[0].code == ("UnknownField" if "unknown" in message else "InvalidValue")
    assert problems[0].warning is False


def test_all_problems_are_said_at_once_in_the_order_of_their_paths() -> None:
    _, problems = read_typed(Options, {"zzz": 1, "cacheSize": "x", "tuning": {"mode": 1}}, "spec.settings")
    assert [problem.path for problem in problems] == [
        "spec.settings.cacheSize",
        "spec.settings.tuning.mode",
        "spec.settings.zzz",
    ]


def test_the_schema_is_structural() -> None:
    schema = schema_of(Options)
    tuning = {
        "description": "How hard to try.",
        "properties": {
            "maxSteps": {"default": 2, "maximum": 8, "minimum": 1, "type": "integer"},
            "mode": {"default": "fast", "enum": ["fast", "exact"], "type": "string"},
        },
        "type": "object",
    }
    assert schema["type"] == "object"
    assert list(schema["properties"]) == [
        "cacheSize", "label", "ratio", "eager", "names", "tuning", "extra", "old", "limits", "steps", "count",
    ]  # fmt: skip
    fields = schema["properties"]
    assert fields["cacheSize"] == {"default": 1, "type": "integer"}
    assert fields["label"] == {"default": "word", "description": "A word.", "pattern": "^[a-z]+$", "type": "string"}
    assert fields["eager"] == {"default": False, "description": "Start at once.", "type": "boolean"}
    assert fields["names"] == {"default": [], "items": {"type": "string"}, "type": "array"}
    assert fields["tuning"] == {**tuning, "default": {"maxSteps": 2, "mode": "fast"}}
    assert fields["extra"] == {**tuning, "nullable": True}
    assert fields["old"] == {"type": "integer", "nullable": True}
    assert fields["limits"] == {"additionalProperties": {"type": "integer"}, "type": "object"}
    assert fields["steps"] == {"default": [], "items": tuning, "type": "array"}
    assert fields["count"]["anyOf"] == [{"type": "integer"}, {"enum": ["all"], "type": "string"}]


def test_the_schema_has_no_word_that_kubernetes_refuses() -> None:
    text = str(schema_of(Options))
    for word in ("$ref", "$defs", "title", "const", "'null'"):
        assert word not in text


UNUSABLE: dict[str, tuple[object, str]] = {
    "no class": (3, "3 is not a dataclass"),
    "no dataclass": (dict, "<class 'dict'> is not a dataclass"),
    "contains itself": (Looped, "Looped cannot be read from YAML: Looped contains itself"),
    "unknown annotation": (Unreadable, "Unreadable cannot be read from YAML: "),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_type_that_cannot_be_options_is_refused_with_the_reason(case: str) -> None:
    cls, reason = UNUSABLE[case]
    (found,) = check_options(cls)
    assert found.startswith(reason)


def test_a_usable_type_has_no_objections() -> None:
    assert check_options(Options) == ()
