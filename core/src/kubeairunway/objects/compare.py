"""Whether what we sent still stands in what lives: the check that tells drift from defaults.

Contained means: every field we sent has the value we sent; fields that others added are theirs. Quantities compare
by value, what is empty equals what is absent, and lists of maps are matched by their key as the API server does. A
selector is one value: one label more, and it selects something else.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kubeairunway.objects.quantities import same_quantity

_LIST_KEYS = (
    ("name",),
    ("containerPort", "protocol"),
    ("port", "protocol"),
    ("type",),
    ("key",),
    ("mountPath",),
    ("uid",),
)
"""Keys by which lists of maps are merged, tried in order: the first that every item has and that tells them apart."""
_KEY_DEFAULTS = {"protocol": "TCP"}

_SELECTORS = frozenset({"selector", "matchLabels", "nodeSelector"})
"""Maps that the API server takes as a whole (x-kubernetes-map-type: atomic) where they have labels."""


def find_differences(sent: object, live: object, path: str = "") -> Iterator[str]:
    """Dotted paths at which `live` does not hold what `sent` says."""
    if _is_empty(sent):
        if not _is_empty(live) and not isinstance(sent, Mapping | list | tuple | None):
            yield path
    elif isinstance(sent, Mapping):
        yield from _differences_in_map(sent, live, path)
    elif isinstance(sent, list | tuple):
        yield from _differences_in_list(sent, live, path)
    elif not _same_scalar(sent, live):
        yield path


def contains(live: object, sent: object) -> bool:
    """Whether everything in `sent` stands in `live`."""
    return next(find_differences(sent, live), None) is None


def _same_scalar(sent: object, live: object) -> bool:
    if isinstance(sent, bool) or isinstance(live, bool):
        return sent is live
    return sent == live or same_quantity(sent, live)


def _is_empty(value: object) -> bool:
    # Zero and false are values; an empty string reads as absent, as Kubernetes' omitempty fields do.
    return value is None or (isinstance(value, str | Mapping | list | tuple) and not value)


def _differences_in_map(sent: Mapping[str, Any], live: object, path: str) -> Iterator[str]:
    if not isinstance(live, Mapping):
        if any(not _is_empty(value) for value in sent.values()):
            yield path
        return
    if path.rpartition(".")[2] in _SELECTORS and all(isinstance(value, str) for value in sent.values()):
        yield from (f"{path}.{key}" for key in sorted(live.keys() - sent.keys()))
    for key, value in sent.items():
        yield from find_differences(value, live.get(key), f"{path}.{key}" if path else key)


def _differences_in_list(sent: Sequence[Any], live: object, path: str) -> Iterator[str]:
    if not isinstance(live, list | tuple):
        yield path
        return
    keys = _list_keys(sent)
    if keys is None:
        if len(sent) != len(live):
            yield path
            return
        for index, (mine, theirs) in enumerate(zip(sent, live, strict=True)):
            yield from find_differences(mine, theirs, f"{path}[{index}]")
        return
    by_key = {_key_of(item, keys): item for item in live if isinstance(item, Mapping)}
    for item in sent:
        yield from find_differences(item, by_key.get(_key_of(item, keys)), f"{path}[{item[keys[0]]}]")


def _list_keys(items: Sequence[Any]) -> tuple[str, ...] | None:
    if not all(isinstance(item, Mapping) for item in items):
        return None
    for keys in _LIST_KEYS:
        found = {_key_of(item, keys) for item in items if keys[0] in item}
        if len(found) == len(items):
            return keys
    return None


def _key_of(item: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(item.get(key, _KEY_DEFAULTS.get(key)) for key in keys)
