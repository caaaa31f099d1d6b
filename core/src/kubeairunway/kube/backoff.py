"""Pauses that double up to a cap, with jitter, so that many clients do not come back at once."""

from __future__ import annotations

import random


class Backoff:
    """Successive pauses in seconds: base, 2 base, 4 base, ... up to the cap, each times a random 0.75 to 1."""

    def __init__(self, base: float, cap: float, *, rng: random.Random | None = None) -> None:
        self._base = base
        self._cap = cap
        self._random = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self.failures = 0

    def next(self) -> float:
        """Count one failure and return how long to wait before the next try, never more than the cap."""
        seconds = min(self._base * 2.0 ** min(self.failures, 60), self._cap)
        self.failures += 1
        return seconds * self._random.uniform(0.75, 1.0)

    def reset(self) -> None:
        """Start again from the base."""
        self.failures = 0
