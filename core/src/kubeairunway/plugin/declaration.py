"""What a provider says of itself, checked when its package is loaded: all objections at once, each naming its field."""

import dataclasses
import re
from collections.abc import Collection, Iterator, Mapping, Sized
from types import MappingProxyType
from typing import Any, get_args

from kubeairunway.model.paths import known_paths, nearest
from kubeairunway.model.spec import MAX_REPLICAS, EngineName, ServingMode
from kubeairunway.plugin.contract import Engine, Kind, Provider, Rule
from kubeairunway.plugin.typed import check_options

MAX_PRIORITY = 100
MAX_NAME = 253  # of any object in Kubernetes
MAX_CONDITION = 2048
"""Characters of a CEL rule; nesting and cost are bounded where rules are compiled."""

_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_GROUP = re.compile(r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*)?")
_KIND = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")
_VERSION = re.compile(r"v[1-9][0-9]*((alpha|beta)[1-9][0-9]*)?")
_PATH = re.compile(r"[A-Za-z_][\w-]*(\[\])?(\.[A-Za-z_][\w-]*(\[\])?)*")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-\w.]{0,61}[A-Za-z0-9])?")


def check_declaration(provider: Provider, name: str) -> tuple[str, ...]:
    """Everything that is wrong with what the entry point `name` declares; empty when it is usable."""
    return (
        *_check_name(provider.name, name),
        *_check_kinds("kinds", provider.kinds, required=True),
        *_check_kinds("children", provider.children, required=False),
        *_check_engines(provider.engines),
        *_check_rules(provider.rules),
        *_check_flag("auto_select", provider.auto_select),
        *_check_options("overrides", provider.overrides),
        *_check_options("settings", provider.settings),
        *_check_operator(provider.operator),
        *(() if isinstance(provider.docs, str) else (f"docs is {provider.docs!r}; give a URL as a string",)),
        *_check_lengths(provider),
    )


def copy_declaration(provider: Provider) -> Provider:
    """The core's own copy, in plain values: what is no usable declaration stays so, for `check_declaration` to name.

    What the package does to its own later changes nothing here, and no method of a class of its own, such as the
    `__eq__` of a kind of string, is ever called outside the provider's thread.
    """
    copied: Provider = _rebuild(Provider, provider)
    return copied


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever was declared
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__index__(value)
    if isinstance(value, tuple | frozenset):
        return (tuple if isinstance(value, tuple) else frozenset)(map(_plain, value))
    if isinstance(value, Mapping):
        return MappingProxyType({_plain(key): _plain(item) for key, item in value.items()})
    cls = next((cls for cls in (Kind, Engine, Rule) if isinstance(value, cls)), None)
    return _rebuild(cls, value) if cls else value


def _rebuild(cls: Any, value: object) -> Any:  # noqa: ANN401 - a dataclass of the contract, whatever it was made of
    """An instance of the very class, not of one that the package derived from it."""
    return cls(**{field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(cls)})


def _check_lengths(provider: Provider) -> Iterator[str]:
    """The InferenceProviderConfig shows all of it, and its schema has these limits."""
    lengths: list[tuple[str, object, int]] = [
        ("docs", provider.docs, 2048),
        ("operator", provider.operator, 16),
        *((name, getattr(provider, name), 32) for name in ("kinds", "children", "rules")),
        ("engines", provider.engines, 16),
    ]
    for field, kinds in (("kinds", provider.kinds), ("children", provider.children)):
        for index, kind in enumerate(kinds if isinstance(kinds, tuple) else ()):
            if isinstance(kind, Kind):
                place = f"{field}[{index}]"
                lengths += [(f"{place}.versions", kind.versions, 16)]
                lengths += [(f"{place}.{name}", getattr(kind, name), 64) for name in ("recreate", "surge", "restart")]
    for place, value, limit in lengths:
        if isinstance(value, Sized) and len(value) > limit:
            yield f"{place} is {len(value)} long; at most {limit} are possible"


def _check_name(name: object, entry_point: str) -> Iterator[str]:
    if not isinstance(name, str) or not _DNS_LABEL.fullmatch(name):
        yield f"name is {name!r}; use at most 63 lower-case letters, digits and inner hyphens"
    elif name != entry_point:
        yield f"name is {name!r}, and the entry point is {entry_point!r}; make them equal"


def _check_kinds(field: str, kinds: object, *, required: bool) -> Iterator[str]:
    if not isinstance(kinds, tuple) or (required and not kinds):
        yield f"{field} is {kinds!r}; give a tuple{' of at least one' if required else ''} of Kind"
        return
    seen: set[tuple[str, str]] = set()
    for index, kind in enumerate(kinds):
        place = f"{field}[{index}]"
        if not isinstance(kind, Kind):
            yield f"{place} is {kind!r}; give a Kind"
            continue
        yield from _check_kind(place, kind)
        if (kind.group, kind.name) in seen:
            yield f"{place} is {kind.name} of {kind.group or 'the core group'} again; list each kind once"
        seen.add((kind.group, kind.name))


