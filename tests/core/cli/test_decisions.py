"""`explain` and `render` from files: what is printed, and the exit code."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Make = Callable[..., dict[str, Any]]
GPU = {"resources": {"gpu": {"count": 1}}}


def text(*documents: Any) -> str:
    return yaml.safe_dump_all(documents)


def test_render_prints_objects_that_belong_to_nobody(run: Any, make_deployment: Make) -> None:
    result = run("render", "-f", "-", stdin=text(make_deployment(**GPU)))
    assert result.code == 0
    assert [(obj["kind"], obj["metadata"]["name"]) for obj in result.documents] == [("Plain", "one")]
    meta = result.documents[0]["metadata"]
    assert "ownerReferences" not in meta
    assert "annotations" not in meta
    assert meta["namespace"] == "default"
    assert meta["labels"]["kubeairunway.ai/provider"] == "plain"


def test_render_as_json_is_one_list(run: Any, make_deployment: Make) -> None:
    two = text(make_deployment("one", **GPU), make_deployment("two", **GPU))
    result = run("render", "-o", "json", "-f", "-", stdin=two)
    assert [item["metadata"]["name"] for item in json.loads(result.out)["items"]] == ["one", "two"]


def test_render_as_a_table_names_provider_and_objects(run: Any, make_deployment: Make) -> None:
    result = run("render", "-o", "table", "-f", "-", stdin=text(make_deployment(**GPU)))
    assert result.out.splitlines()[1].split() == ["default/one", "plain", "Plain", "one", "plain.dev/v2"]


def test_a_served_version_replaces_the_preferred_one(run: Any, make_deployment: Make) -> None:
    result = run("render", "--served", "plain.dev/v1/Plain", "-f", "-", stdin=text(make_deployment(**GPU)))
    assert result.documents[0]["apiVersion"] == "plain.dev/v1"


def test_a_kind_that_is_not_served_takes_its_provider_out(run: Any, make_deployment: Make) -> None:
    document = text(make_deployment(**GPU))
    result = run("render", "--provider", "plain", "--served", "plain.dev/-/Plain", "-f", "-", stdin=document)
    assert result.code == 1
    assert result.out == ""
    assert (
        "does not serve Plain (plain.dev/v2 or v1)"
        in run("explain", "--provider", "plain", "--served", "plain.dev/-/Plain", "-f", "-", stdin=document).out
    )


def test_namespace_is_the_documents_then_the_flags(run: Any, make_deployment: Make) -> None:
    own = make_deployment("own", **GPU)
    own["metadata"]["namespace"] = "team"
    result = run("render", "-n", "other", "-f", "-", stdin=text(own, make_deployment("free", **GPU)))
    assert [obj["metadata"]["namespace"] for obj in result.documents] == ["team", "other"]


def test_one_bad_deployment_does_not_keep_the_others_back(run: Any, make_deployment: Make) -> None:
    result = run("render", "-f", "-", stdin=text(make_deployment("bad", nope=1), make_deployment("good", **GPU)))
    assert result.code == 1
    assert [obj["metadata"]["name"] for obj in result.documents] == ["good"]
    assert "standard input, document 1, line" in result.err
    assert "spec.nope is not a field" in result.err


def test_explain_says_why_the_winner_won_and_what_the_loser_lacks(run: Any, make_deployment: Make) -> None:
    result = run("explain", "-f", "-", stdin=text(make_deployment(model={"id": "acme/m"}, **GPU)))
    assert result.code == 0
    assert result.out.startswith("default/one: acme runs it on vLLM\n")
    assert "* acme: chosen, score 80" in result.out
    assert "bid 80: Acme's own models" in result.out
    assert "- plain: eligible, score 30" in result.out
    assert "rule small (the package's, 30) matches: spec.resources.gpu.count <= 1" in result.out
    assert "to make it win:" in result.out


def test_explain_lists_what_stands_in_a_losers_way_in_lines_that_fit_a_screen(run: Any, make_deployment: Make) -> None:
    document = text(make_deployment(env=[{"name": "A", "value": "b"}], nodeSelector={"pool": "x"}, **GPU))
    result = run("explain", "-f", "-", stdin=document)
    assert result.code == 1
    lines = result.out.splitlines()
    trials = lines[lines.index("  vLLM") :]
    assert max(map(len, trials)) <= 100
    assert "    - plain: not eligible, score 30: see the errors above" in trials
    assert "to make it eligible: remove spec.env, which it does not support;" in result.out


@pytest.mark.parametrize("spec", [{"nodeSelector": {"pool": "x"}}, {"nodeSelector": {"pool": "x"}, "image": "a:1"}])
def test_explain_says_a_refusal_once_and_points_to_it_below(run: Any, make_deployment: Make, spec: Any) -> None:
    document = text(make_deployment(provider={"name": "plain"}, **spec, **GPU))
    result = run("explain", "-f", "-", "--provider", "plain", stdin=document)
    assert result.code == 1
    shown = " ".join(result.out.split())
    for field in spec:
        assert shown.count(f"does not support spec.{field}") == 1
        assert shown.count(f"remove spec.{field}, which it does not support") == 1
    assert f"- plain: not eligible, score 30: see the error{'s' if len(spec) > 1 else ''} above" in shown


def test_explain_as_json_is_the_whole_decision(run: Any, make_deployment: Make) -> None:
    answer = json.loads(run("explain", "-o", "json", "-f", "-", stdin=text(make_deployment(**GPU))).out)
    assert answer["accepted"] is True
    assert answer["explanation"]["provider"] == "plain"
    assert answer["effectiveSpec"]["scaling"]["replicas"] == 1
    assert answer["effectiveSpec"]["model"]["servedName"] == "model"
    engines = {
        row["engine"]: [each["provider"] for each in row["candidates"]] for row in answer["explanation"]["engines"]
    }
    assert engines["vllm"] == ["acme", "broken", "plain"] or set(engines["vllm"]) >= {"acme", "plain"}


def test_explain_with_spec_prints_the_effective_spec(run: Any, make_deployment: Make) -> None:
    result = run("explain", "--spec", "-f", "-", stdin=text(make_deployment(**GPU)))
    assert "\n      servedName: model\n" in result.out


def test_an_unknown_provider_is_refused_with_the_known_ones(run: Any, make_deployment: Make) -> None:
    result = run("explain", "-f", "-", stdin=text(make_deployment(provider={"name": "nemo"}, **GPU)))
    assert result.code == 1
    assert "acme" in result.out
    assert "nemo" in result.out


def test_a_hook_that_objects_is_an_error_at_its_field(run: Any, make_deployment: Make) -> None:
    document = text(make_deployment(provider={"name": "acme"}, resources={"gpu": {"count": 3}}))
    result = run("render", "-f", "-", stdin=document)
    assert result.code == 1
    line = next(number for number, row in enumerate(document.splitlines(), 1) if "count: 3" in row)
    assert f"standard input, document 1, line {line}: 3 GPUs cannot be split" in result.err


def test_a_provider_config_in_the_input_is_the_administrators_word(run: Any, make_deployment: Make) -> None:
    config = {
        "apiVersion": "kubeairunway.ai/v1alpha1",
        "kind": "InferenceProviderConfig",
        "metadata": {"name": "acme"},
        "spec": {"selectionRules": [{"name": "house", "condition": "true", "priority": 1}]},
    }
    result = run("explain", "-f", "-", stdin=text(make_deployment(**GPU), config))
    assert result.out.startswith("default/one: acme runs it on vLLM\n")
    assert "rule house (the administrator's, 1) matches: true" in result.out
    config["spec"] = {"disabled": True}
    result = run("explain", "-f", "-", stdin=text(make_deployment(provider={"name": "acme"}, **GPU), config))
    assert result.code == 1


def test_a_provider_can_be_switched_off(run: Any, make_deployment: Make) -> None:
    document = text(make_deployment(model={"id": "acme/m"}, **GPU))
    result = run("explain", "--disable-provider", "acme", "-f", "-", stdin=document)
    assert result.out.startswith("default/one: plain runs it on vLLM\n")


def test_a_broken_package_is_noted_and_stops_nobody(run: Any, make_deployment: Make) -> None:
    result = run("render", "-f", "-", stdin=text(make_deployment(**GPU)))
    assert result.code == 0
    assert "provider broken is left out: Failed: import: RuntimeError: no such luck" in result.err


def test_what_kubectl_printed_can_be_given_back(run: Any, make_deployment: Make) -> None:
    live = make_deployment(**GPU)
    live["metadata"] |= {
        "uid": "u-1",
        "resourceVersion": "7",
        "generation": 3,
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {"kubeairunway.ai/reconcile-paused": "true"},
        "managedFields": [{"manager": "kubectl"}],
    }
    live["status"] = {"phase": "Running", "provider": {"name": "gone"}}
    listed = {"apiVersion": "v1", "kind": "List", "items": [live]}
    result = run("explain", "-f", "-", stdin=text(listed))
    assert result.code == 0
    assert result.out.startswith("default/one: plain runs it")


def test_the_item_of_a_list_is_named_with_its_line(run: Any, make_deployment: Make) -> None:
    listed = {
        "apiVersion": "v1",
        "kind": "ModelDeploymentList",
        "items": [make_deployment(**GPU), make_deployment(x=1)],
    }
    document = text(listed)
    result = run("render", "-f", "-", stdin=document)
    line = next(number for number, row in enumerate(document.splitlines(), 1) if row.strip() == "x: 1")
    assert f"standard input, document 1, item 2, line {line}: spec.x is not a field" in result.err


def test_other_kinds_are_skipped_with_a_note(run: Any, make_deployment: Make) -> None:
    other = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    result = run("render", "-f", "-", stdin=text(other, make_deployment(**GPU)))
    assert result.code == 0
    assert "standard input, document 1: skipped, kind ConfigMap" in result.err


def test_files_and_folders_can_be_mixed(run: Any, make_deployment: Make, tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    (folder / "b.yaml").write_text(text(make_deployment("b", **GPU)))
    (folder / "a.json").write_text(json.dumps(make_deployment("a", **GPU), indent="\t"))
    (folder / "notes.txt").write_text("not read")
    (tmp_path / "c.yml").write_text("\ufeff" + text(make_deployment("c", **GPU)))
    result = run("render", "-f", str(folder), "-f", "c.yml")
    assert [obj["metadata"]["name"] for obj in result.documents] == ["a", "b", "c"]
