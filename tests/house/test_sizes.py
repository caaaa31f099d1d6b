"""How long code may be: files and functions; ruff counts parameters and branches."""

import ast
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for part in ("core", "dev", "plugins") for path in (ROOT / part).rglob("src/**/*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAX_SOURCE, MAX_TEST, MAX_FUNCTION = 500, 600, 60
MEDIAN_FILE, MEDIAN_FUNCTION = 150, 10

Function = ast.FunctionDef | ast.AsyncFunctionDef


def find_functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield node


def count_lines(node: Function) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_there_is_something_to_measure() -> None:
    assert len(SOURCES) > 50
    assert len(TESTS) > 10


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_no_file_is_too_long(path: Path) -> None:
    limit = MAX_TEST if path in TESTS else MAX_SOURCE
    assert len(path.read_text(encoding="utf-8").splitlines()) <= limit


@pytest.mark.parametrize("path", [*SOURCES, *TESTS], ids=name_of)
def test_no_function_is_too_long(path: Path) -> None:
    long = {node.name: count_lines(node) for node in find_functions(path) if count_lines(node) > MAX_FUNCTION}
    assert long == {}


def test_most_files_and_functions_are_short() -> None:
    assert median(len(path.read_text(encoding="utf-8").splitlines()) for path in SOURCES) <= MEDIAN_FILE
    assert median(count_lines(node) for path in SOURCES for node in find_functions(path)) < MEDIAN_FUNCTION
