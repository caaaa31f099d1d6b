"""Pods, events and nodes with missing, null and wrong-typed fields: read as far as they go, and never an exception."""

from __future__ import annotations

import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeairunway.decide.causes.capacity import count_capacity, find_nodes, read_node, read_usage
from kubeairunway.decide.causes.evidence import Evidence
from kubeairunway.decide.causes.trim import trim_event, trim_pod
from kubeairunway.decide.causes.walk import find_cause

if TYPE_CHECKING:
    from collections.abc import Iterator

GPU = {"nvidia.com/gpu": 8}
NONSENSE: tuple[Any, ...] = (None, 0, -1, True, "", "x", [], {}, [None], [[]], {"a": None}, 1.5, "12/12", 10**30)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield from paths(below, (*path, key))


def replace(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = replace(value[path[0]], path[1:], new)
    return changed


def full_pod(make: Any) -> dict[str, Any]:
    """A pod in which everything is said that is ever read."""
    pod = make.unscheduled("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.")
    pod["metadata"]["ownerReferences"] = [{"uid": "u", "controller": True}]
    row = make.container(
        state={"waiting": {"reason": "CrashLoopBackOff", "message": "m"}},
        last={"terminated": {"exitCode": 1, "reason": "Error", "message": "m"}},
    )
    pod["spec"] |= {"initContainers": [{"name": "a", "restartPolicy": "Always", "resources": {"requests": GPU}}]}
    pod["spec"] |= {"nodeSelector": {"a": "b"}, "tolerations": [{"key": "a", "operator": "Exists"}]}
    pod["status"] |= {"containerStatuses": [row], "initContainerStatuses": [row], "reason": "r", "message": "m"}
    return pod  # type: ignore[no-any-return]  # Any in, a pod out


def judge(make: Any, pod: Any, event: Any, node: Any) -> None:
    kept = trim_pod(pod) if isinstance(pod, dict) else {}
    told = trim_event(event) if isinstance(event, dict) else {}
    nodes, pods = [node] if isinstance(node, dict) else [], [pod] if isinstance(pod, dict) else []
    facts, usages = filter(None, map(read_node, nodes)), filter(None, map(read_usage, pods))
    capacity = count_capacity(facts, usages, make.now)
    for body in (kept, *pods):
        evidence = Evidence(pods=(body,), pod_events={"uid-llm-0": (told,)}, owner_events=(told,), capacity=capacity)
        cause = find_cause(evidence, (), GPU, words="", now=make.now)
        assert cause is None or cause.message.isprintable()
        find_nodes(capacity, "nvidia.com/gpu", body)


@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
def test_any_field_may_hold_anything(make: Any, nonsense: Any) -> None:
    pod, event, node = full_pod(make), make.event("exceeded quota: q"), make.node("n", 4, spec={"taints": [{}]})
    for whole, place in ((pod, 0), (event, 1), (node, 2)):
        for path in paths(whole):
            parts = [pod, event, node]
            parts[place] = replace(whole, path, nonsense)
            judge(make, *parts)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(("metadata", "spec", "status", "conditions", "message", "state")), inner)
    ),
    max_leaves=12,
)


@given(pod=json_values, event=json_values, node=json_values)
def test_anything_at_all_may_come(make: Any, pod: Any, event: Any, node: Any) -> None:
    judge(make, pod, event, node)


def test_times_without_a_zone_or_sense_are_no_trouble(make: Any) -> None:
    for seen in ("2026-03-01T11:59:00", "yesterday", "9999-99-99", datetime(2026, 1, 1), 5):  # noqa: DTZ001 - nonsense
        evidence = Evidence(owner_events=(make.event("exceeded quota: q", seen=seen),))
        find_cause(evidence, (), GPU, words="", now=make.now)
