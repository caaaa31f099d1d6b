"""Which change of a status has to be written at once, and which may wait for the next that has.

A status write is the dearest of all our requests. Upstream tells of its progress in many small steps, so words alone
wait a little: most of the time the next step, or the end, comes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_SECONDS: Final = 2.0
"""How long words may wait."""

_FACTS: Final = ("phase", "observedGeneration", "replicas")


def is_urgent(before: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a status differs in more than words: phase, revision, replicas, a condition's verdict, who runs it."""
    return _facts(before) != _facts(wanted)


def _facts(status: Mapping[str, Any]) -> tuple[object, ...]:
    provider, engine = status.get("provider") or {}, status.get("engine") or {}
    rows = status.get("conditions") or ()
    return (
        *(status.get(name) for name in _FACTS),
        provider.get("name"),
        provider.get("resourceKind"),
        provider.get("resourceName"),
        provider.get("gpus"),
        engine.get("type"),
        sorted((row["type"], row["status"], row["reason"], row.get("observedGeneration", 0)) for row in rows),
    )
