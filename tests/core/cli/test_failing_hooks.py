"""A hook that fails or prints: the command says so, exits accordingly, and its output stays what it promises."""

import json
from pathlib import Path
from typing import Any

import pytest

WORDS = "provider fails: render: RuntimeError: nothing to show"


@pytest.fixture
def document(make_deployment: Any) -> str:
    """A deployment that names the provider whose `render` fails."""
    return json.dumps(make_deployment(provider={"name": "fails"}, resources={"gpu": {"count": 1}}))


@pytest.mark.parametrize("output", ["table", "yaml", "json"])
def test_render_says_that_the_hook_failed_and_is_refused(run: Any, failing: Path, document: str, output: str) -> None:
    result = run("render", "-f", "-", "-o", output, stdin=document, env={"PYTHONPATH": str(failing)})
    assert result.code == 1
    assert WORDS in result.err
    assert "hello" not in result.out


def test_explain_does_not_call_it_running(run: Any, failing: Path, document: str) -> None:
    result = run("explain", "-f", "-", stdin=document, env={"PYTHONPATH": str(failing)})
    assert result.code == 1
    assert result.out.startswith(f"default/one: refused: {WORDS}")


def test_what_a_hook_prints_stays_out_of_the_output(run: Any, failing: Path, document: str) -> None:
    result = run("explain", "-o", "json", "-f", "-", stdin=document, env={"PYTHONPATH": str(failing)})
    answer = json.loads(result.out)
    assert answer["accepted"] is False
    assert WORDS in answer["obstacle"]
    assert "validate says hello" in result.err
