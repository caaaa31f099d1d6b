"""`kubeairunway explain --diff` offline: what it prints, and what it says of input that cannot be compared."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Run = Callable[..., Any]
Make = Callable[..., dict[str, Any]]

PLAIN = ("--provider", "plain")
SMALL: dict[str, Any] = {"provider": {"name": "plain"}, "resources": {"gpu": {"count": 1}}}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Write documents into a file and return its name."""

    def dump(name: str, *documents: dict[str, Any]) -> str:
        (tmp_path / name).write_text(yaml.safe_dump_all(documents, sort_keys=False))
        return name

    return dump


def in_namespace(document: dict[str, Any], namespace: str) -> dict[str, Any]:
    return {**document, "metadata": {**document["metadata"], "namespace": namespace}}


def test_an_edit_is_told_in_lines(run: Run, write: Any, make_deployment: Make) -> None:
    old = write("old.yaml", make_deployment(**SMALL))
    new = write("new.yaml", make_deployment(**{**SMALL, "model": {"id": "org/other"}, "scaling": {"replicas": 3}}))
    result = run("explain", "--diff", "--old", old, "-f", new, *PLAIN)
    assert (result.code, result.err) == (0, "")
    assert result.out.splitlines() == [
        "default/one: recreate: it is for another model, provider, engine or mode",
        '  spec.model.id: "org/model" -> "org/other"',
        "      recreate: it is for another model, provider, engine or mode",
        "      Plain one: spec.model",
        "  spec.scaling.replicas: 1 -> 3",
        "      no object changes",
        "  objects:",
        "      Plain one: recreated (deleted at once, created when it is gone) at spec.model",
        "  downtime: from the deletion until the new one is ready",
        "  GPUs: 1 nvidia.com/gpu now, 3 nvidia.com/gpu meanwhile, 3 nvidia.com/gpu then",
    ]


def test_the_same_file_changes_nothing(run: Run, write: Any, make_deployment: Make) -> None:
    old = write("old.yaml", make_deployment(**SMALL))
    result = run("explain", "--diff", "--old", old, "-f", old, *PLAIN)
    assert (result.code, result.out) == (0, "default/one: no change: nothing is written\n")


def test_a_refused_edit_exits_with_1_and_names_the_line(run: Run, write: Any, make_deployment: Make) -> None:
    old = write("old.yaml", make_deployment(**SMALL))
    new = write("new.yaml", make_deployment(**SMALL, engine={"contextLength": 5}))
    result = run("explain", "--diff", "--old", old, "-f", new, *PLAIN)
    assert result.code == 1
    assert result.out.splitlines() == [
        "default/one: refused; the running revision serves on",
        "  error: new.yaml, document 1, line 14: provider plain does not support spec.engine.contextLength",
        "      for vLLM in aggregated mode; remove it (no other provider here does)",
        "  spec.engine.contextLength: (absent) -> 5",
        "      refused",
    ]


def test_values_are_shown_short_and_told_whole(run: Run, write: Any, make_deployment: Make) -> None:
    long = "org/" + "x" * 200
    old = write("old.yaml", make_deployment(**SMALL))
    new = write("new.yaml", make_deployment(**{**SMALL, "model": {"id": long}}))
    shown = run("explain", "--diff", "--old", old, "-f", new, *PLAIN)
    assert "xxx..." in shown.out
    assert long not in shown.out
    told = run("explain", "--diff", "--old", old, "-f", new, "-o", "json", *PLAIN)
    assert json.loads(told.out)["fields"][0]["after"] == long
    assert run("explain", "--diff", "--old", old, "-f", new, "-o", "yaml", *PLAIN).documents == [json.loads(told.out)]


def test_an_invalid_file_is_told_as_by_explain(run: Run, write: Any, make_deployment: Make) -> None:
    old = write("old.yaml", make_deployment(**SMALL))
    new = write("new.yaml", make_deployment(scaling={"replicas": "three"}))
    result = run("explain", "--diff", "--old", old, "-f", new, *PLAIN)
    assert result.code == 1
    assert result.out.startswith(
        "default/one: cannot be read\n  error: new.yaml, document 1, line 9: spec.scaling.replicas"
    )
    told = run("explain", "--diff", "--old", old, "-f", new, "-o", "json", *PLAIN)
    assert [row["path"] for row in json.loads(told.out)["problems"]] == ["spec.scaling.replicas"]


def test_what_cannot_be_compared_says_why_and_what_to_do(run: Run, write: Any, make_deployment: Make) -> None:
    one, two = make_deployment(), make_deployment("two")
    old, new = write("old.yaml", in_namespace(one, "team")), write("new.yaml", one)
    named = write("two.yaml", two)
    write("both.yaml", one, two)
    write("placed.yaml", in_namespace(one, "team"))
    write("bad.yaml", make_deployment(scale=1))
    write("none.yaml")
    write("other.yaml", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}})
    cases = {
        ("--diff",): "explain --diff needs the ModelDeployment as it shall be: give it with -f FILE",
        ("--diff", "one"): "explain --diff needs the ModelDeployment as it shall be: give it with -f FILE",
        ("--old", old, "-f", new): "--old says what to compare with; give --diff, too",
        ("--diff", "--old", "-", "-f", "-"): "--old - and -f - both name standard input",
        ("--diff", "--old", old, "-f", "both.yaml"): "both.yaml, document 2: a second ModelDeployment; explain --diff "
        "compares one, so keep one and call it once for each",
        ("--diff", "--old", old, "-f", "none.yaml"): "none.yaml: there are no documents in it",
        ("--diff", "--old", old, "-f", "other.yaml"): "there is no ModelDeployment in the input, only: ConfigMap",
        ("--diff", "--old", old, "-f", named): "old.yaml: there is no ModelDeployment default/two to compare with: "
        "old.yaml, document 1, line 4 has team/one; metadata.name and metadata.namespace must be those of the new file",
        ("--diff", "--old", old, "-f", new): "old.yaml, document 1, line 4 has team/one",
        ("--diff", "--old", "other.yaml", "-f", new): "to compare with: it has none",
        ("--diff", "--old", "bad.yaml", "-f", new): "bad.yaml, document 1, line 8: spec.scale: ",
        ("--diff", "--old", "missing.yaml", "-f", new): "missing.yaml: No such file or directory",
        ("--diff", "two", "--old", old, "-f", new): "new.yaml, document 1, line 4: metadata.name is one, and NAME says "
        "two; make them equal or leave NAME out",
        ("--diff", "-n", "other", "--old", old, "-f", "placed.yaml"): "placed.yaml, document 1, line 5: "
        "metadata.namespace is team, and --namespace says other; make them equal or leave --namespace out",
    }
    for words, message in cases.items():
        result = run("explain", *words, *PLAIN, stdin="")
        assert (result.code, result.out) == (2, ""), words
        assert message in result.err, words


def test_the_namespace_may_be_said_beside_the_file(run: Run, write: Any, make_deployment: Make) -> None:
    old = write("old.yaml", in_namespace(make_deployment(**SMALL), "team"))
    new = write("new.yaml", make_deployment(**SMALL))
    result = run("explain", "--diff", "-n", "team", "--old", old, "-f", new, *PLAIN)
    assert (result.code, result.out) == (0, "team/one: no change: nothing is written\n")


def test_a_cluster_that_is_not_there_is_said_with_its_own_code(run: Run, write: Any, make_deployment: Make) -> None:
    new = write("new.yaml", make_deployment(**SMALL))
    result = run("explain", "--diff", "-f", new, "--kubeconfig", "missing", *PLAIN)
    assert result.code == 2
    assert "missing" in result.err
