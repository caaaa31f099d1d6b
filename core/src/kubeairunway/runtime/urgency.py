"""Which change of a status has to be written at once, and which may wait for the next that has.

A status write is the dearest of all our requests. Upstream tells of its progress in many small steps, so words alone
wait a little: most of the time the next step, or the end, comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.decide.causes.evidence import CAUSES
from kubeairunway.model.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping

PATIENCE_SECONDS: Final = 2.0
"""How long words may wait."""

LONGEST_SECONDS: Final = 16.0
"""How long at most, where they change again and again."""

CALM_SECONDS: Final = 60.0
"""Words that stood this long were not restless."""

_WORDS: Final = frozenset({*CAUSES, Reason.DEPLOYMENT_IN_PROGRESS})
"""Reasons that only say why it is not Ready yet: one in place of another is a word, no fact."""

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
        sorted((row["type"], row["status"], _weigh(row["reason"]), row.get("observedGeneration", 0)) for row in rows),
    )


def _weigh(reason: str) -> str:
    return "" if reason in _WORDS else reason


@dataclass(slots=True)
class Patience:
    """How long the words of one deployment wait: twice as long after each time that words alone were written."""

    until: float | None = None
    times: int = 0
    last: float = 0.0

    def holds(self, now: float) -> bool:
        """Whether words may still wait."""
        return self.until is None or now < self.until

    def note(self, now: float, *, deferred: bool, written: bool) -> float | None:
        """Seconds until words that were left have to be written; None if none were. `written`: a status was."""
        if now - self.last > CALM_SECONDS:
            self.times = 0
        if deferred:
            self.until = self.until or now + min(PATIENCE_SECONDS * 2.0**self.times, LONGEST_SECONDS)
            return max(0.0, self.until - now)
        if written:
            words = self.until is not None and now >= self.until
            self.times, self.last = (self.times + 1, now) if words else (0, now)
        self.until = None
        return None
