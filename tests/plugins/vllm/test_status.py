"""A Deployment's own words in, a report out."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kubeairunway_vllm
from kubeairunway.plugin import SERVICE, Observed, Report, Request, State, View

Maker = Callable[..., Request]
MINIMUM = {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": "too few"}
ROLLING = {"type": "Progressing", "status": "True", "reason": "ReplicaSetUpdated", "message": "is progressing"}
COMPLETE = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable", "message": "has progressed"}
DEADLINE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
PAUSED = {"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused", "message": "Deployment is paused"}
QUOTA = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}
NO_QUOTA = {**QUOTA, "status": "False"}


def live(wanted: int, counts: tuple[int, int, int], *conditions: Mapping[str, str], seen: int = 3) -> dict[str, Any]:
    """A Deployment of so many replicas; `counts`: replicas, updated, ready."""
    names = ("replicas", "updatedReplicas", "readyReplicas")
    status = {name: count for name, count in zip(names, counts, strict=True) if count}  # zeros are left out
    status |= {"availableReplicas": counts[2], "observedGeneration": seen}
    raw = {"metadata": {"name": "demo", "generation": 3}, "spec": {"replicas": wanted}}
    return {**raw, "status": {**status, "conditions": list(conditions)}}


CASES: dict[str, tuple[dict[str, Any], State, int, int, str]] = {
    "no status": ({"spec": {"replicas": 1}}, State.WAITING, 0, 0, ""),
    "not seen yet": (live(1, (0, 0, 0), seen=0), State.WAITING, 0, 0, ""),
    "started": (live(1, (1, 1, 0), ROLLING, MINIMUM), State.PROGRESSING, 0, 0, ""),
    "one of two": (live(2, (2, 2, 1), ROLLING), State.PROGRESSING, 1, 1, ""),
    "all serve": (live(2, (2, 2, 2), COMPLETE), State.RUNNING, 2, 2, ""),
    "all serve, conditions missing": (live(2, (2, 2, 2)), State.RUNNING, 2, 2, ""),
    "one was lost later": (live(2, (2, 2, 1), COMPLETE, MINIMUM), State.PROGRESSING, 1, 1, ""),
    "surge, the new one not ready": (live(1, (2, 1, 1), ROLLING), State.PROGRESSING, 0, 1, "1 of an earlier revision"),
    "surge, both ready": (live(1, (2, 1, 2), ROLLING), State.PROGRESSING, 1, 2, "1 of an earlier revision"),
    "surge, ready ones may be old": (live(2, (3, 2, 2), ROLLING), State.PROGRESSING, 1, 2, "1 of an earlier revision"),
    "surge, all pods old": (live(2, (2, 0, 2), ROLLING), State.PROGRESSING, 0, 2, "2 of an earlier revision"),
    "one too many": (live(1, (2, 2, 2), COMPLETE), State.PROGRESSING, 2, 2, ""),
    "too few, all of them ready": (live(3, (2, 2, 2), COMPLETE), State.PROGRESSING, 2, 2, ""),
    "scaled to zero": (live(0, (0, 0, 0), COMPLETE), State.RUNNING, 0, 0, ""),
    "going to zero": (live(0, (1, 1, 1), COMPLETE), State.PROGRESSING, 1, 1, ""),
    "quota": (live(1, (0, 0, 0), ROLLING, QUOTA), State.FAILED, 0, 0, "exceeded quota"),
    "quota, and past the deadline": (live(1, (0, 0, 0), DEADLINE, QUOTA), State.FAILED, 0, 0, "exceeded quota"),
    "quota in the past": (live(1, (1, 1, 0), ROLLING, NO_QUOTA), State.PROGRESSING, 0, 0, ""),
    "quota without words": (
        live(1, (0, 0, 0), {"type": "ReplicaFailure", "status": "True"}),
        State.FAILED,
        0,
        0,
        "Kubernetes cannot create the pods",
    ),
    "past the deadline": (live(1, (1, 1, 0), DEADLINE), State.FAILED, 0, 0, "timed out"),
    "past the deadline in a surge": (live(1, (2, 1, 1), DEADLINE), State.FAILED, 0, 1, "timed out"),
    "past the deadline without words": (
        live(1, (1, 1, 0), {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}),
        State.FAILED,
        0,
        0,
        "the rollout made no progress within its deadline",
    ),
    "past the deadline and serving at last": (live(1, (1, 1, 1), DEADLINE), State.RUNNING, 1, 1, ""),
    "paused by somebody": (live(1, (1, 0, 1), PAUSED), State.PROGRESSING, 0, 1, "Deployment is paused"),
    "counts below zero": (live(1, (-1, -1, -1)), State.PROGRESSING, 0, 0, ""),
    "counts without bounds": (live(1, (2**70, 2**70, 2**70)), State.PROGRESSING, 2**31 - 1, 2**31 - 1, ""),
    "counts of other types": (
        {"spec": {"replicas": 1}, "status": {"observedGeneration": 3, "replicas": True, "readyReplicas": "1"}},
        State.PROGRESSING,
        0,
        0,
        "",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_reads_what_kubernetes_says(case: str, make: Maker) -> None:
    raw, state, ready, available, message = CASES[case]
    said = kubeairunway_vllm.status(make(), Observed(View(raw)))
    assert (said.state, said.ready, said.available) == (state, ready, available)
    assert said.message.startswith(message)
    assert bool(said.message) is bool(message)


def test_the_generation_is_the_one_that_kubernetes_has_acted_on(make: Maker) -> None:
    read = kubeairunway_vllm.status
    assert read(make(), Observed(View(live(1, (1, 1, 1), seen=2)))).generation == 2
    assert read(make(), Observed(View({}))).generation == 0


def test_the_service_is_told_once_it_is_there(make: Maker) -> None:
    def read(others: Mapping[Any, View]) -> Report:
        return kubeairunway_vllm.status(make(), Observed(View(live(1, (1, 1, 1))), others))

    assert (read({}).service, read({}).port) == ("", 0)
    there = read({(SERVICE, ""): View({})})
    assert (there.service, there.port) == ("demo", 8000)


def test_pods_are_found_by_the_deployment_first(make: Maker, objects_of: Callable[[Request], list[Any]]) -> None:
    said = kubeairunway_vllm.status(make(), Observed(View({})))
    pairs = dict(part.split("=") for part in said.pods.split(","))
    assert next(iter(pairs.items())) == ("vllm.kubeairunway.ai/deployment", "demo")
    deployment, service = objects_of(make())
    assert deployment["spec"]["selector"]["matchLabels"] == pairs == service["spec"]["selector"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
COUNT = st.integers(-3, 9) | JSON
FIELDS = ("observedGeneration", "replicas", "updatedReplicas", "readyReplicas")
ROW = st.fixed_dictionaries(
    {"type": st.sampled_from(["Progressing", "ReplicaFailure"]) | JSON},
    optional={"status": st.sampled_from(["True", "False", "Unknown"]) | JSON, "reason": JSON, "message": JSON},
)
STATUS = st.fixed_dictionaries(
    {}, optional={**dict.fromkeys(FIELDS, COUNT), "conditions": JSON | st.lists(ROW | JSON, max_size=3)}
)
HOSTILE = st.fixed_dictionaries(
    {}, optional={"spec": JSON | st.fixed_dictionaries({"replicas": COUNT}), "status": JSON | STATUS}
)


@settings(max_examples=300, deadline=None)
@given(raw=HOSTILE)
def test_no_object_makes_it_fail_or_answer_nonsense(make: Maker, raw: Mapping[str, Any]) -> None:
    said = kubeairunway_vllm.status(make(), Observed(View(raw)))
    assert type(said.generation) is int
    assert said.generation >= 0
    assert type(said.ready) is int
    assert said.available is not None
    assert 0 <= said.ready <= said.available
    assert type(said.message) is str
    if said.state is State.RUNNING:
        assert said.generation > 0
        assert said.ready == View(raw).get("spec.replicas", 1)
