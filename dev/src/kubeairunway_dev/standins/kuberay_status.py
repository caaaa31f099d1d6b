"""What KubeRay's operator says of RayServices and RayClusters, as pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from kubeairunway.objects.conditions import Condition, find_condition, merge_conditions
from kubeairunway.objects.times import format_time
from kubeairunway_dev.standins.kuberay_objects import count_workers, list_applications, sum_resources

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from kubeairunway.objects.resources import Json
    from kubeairunway_dev.standins.kuberay_objects import Pair

READY, UPGRADE, HEAD_READY, PROVISIONED = "Ready", "UpgradeInProgress", "HeadPodReady", "RayClusterProvisioned"
INITIALIZING: Final = "Initializing"
NOTHING: Final = {"desiredCPU": "0", "desiredGPU": "0", "desiredMemory": "0", "desiredTPU": "0", "head": {}}
"""A cluster's status where there is no cluster: Go writes these zeros."""

RUNNING, DEPLOYING, FAILED = "RUNNING", "DEPLOYING", "DEPLOY_FAILED"


@dataclass(frozen=True, slots=True)
class Nodes:
    """How many pods of a cluster are ready, and what the scheduler or the kubelet says of a head that is not."""

    head: bool = False
    workers: int = 0
    trouble: str = ""


def count_desired(cluster: Json) -> int:
    """Return how many workers a cluster wants."""
    return sum(count_workers(group) for group in cluster["spec"].get("workerGroupSpecs", []))


def is_head_ready(cluster: Json) -> bool:
    """Return whether a cluster's status says that its head runs."""
    row = find_condition(cluster.get("status", {}).get("conditions"), HEAD_READY)
    return row is not None and row["status"] == "True"


def is_complete(cluster: Json) -> bool:
    """Return whether a cluster's status says that all pods of its newest revision are ready."""
    status = cluster.get("status", {})
    current = status.get("observedGeneration") == cluster["metadata"]["generation"]
    return bool(current and is_head_ready(cluster) and status.get("readyWorkerReplicas", 0) == count_desired(cluster))


def count_endpoints(cluster: Json | None) -> int:
    """Return how many pods of a cluster answer: each one that is ready has a proxy."""
    if cluster is None:
        return 0
    return int(is_head_ready(cluster)) + int(cluster.get("status", {}).get("readyWorkerReplicas", 0))


def make_cluster_status(cluster: Json, nodes: Nodes, now: datetime, *, head: str = "") -> Json:
    """Return a RayCluster's whole status; `head` is the name of the head's pod, where there is one."""
    meta, spec, before = cluster["metadata"], cluster["spec"], cluster.get("status", {})
    desired = count_desired(cluster)
    complete = nodes.head and nodes.workers == desired
    total = sum_resources(spec)
    # Once ready, a cluster stays so while workers come and go: KubeRay never takes the word back.
    state = "ready" if complete else before.get("state", "")
    status = {
        "observedGeneration": meta["generation"],
        "desiredWorkerReplicas": desired,
        "minWorkerReplicas": sum_bounds(spec, "minReplicas"),
        "maxWorkerReplicas": sum_bounds(spec, "maxReplicas"),
        "readyWorkerReplicas": nodes.workers,
        "availableWorkerReplicas": nodes.workers,
        "desiredCPU": format_amount(total["cpu"]),
        "desiredGPU": format_amount(total["gpu"]),
        "desiredMemory": format_amount(total["memory"]),
        "desiredTPU": "0",
        "endpoints": {"dashboard": "8265", "gcs-server": "6379", "metrics": "8080", "serve": "8000"},
        "head": {"serviceName": f"{meta['name']}-head-svc", **({"podName": head} if head else {})},
        "conditions": merge_conditions(
            list_cluster_conditions(nodes, provisioned=complete or is_provisioned(cluster)),
            before.get("conditions"),
            generation=meta["generation"],
            now=now,
        ),
    }
    # As KubeRay's encoding leaves them out.
    kept = {key: value for key, value in status.items() if value or key == "conditions"}
    return with_time({**kept, **({"state": state} if state else {})}, before, now)


def sum_bounds(spec: Json, field: str) -> int:
    """Return the least or most workers of all groups together, as far as 32 bits reach."""
    groups = spec.get("workerGroupSpecs", [])
    return min(2**31 - 1, sum(int(group.get(field, 0)) * int(group.get("numOfHosts", 1)) for group in groups))


def is_provisioned(cluster: Json) -> bool:
    """Return whether all pods of a cluster were ready once."""
    row = find_condition(cluster.get("status", {}).get("conditions"), PROVISIONED)
    return row is not None and row["status"] == "True"


def list_cluster_conditions(nodes: Nodes, *, provisioned: bool) -> list[Condition]:
    """Return the conditions of a cluster."""
    if nodes.head:
        head = Condition(HEAD_READY, "True", "HeadPodRunningAndReady", "Head Pod ready")
    else:
        head = Condition(HEAD_READY, "False", "ContainersNotReady", nodes.trouble or "containers are not ready")
    if provisioned:
        words = "All Ray Pods are ready for the first time"
        return [head, Condition(PROVISIONED, "True", "AllPodRunningAndReadyFirstTime", words)]
    words = "RayCluster Pods are being provisioned for first time"
    return [head, Condition(PROVISIONED, "False", "RayClusterPodsProvisioning", words)]


