"""A RayService's own words as a report."""

from collections.abc import Mapping
from typing import Any

from kubeairunway.plugin import Observed, Report, Request, State, View, hookimpl
from kubeairunway_kuberay.catalog import RAY_CLUSTER
from kubeairunway_kuberay.cluster import DEPLOYMENT, SERVE_PORT
from kubeairunway_kuberay.groups import is_stopped
from kubeairunway_kuberay.objects import SERVE_SUFFIX

ACTIVE, PENDING = "status.activeServiceStatus", "status.pendingServiceStatus"
READY_TYPES = ("Ready", "RayServiceReady")
"""The condition by its name, and by the one that its Go constant has."""
TIMED_OUT, INVALID = "InitializingTimeout", "ValidationFailed"
"""Reasons of Ready=False after which KubeRay does no more; it does not say for which generation."""
AGGREGATED = "gpu"
"""How the only group's name begins in aggregated mode."""
RUNNING, HEALTHY, UNHEALTHY, DEPLOY_FAILED = "RUNNING", "HEALTHY", "UNHEALTHY", "DEPLOY_FAILED"
"""States of Serve's applications and deployments."""


@hookimpl
def status(request: Request, observed: Observed) -> Report:
    """The report on the RayService; what counts is its newest RayCluster, the pending one while there is one."""
    live = observed.primary
    stopping = live.get("spec.suspend", False) or is_stopped(request.spec)
    state, generation, message = (_judge_stop if stopping else _judge)(observed)
    wanted = _count_wanted(live)
    runs = state is State.RUNNING and not stopping
    missing = _count_missing(observed) if runs else sum(wanted.values())
    ready = max(0, sum(wanted.values()) - missing)
    service = f"{request.name}-{SERVE_SUFFIX}" if _cluster_name(live, ACTIVE) else ""
    return Report(
        state=state,
        generation=generation,
        ready=ready,
        roles={} if AGGREGATED in wanted else {role: max(0, count - missing) for role, count in wanted.items()},
        available=ready or _count_old(observed),
        pods=f"{DEPLOYMENT}={request.name}",
        service=service,
        port=SERVE_PORT if service else 0,
        message=message,
    )


def _judge_stop(observed: Observed) -> tuple[State, int | None, str]:
    live = observed.primary
    if not live.get("spec.suspend", False):
        return State.PROGRESSING, _observed_generation(live), "spec.suspend is not set; KubeRay has it since 1.7"
    if live.condition("Suspended").get("status", "") == "True" and not observed.children.get(RAY_CLUSTER):
        # KubeRay looks at no later generation before it is resumed, and nothing runs that could be of an earlier one.
        return State.RUNNING, max(0, live.get("metadata.generation", 0)), ""
    return State.PROGRESSING, _observed_generation(live), live.condition("Suspending").get("message", "")


def _judge(observed: Observed) -> tuple[State, int | None, str]:
    live, generation = observed.primary, _observed_generation(observed.primary)
    ready = _ready_condition(live)
    is_ready, reason, verdict = ready.get("status", "") == "True", ready.get("reason", ""), ready.get("message", "")
    clusters = [_cluster_name(live, PENDING), _cluster_name(live, ACTIVE)]
    seen = generation == live.get("metadata.generation", 0) and any(clusters)
    if not is_ready and (reason == TIMED_OUT or (reason == INVALID and not seen)):
        return State.FAILED, None, verdict or reason
    if not ready.raw and not any(clusters):
        return State.WAITING, generation, ""
    pending, place = bool(clusters[0]), PENDING if clusters[0] else ACTIVE
    applications, deployments, trouble = _read_applications(live.get(f"{place}.applicationStatuses", {}))
    states = applications | deployments
    if DEPLOY_FAILED in states:
        return State.FAILED, generation, trouble or "Ray Serve could not deploy the application"
    if is_ready and clusters[1] and not pending and applications == {RUNNING} and UNHEALTHY not in deployments:
        return State.RUNNING, generation, ""
    told = trouble or _read_cluster(observed, clusters[0] or clusters[1]) or ("" if is_ready else verdict)
    if pending and clusters[1] and not told:
        told = "the new RayCluster does not serve yet; the old one does"
    return State.PROGRESSING, generation, told


