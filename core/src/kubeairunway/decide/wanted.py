"""What applying a file makes of a deployment that exists: `kubectl apply`, client-side or server-side, on values.

A field that the file does not name goes back to its default if whoever applies had set it, and stays as it is if
somebody else did: `kubectl scale`, say.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from kubeairunway.decide.ownership import annotation
from kubeairunway.model import names
from kubeairunway.model.documents import Deployment
from kubeairunway.model.paths import changed_paths
from kubeairunway.model.schema import Schema, fill_defaults, structural_schema
from kubeairunway.model.spec import Spec
from kubeairunway.objects.managed_fields import has_appliers, is_applied
from kubeairunway.objects.resources import Json

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""Where client-side apply keeps the file that it applied last."""

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The deployment as it will be stored; `kept` has the fields that the file does not name and that stay."""

    deployment: Json
    kept: tuple[str, ...] = ()


def apply_document(live: Json, document: Json, *, whole: bool = False) -> Wanted:
    """The live deployment after the document is applied: spec, and the annotation that pauses.

    `whole`: whoever applies had set all there is, so that the document takes its place.
    """
    was_set = (lambda _path: True) if whole else _find_setter(live)
    given = document.get("spec") or {}
    spec = _merge(live.get("spec") or {}, given, ("spec",), was_set)
    pause = _merge_pause(live, document, was_set)
    changed = _fill_in(spec) != _fill_in(live.get("spec") or {})
    meta = live["metadata"]
    annotations = without_pause(live)["metadata"]["annotations"]
    wanted = {
        **live,
        "metadata": {
            **meta,
            "annotations": {**annotations, **({names.PAUSED: pause} if pause else {})},
            "generation": int(meta.get("generation") or 0) + changed,
        },
        "spec": spec,
    }
    kept = changed_paths(
        Deployment.from_object({**live, "spec": given}).spec, Deployment.from_object({**live, "spec": spec}).spec
    )
    return Wanted(wanted, tuple(f"spec.{path}" for path in kept))


def without_pause(deployment: Json) -> Json:
    """The deployment without the annotation that pauses it."""
    meta = deployment["metadata"]
    annotations = {key: text for key, text in (meta.get("annotations") or {}).items() if key != names.PAUSED}
    return {**deployment, "metadata": {**meta, "annotations": annotations}}


def _find_setter(live: Json) -> Callable[[Path], bool]:
    """Tells whether whoever applies had set the field at a path, so that leaving it out removes it."""
    text = annotation(live, LAST_APPLIED)
    if text and not has_appliers(live):
        last = _read(text)
        return lambda path: _has(last, path)
    return lambda path: is_applied(live, ".".join(path))


def _read(text: str) -> Any:  # noqa: ANN401 - JSON of any shape
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # somebody edited it: then nothing is known to have been set
        return {}


def _has(value: Any, path: Path) -> bool:  # noqa: ANN401 - JSON of any shape
    for step in path:
        if not isinstance(value, Mapping) or step not in value:
            return False
        value = value[step]
    return True


def _merge(live: Mapping[str, Any], given: Mapping[str, Any], at: Path, was_set: Callable[[Path], bool]) -> Json:
    return dict(_merge_items(live, given, at, was_set))


def _merge_items(
    live: Mapping[str, Any], given: Mapping[str, Any], at: Path, was_set: Callable[[Path], bool]
) -> Iterator[tuple[str, Any]]:
    for key, value in given.items():
        below = live.get(key)
        if isinstance(value, Mapping):
            yield key, _merge(below if isinstance(below, Mapping) else {}, value, (*at, key), was_set)
        elif value is not None:
            yield key, value
    for key, value in live.items():
        if key in given:
            continue
        if isinstance(value, Mapping):
            rest = _merge(value, {}, (*at, key), was_set)
            if rest or (not value and not was_set((*at, key))):
                yield key, rest
        elif not was_set((*at, key)):
            yield key, value


def _merge_pause(live: Json, document: Json, was_set: Callable[[Path], bool]) -> str:
    given = annotation(document, names.PAUSED)
    if given or was_set(("metadata", "annotations", names.PAUSED)):
        return given
    return annotation(live, names.PAUSED)


def _fill_in(spec: Json) -> Json:
    """A spec with what the API server fills in, so that two that are stored alike compare equal."""
    filled: Json = fill_defaults(_spec_schema(), spec)
    return filled


@cache
def _spec_schema() -> Schema:
    return structural_schema(Spec)
