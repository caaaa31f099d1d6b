"""What KubeRay's operator makes of RayServices and RayClusters, as pure functions: clusters, pods, Services.

Modelled on KubeRay 1.6 with its default upgrade strategy: a new cluster beside the old one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import yaml

from kubeairunway.objects.digests import digest
from kubeairunway.objects.quantities import parse_quantity
from kubeairunway.objects.resources import Resource
from kubeairunway_dev.standins.installation import Installation
from kubeairunway_dev.standins.owned import choose_names, make_owner, make_suffix

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from kubeairunway.objects.resources import Json

RAY_SERVICE = Resource("ray.io", "v1", "RayService", "rayservices")
RAY_CLUSTER = Resource("ray.io", "v1", "RayCluster", "rayclusters")

CLUSTER: Final = "ray.io/cluster"
GROUP: Final = "ray.io/group"
NODE_TYPE: Final = "ray.io/node-type"
IDENTIFIER: Final = "ray.io/identifier"
IS_RAY_NODE: Final = "ray.io/is-ray-node"
SERVE: Final = "ray.io/serve"
ORIGIN_NAME: Final = "ray.io/originated-from-cr-name"
ORIGIN_KIND: Final = "ray.io/originated-from-crd"
SPEC_HASH: Final = "ray.io/hash-without-replicas-and-workers-to-delete"
GROUP_COUNT: Final = "ray.io/num-worker-groups"

OPERATOR = Installation(
    name="kuberay-operator",
    namespace="ray-system",
    labels={
        "app.kubernetes.io/name": "kuberay-operator",
        "app.kubernetes.io/instance": "kuberay-operator",
        "app.kubernetes.io/component": "kuberay-operator",
    },
)
FAMILY: Final = {"app.kubernetes.io/name": "kuberay", "app.kubernetes.io/created-by": "kuberay-operator"}

HEAD, WORKER, HEAD_GROUP = "head", "worker", "headgroup"
MAX_NAME: Final = 47
MAX_POD_PREFIX: Final = 50
"""KubeRay cuts a pod's name there, before the type and the generated end."""

HEAD_PORTS: Final = (("client", 10001), ("dashboard", 8265), ("metrics", 8080), ("redis", 6379), ("serve", 8000))
DELETION_DELAY: Final = "rayClusterDeletionDelaySeconds"
UNCOUNTED_OF_GROUP: Final = ("replicas", "minReplicas", "maxReplicas", "scaleStrategy")
UNCOUNTED_OF_POD: Final = ("tolerations", "schedulingGates")
UNCOUNTED_OF_CLUSTER: Final = ("suspend", "upgradeStrategy")
"""Changes that KubeRay makes in place; that of anything else wants a new cluster."""

GPU_END: Final = "gpu"
"""KubeRay counts every resource whose name ends so as a GPU."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The names of a service's clusters: the one that serves, and the one that is to; empty for none."""

    active: str = ""
    pending: str = ""


@dataclass(frozen=True, slots=True)
class PodPlan:
    """One pod of a cluster: its name, its group, and that group's template."""

    name: str
    group: str
    template: Json


def find_objection(service: Json) -> str:
    """Return why KubeRay does not look at a RayService at all; empty if it does."""
    name = service["metadata"]["name"]
    if len(name) > MAX_NAME:
        return f"The RayService metadata is invalid: the name has more than {MAX_NAME} characters"
    if not name[0].isalpha() or "." in name:
        return "The RayService metadata is invalid: the name is no DNS-1035 label"
    return ""


def read_pair(service: Json) -> Pair:
    """Return the clusters that a service's status names."""
    status = service.get("status", {})
    halves = (status.get(half, {}) for half in ("activeServiceStatus", "pendingServiceStatus"))
    return Pair(*(half.get("rayClusterName", "") for half in halves))


def hash_config(config: Json, groups: int | None = None) -> str:
    """Return the digest of what wants a new cluster when it changes, of the first `groups` groups of workers."""
    head = config["headGroupSpec"]
    workers = [
        strip_pod({key: value for key, value in group.items() if key not in UNCOUNTED_OF_GROUP})
        for group in config.get("workerGroupSpecs", [])[:groups]
    ]
    kept = {key: value for key, value in config.items() if key not in UNCOUNTED_OF_CLUSTER}
    return digest({**kept, "headGroupSpec": strip_pod(head), "workerGroupSpecs": workers})