def _observed_generation(live: View) -> int:
    return max(0, live.get("status.observedGeneration", 0))


def _ready_condition(live: View) -> View:
    found = (live.condition(name) for name in READY_TYPES)
    return next((condition for condition in found if condition.raw), View())


def _cluster_name(live: View, place: str) -> str:
    return live.get(f"{place}.rayClusterName", "")


def _read_applications(raw: Mapping[Any, Any]) -> tuple[frozenset[str], frozenset[str], str]:
    """The states of Serve's applications, those of their deployments, and what is said of the one in most trouble."""
    applications = tuple(_list_views(raw))
    deployments = tuple(row for _, app in applications for row in _list_views(app.get("serveDeploymentStatuses", {})))
    troubled = sorted(deployments, key=lambda row: row[1].get("status", "") not in {DEPLOY_FAILED, UNHEALTHY})
    messages = (
        *(f"{name}: {_message(view)}" for name, view in troubled if _message(view) and not _is(view, HEALTHY)),
        *(_message(view) for _, view in applications if not _is(view, RUNNING)),
    )
    states = (frozenset(view.get("status", "") for _, view in rows) for rows in (applications, deployments))
    return next(states), next(states), next(filter(None, messages), "")


def _list_views(raw: Mapping[Any, Any]) -> list[tuple[str, View]]:
    return [(str(name), View(raw[name])) for name in sorted(raw, key=str) if isinstance(raw[name], Mapping)]


def _is(view: View, status: str) -> bool:
    return view.get("status", "") == status


def _message(view: View) -> str:
    return view.get("message", "")


def _read_cluster(observed: Observed, name: str) -> str:
    """What a RayCluster says of pods that it could not create, or of its head."""
    cluster = _find_cluster(observed, name)
    for condition, bad in (("ReplicaFailure", "True"), ("HeadPodReady", "False")):
        found = cluster.condition(condition)
        if _is(found, bad) and _message(found):
            return f"{name}: {_message(found)}"
    return ""


def _find_cluster(observed: Observed, name: str) -> View:
    rows = observed.children.get(RAY_CLUSTER, ())
    return next((row for row in rows if row.get("metadata.name", "") == name), View())


def _count_wanted(live: View) -> dict[str, int]:
    """Workers by role, or under "gpu" in aggregated mode, as the live object asks for them."""
    groups: list[Any] = live.get("spec.rayClusterConfig.workerGroupSpecs", [])
    rows = (View(row) for row in groups if isinstance(row, Mapping))
    return {row.get("groupName", "").removesuffix("-workers"): max(0, row.get("replicas", 0)) for row in rows}


def _count_workers(observed: Observed) -> int | None:
    """Ready workers of the active RayCluster; None if nobody says. RayService has a copy, which may be old."""
    name = _cluster_name(observed.primary, ACTIVE)
    cluster = _find_cluster(observed, name)
    none: dict[str, Any] = {}
    told = cluster.get("status", none) or observed.primary.get(f"{ACTIVE}.rayClusterStatus", none)
    return max(0, View(told).get("readyWorkerReplicas", 0)) if told else None


def _count_missing(observed: Observed) -> int:
    """How many fewer workers are ready than asked for. Serve says RUNNING when all replicas run, and counts none."""
    workers, wanted = _count_workers(observed), sum(_count_wanted(observed.primary).values())
    return 0 if workers is None else max(0, wanted - workers)


def _count_old(observed: Observed) -> int:
    """Replicas of the old cluster that serve while a new one is being made; Serve is not asked about them then."""
    live = observed.primary
    rolling = _cluster_name(live, PENDING) and _is(_ready_condition(live), "True")
    return min(_count_workers(observed) or 0, sum(_count_wanted(live).values())) if rolling else 0
