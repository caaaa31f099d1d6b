"""Reading a user's document: every mistake is a Problem in the user's words, at the user's path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from kubeairunway.model.documents import Deployment, ProviderConfig, read_deployment, read_provider_config
from kubeairunway.model.spec import Spec

ROOT = Path(__file__).parents[3]
TABLE: dict[str, list[dict[str, Any]]] = yaml.safe_load((ROOT / "tests" / "bad_specs.yaml").read_text(encoding="utf-8"))
SAMPLES = sorted((ROOT / "crds" / "samples").glob("*.yaml"))
JARGON = re.compile(r"pydantic|Input should|validation error|errors\.pydantic|NoneType|dict|Traceback")


def document(spec: Any, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kubeairunway.ai/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "model", **metadata},
        "spec": spec,
    }


def config(spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kubeairunway.ai/v1alpha1",
        "kind": "InferenceProviderConfig",
        "metadata": {"name": "kaito"},
        "spec": spec,
    }


BY_SCHEMA = [row for row in TABLE["refused"] if row["by"] == "schema" and row["name"] != "no model"]
BY_RULE = [row for row in TABLE["refused"] if row["by"] == "rule"]
ACCEPTED = TABLE["accepted"]


@pytest.mark.parametrize("row", BY_SCHEMA, ids=[row["name"] for row in BY_SCHEMA])
def test_what_the_schema_refuses_is_a_problem_at_the_same_path(row: dict[str, Any]) -> None:
    deployment, problems = read_deployment(document(row["spec"]))
    assert deployment is None
    assert row["field"] in [problem.path for problem in problems]
    assert not any(problem.warning or JARGON.search(problem.message) for problem in problems)


@pytest.mark.parametrize("row", [*BY_RULE, *ACCEPTED], ids=[row["name"] for row in [*BY_RULE, *ACCEPTED]])
def test_what_only_a_rule_refuses_can_be_read(row: dict[str, Any]) -> None:
    deployment, problems = read_deployment(document(row["spec"]))
    assert problems == ()
    assert deployment is not None
    assert deployment.spec == Spec.model_validate(row["spec"])


@pytest.mark.parametrize("path", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_a_sample_can_be_read(path: Path) -> None:
    doc = yaml.safe_load(path.read_text(encoding="utf-8"))
    read = read_deployment if doc["kind"] == "ModelDeployment" else read_provider_config
    value, problems = read(doc)
    assert problems == ()
    assert value is not None
    assert value.name == doc["metadata"]["name"]


MESSAGES = {
    "a mistyped part": ({"modle": {}}, "spec.modle", "did you mean model?"),
    "a mistyped field": ({"engine": {"contextLenght": 1}}, "spec.engine.contextLenght", "did you mean contextLength?"),
    "Python's spelling": (
        {"engine": {"context_length": 1}},
        "spec.engine.context_length",
        "did you mean contextLength?",
    ),
    "a field nothing like any": (
        {"gateway": {"zzz": 1}},
        "spec.gateway.zzz",
        "known here: enabled, httpRouteRef, modelName",
    ),
    "a mistyped field in a list": ({"env": [{"name": "A", "vlaue": "b"}]}, "spec.env[0].vlaue", "did you mean value?"),
    "a number for a text": (
        {"model": {"id": 7}},
        "spec.model.id",
        "must be a text (in quotes if it looks like a number), not 7",
    ),
    "nothing for a text": (
        {"image": None},
        "spec.image",
        "must be a text (in quotes if it looks like a number), not null",
    ),
    "true for a number": ({"scaling": {"replicas": True}}, "spec.scaling.replicas", "must be a whole number, not true"),
    "a text for a list": ({"env": "A=b"}, "spec.env", 'must be a list, not "A=b"'),
    "a list for a part": ({"engine": ["vllm"]}, "spec.engine", 'must be a map, not ["vllm"]'),
    "an engine nobody knows": (
        {"engine": {"type": "tgi"}},
        "spec.engine.type",
        "must be one of 'vllm', 'sglang', 'trtllm' or 'llamacpp', not \"tgi\"",
    ),
    "a quantity with a blank": (
        {"resources": {"memory": "16 Gi"}},
        "spec.resources.memory",
        'must be a resource quantity such as 500m, 4 or 16Gi, not "16 Gi"',
    ),
    "too much": ({"resources": {"gpu": {"count": 65}}}, "spec.resources.gpu.count", "must be at most 64, not 65"),
    "too little": ({"scaling": {"replicas": -1}}, "spec.scaling.replicas", "must be 0 or more, not -1"),
    "a GPU without its domain": (
        {"resources": {"gpu": {"type": "gpu"}}},
        "spec.resources.gpu.type",
        'must be the name of an extended resource, domain/name, such as nvidia.com/gpu, not "gpu"',
    ),
    "a bad label": ({"nodeSelector": {"a": "b c"}}, "spec.nodeSelector.a", "must be a label value"),
    "a bad secret name": (
        {"secrets": {"huggingFaceToken": "HF"}},
        "spec.secrets.huggingFaceToken",
        "must be a Kubernetes name",
    ),
    "a bad provider name": ({"provider": {"name": "K"}}, "spec.provider.name", "must be a DNS label"),
    "a key that is missing": (
        {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]},
        "spec.env[0].valueFrom.secretKeyRef.key",
        "is required",
    ),
    "a long text": ({"image": "x" * 1025}, "spec.image", "must have at most 1024 characters"),
    "a long list": ({"tolerations": [{"operator": "Exists"}] * 65}, "spec.tolerations", "must have at most 64 items"),
    "a long map": (
        {"nodeSelector": {f"k{i}": "" for i in range(65)}},
        "spec.nodeSelector",
        "must have at most 64 items",
    ),
    "an empty name": ({"env": [{"name": "", "value": "b"}]}, "spec.env[0].name", "must have at least 1 characters"),
    "a name twice": (
        {"env": [{"name": "A", "value": "b"}, {"name": "A", "value": "c"}]},
        "spec.env[1]",
        "there is another with name A; give each its own",
    ),
    "no map at all": ("vllm", "spec", 'must be a map, not "vllm"'),
}


@pytest.mark.parametrize(("spec", "path", "words"), MESSAGES.values(), ids=MESSAGES)
def test_a_problem_says_what_would_be_right(spec: Any, path: str, words: str) -> None:
    deployment, problems = read_deployment(document(spec))
    assert deployment is None
    (problem,) = problems
    assert problem.path == path
    assert words in problem.message
    assert problem.message.startswith(path)
    assert not JARGON.search(problem.message)


FRAMES: dict[str, tuple[Any, str]] = {
    "no map": ([], ""),
    "nothing": (None, ""),
    "another version": (document({}) | {"apiVersion": "kubeairunway.ai/v1"}, "apiVersion"),
    "another kind": (document({}) | {"kind": "Deployment"}, "kind"),
    "no metadata": ({key: value for key, value in document({}).items() if key != "metadata"}, "metadata"),
    "no name": (document({}) | {"metadata": {}}, "metadata.name"),
    "a name that is a number": (document({}, name=7), "metadata.name"),
    "a field beside spec": (document({}) | {"spce": {}}, "spce"),
}


@pytest.mark.parametrize(("doc", "path"), FRAMES.values(), ids=FRAMES)
def test_a_document_that_is_no_deployment_is_refused(doc: Any, path: str) -> None:
    deployment, problems = read_deployment(doc)
    assert deployment is None
    assert [problem.path for problem in problems] == [path]


def test_every_mistake_is_told_at_once() -> None:
    _, problems = read_deployment(document({"model": {"id": 1}, "engine": {"type": "x"}, "scaling": {"replicas": "2"}}))
    assert [problem.path for problem in problems] == ["spec.model.id", "spec.engine.type", "spec.scaling.replicas"]


def test_a_field_that_does_not_exist_hides_no_value_of_a_wrong_type() -> None:
    spec = {"modle": {}, "scaling": {"replicas": "two"}, "resources": {"gpu": {"cout": 1, "count": "many"}}}
    paths = ["spec.modle", "spec.resources.gpu.cout", "spec.scaling.replicas", "spec.resources.gpu.count"]
    assert [problem.path for problem in read_deployment(document(spec))[1]] == paths
    _, problems = read_provider_config(config({"disabled": "yes", "setings": {}}))
    assert [problem.path for problem in problems] == ["spec.setings", "spec.disabled"]


def test_a_provider_config_is_read_as_strictly() -> None:
    rule = {"name": "r", "condition": "true", "priority": 101}
    _, problems = read_provider_config(config({"selectionRules": [rule, {"name": "r"}], "disabeld": True}))
    rules = {f"spec.selectionRules[{place}" for place in ("0].priority", "1]", "1].condition")}
    assert {problem.path for problem in problems} == {*rules, "spec.disabeld"}
    read, problems = read_provider_config(config({"autoSelect": False, "settings": {"image": "x"}}))
    assert problems == ()
    assert read is not None
    assert read.spec.auto_select is False
    assert read.spec.settings == {"image": "x"}
    assert read.spec.selection_rules == ()


def test_a_live_object_is_read_with_its_metadata() -> None:
    metadata = {
        "namespace": "ns",
        "uid": "u",
        "generation": 3,
        "labels": {"a": "b"},
        "annotations": {"c": "d"},
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "finalizers": ["f"],
    }
    live = document({"model": {"id": "a/b"}, "scaling": {"replicas": 0}}, **metadata)
    read = Deployment.from_object(live)
    assert (read.name, read.namespace, read.uid, read.generation) == ("model", "ns", "u", 3)
    assert (read.labels, read.annotations) == ({"a": "b"}, {"c": "d"})
    assert (read.deletion_timestamp, read.finalizers) == ("2026-01-01T00:00:00Z", ("f",))
    assert read.spec.scaling.replicas == 0
    assert read.raw is live
    assert read.problems == ()


def test_a_live_object_of_a_newer_version_is_read_without_what_is_unknown() -> None:
    read = Deployment.from_object(document({"model": {"id": "a/b", "quantization": "fp8"}, "tenant": {}}))
    assert read.problems == ()
    assert read.spec == Spec.model_validate({"model": {"id": "a/b"}})


def test_a_live_object_that_breaks_a_newer_bound_has_problems_instead_of_a_crash() -> None:
    read = Deployment.from_object(document({"resources": {"gpu": {"count": 1000}}}))
    assert [problem.path for problem in read.problems] == ["spec.resources.gpu.count"]
    assert read.spec == Spec()
    assert ProviderConfig.from_object(config({"selectionRules": [{}]})).problems != ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "spec",
                    "metadata",
                    "name",
                    "model",
                    "id",
                    "env",
                    "engine",
                    "args",
                    "resources",
                    "gpu",
                    "cpu",
                    "scaling",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values, json_values)
def test_no_document_makes_reading_raise(spec: Any, metadata: Any) -> None:
    doc = document(spec) | {"metadata": metadata}
    for value in (doc, spec):
        deployment, problems = read_deployment(value)
        assert (deployment is None) == bool(problems)
        read_provider_config(value)
    Deployment.from_object(doc)
    ProviderConfig.from_object(doc)