def _check_kind(place: str, kind: Kind) -> Iterator[str]:
    if not _matches(_GROUP, kind.group):
        yield f'{place}.group is {kind.group!r}; use an API group such as "kaito.sh", or "" for the core group'
    if not _matches(_KIND, kind.name):
        yield f'{place}.name is {kind.name!r}; use the kind as in YAML, such as "Workspace"'
    if not isinstance(kind.versions, tuple) or not kind.versions:
        yield f"{place}.versions is {kind.versions!r}; give a tuple of at least one version, best first"
    else:
        for version in kind.versions:
            if not _matches(_VERSION, version):
                yield f'{place}.versions has {version!r}; use API versions such as "v1" or "v1beta2"'
        if len(set(kind.versions)) < len(kind.versions):
            yield f"{place}.versions is {kind.versions!r}; list each version once"
    for field, paths in (("recreate", kind.recreate), ("surge", kind.surge), ("restart", kind.restart)):
        yield from _check_paths(f"{place}.{field}", paths)
    if not _is_int(kind.max_name) or not 1 <= kind.max_name <= MAX_NAME:
        yield f"{place}.max_name is {kind.max_name!r}; use an integer from 1 to {MAX_NAME}"
    if not _is_int(kind.surge_replicas) or not 0 <= kind.surge_replicas <= MAX_REPLICAS:
        yield (
            f"{place}.surge_replicas is {kind.surge_replicas!r}; use an integer from 0 to {MAX_REPLICAS},"
            " 0 for a whole second set"
        )
    yield from _check_flag(f"{place}.optional", kind.optional)


def _check_paths(place: str, paths: object) -> Iterator[str]:
    if not isinstance(paths, tuple):
        yield f"{place} is {paths!r}; give a tuple of dotted paths"
        return
    for path in paths:
        if not _matches(_PATH, path):
            yield f'{place} has {path!r}; use dotted paths of the rendered object, such as "spec.model"'


def _check_engines(engines: object) -> Iterator[str]:
    if not isinstance(engines, tuple) or not engines:
        yield f"engines is {engines!r}; give a tuple of at least one Engine"
        return
    paths = known_paths()
    seen: set[tuple[str, str]] = set()
    for index, engine in enumerate(engines):
        place = f"engines[{index}]"
        if not isinstance(engine, Engine):
            yield f"{place} is {engine!r}; give an Engine"
            continue
        yield from _check_engine(place, engine, paths)
        for mode in engine.modes if isinstance(engine.modes, tuple) else ():
            if (engine.name, mode) in seen:
                yield f"{place} offers {engine.name} in {mode} mode again; list each engine once per mode"
            seen.add((engine.name, mode))


def _check_engine(place: str, engine: Engine, paths: frozenset[str]) -> Iterator[str]:
    if engine.name not in get_args(EngineName):
        yield f"{place}.name is {engine.name!r}; use one of {_list(get_args(EngineName))}"
    modes = get_args(ServingMode)
    if not isinstance(engine.modes, tuple) or not engine.modes:
        yield f"{place}.modes is {engine.modes!r}; give a tuple of at least one of {_list(modes)}"
    else:
        for mode in engine.modes:
            if mode not in modes:
                yield f"{place}.modes has {mode!r}; use {_list(modes)}"
    yield from _check_carries(f"{place}.carries", engine.carries, paths)
    yield from _check_flag(f"{place}.gpu", engine.gpu)
    yield from _check_flag(f"{place}.cpu", engine.cpu)
    if engine.gpu is False and engine.cpu is False:
        yield f"{place} runs on neither gpu nor cpu; set one of them"


def _check_carries(place: str, carries: object, paths: frozenset[str]) -> Iterator[str]:
    if not isinstance(carries, frozenset):
        yield f"{place} is {carries!r}; give a frozenset of paths of the spec"
        return
    for path in sorted(carries, key=str):
        if path not in paths:
            yield f"{place} has {path!r}, which the spec does not have{_hint(path, paths)}"


def _check_rules(rules: object) -> Iterator[str]:
    if not isinstance(rules, tuple):
        yield f"rules is {rules!r}; give a tuple of Rule"
        return
    seen: set[str] = set()
    for index, rule in enumerate(rules):
        place = f"rules[{index}]"
        if not isinstance(rule, Rule):
            yield f"{place} is {rule!r}; give a Rule"
            continue
        if not _matches(_DNS_LABEL, rule.name):
            yield f"{place}.name is {rule.name!r}; use at most 63 lower-case letters, digits and inner hyphens"
        elif rule.name in seen:
            yield f"{place}.name is {rule.name!r} again; give each rule its own name"
        else:
            seen.add(rule.name)
        if not isinstance(rule.condition, str) or not 0 < len(rule.condition.strip()) <= MAX_CONDITION:
            yield f"{place}.condition is not a CEL expression of 1 to {MAX_CONDITION} characters"
        if not _is_int(rule.priority) or not 0 <= rule.priority <= MAX_PRIORITY:
            yield f"{place}.priority is {rule.priority!r}; use an integer from 0 to {MAX_PRIORITY}"


def _check_options(field: str, options: object) -> Iterator[str]:
    if options is not None:
        yield from (f"{field}: {objection}" for objection in check_options(options))


def _check_operator(operator: object) -> Iterator[str]:
    if not isinstance(operator, Mapping):
        yield f"operator is {operator!r}; give the labels of the operator's Deployment as a mapping"
        return
    for key, value in operator.items():
        if not _matches(_LABEL_KEY, key) or not isinstance(value, str):
            yield f"operator has {key!r}: {value!r}; use a label's name and its value, both strings"


def _check_flag(place: str, value: object) -> Iterator[str]:
    if not isinstance(value, bool):
        yield f"{place} is {value!r}; use True or False"


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _is_int(value: Any) -> bool:  # noqa: ANN401 - whatever was declared
    return isinstance(value, int) and not isinstance(value, bool)


def _list(words: Collection[str]) -> str:
    return ", ".join(words)


def _hint(path: object, paths: frozenset[str]) -> str:
    found = nearest(path, paths) if isinstance(path, str) else None
    return f"; did you mean {found!r}?" if found else ""
