"""The shipped conformance suite over every installed provider: the rules of docs/provider-contract.md, one test each.

The example provider is always among them, installed or not.
"""

import importlib.util
import os
import sys
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from kubeairunway.plugin.registry import load_registry
from kubeairunway.testing.conformance import RULES, Rule, Subject, check_rule

ROOT = Path(__file__).parents[2]
FIXTURES = Path(__file__).parent / "fixtures"
CRDS = (ROOT / os.environ.get("KUBEAIRUNWAY_UPSTREAM_CRDS", "../shared/upstream-crds")).resolve()
EXAMPLE = "acme"


@cache
def example() -> types.ModuleType:
    source = Path(__file__).parent / "acme" / "src" / "acme.py"
    spec = importlib.util.spec_from_file_location(EXAMPLE, source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(EXAMPLE, module)
    spec.loader.exec_module(module)
    return module


@cache
def list_providers() -> tuple[str, ...]:
    registry = load_registry()
    registry.close()
    return tuple(sorted({EXAMPLE, *(package.name for package in registry.packages if package.state != "Disabled")}))


@cache
def subject_of(name: str) -> Subject:
    fixtures = FIXTURES / name
    return Subject(
        target=example() if name == EXAMPLE else name,
        crds=CRDS if CRDS.is_dir() else None,
        fixtures=fixtures if fixtures.is_dir() else None,
    )


@pytest.fixture(scope="module", autouse=True)
def _close() -> Iterator[None]:
    yield
    for name in list_providers():
        subject_of(name).registry.close()
    subject_of.cache_clear()


def list_cases() -> Iterator[object]:
    for name in list_providers():
        for rule in RULES:
            yield pytest.param(name, rule, id=f"{name}-{rule.id}")


@pytest.mark.parametrize(("name", "rule"), [*list_cases()])
def test_a_provider_keeps_the_rule(name: str, rule: Rule) -> None:
    verdict = check_rule(rule, subject_of(name))
    assert verdict.passed, verdict.describe()


@pytest.mark.parametrize("name", list_providers())
def test_the_suite_has_a_status_that_serves_to_start_from(name: str) -> None:
    """Without one, four rules about `status` look at nothing."""
    subject = subject_of(name)
    assert [case.title for case, _ in subject.rendered if subject.running(case) is None] == []
