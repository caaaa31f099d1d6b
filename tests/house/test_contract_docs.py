"""docs/provider-contract.md says what the code says: hooks, fields, defaults, states, limits, and tests that exist."""

import ast
import dataclasses
import inspect
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from kubeairunway import plugin
from kubeairunway.plugin import CONTRACT, Hooks, Peer, PolicyHooks, State
from kubeairunway.plugin.declaration import MAX_CONDITION
from kubeairunway.plugin.discovery import DISABLE_POLICIES_VARIABLE, DISABLE_VARIABLE, IMPORT_DEADLINE
from kubeairunway.plugin.guard import DEADLINE
from kubeairunway.plugin.notes import FROZEN
from kubeairunway.plugin.policies import POLICY_HOOKS
from kubeairunway.plugin.registry import HOOKS, LoadState
from kubeairunway.plugin.results import MAX_PROBLEMS
from kubeairunway.testing.conformance import RULES
from kubeairunway.testing.conformance.pace import BUDGET

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "provider-contract.md").read_text()

SUITE = "contract/test_rules.py::test_a_provider_keeps_the_rule"

TYPES: Mapping[str, type] = {
    name: value
    for name in plugin.__all__
    if dataclasses.is_dataclass(value := getattr(plugin, name)) and isinstance(value, type)
}


@cache
def read_sections() -> dict[str, str]:
    """The text below each heading of the second or third level, by heading."""
    parts = re.split(r"^###? (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def read_rows(text: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def spell_default(field: "dataclasses.Field[Any]") -> str:
    """How the page writes a field's default."""
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    if field.default_factory is not dataclasses.MISSING:
        return f"`{dict(field.default_factory())!r}`"
    return "required"


def find_tests(path: str) -> set[str]:
    """The names of the test functions in a file."""
    tree = ast.parse((TESTS / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_every_hook_has_a_section_with_its_signature_and_there_is_no_other() -> None:
    expected = set()
    for function in (*(getattr(Hooks, name) for name in HOOKS), *(getattr(PolicyHooks, name) for name in POLICY_HOOKS)):
        name, signature = function.__name__, inspect.signature(function)
        parameters = [
            f"{parameter.name}: {parameter.annotation.__name__}"
            for parameter in signature.parameters.values()
            if parameter.name != "self"
        ]
        result = inspect.formatannotation(signature.return_annotation)
        result = re.sub(r"[a-z_]+\.", "", result)
        expected.add(f"`{name}({', '.join(parameters)}) -> {result}`")
    assert {heading for heading in read_sections() if heading.startswith("`") and "(" in heading} == expected


def test_every_type_has_a_section_and_there_is_no_other() -> None:
    headings = {heading.strip("`") for heading in read_sections() if heading.startswith("`") and "(" not in heading}
    assert headings == {*TYPES, "Peer", "State"}


@pytest.mark.parametrize("name", TYPES)
def test_the_section_of_a_type_has_every_field_with_its_default_in_order(name: str) -> None:
    rows = [(row[0], row[1]) for row in read_rows(read_sections()[f"`{name}`"])]
    assert rows == [(f"`{field.name}`", spell_default(field)) for field in dataclasses.fields(TYPES[name])]


def test_the_section_of_a_peer_has_every_field_in_order() -> None:
    rows = [(row[0], row[1]) for row in read_rows(read_sections()["`Peer`"])]
    assert rows == [(f"`{name}`", "required") for name in Peer._fields]
    assert not Peer._field_defaults


def test_every_state_is_explained() -> None:
    assert [row[0] for row in read_rows(read_sections()["`State`"])] == [f"`{state.name}`" for state in State]
    assert [row[0] for row in read_rows(read_sections()["How a package is found"])] == [
        state.value for state in LoadState
    ]


def test_every_public_name_is_mentioned() -> None:
    internal = {"Hooks", "PolicyHooks", "hookspec", "CONTRACT"}
    assert {name for name in plugin.__all__ if not re.search(rf"\b{name}\b", PAGE)} <= internal


def test_every_rule_has_an_id_of_its_own_an_answer_and_a_test_that_exists() -> None:
    rows = read_rows(read_sections()["Rules"])
    assert len(rows) > 30
    assert len({row[0] for row in rows}) == len(rows)
    for rule, _, mandatory, test in rows:
        assert mandatory in {"yes", "no"}, rule
        path, _, name = test.strip("`").partition("::")
        assert name in find_tests(path), rule


def test_every_rule_is_enforced_or_checked_by_the_suite_and_the_suite_checks_no_other() -> None:
    rows = {row[0]: row[2:] for row in read_rows(read_sections()["Rules"])}
    checked = {rule.id for rule in RULES}
    asked = {rule for rule, (mandatory, _) in rows.items() if mandatory == "no"}
    assert asked - checked == {"package-wheel"}  # that it can be built, nobody can see who has it installed
    by_the_suite = {rule for rule, (_, test) in rows.items() if test.strip("`") == SUITE}
    assert by_the_suite <= checked <= rows.keys()


def test_the_suite_over_the_installed_providers_is_the_test_of_rules() -> None:
    named = {row[3].strip("`") for row in read_rows(read_sections()["Rules"])}
    assert SUITE in named


def test_the_figures_are_those_of_the_code() -> None:
    assert f"# The provider contract, version {CONTRACT}\n" in PAGE
    assert f"within {DEADLINE:g} s" in PAGE
    assert f"within {IMPORT_DEADLINE:g} s" in PAGE
    assert f"after {FROZEN:g} s without\none" in PAGE
    assert f"more than {MAX_PROBLEMS} problems" in PAGE
    assert f"at most {MAX_CONDITION} characters" in PAGE
    assert f"at most {BUDGET * 1000:g} ms" in PAGE
    assert DISABLE_VARIABLE in PAGE
    assert DISABLE_POLICIES_VARIABLE in PAGE
