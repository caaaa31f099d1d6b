"""What is free on nodes, and how that is told to somebody who waits."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from kubeairunway.decide.causes import capacity as counting
from kubeairunway.decide.causes.capacity import count_asked, describe_need, find_nodes
from kubeairunway.decide.causes.evidence import Capacity, Evidence
from kubeairunway.decide.causes.trim import trim_pod
from kubeairunway.decide.causes.walk import find_cause

GPU = "nvidia.com/gpu"
LACKING = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."


def count_capacity(nodes: list[Any], pods: list[Any], at: datetime) -> Capacity:
    facts = filter(None, map(counting.read_node, nodes))
    return counting.count_capacity(facts, filter(None, map(counting.read_usage, pods)), at)


def bound(make: Any, node: str, gpus: int, phase: str = "Running", name: str = "x") -> dict[str, Any]:
    pod = make.pod(name, node=node, phase=phase)
    pod["spec"]["containers"][0]["resources"] = {"limits": {GPU: str(gpus)}}
    return pod  # type: ignore[no-any-return]  # Any in, a pod out


def told(make: Any, capacity: Capacity | None, **changes: Any) -> tuple[str, str]:
    pod = trim_pod(make.unscheduled(LACKING, **changes))
    found = find_cause(Evidence(pods=(pod,), capacity=capacity), (), {GPU: 8}, words="", now=make.now)
    assert found is not None
    return str(found.reason), found.message


def test_the_message_says_what_is_asked_what_is_free_and_where(make: Any) -> None:
    nodes = [make.node("node-a", 4), make.node("node-b", 8), make.node("node-c", 0)]
    pods = [bound(make, "node-a", 2), bound(make, "node-b", 7), bound(make, "node-b", 1, "Succeeded")]
    capacity = count_capacity(nodes, pods, make.now)
    reason, message = told(make, capacity)
    assert reason == "WaitingForGPU"
    assert message == (
        "Pod 'llm-0' needs 8 x nvidia.com/gpu on one node; the largest free is 2 of 4 on node-a; 3 free in all: "
        "0/2 nodes are available: 2 Insufficient nvidia.com/gpu"
    )


@pytest.mark.parametrize(
    ("nodes", "used", "words"),
    [
        ({}, {}, "needs 8 x nvidia.com/gpu on one node; no node that it may run on has any"),
        ({"a": 4}, {"a": 4}, "needs 8 x nvidia.com/gpu on one node; none is free on node a"),
        ({"a": 4, "b": 4}, {"a": 4, "b": 4}, "none is free on the 2 nodes that it may run on"),
        ({"a": 4, "b": 4}, {}, "the largest free is 4 of 4 on a; 8 free in all"),
        ({"a": 4}, {"a": 9}, "none is free on node a"),
    ],
    ids=["no such node", "one full", "all full", "in pieces", "more held than there is"],
)
def test_what_is_free_in_words(make: Any, nodes: dict[str, int], used: dict[str, int], words: str) -> None:
    pods = [bound(make, node, count) for node, count in used.items()]
    capacity = count_capacity([make.node(*row) for row in nodes.items()], pods, make.now)
    assert words in describe_need(8, GPU, find_nodes(capacity, GPU, {}))


def test_a_node_with_enough_free_means_that_it_is_not_gpus_that_lack(make: Any) -> None:
    capacity = count_capacity([make.node("big", 8)], [], make.now)
    reason, message = told(make, capacity)
    assert reason == "Unschedulable"
    assert "fits on no node, although big has 8 x nvidia.com/gpu free: 0/2 nodes" in message


@pytest.mark.parametrize(
    ("free", "seconds", "words"),
    [
        (8, 1, "on one node: 0/2 nodes"),
        (8, 0, "although n has 8 x nvidia.com/gpu free"),
        (8, -1, "although n has 8 x nvidia.com/gpu free"),
        (4, 59, "the largest free is 4 of 4 on n"),
        (4, 61, "on one node: 0/2 nodes"),
    ],
    ids=["enough, before", "enough, then", "enough, since", "too little, shortly before", "too little, long before"],
)
def test_what_was_free_before_the_pod_came_says_little_about_it(make: Any, free: int, seconds: int, words: str) -> None:
    born = datetime.fromisoformat(make.born)
    capacity = count_capacity([make.node("n", free)], [], born - timedelta(seconds=seconds))
    assert words in told(make, capacity)[1]


@pytest.mark.parametrize(
    "node",
    [{"spec": {"unschedulable": True}}, {"conditions": [{"type": "Ready", "status": "Unknown"}]}, {"conditions": []}],
    ids=["cordoned", "not ready", "says nothing"],
)
def test_nodes_that_take_no_pods_have_nothing_free(make: Any, node: dict[str, Any]) -> None:
    assert count_capacity([make.node("n", 8, **node)], [], make.now).nodes == {}


TAINT = {"key": "gpu", "value": "a100", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("spec", "fits"),
    [
        ({}, False),
        ({"tolerations": [{"key": "gpu", "operator": "Exists"}]}, True),
        ({"tolerations": [{"operator": "Exists"}]}, True),
        ({"tolerations": [{"key": "gpu", "value": "a100"}]}, True),
        ({"tolerations": [{"key": "gpu", "value": "h100"}]}, False),
        ({"tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoExecute"}]}, False),
        ({"tolerations": [{"key": "cpu", "operator": "Exists"}]}, False),
        ({"tolerations": [{}]}, False),
    ],
)
def test_only_nodes_whose_taints_are_borne_count(make: Any, spec: dict[str, Any], fits: bool) -> None:  # noqa: FBT001 - the expected verdict
    preferred = {"key": "soft", "effect": "PreferNoSchedule"}
    capacity = count_capacity([make.node("n", 8, spec={"taints": [TAINT, preferred]})], [], make.now)
    pod = trim_pod(make.unscheduled(LACKING, spec=spec))
    assert bool(find_nodes(capacity, GPU, pod)) is fits


def test_only_nodes_that_the_selector_picks_count(make: Any) -> None:
    nodes = [make.node("a", 8, labels={"zone": "1"}), make.node("b", 2, labels={"zone": "2"})]
    capacity = count_capacity(nodes, [], make.now)
    pod = trim_pod(make.unscheduled(LACKING, spec={"nodeSelector": {"zone": "2"}}))
    assert [row.node for row in find_nodes(capacity, GPU, pod)] == ["b"]


def test_what_a_pod_asks_for_counts_init_containers_apart_and_sidecars_beside() -> None:
    def ask(count: object) -> dict[str, Any]:
        return {"resources": {"limits": {GPU: count, "cpu": "4"}}}

    assert count_asked({"spec": {"containers": [ask("2"), ask(1)]}}) == {GPU: 3}
    assert count_asked({"spec": {"containers": [ask("2")], "initContainers": [ask("8")]}}) == {GPU: 8}
    sidecar = {**ask("1"), "restartPolicy": "Always"}
    assert count_asked({"spec": {"containers": [ask("2")], "initContainers": [ask("2"), sidecar]}}) == {GPU: 3}
    assert count_asked({"spec": {"containers": [{"resources": {"requests": {GPU: "5"}}}, ask("0")]}}) == {GPU: 5}
    assert count_asked({"spec": {"containers": [{"resources": {"limits": {"cpu": "2"}}}]}}) == {}
