"""Rules that fail are shown until they are well, without a write for each deployment that trips over them."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from kubeairunway.decide.expressions import Expressions
from kubeairunway.decide.facts import ActiveRule, ProviderFacts
from kubeairunway.plugin import Rule
from kubeairunway.runtime import rules
from kubeairunway.runtime.rules import RuleErrors

TEXT = "spec.model.id.size() > 3"


def plan(outcome: str, error: str = "") -> Any:
    rule = SimpleNamespace(name="big", condition=TEXT, outcome=outcome, error=error)
    candidate = SimpleNamespace(provider="acme", rules=(rule,))
    explanation = SimpleNamespace(all_candidates=lambda: [candidate])
    return SimpleNamespace(rule_errors={"acme": 1} if error else {}, decision=SimpleNamespace(explanation=explanation))


class Seen:
    """What the errors told the world."""

    def __init__(self) -> None:
        self.changes = 0
        self.changed = asyncio.Event()
        self.counted: list[tuple[str, str]] = []
        self.errors = RuleErrors(Expressions(), self.change, lambda *key: self.counted.append(key))

    def change(self) -> None:
        self.changes += 1
        self.changed.set()


async def test_a_rule_that_does_not_compile_is_known_before_it_is_needed() -> None:
    seen = Seen()
    good = ActiveRule(rule=Rule(name="good", condition="true", priority=1))
    bad = ActiveRule(rule=Rule(name="bad", condition="spec.(", priority=1), administrator=True)
    seen.errors.check([ProviderFacts(name="acme", provider=None, rules=(good, bad))])
    found = seen.errors.of("acme", {"good": "true", "bad": "spec.("})
    assert list(found) == ["bad"]
    assert seen.changes == 1
    assert seen.errors.of("acme", {"bad": "true"}) == {}, "another text is another rule"
    assert seen.errors.of("other", {"bad": "spec.("}) == {}


async def test_a_rule_that_fails_for_some_deployments_only_changes_nothing_with_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules, "QUIET_SECONDS", 0.05)
    seen = Seen()
    for _ in range(20):
        seen.errors.note(plan("error", "no such overload"))
        seen.errors.note(plan("matched"))
    assert seen.changes == 1
    assert len(seen.counted) == 20
    assert seen.errors.of("acme", {"big": TEXT}) == {"big": "no such overload"}
    seen.changed.clear()
    await asyncio.wait_for(seen.changed.wait(), 5)
    assert seen.errors.of("acme", {"big": TEXT}) == {}
    assert seen.changes == 2
