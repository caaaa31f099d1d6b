"""Selection rules that fail: found when they come into force or are evaluated, kept until they are known to be well."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from kubeairunway.decide.expressions import RuleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kubeairunway.decide.explanation import RuleVerdict
    from kubeairunway.decide.expressions import Expressions
    from kubeairunway.decide.facts import ProviderFacts
    from kubeairunway.decide.plan import Plan

QUIET_SECONDS: Final = 10.0
"""How long a rule that failed must go without failing, once it had a verdict: one that fails for some deployments only
would otherwise change the provider's config with each of them."""

RuleKey = tuple[str, str]


class RuleErrors:
    """Rules that failed, by provider and name, until their text changes or they have a verdict and stay quiet."""

    def __init__(
        self, expressions: Expressions, on_change: Callable[[], None], count: Callable[[str, str], None]
    ) -> None:
        """`on_change()` is called when the errors are others than before, `count(provider, rule)` for each failure."""
        self._expressions = expressions
        self._on_change = on_change
        self._count = count
        self._errors: dict[RuleKey, tuple[str, str]] = {}
        self._clearing: dict[RuleKey, asyncio.TimerHandle] = {}

    def of(self, provider: str, conditions: Mapping[str, str]) -> dict[str, str]:
        """The error of each rule whose text is still the one that failed; `conditions` are the texts in force."""
        return {
            name: error
            for (owner, name), (text, error) in self._errors.items()
            if owner == provider and conditions.get(name) == text
        }

    def check(self, facts: Iterable[ProviderFacts]) -> None:
        """Compile every rule in force: what does not compile is known before a deployment needs it."""
        changed = False
        for fact in facts:
            for active in fact.rules:
                text = active.rule.condition
                program = self._expressions.program(text)
                if isinstance(program, RuleError):
                    changed |= self._fail((fact.name, active.rule.name), text, program.text)
        if changed:
            self._on_change()

    def note(self, plan: Plan) -> None:
        """Take over what a decision found out about the rules."""
        if not plan.rule_errors and not self._errors:
            return
        explanation = getattr(plan.decision, "explanation", None)
        changed = False
        for candidate in explanation.all_candidates() if explanation is not None else ():
            for rule in candidate.rules:
                changed |= self._take((candidate.provider, rule.name), rule)
        if changed:
            self._on_change()

    def _take(self, key: RuleKey, rule: RuleVerdict) -> bool:
        if rule.outcome == "error":
            return self._fail(key, rule.condition, rule.error)
        if key in self._errors and key not in self._clearing:
            loop = asyncio.get_running_loop()
            self._clearing[key] = loop.call_later(QUIET_SECONDS, self._clear, key)
        return False

    def _fail(self, key: RuleKey, text: str, error: str) -> bool:
        self._count(*key)
        timer = self._clearing.pop(key, None)
        if timer is not None:
            timer.cancel()
        entry = (text, error)
        changed = self._errors.get(key) != entry
        self._errors[key] = entry
        return changed

    def _clear(self, key: RuleKey) -> None:
        self._clearing.pop(key, None)
        if self._errors.pop(key, None) is not None:
            self._on_change()
