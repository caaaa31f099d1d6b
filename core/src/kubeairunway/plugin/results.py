"""What came back from a hook: checked against the contract, consumed if lazy, and copied.

The copy is the core's own: a package that keeps what it returned and changes it later changes nothing here. These
functions run on the provider's thread, since reading a lazy or hostile value is running the package's code.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from kubeairunway.model.base import Model
from kubeairunway.model.names import GROUP
from kubeairunway.model.problems import Problem
from kubeairunway.plugin.contract import Bid, Kind, Manifest, Rendering, Report, State

T = TypeVar("T")

MAX_PROBLEMS = 256
MAX_OBJECTS = 64
MAX_NODES = 100_000
"""JSON values in one manifest: far above what etcd stores in an object (1.5 MiB), far below what could exhaust us."""
MAX_TEXT = 3 * 1024 * 1024
"""Characters of all texts of one manifest: the API server refuses longer requests, and nobody should build them."""
MAX_DEPTH = 64


class UnusableError(Exception):
    """A package gave what the contract does not allow; the message names it and says what would be right."""


_LONGEST_SHOWN = 60
_SUFFIX = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_QUALIFIED_NAME = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_SERVICE = re.compile(r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?")
_REQUIREMENT = (
    rf"!?{_QUALIFIED_NAME.pattern}|{_QUALIFIED_NAME.pattern} *(==?|!=) *{_LABEL_VALUE.pattern}"
    rf"|{_QUALIFIED_NAME.pattern} +(not)?in +\([-\w., ]*\)"
)
_SELECTOR = re.compile(rf"((?:{_REQUIREMENT})( *, *(?:{_REQUIREMENT}))*)?")
_RESERVED = ("apiVersion", "kind", "metadata", "status")


def check_problems(value: object) -> tuple[Problem, ...]:
    """The result of `validate`."""
    return tuple(
        Problem(
            _text(item.path, "Problem.path"),
            _text(item.code, "Problem.code", blank=False),
            _text(item.message, "Problem.message", blank=False),
            _flag(item.warning, "Problem.warning"),
        )
        for item in _items(
            value, Problem, "an iterable of Problem (empty when there is nothing to object)", MAX_PROBLEMS
        )
    )


def check_bid(value: object) -> Bid | None:
    """The result of `select`."""
    if value is None:
        return None
    bid = _instance(value, Bid, "a Bid or None")
    return Bid(_number(bid.priority, "Bid.priority", 0, 100), _text(bid.reason, "Bid.reason"))


def check_rendering(value: object, kinds: Mapping[tuple[str, str], Kind]) -> Rendering:
    """The result of `render`, for a provider that declared `kinds`: the core's copies, by group and name."""
    rendering = _instance(value, Rendering, "a Rendering")
    primary = _check_manifest(rendering.primary, "Rendering.primary", kinds)
    before, after = (
        tuple(
            _check_manifest(item, f"Rendering.{side}[{index}]", kinds)
            for index, item in enumerate(
                _items(many, Manifest, f"a tuple of Manifest in Rendering.{side}", MAX_OBJECTS)
            )
        )
        for side, many in (("before", rendering.before), ("after", rendering.after))
    )
    _check_distinct((*before, primary, *after))
    claims = tuple(
        _check_claim(item, f"Rendering.claims[{index}]", kinds)
        for index, item in enumerate(
            _items(rendering.claims, tuple, "a tuple of pairs in Rendering.claims", MAX_OBJECTS)
        )
    )
    return Rendering(primary, before, after, claims)


def check_report(value: object) -> Report:
    """The result of `status`."""
    report = _instance(value, Report, "a Report")
    if not isinstance(report.state, State):
        raise UnusableError(f"Report.state is {_show(report.state)}; give a member of State, such as State.RUNNING")
    if report.service and not report.port:
        raise UnusableError("Report.service is given without Report.port; give the port that clients call")
    return Report(
        state=report.state,
        generation=_optional(report.generation, "Report.generation"),
        ready=_number(report.ready, "Report.ready"),
        roles=MappingProxyType(
            {
                _text(role, "a key of Report.roles", blank=False): _number(count, f"Report.roles[{role!r}]")
                for role, count in _pairs(report.roles, "Report.roles")
            }
        ),
        available=_optional(report.available, "Report.available"),
        pods=_matching(report.pods, "Report.pods", _SELECTOR, 'a label selector, such as "app=model"'),
        service=_matching(report.service, "Report.service", _SERVICE, "the name of a Service in the namespace"),
        port=_number(report.port, "Report.port", 0, 65535),
        message=_text(report.message, "Report.message"),
    )


