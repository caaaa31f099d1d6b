"""docs/controller-architecture.md claims nothing without a test that exists, and has the code's words and figures."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from kubeairunway.decide import changes, deletion, provider_config, rollout
from kubeairunway.model import names
from kubeairunway.model.reasons import ConditionType, ConfigCondition, ConfigReason, EventReason, Reason
from kubeairunway.runtime import served, urgency
from kubeairunway.runtime.settings import Settings

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "controller-architecture.md").read_text(encoding="utf-8")
LIMITS = "Time limits"
Function = ast.FunctionDef | ast.AsyncFunctionDef


def read_sections() -> dict[str, str]:
    """The text below each heading of the second level."""
    parts = re.split(r"^## (.+)$", PAGE, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def read_rows(text: str) -> list[list[str]]:
    """The cells of a section's table, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def find_proofs(text: str) -> list[str]:
    """Every test id in a text."""
    return re.findall(r"`([\w/]+\.py::[^`]+)`", text)


PROOFS = sorted(set(find_proofs(PAGE)))


@cache
def read_module(path: str) -> ast.Module:
    """A test file, parsed."""
    return ast.parse((TESTS / path).read_text(encoding="utf-8"))


def find_test(proof: str) -> Function:
    """The test function that an id names. Raises StopIteration if there is none."""
    path, _, rest = proof.partition("::")
    name = rest.partition("[")[0]
    return next(node for node in read_module(path).body if isinstance(node, Function) and node.name == name)


def read_table(path: str, name: str) -> ast.expr | None:
    """What a module gives to one of its names."""
    for node in read_module(path).body:
        if isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            if [ast.unparse(target) for target in targets] == [name]:
                return node.value
    return None


def read_ids(path: str, values: ast.expr | None) -> Iterator[str]:
    """The ids that parameters get, where they are texts: a table's keys, or what a list holds."""
    if isinstance(values, ast.Name):
        values = read_table(path, values.id)
    items = values.keys if isinstance(values, ast.Dict) else getattr(values, "elts", ())
    yield from (item.value for item in items if isinstance(item, ast.Constant) and isinstance(item.value, str))


def find_ids(proof: str) -> set[str]:
    """The ids of a test's only parametrisation."""
    path = proof.partition("::")[0]
    calls = [node for node in find_test(proof).decorator_list if isinstance(node, ast.Call)]
    (call,) = [call for call in calls if ast.unparse(call.func) == "pytest.mark.parametrize"]
    return set(read_ids(path, call.args[1]))


@pytest.mark.parametrize("proof", PROOFS)
def test_a_test_that_is_named_exists(proof: str) -> None:
    path, _, rest = proof.partition("::")
    assert (TESTS / path).is_file()
    assert rest.startswith("test_")
    names = {node.name for node in read_module(path).body if isinstance(node, Function)}
    assert rest.partition("[")[0] in names
    if "[" in rest:
        assert rest.partition("[")[2].removesuffix("]") in find_ids(proof)


def test_every_section_proves_something() -> None:
    assert len(read_sections()) > 10
    assert [title for title, text in read_sections().items() if not find_proofs(text)] == []


def test_every_row_has_its_proof() -> None:
    rows = [row for text in read_sections().values() for row in read_rows(text)]
    assert len(rows) > 80
    assert [row[0] for row in rows if not find_proofs(row[-1])] == []


def test_no_row_cuts_an_id_short() -> None:
    """What looks like a path of a test has to be a whole id."""
    assert len(re.findall(r"\.py\b", PAGE)) == len(find_proofs(PAGE))


CONDITIONS = {*ConditionType, *ConfigCondition}
REASONS = {*Reason, *ConfigReason}
WORDS = {*CONDITIONS, *REASONS, *EventReason}


def test_every_condition_and_reason_that_is_named_is_one() -> None:
    named = set(re.findall(r"`([A-Z][A-Za-z]+)(?:=[A-Za-z]+)?(?:/[A-Za-z]+)?`", PAGE)) - {names.MODEL_DEPLOYMENT}
    assert named - WORDS == set()
    states = re.findall(r"`([A-Za-z]+)=([A-Za-z]+)(?:/([A-Za-z]+))?`", PAGE)
    assert len(states) > 15
    for kind, status, reason in states:
        assert kind in CONDITIONS, kind
        assert status in {"True", "False", "Unknown"}, status
        assert not reason or reason in REASONS, reason


def test_the_figures_are_those_of_the_code() -> None:
    settings = Settings()
    assert f"`--deletion-limit` ({settings.deletion_limit:g} s " in PAGE
    assert f"status write every {settings.heartbeat:g} s. One older than {settings.heartbeat_expiry:g} s" in PAGE
    assert provider_config.HEARTBEAT_EXPIRY.total_seconds() == settings.heartbeat_expiry
    assert f"not gone after {rollout.STUCK_AFTER.total_seconds() / 60:g} minutes" in PAGE
    first, longest = changes.CONTEST_FIRST_WAIT.total_seconds(), changes.CONTEST_LONGEST_WAIT.total_seconds() / 60
    assert changes.CONTEST_REPAIRS == 2
    assert f"two repairs at once, then {first:g} s, doubled up to {longest:g} minutes" in PAGE
    assert f"tries once, and waits {deletion.LAST_TRY:g} s" in PAGE
    assert f"looked for every {deletion.FORGET_WAIT:g} s" in PAGE
    assert f"discovery is read every {served.REREAD_SECONDS:g} s" in PAGE
    assert f"without a fact wait {urgency.PATIENCE_SECONDS:g} s" in PAGE
    assert f"one lease: {settings.lease_duration:g} s" in PAGE
    assert f"`{names.FINALIZER}`" in PAGE
    assert f"`{names.PAUSED}: " in PAGE
    assert f"`{names.TRIED_BY}`" in PAGE


def find_patience(test: Function) -> Iterator[float]:
    """The numbers with which a test waits: what it hands on to wait, compares a wait with, or makes a lease of."""
    for node in ast.walk(test):
        parts: list[ast.expr] = []
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"until", "gone", "delete"}:
            parts = [part for part in node.args if not isinstance(part, ast.Lambda)]
        elif isinstance(node, ast.Call):
            parts = [keyword.value for keyword in node.keywords if keyword.arg == "duration"]
        elif isinstance(node, ast.Compare) and any(isinstance(part, ast.Await) for part in ast.walk(node)):
            parts = node.comparators
        inner = (part for each in parts for part in ast.walk(each) if isinstance(part, ast.Constant))
        yield from (part.value for part in inner if isinstance(part.value, int | float))


@pytest.mark.parametrize("row", read_rows(read_sections()[LIMITS]), ids=lambda row: row[0])
def test_a_limit_is_what_its_test_allows(row: list[str]) -> None:
    _, limit, measured, cell = row
    (proof,) = find_proofs(cell)
    figures = [float(text) for text in re.findall(r"\d+(?:\.\d+)?", measured)]
    assert figures
    assert set(figures) <= set(find_patience(find_test(proof)))
    if len(figures) == 1:
        assert limit == f"{figures[0]:g} s"
