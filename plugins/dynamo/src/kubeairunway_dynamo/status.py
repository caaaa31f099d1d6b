"""From what Dynamo says of a graph to a report.

The operator writes state, condition and counts in one update. v1beta1's condition has the generation they are about;
v1alpha1 has it beside them, and leaves it where it was when it fails.
"""

from dataclasses import dataclass
from typing import Any

from kubeairunway.plugin import Observed, Report, Request, State, View
from kubeairunway_dynamo.catalog import FRONTEND, FRONTEND_PORT, FRONTEND_SUFFIX
from kubeairunway_dynamo.components import list_workers

GRAPH_LABEL = "nvidia.com/dynamo-graph-deployment-name"
"""The label with the graph's name on all of its pods."""
ROLLING = ("Pending", "InProgress")
"""Phases of a rolling update during which old workers serve."""
NO_CAPACITY = "insufficient_capacity"
"""The reason of Ready=False for which the scheduler has no room."""


@dataclass(frozen=True, slots=True)
class Count:
    """Pods of one component: all, those that serve, and those of the new revision that must be among them."""

    total: int = 0
    serving: int = 0
    proved: int = 0


def read_status(request: Request, observed: Observed) -> Report:
    """The report on a live graph, in either API version."""
    primary, workers = observed.primary, list_workers(request.spec)
    counts = {worker.name: _count(primary, worker.name) for worker in workers}
    frontend = _count(primary, FRONTEND)
    desired = sum(worker.replicas for worker in workers)
    serves = frontend.proved > 0 if desired else not any(count.total for count in (frontend, *counts.values()))
    state = _read_state(primary, serves=serves)
    proved = {worker.name: min(counts[worker.name].proved, worker.replicas) for worker in workers}
    there = bool(_component(primary, FRONTEND).raw)
    return Report(
        state=state,
        generation=_read_generation(primary, state),
        ready=sum(proved.values()),
        roles={worker.role: proved[worker.name] for worker in workers if worker.role},
        available=sum(count.serving for count in counts.values()),
        pods=f"{GRAPH_LABEL}={request.name}",
        service=f"{request.name}-{FRONTEND_SUFFIX}" if there else "",
        port=FRONTEND_PORT if there else 0,
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
    return Count(total=total, serving=serving, proved=min(max(0, serving - old), updated))


def _read_state(primary: View, *, serves: bool) -> State:
    said, ready = primary.get("status.state", ""), primary.condition("Ready")
    if said == "successful":
        rolls = primary.get("status.rollingUpdate.phase", "") in ROLLING
        return State.RUNNING if serves and not rolls and ready.get("status", "") == "True" else State.PROGRESSING
    if said == "failed":
        return State.FAILED
    if said == "pending" and ready.get("reason", "") != NO_CAPACITY:
        return State.PROGRESSING
    return State.PROGRESSING if said in ("initializing", "deploying") and ready.raw else State.WAITING


def _read_generation(primary: View, state: State) -> int:
    """The generation that the state is about; where the two places differ, success is only of the older one."""
    places = (primary.condition("Ready").get("observedGeneration", 0), primary.get("status.observedGeneration", 0))
    said = [generation for generation in places if generation > 0]
    choose = max if state is State.FAILED else min
    return choose(said, default=0)


def _explain(primary: View) -> str:
    said, known = primary.get("status.state", ""), ("successful", "failed", "pending", "initializing", "deploying")
    if said and said not in known:
        return f"unknown state: {said}"
    ready = primary.condition("Ready")
    return ready.get("message", "") if ready.get("status", "") != "True" else ""
