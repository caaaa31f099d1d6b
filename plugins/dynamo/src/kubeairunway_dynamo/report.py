"""From what Dynamo says of a graph to a report.

The operator writes state, condition and counts in one update. v1beta1's condition has the generation they are about;
v1alpha1 has it beside them, and leaves it where it was when it fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from kubeairunway.plugin import Observed, Report, Request, State, View, hookimpl
from kubeairunway_dynamo.catalog import FRONTEND, FRONTEND_PORT, FRONTEND_SUFFIX
from kubeairunway_dynamo.components import list_workers

GRAPH_LABEL = "nvidia.com/dynamo-graph-deployment-name"
"""The label with the graph's name on all of its pods."""
STATES: Mapping[str, State] = MappingProxyType(
    {
        **dict.fromkeys(("initializing", "deploying", "pending"), State.PROGRESSING),
        "successful": State.RUNNING,
        "failed": State.FAILED,
    }
)
ROLLING = ("Pending", "InProgress")
"""Phases of a rolling update during which old workers serve."""
NO_CAPACITY = "insufficient_capacity"
"""The reason of Ready=False for which the scheduler has no room."""


@dataclass(frozen=True, slots=True)
class Count:
    """Pods of one component: all, those of older revisions, those that serve, and the new ones among these."""

    total: int
    old: int
    serving: int
    proved: int


@hookimpl
def status(request: Request, observed: Observed) -> Report:
    """The report on a live graph, in either API version."""
    primary, workers = observed.primary, list_workers(request.spec)
    counts = {name: _count(primary, name) for name in (FRONTEND, *(worker.name for worker in workers))}
    proved = {worker.name: min(counts[worker.name].proved, worker.replicas) for worker in workers}
    rolls = primary.get("status.rollingUpdate.phase", "") in ROLLING or any(count.old for count in counts.values())
    desired = sum(worker.replicas for worker in workers)
    there = counts[FRONTEND].proved > 0 if desired else not any(count.total for count in counts.values())
    state = _read_state(primary, serves=there and not rolls)
    service = f"{request.name}-{FRONTEND_SUFFIX}" if _component(primary, FRONTEND).raw else ""
    return Report(
        state=state,
        generation=_read_generation(primary, state),
        ready=sum(proved.values()),
        roles={worker.role: proved[worker.name] for worker in workers if worker.role},
        available=sum(counts[worker.name].serving for worker in workers),
        pods=f"{GRAPH_LABEL}={request.name}",
        service=service,
        port=FRONTEND_PORT if service else 0,
        message="" if state is State.RUNNING else _explain(primary),
    )


def _component(primary: View, name: str) -> View:
    nothing: dict[str, Any] = {}
    return View(primary.get(f"status.components.{name}", nothing) or primary.get(f"status.services.{name}", nothing))


def _count(primary: View, name: str) -> Count:
    """What upstream counts of a component; how many of the serving pods are new it does not say.

    So as many as there are old pods are taken for old ones: what is left is new, whichever those pods are.
    """
    row = _component(primary, name)
    total, updated = max(0, row.get("replicas", 0)), max(0, row.get("updatedReplicas", 0))
    serving = max(0, row.get("readyReplicas", row.get("availableReplicas", 0)))
    old = max(0, total - updated)
    return Count(total, old, serving, proved=min(max(0, serving - old), updated, total))


def _read_state(primary: View, *, serves: bool) -> State:
    state, ready = STATES.get(primary.get("status.state", ""), State.WAITING), primary.condition("Ready")
    if state is State.RUNNING and not (serves and ready.get("status", "") == "True"):
        return State.PROGRESSING
    # The CRD fills in the first state before the operator has seen the graph.
    idle = not ready.raw or ready.get("reason", "") == NO_CAPACITY
    return State.WAITING if state is State.PROGRESSING and idle else state


def _read_generation(primary: View, state: State) -> int:
    """The generation that the state is about; where the two places differ, success is only of the older one."""
    places = (primary.condition("Ready").get("observedGeneration", 0), primary.get("status.observedGeneration", 0))
    said = [generation for generation in places if generation > 0]
    choose = max if state is State.FAILED else min
    return choose(said, default=0)


def _explain(primary: View) -> str:
    said, ready = primary.get("status.state", ""), primary.condition("Ready")
    if said and said not in STATES:
        return f"unknown state: {said}"
    return ready.get("message", "") if ready.get("status", "") != "True" else ""
