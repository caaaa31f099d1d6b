"""Whether `render` is pure: the same request must give the same objects.

A rendering that differs each time would be applied each time, and the change that this makes would wake the
controller again: a loop of writes without end. So the last rendering of each deployment is remembered by digest.
"""

from collections import OrderedDict
from collections.abc import Mapping
from hashlib import blake2b
from threading import Lock
from typing import Any

import orjson

from kubeairunway.model.base import Model, thaw
from kubeairunway.plugin.contract import Manifest, Rendering, Request

MAX_REMEMBERED = 20_000
"""Deployments remembered per process, the most recently rendered ones; some 300 bytes each."""

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


class Memory:
    """What each deployment's last rendering was; safe to use from several threads."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str, str], tuple[bytes, bytes]] = OrderedDict()
        self._lock = Lock()

    def differs(self, provider: str, request: Request, rendering: Rendering) -> bool:
        """Whether this very request gave other objects the last time; remembers what it gave first."""
        key = (provider, request.namespace, request.name)
        asked, given = _digest_request(request), _digest_rendering(rendering)
        with self._lock:
            before = self._seen.get(key)
            if before is not None and before[0] == asked:
                self._seen.move_to_end(key)
                return before[1] != given
            self._seen[key] = (asked, given)
            self._seen.move_to_end(key)
            if len(self._seen) > MAX_REMEMBERED:
                self._seen.popitem(last=False)
        return False


def _digest_request(request: Request) -> bytes:
    parts = (
        request.spec,
        sorted((kind.group, kind.name, version) for kind, version in request.versions.items()),
        request.primary and (request.primary.group, request.primary.name),
        request.overrides,
        request.settings,
    )
    return _digest(parts)


def _digest_rendering(rendering: Rendering) -> bytes:
    parts = [_spell(item) for item in (*rendering.before, None, rendering.primary, None, *rendering.after)]
    return _digest([parts, [[kind.group, kind.name, suffix] for kind, suffix in rendering.claims]])


def _spell(manifest: Manifest | None) -> Any:  # noqa: ANN401 - JSON
    if manifest is None:
        return None
    kind = manifest.kind
    return [kind.group, kind.name, manifest.suffix, manifest.body, dict(manifest.labels), dict(manifest.annotations)]


def _digest(value: Any) -> bytes:  # noqa: ANN401 - nearly JSON
    return blake2b(orjson.dumps(value, default=_as_json, option=_OPTIONS), digest_size=16).digest()


def _as_json(value: Any) -> Any:  # noqa: ANN401 - the way into JSON
    if isinstance(value, Model):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return thaw(value)
    if isinstance(value, frozenset | set):
        return sorted(value, key=repr)
    return repr(value)