def strip_pod(group: Json) -> Json:
    """Return a group without what others put into its pods."""
    template = group["template"]
    spec = {key: value for key, value in template.get("spec", {}).items() if key not in UNCOUNTED_OF_POD}
    return {**group, "template": {**template, "spec": spec}}


def suits(cluster: Json, config: Json) -> bool:
    """Return whether a cluster can become what a config says in place: groups may be scaled, and added at the end."""
    notes = cluster["metadata"].get("annotations", {})
    groups = int(notes.get(GROUP_COUNT, "0"))
    return bool(notes.get(SPEC_HASH) == hash_config(config, groups))


def choose_pair(service: Json, clusters: Mapping[str, Json], serving: Container[str]) -> Pair:
    """Return the clusters that a service should have next, from those it has and those of them that serve.

    A pending cluster that serves takes over, one of another config is replaced, and an active one keeps serving until
    its successor does.
    """
    pair, config = read_pair(service), service["spec"]["rayClusterConfig"]
    pending = clusters.get(pair.pending)
    if pending is not None and suits(pending, config) and pair.pending in serving:
        return Pair(pair.pending)
    current = pending if pair.pending else clusters.get(pair.active)
    if current is None:
        return pair if pair.pending else Pair(pair.active, name_cluster(service))
    return pair if suits(current, config) else Pair(pair.active, name_cluster(service))


def name_cluster(service: Json) -> str:
    """Return the name of the cluster of this generation of a service: KubeRay draws five letters."""
    meta = service["metadata"]
    suffix = make_suffix(f"{meta['uid']}/{meta['generation']}")
    return f"{meta['name']}-{suffix}"


def make_origin(service: Json) -> dict[str, str]:
    """Return the labels of what was made for a RayService."""
    return {ORIGIN_NAME: service["metadata"]["name"], ORIGIN_KIND: RAY_SERVICE.kind}


def make_cluster(service: Json, name: str) -> Json:
    """Return a service's cluster."""
    meta, config = service["metadata"], service["spec"]["rayClusterConfig"]
    return {
        "apiVersion": RAY_CLUSTER.api_version,
        "kind": RAY_CLUSTER.kind,
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            "labels": {**meta.get("labels", {}), **make_origin(service)},
            "annotations": {
                SPEC_HASH: hash_config(config),
                GROUP_COUNT: str(len(config.get("workerGroupSpecs", []))),
            },
            "ownerReferences": [make_owner(service)],
        },
        "spec": config,
    }


def make_services(service: Json, cluster: str) -> list[Json]:
    """Return a RayService's two Services, which point to one of its clusters."""
    name = service["metadata"]["name"]
    return [
        make_service(service, f"{name}-head-svc", make_origin(service) | {NODE_TYPE: HEAD}, make_head_labels(cluster)),
        make_service(
            service,
            f"{name}-serve-svc",
            make_origin(service) | {SERVE: f"{name}-serve"},
            {CLUSTER: cluster, SERVE: "true"},
            ports=(("serve", 8000),),
        ),
    ]


def make_head_service(cluster: Json) -> Json:
    """Return the Service by which a cluster's workers find its head."""
    name = cluster["metadata"]["name"]
    labels = make_head_labels(name)
    return make_service(cluster, f"{name}-head-svc", labels, labels)


def make_head_labels(cluster: str) -> dict[str, str]:
    """Return the labels by which the Services find a head."""
    return {CLUSTER: cluster, NODE_TYPE: HEAD, IDENTIFIER: f"{cluster}-{HEAD}", **FAMILY}


