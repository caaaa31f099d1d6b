"""`policies`, and policies in `explain` and `render`, with the two examples beside a provider."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

EXAMPLES = Path(__file__).parents[3] / "examples"
SETTINGS = {"allowed-models": {"models": ["org/*"]}, "gpu-quota": {"default": 8}}


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both examples, laid as pip would, and their settings."""
    folder = tmp_path_factory.mktemp("policies")
    for name in ("allowed-models", "gpu-quota"):
        module = name.replace("-", "_")
        source = EXAMPLES / f"policy-{name}" / "src" / f"{module}.py"
        (folder / f"{module}.py").write_text(source.read_text())
        info = folder / f"{module}-0.1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: policy-{name}\nVersion: 0.1.0\n")
        (info / "entry_points.txt").write_text(f"[kubeairunway.policies]\n{name} = {module}\n")
    (folder / "settings.yaml").write_text(json.dumps(SETTINGS))
    return folder


@pytest.fixture
def call(run: Any, packages: Path, policies: Path) -> Callable[..., Any]:
    """`kubeairunway` among provider acme and both policies."""

    def call(*arguments: str, env: dict[str, str] | None = None, **more: Any) -> Any:
        path = {"PYTHONPATH": f"{packages}:{policies}", "KUBEAIRUNWAY_POLICY_SETTINGS": str(policies / "settings.yaml")}
        return run(*arguments, env={**path, **(env or {})}, **more)

    return call


def give(make: Callable[..., dict[str, Any]], *rows: tuple[str, int], **meta: str) -> str:
    documents = []
    for name, gpus in rows:
        document = make(name, resources={"gpu": {"count": gpus}}, provider={"name": "acme"})
        document["metadata"] |= meta
        documents.append(document)
    return yaml.safe_dump_all(documents)


def test_what_is_installed_is_listed_with_its_settings(call: Any) -> None:
    rows = [line.split() for line in call("policies").out.splitlines()]
    assert rows[1][:5] == ["allowed-models", "Loaded", "0.1.0", "policy-allowed-models", "models,"]
    assert rows[2][:5] == ["gpu-quota", "Loaded", "0.1.0", "policy-gpu-quota", "default,"]


