"""Short digests of JSON values: equal values have equal digests, whatever the order of their keys."""

from hashlib import blake2b

import orjson


def digest(value: object) -> str:
    """32 hexadecimal digits that stand for a JSON value."""
    return blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS, default=_plain), digest_size=16).hexdigest()


def _plain(value: object) -> object:
    # Read-only maps are what immutable specs are made of; orjson knows only dict.
    if hasattr(value, "items"):
        return dict(value.items())
    raise TypeError(f"{type(value).__name__} is not JSON")
