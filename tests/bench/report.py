"""What is printed: figures with their goals beside them, as they are measured."""

from __future__ import annotations

import sys


class Report:
    """Prints as it goes, collects figures, and remembers which goals were missed."""

    def __init__(self) -> None:
        self.figures: dict[str, float] = {}
        self._missed: list[str] = []

    def say(self, text: str) -> None:
        """One line."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def figure(
        self, name: str, value: float, unit: str = "", *, goal: float | None = None, judge: bool = False
    ) -> None:
        """One figure; with a goal (at most so much) beside it. `judge` fails the run when it is missed."""
        self.figures[name] = round(value, 4)
        verdict = ""
        if goal is not None:
            met = value <= goal
            verdict = f"   goal <= {goal:g}: {'met' if met else 'MISSED'}"
            if judge and not met:
                self._missed.append(name)
        self.say(f"  {name:<58}{value:>10.3f} {unit:<8}{verdict}")

    def ratio(self, name: str, value: float, goal: float) -> None:
        """A ratio that must reach a goal; it fails the run when it does not."""
        self.figures[name] = round(value, 4)
        met = value >= goal
        if not met:
            self._missed.append(name)
        self.say(f"  {name:<58}{value:>10.3f}            goal >= {goal:g}: {'met' if met else 'MISSED'}")

    def finish(self) -> int:
        """Say how it went; the exit code."""
        if self._missed:
            self.say(f"missed: {', '.join(self._missed)}")
        return 1 if self._missed else 0
