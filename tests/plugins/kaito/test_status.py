"""KAITO's own words in, a report out: one row for each thing that KAITO can say."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kubeairunway_kaito
from kubeairunway.plugin import SERVICE, Observed, Report, Request, State, View
from kubeairunway_kaito.catalog import INFERENCE_SET, WORKSPACE, Overrides

Maker = Callable[..., Request]
Condition = dict[str, Any]


def condition(kind: str, status: str, reason: str = "", message: str = "", generation: int = 3) -> Condition:
    said = {"type": kind, "status": status, "reason": reason, "message": message}
    return {**said, "observedGeneration": generation}


def workspace(state: str = "", *conditions: Condition, name: str = "demo") -> dict[str, Any]:
    status = {"state": state} if state else {}
    raw = {"kind": "Workspace", "metadata": {"name": name, "generation": 3}}
    return {**raw, "status": {**status, "conditions": list(conditions)}}


def inference_set(replicas: int, ready: int, *conditions: Condition) -> dict[str, Any]:
    status = {"replicas": replicas, "readyReplicas": ready, "conditions": list(conditions)}
    metadata = {"name": "demo", "generation": 3}
    return {"kind": "InferenceSet", "metadata": metadata, "spec": {"replicas": replicas}, "status": status}


@pytest.fixture
def report(vllm: Maker) -> Callable[..., Report]:
    def read(raw: Any, *children: Any, service: bool = True) -> Report:
        others = {(SERVICE, "api"): View({})} if service else {}
        observed = Observed(View(raw), others=others, children={WORKSPACE: tuple(View(child) for child in children)})
        return kubeairunway_kaito.status(vllm(), observed)

    return read


SUCCEEDED = condition("WorkspaceSucceeded", "True")
PENDING = condition("WorkspaceSucceeded", "False", "workspacePending", "waiting for the workload")
NODES = condition("NodesReady", "False", "NodeNotReady", "too few nodes")
RESOURCES = condition("ResourceReady", "False", "x", "node condition not ready")
RESOURCES_READY = condition("ResourceReady", "True")
INFERENCE = condition("InferenceReady", "False", "WorkspaceInferenceStatusPending", "workload not ready")
CRASH = condition("InferenceReady", "False", "ContainerCrashLoopBackOff", "exit code 1")
BENCHMARK = condition("WorkspaceSucceeded", "False", "BenchmarkFailed", "no result")
FAILED = condition("WorkspaceSucceeded", "False", "workspaceFailed", "it broke")

NO_NODES = "too few nodes; KAITO gives vLLM whole nodes, and looks for ones with the label nvidia.com/gpu.count=1"
WORKSPACE_CASES: dict[str, tuple[dict[str, Any], State, str]] = {
    "no status": ({"kind": "Workspace"}, State.WAITING, ""),
    "no conditions": (workspace(), State.WAITING, ""),
    "Ready": (workspace("Ready", SUCCEEDED), State.RUNNING, ""),
    "Succeeded": (workspace("Succeeded", SUCCEEDED), State.RUNNING, ""),
    "Ready beside a verdict that is none": (
        workspace("Ready", RESOURCES_READY, PENDING),
        State.PROGRESSING,
        "waiting for the workload",
    ),
    "Ready without a verdict": (workspace("Ready", RESOURCES_READY), State.PROGRESSING, ""),
    "Pending for nodes": (workspace("Pending", RESOURCES, NODES, INFERENCE, PENDING), State.WAITING, NO_NODES),
    "Pending for the model": (
        workspace("Pending", RESOURCES_READY, INFERENCE, PENDING),
        State.WAITING,
        "waiting for the workload",
    ),
    "Pending with a crash": (workspace("Pending", RESOURCES_READY, CRASH, PENDING), State.WAITING, "exit code 1"),
    "NotReady": (workspace("NotReady", RESOURCES_READY, CRASH, PENDING), State.PROGRESSING, "exit code 1"),
    "NotReady for the benchmark": (
        workspace("NotReady", RESOURCES_READY, condition("InferenceReady", "True"), BENCHMARK),
        State.PROGRESSING,
        "no result",
    ),
    "Running": (workspace("Running", PENDING), State.PROGRESSING, "waiting for the workload"),
    "Failed": (workspace("Failed", NODES, FAILED), State.FAILED, "it broke"),
    "Failed without a word": (workspace("Failed"), State.FAILED, ""),
    "a state of tomorrow": (workspace("Dreaming", PENDING), State.WAITING, "unknown state: Dreaming"),
    "no state, succeeded": (workspace("", SUCCEEDED), State.RUNNING, ""),
    "no state, pending": (workspace("", PENDING), State.WAITING, "waiting for the workload"),
    "no state, failed": (workspace("", NODES, FAILED), State.FAILED, "it broke"),
    "no state, benchmark failed": (workspace("", BENCHMARK), State.WAITING, "no result"),
    "no state, resources ready": (workspace("", RESOURCES_READY), State.PROGRESSING, ""),
    "no state, resources ready, pending": (
        workspace("", RESOURCES_READY, PENDING),
        State.PROGRESSING,
        "waiting for the workload",
    ),
    "no state, all ready but no verdict": (
        workspace("", RESOURCES_READY, condition("InferenceReady", "True")),
        State.WAITING,
        "",
    ),
}


@pytest.mark.parametrize("case", WORKSPACE_CASES)
def test_a_workspace(report: Callable[..., Report], case: str) -> None:
    raw, state, message = WORKSPACE_CASES[case]
    said = report(raw)
    assert (said.state, said.message) == (state, message)
    assert said.ready == (1 if state is State.RUNNING else 0)
    assert said.pods == "kaito.sh/workspace=demo"


def test_a_workspace_proves_only_the_generation_of_its_verdict(report: Callable[..., Report]) -> None:
    old = condition("WorkspaceSucceeded", "True", generation=2)
    newer = condition("InferenceReady", "True", generation=3)
    assert report(workspace("Ready", old, newer)).generation == 2
    assert report(workspace("Ready", SUCCEEDED)).generation == 3
    assert report(workspace("Ready")).generation == 0


@pytest.mark.parametrize(
    ("raw", "service"),
    [
        (workspace("Ready", SUCCEEDED), "demo"),
        (workspace("NotReady", PENDING), "demo"),
        (workspace("Pending", RESOURCES_READY, PENDING), "demo"),
        (workspace("Pending", RESOURCES, PENDING), ""),
        (workspace(), ""),
    ],
)
def test_the_service_of_a_workspace_exists_once_its_nodes_do(
    report: Callable[..., Report], raw: dict[str, Any], service: str
) -> None:
    said = report(raw)
    assert (said.service, said.port) == (service, 80 if service else 0)


READY = condition("InferenceSetReady", "True", "inferencesetReady", "is ready")
NOT_READY = condition("InferenceSetReady", "False", "inferencesetNotReady", "some are not ready")
GATEWAY = condition("InferenceSetReady", "False", "inferencesetFailed", "no pool")
GOOD = workspace("Ready", SUCCEEDED, name="demo-aaaaa")
SLOW = workspace("Pending", NODES, PENDING, name="demo-bbbbb")
BROKEN = workspace("Failed", FAILED, name="demo-ccccc")
LEAVING = {**BROKEN, "metadata": {"name": "demo-ccccc", "deletionTimestamp": "2026-01-01T00:00:00Z"}}

SET_CASES: dict[str, tuple[dict[str, Any], list[Any], State, int, int, str]] = {
    "no status": ({"kind": "InferenceSet"}, [], State.WAITING, 0, 0, ""),
    "no conditions": (inference_set(2, 0), [], State.WAITING, 0, 0, ""),
    "none ready": (
        inference_set(2, 0, NOT_READY),
        [SLOW],
        State.PROGRESSING,
        0,
        0,
        f"demo-bbbbb: {NO_NODES}",
    ),
    "as many ready as asked for, and not Ready": (
        inference_set(2, 2, NOT_READY),
        [GOOD, GOOD],
        State.PROGRESSING,
        2,
        2,
        "some are not ready",
    ),
    "some ready": (
        inference_set(2, 1, NOT_READY),
        [GOOD, SLOW],
        State.PROGRESSING,
        1,
        1,
        f"demo-bbbbb: {NO_NODES}",
    ),
    "all ready": (inference_set(2, 2, READY), [GOOD, GOOD], State.RUNNING, 2, 2, ""),
    "surplus ends": (inference_set(1, 3, NOT_READY), [GOOD, GOOD, GOOD], State.RUNNING, 1, 3, ""),
    "one failed": (
        inference_set(2, 1, NOT_READY),
        [GOOD, BROKEN],
        State.FAILED,
        1,
        1,
        "demo-ccccc: it broke",
    ),
    "one failed and leaves": (
        inference_set(1, 0, NOT_READY),
        [LEAVING],
        State.PROGRESSING,
        0,
        0,
        "demo-ccccc: it broke",
    ),
    "gateway failed": (inference_set(1, 1, GATEWAY), [GOOD], State.FAILED, 1, 1, "no pool"),
    "gateway failed and one is slow": (inference_set(2, 1, GATEWAY), [GOOD, SLOW], State.FAILED, 1, 1, "no pool"),
    "zero, proved": (inference_set(0, 0, READY), [], State.RUNNING, 0, 0, ""),
    "zero, pods end": (
        inference_set(0, 0, READY),
        [SLOW],
        State.PROGRESSING,
        0,
        0,
        "demo-bbbbb: too few nodes",
    ),
    "zero, still ready": (inference_set(0, 1, NOT_READY), [], State.PROGRESSING, 0, 1, "some are not ready"),
    "zero, a failed one ends": (
        inference_set(0, 0, READY),
        [BROKEN],
        State.PROGRESSING,
        0,
        0,
        "demo-ccccc: it broke",
    ),
    "a negative count": (inference_set(1, -4, NOT_READY), [], State.PROGRESSING, 0, 0, "some are not ready"),
}


@pytest.mark.parametrize("case", SET_CASES)
def test_a_set(report: Callable[..., Report], case: str) -> None:
    raw, children, state, ready, available, message = SET_CASES[case]
    said = report(raw, *children)
    assert (said.state, said.ready, said.available, said.message) == (state, ready, available, message)
    assert said.pods == "inferenceset.kaito.sh/created-by=demo"


def test_a_set_proves_only_the_generation_of_its_verdict(report: Callable[..., Report]) -> None:
    old = condition("InferenceSetReady", "True", generation=2)
    assert report(inference_set(1, 1, old, condition("BenchmarkCompleted", "True")), GOOD).generation == 2
    assert report(inference_set(1, 1, READY), GOOD).generation == 3
    assert report(inference_set(1, 1)).generation == 0


def test_the_service_of_a_set_is_ours_and_named_once_it_exists(report: Callable[..., Report]) -> None:
    there = report(inference_set(1, 1, READY), GOOD)
    gone = report(inference_set(1, 1, READY), GOOD, service=False)
    assert [(there.service, there.port), (gone.service, gone.port)] == [("demo-api", 80), ("", 0)]


def test_the_kind_is_the_live_objects_whatever_would_be_rendered(vllm: Maker) -> None:
    for resource, raw in (("InferenceSet", workspace("Ready", SUCCEEDED)), ("Workspace", inference_set(1, 1, READY))):
        request = vllm(overrides=Overrides(resource=resource))  # type: ignore[arg-type]  # words of the Literal
        said = kubeairunway_kaito.status(request, Observed(View(raw)))
        assert said.pods.startswith("kaito.sh/workspace" if raw["kind"] == "Workspace" else "inferenceset.kaito.sh/")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
WORDS = ["status", "conditions", "state", "readyReplicas", "spec", "replicas", "metadata", "type", "reason", "message"]
TYPES = st.sampled_from(["InferenceSetReady", "WorkspaceSucceeded", "ResourceReady", "InferenceReady"])
HOSTILE = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(["InferenceSet", "Workspace"]) | JSON,
        "metadata": st.dictionaries(st.sampled_from(["name", "deletionTimestamp"]), JSON) | JSON,
        "spec": st.dictionaries(st.sampled_from(WORDS), JSON) | JSON,
        "status": JSON
        | st.fixed_dictionaries(
            {"state": JSON, "readyReplicas": JSON},
            optional={
                "conditions": JSON
                | st.lists(
                    JSON
                    | st.fixed_dictionaries(
                        {"type": TYPES | JSON},
                        optional={
                            "status": st.sampled_from(["True", "False"]) | JSON,
                            "reason": JSON,
                            "message": JSON,
                            "observedGeneration": JSON,
                        },
                    )
                )
            },
        ),
    },
)


@settings(max_examples=150, deadline=None)
@given(raw=HOSTILE, children=st.lists(HOSTILE, max_size=2), primary=st.sampled_from([None, WORKSPACE, INFERENCE_SET]))
def test_no_object_makes_it_fail_or_answer_nonsense(
    vllm: Maker, raw: Mapping[str, Any], children: list[Mapping[str, Any]], primary: Any
) -> None:
    observed = Observed(View(raw), children={WORKSPACE: tuple(View(child) for child in children)})
    said = kubeairunway_kaito.status(vllm(primary=primary), observed)
    assert type(said.generation) is int
    assert type(said.ready) is int
    assert said.ready >= 0
    assert said.available is None or said.available >= said.ready
    assert all(type(text) is str for text in (said.message, said.service, said.pods))
