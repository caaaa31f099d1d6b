"""Spec fields as dotted paths, spelled as in YAML without the leading `spec.`: which exist, which a user set.

Maps and lists are leaves: a path names the whole of `env` or `engine.args`, never a member.
"""

import difflib
from collections.abc import Iterable, Iterator
from functools import cache

from pydantic import BaseModel

from kubeairunway.model.annotations import nested_part
from kubeairunway.model.spec import Spec

CORE_PATHS = frozenset({"provider", "engine.type", "serving.mode"})
"""Fields that the core itself answers to; no provider has to carry them."""


@cache
def known_paths() -> frozenset[str]:
    """Every path of the spec, parents and leaves."""
    return frozenset(_walk_paths(Spec, ""))


@cache
def leaf_paths() -> frozenset[str]:
    """Every path of the spec that has no path below it."""
    paths = known_paths()
    parents = {path.rpartition(".")[0] for path in paths}
    return paths - parents


def set_paths(spec: Spec) -> tuple[str, ...]:
    """The leaves that say something other than the default, in the order of the schema.

    A gateway that is switched off asks for nothing. An empty text, list or map says nothing either where that is
    the default; where absent is the default (a claim's storage class), empty is a value.
    """
    return tuple(_differing(spec, Spec(), ""))


def changed_paths(old: Spec, new: Spec) -> tuple[str, ...]:
    """The leaves at which two specs differ, in the order of the schema; a part that only one has is a leaf."""
    return tuple(_changes(old, new, ""))


def covers(carried: Iterable[str], path: str) -> bool:
    """Whether a path is among those carried, or below one of them."""
    return any(path == item or path.startswith(f"{item}.") for item in carried)


def nearest(path: str, candidates: Iterable[str]) -> str | None:
    """The candidate that a mistyped path most likely means; none if nothing is close."""
    ordered = sorted(candidates)
    close = difflib.get_close_matches(path, ordered, n=1)
    if close:
        return close[0]
    last = path.rpartition(".")[2]
    same = [item for item in ordered if item.rpartition(".")[2].lower() == last.lower()]
    return same[0] if same else None


@cache
def _fields(model: type[BaseModel]) -> tuple[tuple[str, str, type[BaseModel] | None], ...]:
    """Attribute, name in YAML and nested model of each field."""
    return tuple(
        (name, field.alias or name, nested_part(field.annotation)) for name, field in model.model_fields.items()
    )


def _walk_paths(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for _, alias, nested in _fields(model):
        yield f"{prefix}{alias}"
        if nested is not None:
            yield from _walk_paths(nested, f"{prefix}{alias}.")


def _changes(old: BaseModel, new: BaseModel, prefix: str) -> Iterator[str]:
    for name, alias, nested in _fields(type(new)):
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if nested is not None and before is not None and after is not None:
            yield from _changes(before, after, f"{prefix}{alias}.")
        else:
            yield f"{prefix}{alias}"


@cache
def _default_of(model: type[BaseModel]) -> BaseModel:
    """A model of nothing but defaults, to compare an optional part with."""
    return model()


def _differing(value: BaseModel, default: BaseModel, prefix: str) -> Iterator[str]:
    if value is default:
        return
    for name, alias, nested in _fields(type(value)):
        mine, theirs = getattr(value, name), getattr(default, name)
        if mine is theirs or mine is None:
            continue
        if nested is not None:
            yield from _differing(mine, theirs if theirs is not None else _default_of(nested), f"{prefix}{alias}.")
        elif mine != theirs and not (prefix == "gateway." and name == "enabled" and mine is False):
            yield f"{prefix}{alias}"
