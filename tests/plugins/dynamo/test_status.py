"""Dynamo's own words in, a report out: one row for each thing that its operator can say."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kubeairunway_dynamo
from kubeairunway.plugin import Observed, Report, Request, State, View

Maker = Callable[..., Request]
Json = dict[str, Any]
READY = {"type": "Ready", "status": "True", "reason": "all_resources_are_ready", "message": "All resources are ready"}


def row(replicas: int, updated: int | None = None, ready: int | None = None, **rest: Any) -> Json:
    """One component's counts; as many are updated and ready as there are, unless said otherwise."""
    counts = {"replicas": replicas, "updatedReplicas": replicas if updated is None else updated}
    return {**counts, "readyReplicas": replicas if ready is None else ready, **rest}


def graph(
    state: str, *, ready: Json | None = None, generation: int = 3, field: str = "components", **rows: Any
) -> Json:
    """A live graph; the condition is about generation 3, like the status, unless they say otherwise."""
    condition = {"observedGeneration": generation, **(READY if ready is None else ready)}
    status = {"state": state, "observedGeneration": generation, "conditions": [condition], field: rows}
    return {"metadata": {"generation": 3}, "status": status}


@pytest.fixture
def report(make: Maker) -> Callable[..., Report]:
    def read(raw: Any, mode: str = "aggregated", change: Mapping[str, Any] | None = None) -> Report:
        return kubeairunway_dynamo.status(make("vllm", mode, change), Observed(View(raw)))

    return read


def not_ready(reason: str, message: str = "m") -> Json:
    return {"type": "Ready", "status": "False", "reason": reason, "message": message}


