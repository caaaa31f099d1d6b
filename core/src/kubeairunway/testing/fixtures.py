"""Recorded upstream objects: a live object stripped of what is volatile or private, in a file that tests read back.

What stays is what a `status` hook reads: kind, name, labels, spec and status. The same object gives the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import yaml

from kubeairunway.errors import KubeAIRunwayError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from kubeairunway.objects.resources import Json

KEPT_METADATA: Final = ("name", "generation", "labels", "annotations", "deletionTimestamp")
"""All of metadata that a fixture keeps: no uid, resourceVersion, managedFields, owners or creation time."""

DROPPED_ANNOTATIONS: Final = ("kubectl.kubernetes.io/", "kubeairunway.ai/")
"""Prefixes of annotations that are left out: copies of the object as somebody wrote it, and the core's bookkeeping."""

SECRET_KINDS: Final = frozenset({("", "Secret")})
"""Kinds, by group and name, that are never recorded."""


class FixtureError(KubeAIRunwayError):
    """A recorded object cannot be read, or an object must not be recorded; the message says why."""


def make_fixture(live: Mapping[str, Any]) -> Json:
    """The part of a live object that is worth keeping. Raises FixtureError for a Secret."""
    group = str(live.get("apiVersion", "")).rpartition("/")[0]
    if (group, live.get("kind")) in SECRET_KINDS:
        raise FixtureError("a Secret is never recorded: its content has no place in a test")
    meta = live.get("metadata") or {}
    kept = {key: meta[key] for key in KEPT_METADATA if meta.get(key)}
    if annotations := _public_annotations(meta.get("annotations") or {}):
        kept["annotations"] = annotations
    else:
        kept.pop("annotations", None)
    return {
        "apiVersion": live["apiVersion"],
        "kind": live["kind"],
        "metadata": kept,
        **{key: live[key] for key in sorted(live) if key not in {"apiVersion", "kind", "metadata"}},
    }


def _public_annotations(annotations: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in annotations.items() if not key.startswith(DROPPED_ANNOTATIONS)}


def format_fixture(live: Mapping[str, Any]) -> str:
    """The fixture of a live object as YAML, keys in order, so that the same object gives the same bytes."""
    fixture = make_fixture(live)
    head = {key: fixture.pop(key) for key in ("apiVersion", "kind")}
    rest = yaml.safe_dump(fixture, sort_keys=True, allow_unicode=True, width=120) if fixture else ""
    return yaml.safe_dump(head, sort_keys=False) + rest


def read_fixture(path: Path) -> Json:
    """The object in a file that `kubeairunway providers record` wrote. Raises FixtureError, naming the file."""
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)  # noqa: S506 - a safe loader, in C
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise FixtureError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str) or "apiVersion" not in value:
        raise FixtureError(
            f"{path}: holds no object; record one with kubeairunway providers record KIND/NAME -o {path}"
        )
    return value


LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Upstream CRDs have megabytes: the loader in C reads them in a tenth of the time."""