def format_amount(thousandths: int) -> str:
    """Return a quantity that was summed in thousandths."""
    whole, rest = divmod(thousandths, 1000)
    return f"{thousandths}m" if rest else str(whole)


def make_applications(service: Json, state: str, message: str = "") -> Json:
    """Return the status of a service's applications, all in one state."""
    return {
        name: {
            "status": state,
            **({"message": message} if message else {}),
            "serveDeploymentStatuses": {
                deployment: {"status": "HEALTHY" if state == RUNNING else "UPDATING"} for deployment in deployments
            },
        }
        for name, deployments in list_applications(service).items()
    }


def make_half(name: str, cluster: Json | None, applications: Json) -> Json:
    """Return activeServiceStatus or pendingServiceStatus."""
    half: Json = {"rayClusterStatus": NOTHING if cluster is None else cluster.get("status") or NOTHING}
    if name:
        half["rayClusterName"] = name
    if applications:
        half["applicationStatuses"] = applications
    return half


def make_service_status(
    service: Json, pair: Pair, halves: Mapping[str, tuple[Json | None, Json]], *, endpoints: int, now: datetime
) -> Json:
    """Return a RayService's whole status, from each cluster and its applications by the cluster's name."""
    before = service.get("status", {})
    rows = merge_rows(service, list_service_conditions(before, pair, endpoints), now)
    ready = find_condition(rows, READY)
    status: Json = {
        "observedGeneration": service["metadata"]["generation"],
        "activeServiceStatus": make_half(pair.active, *halves.get(pair.active, (None, {}))),
        "pendingServiceStatus": make_half(pair.pending, *halves.get(pair.pending, (None, {}))),
        "conditions": rows,
    }
    if endpoints:
        status["numServeEndpoints"] = endpoints
    if ready is not None and ready["status"] == "True":
        status["serviceStatus"] = "Running"
    return with_time(status, before, now)


def merge_rows(service: Json, wanted: list[Condition], now: datetime) -> list[Json]:
    """Return a service's conditions; one that is not said anew stays with the generation that it was said of."""
    before, generation = service.get("status", {}).get("conditions") or [], service["metadata"]["generation"]
    said = {row["type"]: row for row in merge_conditions(wanted, before, generation=generation, now=now)}
    return list(({row["type"]: row for row in before} | said).values())


def list_service_conditions(before: Json, pair: Pair, endpoints: int) -> list[Condition]:
    """Return the conditions that change, or are said again, in one pass."""
    rows = before.get("conditions")
    ready = find_condition(rows, READY)
    starting = "RayService is initializing"
    found = []
    if endpoints:
        found.append(Condition(READY, "True", "NonZeroServeEndpoints", "Number of serve endpoints is greater than 0"))
    elif ready is not None and ready["status"] == "True":
        found.append(Condition(READY, "False", "ZeroServeEndpoints", "Number of serve endpoints dropped to 0"))
    elif ready is None or ready["reason"] == "ValidationFailed":
        found.append(Condition(READY, "False", INITIALIZING, starting))
    if pair.active and pair.pending:
        both = "Both active and pending Ray clusters exist"
        found.append(Condition(UPGRADE, "True", "BothActivePendingClustersExist", both))
    elif pair.active:
        alone = "Active Ray cluster exists and no pending Ray cluster"
        found.append(Condition(UPGRADE, "False", "NoPendingCluster", alone))
    elif find_condition(rows, UPGRADE) is None:
        found.append(Condition(UPGRADE, "False", INITIALIZING, starting))
    return found


def make_refusal(service: Json, objection: str, now: datetime) -> Json:
    """Return the status of a RayService that KubeRay does not look at: it does not even note the generation."""
    before = service.get("status", {})
    refused = Condition(READY, "False", "ValidationFailed", objection)
    return with_time({**before, "conditions": merge_rows(service, [refused], now)}, before, now)


def with_time(status: Json, before: Json, now: datetime) -> Json:
    """Return a status with the time of its last change."""
    rest = {key: value for key, value in before.items() if key != "lastUpdateTime"}
    new = {key: value for key, value in status.items() if key != "lastUpdateTime"}
    unchanged = rest == new and "lastUpdateTime" in before
    return {**new, "lastUpdateTime": before["lastUpdateTime"] if unchanged else format_time(now)}


def is_settled(service: Json) -> bool:
    """Return whether this revision served before, perhaps written by an earlier run of this program."""
    status = service.get("status", {})
    applications = status.get("activeServiceStatus", {}).get("applicationStatuses", {})
    observed = status.get("observedGeneration") == service["metadata"]["generation"]
    return bool(observed and applications and all(item["status"] == RUNNING for item in applications.values()))
