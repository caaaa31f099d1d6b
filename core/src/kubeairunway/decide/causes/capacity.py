"""GPUs and other extended resources: what nodes have, what pods hold, and whether one pod's share is free anywhere."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from kubeairunway.decide.causes.evidence import Capacity, NodeGpus
from kubeairunway.decide.causes.reading import read_count, read_map, read_rows, read_text
from kubeairunway.plugin import View

Amounts = dict[str, int]
"""Extended resources by name; their names have a slash."""

Usage = tuple[str, Amounts]
"""A node, and what one pod holds there."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """A node that takes pods: its extended resources, its labels, and the taints that keep pods out."""

    name: str
    total: Amounts
    labels: Mapping[str, str]
    taints: tuple[Mapping[str, Any], ...]


_ENDED = frozenset({"Succeeded", "Failed"})
_KEEPING_OUT = frozenset({"NoSchedule", "NoExecute"})


def read_node(node: Mapping[str, Any]) -> NodeFacts | None:
    """What counts of a node; None if it takes no pods or has no extended resource."""
    takes_pods = View(node).condition("Ready").get("status", "") == "True" and not View(node).get(
        "spec.unschedulable", False
    )
    total = {name: read_count(value) for name, value in read_map(node, "status.allocatable").items() if "/" in name}
    total = {name: count for name, count in total.items() if count > 0}
    if not takes_pods or not total:
        return None
    taints = tuple(row for row in read_rows(node, "spec.taints") if read_text(row, "effect") in _KEEPING_OUT)
    return NodeFacts(read_text(node, "metadata.name"), total, read_map(node, "metadata.labels"), taints)


def read_usage(pod: Mapping[str, Any]) -> Usage | None:
    """The node that a pod is on and the extended resources it holds there; None if it holds none."""
    node = read_text(pod, "spec.nodeName")
    if not node or read_text(pod, "status.phase") in _ENDED:
        return None
    held = count_asked(pod)
    return (node, held) if held else None


def count_asked(pod: Mapping[str, Any]) -> Amounts:
    """Extended resources that a pod needs on its node: init containers run before the others, sidecars beside them."""
    together: defaultdict[str, int] = defaultdict(int)
    alone: defaultdict[str, int] = defaultdict(int)
    for container in read_rows(pod, "spec.containers"):
        for name, count in _read_limits(container).items():
            together[name] += count
    for container in read_rows(pod, "spec.initContainers"):
        sidecar = container.get("restartPolicy") == "Always"
        for name, count in _read_limits(container).items():
            if sidecar:
                together[name] += count
            else:
                alone[name] = max(alone[name], count)
    return {name: max(together[name], alone[name]) for name in sorted({*together, *alone})}


def _read_limits(container: Mapping[str, Any]) -> Amounts:
    """Requests and limits of an extended resource are equal; either may be left out."""
    asked = {**read_map(container, "resources.requests"), **read_map(container, "resources.limits")}
    counts = {name: read_count(value) for name, value in asked.items() if "/" in name}
    return {name: count for name, count in counts.items() if count > 0}


def count_capacity(nodes: Iterable[NodeFacts], usages: Iterable[Usage], at: datetime) -> Capacity:
    """What is free on each node that takes pods, once all that is bound to it is taken off."""
    used: defaultdict[str, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for node, held in usages:
        for name, count in held.items():
            used[node][name] += count
    found: defaultdict[str, list[NodeGpus]] = defaultdict(list)
    for facts in nodes:
        for name, count in facts.total.items():
            free = max(0, count - used[facts.name][name])
            row = NodeGpus(node=facts.name, total=count, free=free, labels=facts.labels, taints=facts.taints)
            found[name].append(row)
    return Capacity(at, {name: tuple(sorted(rows, key=_best_first)) for name, rows in found.items()})


def _best_first(row: NodeGpus) -> tuple[int, str]:
    return -row.free, row.node


def find_nodes(capacity: Capacity, resource: str, pod: Mapping[str, Any]) -> tuple[NodeGpus, ...]:
    """Nodes with a resource that a pod's node selector and tolerations let it onto, most free first."""
    wanted = read_map(pod, "spec.nodeSelector")
    tolerations = tuple(read_rows(pod, "spec.tolerations"))
    return tuple(
        row
        for row in capacity.nodes.get(resource, ())
        if all(row.labels.get(key) == value for key, value in wanted.items())
        and all(any(_tolerates(toleration, taint) for toleration in tolerations) for taint in row.taints)
    )


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if read_text(toleration, "effect") not in {"", read_text(taint, "effect")}:
        return False
    key, exists = read_text(toleration, "key"), read_text(toleration, "operator") == "Exists"
    if not key:
        return exists
    return key == read_text(taint, "key") and (exists or read_text(toleration, "value") == read_text(taint, "value"))


def describe_need(asked: int, resource: str, nodes: tuple[NodeGpus, ...]) -> str:
    """How much one pod needs and what is free, in words."""
    text = f"needs {asked} x {resource} on one node"
    if not nodes:
        return f"{text}; no node that it may run on has any"
    best, total = nodes[0], sum(row.free for row in nodes)
    if not total:
        return f"{text}; none is free on {_count_nodes(nodes)}"
    return f"{text}; the largest free is {best.free} of {best.total} on {best.node}; {total} free in all"


def _count_nodes(nodes: tuple[NodeGpus, ...]) -> str:
    return f"node {nodes[0].node}" if len(nodes) == 1 else f"the {len(nodes)} nodes that it may run on"