def _check_claim(value: tuple[object, ...], place: str, kinds: Mapping[tuple[str, str], Kind]) -> tuple[Kind, str]:
    if len(value) != 2:  # noqa: PLR2004 - a pair
        raise UnusableError(f"{place} is {_show(value)}; give a pair of Kind and suffix")
    kind = _check_kind(value[0], place, kinds)
    return kind, _check_suffix(value[1], f"{place} ({kind.name})")


def _check_kind(value: object, place: str, kinds: Mapping[tuple[str, str], Kind]) -> Kind:
    kind = kinds.get((value.group, value.name)) if isinstance(value, Kind) else None
    if kind is None:
        names = ", ".join(sorted(known.name for known in kinds.values()))
        shown = value.name if isinstance(value, Kind) else _show(value)
        raise UnusableError(f"{place}.kind is {shown}, which provider() does not declare; use one of: {names}")
    return kind


def _check_suffix(value: object, place: str) -> str:
    suffix = _text(value, f"{place}.suffix")
    if suffix and not _SUFFIX.fullmatch(suffix):
        raise UnusableError(
            f"{place}.suffix is {suffix!r}; use lower-case letters, digits and inner hyphens, at most 63"
        )
    return suffix


def _check_manifest(value: object, place: str, kinds: Mapping[tuple[str, str], Kind]) -> Manifest:
    manifest = _instance(value, Manifest, f"a Manifest in {place}")
    kind = _check_kind(manifest.kind, place, kinds)
    place = f"{place} ({kind.name})"
    return Manifest(
        kind,
        _check_body(manifest.body, f"{place}.body"),
        _check_suffix(manifest.suffix, place),
        _check_metadata(manifest.labels, f"{place}.labels", _check_label),
        _check_metadata(manifest.annotations, f"{place}.annotations", _text),
    )