def test_a_policy_with_wrong_settings_is_failed_and_check_says_so(call: Any, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("gpu-quota:\n  default: many\n")
    result = call("policies", "--policy-settings", "wrong.yaml", "--check", "-o", "json")
    assert result.code == 1
    (quota,) = [row for row in json.loads(result.out)["policies"] if row["name"] == "gpu-quota"]
    assert (quota["state"], quota["reason"]) == (
        "Failed",
        'settings: gpu-quota.default: "many" does not fit; use an integer',
    )
    assert call("policies", "--policy-settings", "wrong.yaml", "--check", "--disable-policy", "gpu-quota").code == 0


def test_no_policy_is_said_to_be_none(run: Any) -> None:
    assert run("policies").out == "No policy is installed; every deployment passes\n"
    assert json.loads(run("policies", "-o", "json").out) == {"policies": []}


FILES = {
    "no file": (None, "cannot be read"),
    "no yaml": ("a: [", "policy settings: settings.yaml, line 2"),
    "a list": ("- a", "give a mapping from names of policies to their settings"),
    "a text": ("gpu-quota: 8", "gpu-quota: give a mapping"),
    "twice": ("a: {}\na: {}", "a"),
    "two documents": ("a: {}\n---\nb: {}", "has 2 documents; give one"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("command", ["policies", "controller"])
def test_a_file_that_cannot_be_read_is_an_error_with_its_place(
    run: Any, tmp_path: Path, name: str, command: str
) -> None:
    text, words = FILES[name]
    if text is not None:
        (tmp_path / "settings.yaml").write_text(text)
    result = run(command, "--policy-settings", "settings.yaml")
    assert (result.code, result.out) == (2, "")
    assert "settings.yaml" in result.err
    assert words in result.err


def test_an_empty_file_sets_nothing(run: Any, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("# nothing yet\n")
    assert run("policies", "--policy-settings", "settings.yaml").code == 0


def test_settings_for_what_is_not_installed_are_remarked(call: Any, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("gpu-qouta: {default: 1}\n")
    result = call("policies", "--policy-settings", "settings.yaml")
    assert "there are settings for policy gpu-qouta, which is not installed; did you mean gpu-quota?" in result.err


def test_explain_names_the_policy_that_refuses_for_each_candidate(call: Any, make_deployment: Any) -> None:
    document = make_deployment(model={"id": "evil/model"}, resources={"gpu": {"count": 1}}, engine={"type": "vllm"})
    result = call("explain", "-f", "-", "-o", "json", stdin=json.dumps(document))
    assert result.code == 1
    (case,) = json.loads(result.out) if result.out.startswith("[") else [json.loads(result.out)]
    text = "policy allowed-models: model 'evil/model' may not run here; allowed are: org/*"
    (trial,) = case["explanation"]["engines"]
    refused = {row["provider"]: (row["reason"], row["message"]) for row in trial["candidates"] if row["capable"]}
    assert refused == {"acme": ("PolicyRefused", text), "plain": ("PolicyRefused", text)}
    table = call("explain", "-f", "-", stdin=json.dumps(document))
    assert " ".join(table.out.split()).count(text) >= 1


def test_documents_count_as_created_one_after_the_other(call: Any, make_deployment: Any) -> None:
    give_documents = partial(give, make_deployment)
    result = call("explain", "-f", "-", stdin=give_documents(("one", 4), ("two", 8), ("three", 4), ("four", 1)))
    assert result.code == 1
    verdicts = [line for line in result.out.splitlines() if line.startswith("default/")]
    assert verdicts == [
        "default/one: acme runs it on vLLM",
        "default/two: refused",
        "default/three: acme runs it on vLLM",
        "default/four: refused",
    ]
    assert "policy gpu-quota: 8 GPUs are too many: namespace default may hold 8, and 4 of them are left" in " ".join(
        result.out.split()
    )
    again = call("explain", "-f", "-", stdin=give_documents(("one", 8)) + "---\n" + give_documents(("one", 4)))
    assert again.code == 0, again.out
    twice = call("explain", "-f", "-", stdin=give_documents(("one", 16)) + "---\n" + give_documents(("one", 16)))
    assert twice.out.count("default/one: refused") == 2
    other = give_documents(("one", 8)) + "---\n" + give_documents(("one", 8), namespace="other")
    assert call("explain", "-f", "-", stdin=other).code == 0


def test_render_prints_nothing_for_what_is_refused(call: Any, make_deployment: Any) -> None:
    result = call("render", "-f", "-", stdin=give(make_deployment, ("one", 16)))
    assert (result.code, result.out) == (1, "")
    assert "policy gpu-quota" in result.err


def test_a_policy_that_is_switched_off_is_not_asked(call: Any, make_deployment: Any) -> None:
    words = ("render", "-f", "-", "--disable-policy", "gpu-quota")
    assert call(*words, stdin=give(make_deployment, ("one", 16))).code == 0
    off = {"KUBEAIRUNWAY_DISABLE_POLICIES": "gpu-quota,allowed-models"}
    assert call("render", "-f", "-", env=off, stdin=give(make_deployment, ("one", 16))).code == 0


def test_a_policy_that_cannot_be_asked_refuses_offline_too(call: Any, make_deployment: Any, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("gpu-quota: {defualt: 1}\nallowed-models: {models: ['*']}\n")
    result = call("explain", "-f", "-", "--policy-settings", "wrong.yaml", stdin=give(make_deployment, ("one", 1)))
    assert result.code == 1
    text = " ".join(result.out.split())
    assert "policy gpu-quota: it cannot be asked: Failed: settings: gpu-quota.defualt" in text
    assert "did you mean default?" in text


def test_a_comparison_asks_policies_about_the_change_alone(call: Any, make_deployment: Any, tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(give(make_deployment, ("one", 4), ("two", 2)))

    def compare(gpus: int, **env: str) -> Any:
        words = ("explain", "--diff", "-f", "-", "--old", "old.yaml")
        return call(*words, env=env, stdin=give(make_deployment, ("one", gpus)))

    refused = compare(8)
    text = "policy gpu-quota: 8 GPUs are too many: namespace default may hold 8, and 6 of them are left"
    assert text in " ".join(refused.out.split())
    assert refused.code == 1
    assert compare(4).code == 0
    passes = compare(1)
    assert "policy" not in passes.out
    assert passes.code == 0
    assert compare(8, KUBEAIRUNWAY_DISABLE_POLICIES="gpu-quota").code == 0
