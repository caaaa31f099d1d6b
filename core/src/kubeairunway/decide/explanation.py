"""Why a deployment got its engine and provider: every candidate, rule and bid, and what would change the outcome."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from kubeairunway.model.problems import Problem
from kubeairunway.model.spec import EngineName

MAX_SHORT_CANDIDATES = 32
"""How many candidates `status.selection` has room for."""

MAX_SHORT_TEXT = 512
"""Longest text in `status.selection`, characters; its schema would take twice that."""

Outcome = Literal["matched", "notMatched", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVerdict:
    """One selection rule of one candidate; `replaced` says that it stands in place of the package's."""

    name: str
    condition: str
    priority: int
    outcome: Outcome
    administrator: bool = False
    replaced: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BidVerdict:
    """What the provider's `select` hook bid."""

    priority: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One provider, judged for one engine.

    `capable` says that it offers the engine in this mode on this hardware; `eligible` that it could have won.
    `reason` is a CamelCase word ("Eligible", "NotReady", "FieldNotCarried", ...), `message` says the same in a
    sentence, `remedy` what would make it win; the winner has none. `transient` says that the obstacle goes away without
    a change to the deployment. `score` is None where it was not computed; `administrator` says that it comes from a
    rule of the administrator, which outranks every other.
    """

    provider: str
    engine: EngineName
    reason: str
    message: str
    capable: bool = False
    eligible: bool = False
    transient: bool = False
    score: int | None = None
    administrator: bool = False
    rules: tuple[RuleVerdict, ...] = ()
    bid: BidVerdict | None = None
    problems: tuple[Problem, ...] = ()
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTrial:
    """One engine that was tried, with every provider's case; `provider` is empty if none could run it."""

    engine: EngineName
    candidates: tuple[Candidate, ...]
    provider: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A whole decision; `engine` and `provider` are empty where none was chosen.

    `trials` are in the order of trial; engines after the one that was chosen were not tried.
    """

    engine: str
    provider: str
    reason: str
    message: str
    gpu: bool
    mode: str
    trials: tuple[EngineTrial, ...] = ()

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """The candidates for the chosen engine; if none was chosen, each provider where it came closest."""
        if self.engine:
            return next((trial.candidates for trial in self.trials if trial.engine == self.engine), ())
        best: dict[str, Candidate] = {}
        for candidate in self.all_candidates():
            held = best.get(candidate.provider)
            if held is None or _closeness(candidate) > _closeness(held):
                best[candidate.provider] = candidate
        return tuple(best[name] for name in sorted(best))

    def all_candidates(self) -> Iterator[Candidate]:
        """Every candidate of every engine tried, in order of trial."""
        for trial in self.trials:
            yield from trial.candidates


def _closeness(candidate: Candidate) -> tuple[bool, bool]:
    return candidate.eligible, candidate.capable


def to_json(explanation: Explanation) -> dict[str, Any]:
    """The whole explanation as JSON; keys in a fixed order, empty texts and lists left out."""
    return {
        "provider": explanation.provider,
        "engine": explanation.engine,
        "reason": explanation.reason,
        "message": explanation.message,
        "need": {"gpu": explanation.gpu, "mode": explanation.mode},
        "engines": [
            {
                "engine": trial.engine,
                "provider": trial.provider,
                "candidates": [_candidate_json(candidate) for candidate in trial.candidates],
            }
            for trial in explanation.trials
        ],
    }


def _candidate_json(candidate: Candidate) -> dict[str, Any]:
    row: dict[str, Any] = {
        "provider": candidate.provider,
        "eligible": candidate.eligible,
        "capable": candidate.capable,
        "reason": candidate.reason,
        "message": candidate.message,
    }
    if candidate.score is not None:
        row["score"] = candidate.score
        row["scoreFromAdministrator"] = candidate.administrator
    if candidate.rules:
        row["rules"] = [_rule_json(rule) for rule in candidate.rules]
    if candidate.bid is not None:
        row["bid"] = {"priority": candidate.bid.priority, "reason": candidate.bid.reason}
    if candidate.problems:
        row["problems"] = [
            {"path": problem.path, "code": problem.code, "message": problem.message, "warning": problem.warning}
            for problem in candidate.problems
        ]
    if candidate.remedy:
        row["remedy"] = candidate.remedy
    return row


def _rule_json(rule: RuleVerdict) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": rule.name,
        "condition": rule.condition,
        "priority": rule.priority,
        "outcome": rule.outcome,
        "from": "administrator" if rule.administrator else "package",
    }
    if rule.replaced:
        row["replacesPackageRule"] = True
    if rule.error:
        row["error"] = rule.error
    return row


def short(explanation: Explanation) -> dict[str, Any]:
    """The explanation for `status.selection`: bounded in rows and in the length of each text."""
    rows: list[dict[str, Any]] = []
    ordered = sorted(explanation.candidates, key=lambda item: _place(item, explanation))
    for candidate in ordered[:MAX_SHORT_CANDIDATES]:
        row: dict[str, Any] = {"name": candidate.provider, "eligible": candidate.eligible}
        if candidate.eligible and candidate.score is not None:
            row["score"] = candidate.score
        row["reason"] = shorten(candidate.remedy or candidate.message)
        rows.append(row)
    result: dict[str, Any] = {"reason": shorten(explanation.message), "candidates": rows}
    if explanation.provider:
        result["provider"] = explanation.provider
    if explanation.engine:
        result["engine"] = explanation.engine
    return result


def _place(candidate: Candidate, explanation: Explanation) -> tuple[bool, bool, bool, int, str]:
    """Where a candidate stands in a list that is best first."""
    winner = candidate.provider == explanation.provider
    return not winner, not candidate.eligible, not candidate.administrator, -(candidate.score or 0), candidate.provider


def shorten(text: str, limit: int = MAX_SHORT_TEXT) -> str:
    """The text, cut at `limit` characters with an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