def make_service(
    owner: Json,
    name: str,
    labels: Mapping[str, str],
    selector: Mapping[str, str],
    *,
    ports: Iterable[tuple[str, int]] = HEAD_PORTS,
) -> Json:
    """Return one Service; that of a head has no address of its own."""
    headless = {"clusterIP": "None", "publishNotReadyAddresses": True} if ports is HEAD_PORTS else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": owner["metadata"]["namespace"],
            "labels": dict(labels),
            "ownerReferences": [make_owner(owner)],
        },
        "spec": {
            "selector": dict(selector),
            "ports": [{"name": title, "port": port, "protocol": "TCP"} for title, port in ports],
            **headless,
        },
    }


def count_workers(group: Json) -> int:
    """Return how many pods a group of workers wants."""
    return 0 if group.get("suspend") else int(group.get("replicas", 0)) * int(group.get("numOfHosts", 1))


def plan_pods(cluster: Json) -> Iterator[PodPlan]:
    """Yield the pods that a cluster wants, always under the same names."""
    meta, spec = cluster["metadata"], cluster["spec"]
    prefix, seed = meta["name"][:MAX_POD_PREFIX], f"{meta['uid']}/{HEAD}"
    (head,) = choose_names(f"{prefix}-{HEAD}", seed, 1)
    yield PodPlan(head, HEAD_GROUP, spec["headGroupSpec"]["template"])
    for group in spec.get("workerGroupSpecs", []):
        title = group["groupName"]
        base = f"{meta['name']}-{title}"[:MAX_POD_PREFIX]
        for name in choose_names(f"{base}-{WORKER}", f"{meta['uid']}/{title}", count_workers(group)):
            yield PodPlan(name, title, group["template"])


def make_pod(cluster: Json, plan: PodPlan) -> Json:
    """Return one pod, labelled as KubeRay labels it; a real head is labelled to serve only once it does."""
    name = cluster["metadata"]["name"]
    kind = HEAD if plan.group == HEAD_GROUP else WORKER
    meta = plan.template.get("metadata", {})
    labels = {
        **FAMILY,
        IS_RAY_NODE: "yes",
        IDENTIFIER: f"{name}-{kind}"[-63:],
        SERVE: "true",
        **meta.get("labels", {}),
        CLUSTER: name,
        NODE_TYPE: kind,
        GROUP: plan.group,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": plan.name,
            "namespace": cluster["metadata"]["namespace"],
            "labels": labels,
            "annotations": meta.get("annotations", {}),
            "ownerReferences": [make_owner(cluster)],
        },
        "spec": plan.template["spec"],
    }


def list_applications(service: Json) -> dict[str, list[str]]:
    """Return the names of a service's applications, and of the deployments that they list."""
    config: Any = yaml.safe_load(service["spec"].get("serveConfigV2") or "") or {}
    return {
        application.get("name", "default"): [item["name"] for item in application.get("deployments", [])]
        for application in config.get("applications", [])
    }


def sum_resources(spec: Json) -> Counter[str]:
    """Return what a cluster's pods ask for together (limits before requests), GPUs under one name."""
    total: Counter[str] = Counter()
    groups = [(spec["headGroupSpec"]["template"], 1)]
    groups += [(group["template"], count_workers(group)) for group in spec.get("workerGroupSpecs", [])]
    for template, count in groups:
        for container in template.get("spec", {}).get("containers", []):
            resources = container.get("resources", {})
            for name, text in {**resources.get("requests", {}), **resources.get("limits", {})}.items():
                amount = parse_quantity(str(text)) or Decimal(0)
                total["gpu" if name.endswith(GPU_END) else name] += int(amount * count * 1000)
    return total


def list_defaults(service: Json) -> list[Json]:
    """Return what others fill into a RayService (its upgrade strategy, an autoscaler's list), as a JSON patch."""
    spec = service["spec"]
    operations: list[Json] = []
    if "upgradeStrategy" not in spec:
        operations.append({"op": "add", "path": "/spec/upgradeStrategy", "value": {"type": "NewCluster"}})
    for index, group in enumerate(spec["rayClusterConfig"].get("workerGroupSpecs", [])):
        if "scaleStrategy" not in group:
            path = f"/spec/rayClusterConfig/workerGroupSpecs/{index}/scaleStrategy"
            operations.append({"op": "add", "path": path, "value": {"workersToDelete": []}})
    return operations