def _check_body(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise UnusableError(f'{place} is {_show(value)}; give a mapping such as {{"spec": ...}}')
    body: dict[str, Any] = _copy_json(value, place, [MAX_NODES, MAX_TEXT], 0)
    for name in _RESERVED:
        if name in body:
            raise UnusableError(f"{place} has {name}, which is the core's to write; leave it out")
    return body


def _copy_json(value: Any, place: str, left: list[int], depth: int) -> Any:  # noqa: ANN401 - JSON of any shape
    """A copy in plain dicts, lists and scalars; parts of the spec become what they are in YAML.

    `left` holds how many values and characters may still come.
    """
    left[0] -= 1
    if left[0] < 0:
        raise UnusableError(f"{place} makes the object larger than {MAX_NODES} values")
    kind = type(value)
    if kind is str:
        left[1] -= len(value)
        if left[1] < 0:
            raise UnusableError(f"{place} makes the object longer than {MAX_TEXT} characters")
        return _text(value, place)
    if value is None or kind is bool:
        return value
    if kind is int:
        return _check_int(value, place)
    if isinstance(value, Model):  # a part of the spec, such as one of spec.env
        value, kind = value.model_dump(exclude_none=True), dict
    if depth >= MAX_DEPTH:
        raise UnusableError(f"{place} is nested deeper than {MAX_DEPTH} levels; does it contain itself?")
    if kind is dict or isinstance(value, Mapping):  # the check against an abstract class is the slow one
        return {_key(key, place): _copy_json(item, f"{place}.{key}", left, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copy_json(item, f"{place}[{index}]", left, depth + 1) for index, item in enumerate(value)]
    return _copy_scalar(value, place)


def _copy_scalar(value: object, place: str) -> Any:  # noqa: ANN401 - a JSON scalar
    """Scalars that are rarer than str, int, bool and None: floats, and members of string and integer enums."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnusableError(f"{place} is {value}, which JSON cannot express; give a finite number")
        return float(value)
    if isinstance(value, str):
        return _text(str.__str__(value), place)
    if isinstance(value, int):
        return _check_int(int.__index__(value), place)
    raise UnusableError(f"{place} is {_show(value)}; use strings, numbers, booleans, None, lists and mappings")


def _check_int(value: int, place: str) -> int:
    if not -(2**63) <= value < 2**63:
        raise UnusableError(f"{place} is {value}; Kubernetes reads integers of 64 bits")
    return value


def _key(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise UnusableError(f"{place} has the key {_show(value)}; keys are strings")
    return _text(str.__str__(value), f"a key of {place}")


def _check_metadata(value: object, place: str, check: Callable[[Any, str], str]) -> Mapping[str, str]:
    return MappingProxyType(
        {_check_name(name, place): check(item, f"{place}[{name!r}]") for name, item in _pairs(value, place)}
    )


def _check_name(value: object, place: str) -> str:
    name = _text(value, f"a key of {place}")
    if name.startswith(f"{GROUP}/"):
        raise UnusableError(f"{place} has {name}; the prefix {GROUP}/ is the core's")
    if not _QUALIFIED_NAME.fullmatch(name):
        raise UnusableError(f"{place} has the key {name!r}, which Kubernetes refuses; use name or domain/name")
    return name


def _check_label(value: object, place: str) -> str:
    text = _text(value, place)
    if not _LABEL_VALUE.fullmatch(text):
        raise UnusableError(f"{place} is {text!r}; a label's value has at most 63 letters, digits, and inner - _ .")
    return text


def _check_distinct(manifests: tuple[Manifest, ...]) -> None:
    seen: set[tuple[str, str, str]] = set()
    for manifest in manifests:
        key = (manifest.kind.group, manifest.kind.name, manifest.suffix)
        if key in seen:
            raise UnusableError(
                f"two objects are {manifest.kind.name} with suffix {manifest.suffix!r}; give each its own"
            )
        seen.add(key)


def _items(value: object, member: type, right: str, limit: int) -> tuple[Any, ...]:
    """The members of an iterable, lazy ones included, and no more than `limit` of them."""
    if not isinstance(value, Iterable) or isinstance(value, str | bytes | Mapping):
        raise UnusableError(f"returned {_show(value)}; return {right}")
    found = []
    try:
        for item in value:
            if not isinstance(item, member):
                raise UnusableError(f"returned an iterable with {_show(item)} in it; return {right}")
            found.append(item)
            if len(found) > limit:
                raise UnusableError(f"returned more than {limit} items; return {right}, at most {limit}")
    finally:
        close = getattr(value, "close", None)  # a generator left half-read would raise when it is collected
        if callable(close):
            close()
    return tuple(found)


def _pairs(value: object, place: str) -> tuple[tuple[Any, Any], ...]:
    if not isinstance(value, Mapping):
        raise UnusableError(f"{place} is {_show(value)}; give a mapping")
    return tuple(value.items())


def _instance(value: object, kind: type[T], right: str) -> T:
    if not isinstance(value, kind):
        raise UnusableError(f"returned {_show(value)}; return {right}")
    return value


def _text(value: object, place: str, *, blank: bool = True) -> str:
    if not isinstance(value, str):
        raise UnusableError(f"{place} is {_show(value)}; give a string")
    if not value and not blank:
        raise UnusableError(f"{place} is empty; give a string that says something")
    if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
        raise UnusableError(f"{place} has half a surrogate pair, which UTF-8 cannot express")
    return str.__str__(value)


def _matching(value: object, place: str, pattern: re.Pattern[str], right: str) -> str:
    text = _text(value, place)
    if not pattern.fullmatch(text):
        raise UnusableError(f"{place} is {_show(text)}; give {right}")
    return text


def _flag(value: object, place: str) -> bool:
    if not isinstance(value, bool):
        raise UnusableError(f"{place} is {_show(value)}; give True or False")
    return value


def _number(value: object, place: str, low: int = 0, high: int = 2**31 - 1) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UnusableError(f"{place} is {_show(value)}; give an integer from {low} to {high}")
    return int.__index__(value)


def _optional(value: object, place: str) -> int | None:
    return None if value is None else _number(value, place, 0, 2**63 - 1)


def _show(value: object) -> str:
    """A value as a message shows it: its type, and the value itself where that is short and surely harmless."""
    kind = type(value)
    if value is None or kind in (bool, int, float):
        return repr(value) if len(repr(value)) <= _LONGEST_SHOWN else f"a long {kind.__name__}"
    if kind is str:
        text = str(value)
        return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "...")
    return f"an instance of {kind.__module__}.{kind.__qualname__}".replace("builtins.", "")
