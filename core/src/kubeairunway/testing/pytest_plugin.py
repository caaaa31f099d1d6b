"""`pytest --kubeairunway-provider NAME`: one test per rule of the provider contract.

Loaded into every pytest session where the core is installed, so it imports nothing of ours until the option is given.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _pytest._code.code import TerminalRepr

    from kubeairunway.testing.conformance import Rule, Subject


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add our options."""
    group = parser.getgroup("kubeairunway", "KubeAIRunway's provider contract")
    group.addoption(
        "--kubeairunway-provider",
        action="append",
        default=[],
        metavar="NAME",
        help="check this installed provider against every rule of the contract; may be repeated",
    )
    group.addoption(
        "--kubeairunway-crds", type=Path, metavar="DIR", help="the CRDs of the provider's upstream, in YAML files"
    )
    group.addoption(
        "--kubeairunway-fixtures", type=Path, metavar="DIR", help="recorded objects: `kubeairunway providers record`"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Say what our marker means, and collect nothing else where nothing else was asked for."""
    names: list[str] = config.getoption("--kubeairunway-provider")
    if names and config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args = []


class RuleItem(pytest.Item):
    """One rule for one provider."""

    def __init__(self, *, rule: Rule, subject: Subject, **rest: Any) -> None:  # noqa: ANN401 - pytest's own
        super().__init__(**rest)
        self.rule = rule
        self.subject = subject

    def runtest(self) -> None:
        """Check the rule; a rule that had nothing to look at is skipped with the reason."""
        from kubeairunway.testing.conformance import check_rule  # noqa: PLC0415 - only who asks for it pays

        verdict = check_rule(self.rule, self.subject)
        for note in verdict.notes:
            self.add_report_section("call", "note", note.describe())
        if not verdict.passed:
            raise RuleBrokenError(verdict.describe())

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str | TerminalRepr:  # noqa: ANN401 - pytest's own
        """Show what the author has to change, and no traceback of ours."""
        if isinstance(excinfo.value, RuleBrokenError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the test is from, for the terminal."""
        return self.path, None, f"{self.subject.name}: {self.rule.id}"


class RuleBrokenError(Exception):
    """A rule is broken; the message is for the author."""


class ProviderCollector(pytest.Collector):
    """All rules for one provider."""

    def __init__(self, *, subject: Subject, **rest: Any) -> None:  # noqa: ANN401 - pytest's own
        super().__init__(**rest)
        self.subject = subject

    def collect(self) -> Iterator[RuleItem]:
        """Make one test per rule."""
        from kubeairunway.testing.conformance import RULES  # noqa: PLC0415 - only who asks for it pays

        for rule in RULES:
            yield RuleItem.from_parent(self, name=rule.id, rule=rule, subject=self.subject)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the rules of every provider that was asked for."""
    names: list[str] = config.getoption("--kubeairunway-provider")
    if not names:
        return
    from kubeairunway.testing.conformance import Subject  # noqa: PLC0415 - only who asks for it pays

    crds, fixtures = config.getoption("--kubeairunway-crds"), config.getoption("--kubeairunway-fixtures")
    for name in names:
        subject = Subject(target=name, crds=crds, fixtures=fixtures)
        collector = ProviderCollector.from_parent(session, name=f"provider {name}", subject=subject)
        items.extend(collector.collect())
