"""What a check says: a rule of docs/provider-contract.md, and what a provider has to change to keep it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kubeairunway.testing.conformance.subject import Subject

PAGE: Final = "docs/provider-contract.md"
MAX_SHOWN: Final = 8
"""Findings of one rule that are shown in full; how many more there are is said."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to change: where it is (a function, a field, a declaration), what is wrong, and what would be right.

    A note is no failure: it says what could not be checked, and what would make it possible.
    """

    where: str
    message: str
    fix: str = ""
    note: bool = False

    def describe(self) -> str:
        """The finding in one line."""
        return f"{self.where}: {self.message}{f'; {self.fix}' if self.fix else ''}"


Check = Callable[["Subject"], Iterator[Finding]]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the contract; `id` is that of its row in docs/provider-contract.md."""

    id: str
    title: str
    check: Check


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule found, and how long it took (seconds)."""

    rule: Rule
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether there is nothing to change."""
        return not self.findings

    def describe(self) -> str:
        """All that a failed rule has to say, for people."""
        rows = [f"  {finding.describe()}" for finding in self.findings[:MAX_SHOWN]]
        if len(self.findings) > MAX_SHOWN:
            rows.append(f"  and {len(self.findings) - MAX_SHOWN} more")
        return "\n".join([f"{self.rule.id}: {self.rule.title} (rule {self.rule.id} in {PAGE})", *rows])