F = row(1)
TWO = {"scaling": {"replicas": 2}}
STATES: dict[str, tuple[Json, State, int, int, str]] = {
    "nothing said": ({}, State.WAITING, 0, 0, ""),
    "no status": ({"status": {}}, State.WAITING, 0, 0, ""),
    "the CRD's default": ({"status": {"state": "initializing"}}, State.WAITING, 0, 0, ""),
    "at work": (
        graph("initializing", ready=not_ready("Initializing", "creating")),
        State.PROGRESSING,
        0,
        0,
        "creating",
    ),
    "at work, in older words": (
        graph("deploying", ready=not_ready("x", "creating"), field="services"),
        State.PROGRESSING,
        0,
        0,
        "creating",
    ),
    "some are ready": (
        graph("pending", ready=not_ready("pods_not_ready", "ready=1/2"), Frontend=F, Worker=row(2, 2, 1)),
        State.PROGRESSING,
        1,
        1,
        "ready=1/2",
    ),
    "no room": (
        graph("pending", ready=not_ready("insufficient_capacity", "gated: 2"), Frontend=F, Worker=row(2, 2, 0)),
        State.WAITING,
        0,
        0,
        "gated: 2",
    ),
    "all are ready": (graph("successful", Frontend=F, Worker=row(2)), State.RUNNING, 2, 2, ""),
    "all are ready, in v1alpha1": (
        graph("successful", field="services", Frontend=F, Worker=row(2)),
        State.RUNNING,
        2,
        2,
        "",
    ),
    "a group that counts what is available": (
        graph("successful", Frontend=F, Worker={"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}),
        State.RUNNING,
        2,
        2,
        "",
    ),
    "one pod is old": (graph("successful", Frontend=F, Worker=row(2, 1, 2)), State.PROGRESSING, 1, 2, ""),
    "all pods that serve are old": (graph("successful", Frontend=F, Worker=row(4, 2, 2)), State.PROGRESSING, 0, 2, ""),
    "none is updated": (graph("successful", Frontend=F, Worker=row(2, 0, 2)), State.PROGRESSING, 0, 2, ""),
    "more are updated than there are": (graph("successful", Frontend=F, Worker=row(1, 5, 1)), State.RUNNING, 1, 1, ""),
    "more serve than there are": (graph("pending", Frontend=F, Worker=row(2, 1, 3)), State.PROGRESSING, 1, 3, ""),
    "a frontend that serves and is none of the new": (
        graph("successful", Frontend=row(0, 0, 1), Worker=row(2)),
        State.PROGRESSING,
        2,
        2,
        "",
    ),
    "nobody says how many there are": (
        graph("successful", Frontend=F, Worker={"updatedReplicas": 2, "readyReplicas": 2}),
        State.RUNNING,
        0,
        2,
        "",
    ),
    "surplus pods end": (graph("successful", Frontend=F, Worker=row(5)), State.RUNNING, 2, 5, ""),
    "an old worker beside the new": (
        {
            "status": {
                **graph("successful", Frontend=F, Worker=row(2))["status"],
                "rollingUpdate": {"phase": "InProgress"},
            }
        },
        State.PROGRESSING,
        2,
        2,
        "",
    ),
    "a rolling update that ended": (
        {
            "status": {
                **graph("successful", Frontend=F, Worker=row(2))["status"],
                "rollingUpdate": {"phase": "Completed"},
            }
        },
        State.RUNNING,
        2,
        2,
        "",
    ),
    "no frontend": (graph("successful", Worker=row(2)), State.PROGRESSING, 2, 2, ""),
    "the frontend is old": (graph("successful", Frontend=row(2, 1, 1), Worker=row(2)), State.PROGRESSING, 2, 2, ""),
    "the frontend is not ready": (
        graph("successful", Frontend=row(1, 1, 0), Worker=row(2)),
        State.PROGRESSING,
        2,
        2,
        "",
    ),
    "successful and not Ready": (
        graph("successful", ready=not_ready("x", "not yet"), Frontend=F, Worker=row(2)),
        State.PROGRESSING,
        2,
        2,
        "not yet",
    ),
    "successful without a condition": (
        {"status": {"state": "successful", "components": {"Frontend": F, "Worker": row(2)}}},
        State.PROGRESSING,
        2,
        2,
        "",
    ),
    "failed": (
        graph("failed", ready=not_ready("failed_to_reconcile", "no PVC"), Frontend=F, Worker=row(2)),
        State.FAILED,
        2,
        2,
        "no PVC",
    ),
    "a state of tomorrow": (graph("dreaming"), State.WAITING, 0, 0, "unknown state: dreaming"),
    "negative counts": (graph("successful", Frontend=F, Worker=row(-2, -2, -2)), State.RUNNING, 0, 0, ""),
}


@pytest.mark.parametrize("case", STATES)
def test_a_graph(report: Callable[..., Report], case: str) -> None:
    raw, state, ready, available, message = STATES[case]
    said = report(raw, change=TWO)
    assert (said.state, said.ready, said.available, said.message) == (state, ready, available, message)
    assert said.pods == "nvidia.com/dynamo-graph-deployment-name=demo"
    assert said.roles == {}


def test_roles_are_counted_apart(report: Callable[..., Report]) -> None:
    change = {"scaling": {"prefill": {"replicas": 3}, "decode": {"replicas": 2}}}
    said = report(graph("pending", Frontend=F, Prefill=row(3, 3, 2), Decode=row(2, 1, 2)), "disaggregated", change)
    assert said.roles == {"prefill": 2, "decode": 1}
    assert (said.ready, said.available) == (3, 4)


ZERO: dict[str, tuple[Json, State]] = {
    "nothing is left": (graph("successful", Frontend=row(0), Worker=row(0)), State.RUNNING),
    "nothing is counted": (graph("successful"), State.RUNNING),
    "a worker ends": (graph("successful", Frontend=row(0), Worker=row(1, 1, 0)), State.PROGRESSING),
    "the frontend ends": (graph("successful", Frontend=row(1), Worker=row(0)), State.PROGRESSING),
    "it is not done": (graph("pending", Frontend=row(0), Worker=row(0)), State.PROGRESSING),
}


@pytest.mark.parametrize("case", ZERO)
def test_zero_is_reached_when_no_pod_is_left(report: Callable[..., Report], case: str) -> None:
    raw, state = ZERO[case]
    said = report(raw, change={"scaling": {"replicas": 0}})
    assert (said.state, said.ready) == (state, 0)


GENERATIONS: dict[str, tuple[str, int | None, int | None, int]] = {
    "both say the same": ("successful", 3, 3, 3),
    "the condition is older": ("successful", 2, 3, 2),
    "the status is older": ("successful", 3, 2, 2),
    "the condition has none, as in 1.1": ("successful", None, 3, 3),
    "the status has none": ("successful", 3, None, 3),
    "neither has one": ("successful", None, None, 0),
    "a failure is newer than the last success": ("failed", 3, 2, 3),
    "a failure that says no generation, as in 1.1": ("failed", None, 2, 2),
    "nonsense": ("successful", -1, 0, 0),
}


@pytest.mark.parametrize("case", GENERATIONS)
def test_the_generation_is_the_one_that_the_state_is_about(report: Callable[..., Report], case: str) -> None:
    state, condition, status, expected = GENERATIONS[case]
    raw = graph(state, Frontend=F, Worker=row(1))
    for place, generation in ((raw["status"]["conditions"][0], condition), (raw["status"], status)):
        del place["observedGeneration"]
        place.update({} if generation is None else {"observedGeneration": generation})
    assert report(raw).generation == expected


def test_another_conditions_generation_proves_nothing(report: Callable[..., Report]) -> None:
    raw = graph("successful", generation=2, Frontend=F, Worker=row(1))
    raw["status"]["conditions"].append({"type": "PodsScheduled", "status": "True", "observedGeneration": 3})
    assert report(raw).generation == 2


def test_the_service_is_named_once_upstream_has_a_frontend(report: Callable[..., Report]) -> None:
    there, none = report(graph("pending", Frontend=row(1, 1, 0))), report(graph("pending", Worker=F))
    assert [(said.service, said.port) for said in (there, none)] == [("demo-frontend", 8000), ("", 0)]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
COUNTS = st.dictionaries(st.sampled_from(["replicas", "readyReplicas", "updatedReplicas", "availableReplicas"]), JSON)
ROWS = JSON | st.dictionaries(st.sampled_from(["Frontend", "Worker", "Prefill", "Decode"]), COUNTS | JSON)
CONDITION = st.fixed_dictionaries(
    {"type": st.just("Ready") | JSON},
    optional={"status": st.sampled_from(["True", "False"]) | JSON, "message": JSON, "observedGeneration": JSON},
)
STATUS = st.fixed_dictionaries(
    {"state": st.sampled_from(["successful", "failed", "pending"]) | JSON},
    optional={
        "conditions": JSON | st.lists(CONDITION | JSON),
        "components": ROWS,
        "services": ROWS,
        "observedGeneration": JSON,
        "rollingUpdate": JSON | st.dictionaries(st.just("phase"), JSON),
    },
)


@settings(max_examples=200, deadline=None)
@given(raw=st.dictionaries(st.sampled_from(["status", "metadata", "spec"]), STATUS | JSON) | JSON, mode=st.booleans())
def test_no_object_makes_it_fail_or_answer_nonsense(make: Maker, raw: Any, mode: bool) -> None:  # noqa: FBT001 - hypothesis passes by name
    request = make("vllm", "disaggregated" if mode else "aggregated")
    said = kubeairunway_dynamo.status(request, Observed(View(raw)))
    assert type(said.generation) is int
    assert said.generation >= 0
    assert 0 <= said.ready <= 2
    assert said.available is not None
    assert said.available >= said.ready
    assert all(type(text) is str for text in (said.message, said.service, said.pods))
