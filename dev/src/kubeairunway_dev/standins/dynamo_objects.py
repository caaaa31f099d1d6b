"""What Dynamo's operator makes of a DynamoGraphDeployment, as pure functions: Deployments, Services, status.

Modelled on Dynamo 1.4 without Grove: a Deployment per component. Both versions of the API are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.objects.conditions import Condition, merge_conditions
from kubeairunway.objects.resources import Resource
from kubeairunway_dev.standins.installation import Installation
from kubeairunway_dev.standins.owned import make_owner, read_stamp, stamp
from kubeairunway_dev.standins.resources import DEPLOYMENT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from kubeairunway.objects.resources import Json

KIND: Final = "DynamoGraphDeployment"
BETA = Resource("nvidia.com", "v1beta1", KIND, "dynamographdeployments")
ALPHA = Resource("nvidia.com", "v1alpha1", KIND, "dynamographdeployments")

FINALIZER: Final = "nvidia.com/finalizer"
GRAPH: Final = "nvidia.com/dynamo-graph-deployment-name"
COMPONENT: Final = "nvidia.com/dynamo-component"
COMPONENT_TYPE: Final = "nvidia.com/dynamo-component-type"
SUB_COMPONENT_TYPE: Final = "nvidia.com/dynamo-sub-component-type"
DYNAMO_NAMESPACE: Final = "nvidia.com/dynamo-namespace"
SELECTOR: Final = "nvidia.com/selector"
ORIGIN_VERSION: Final = "nvidia.com/dynamo-operator-origin-version"

OPERATOR = Installation(
    name="dynamo-platform-dynamo-operator-controller-manager",
    namespace="dynamo-system",
    labels={
        "app.kubernetes.io/name": "dynamo-operator",
        "app.kubernetes.io/instance": "dynamo-platform",
        "control-plane": "controller-manager",
    },
)
VERSION: Final = "1.4.0"

MAIN: Final = "main"
FRONTEND: Final = "frontend"
PORTS: Final = {FRONTEND: ("http", 8000), "epp": ("grpc", 9002)}
OTHER_PORT: Final = ("system", 9090)
GPU: Final = "nvidia.com/gpu"


class Trouble(Enum):
    """Why a component is not ready, as the reason of the Ready condition."""

    STARTING = "some_resources_are_not_ready"
    NO_CAPACITY = "insufficient_capacity"
    NO_PODS = "pods_not_ready"
    UPDATING = "updating"


MIXED: Final = "mixed_not_ready_reasons"


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One component of a graph, whichever version of the API names it."""

    name: str
    type: str
    sub_type: str
    replicas: int
    template: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many pods a component has: all, of the newest revision, ready, available."""

    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0

    def reach(self, desired: int) -> bool:
        """Return whether all pods are there, ready and of the newest revision, and no other one is."""
        return (self.replicas, self.updated, self.ready, self.available) == (desired,) * 4


@dataclass(frozen=True, slots=True)
class Verdict:
    """State, and reason and message of the Ready condition."""

    state: str
    reason: str
    message: str


def list_components(graph: Json) -> list[Component]:
    """Return a graph's components in the order that it gives them."""
    spec = graph["spec"]
    if graph["apiVersion"] == ALPHA.api_version:
        return [read_service(name, service) for name, service in spec.get("services", {}).items()]
    return [
        Component(
            name=item["name"],
            type=item.get("type", ""),
            sub_type="",
            replicas=item.get("replicas", 1),
            template=item.get("podTemplate", {}),
        )
        for item in spec.get("components", [])
    ]


def read_service(name: str, service: Json) -> Component:
    """Return a component from a service of v1alpha1: the main container stands apart there, and GPUs have no name."""
    extra = service.get("extraPodSpec", {})
    container = {"name": MAIN, **extra.get("mainContainer", {})}
    resources = {side: read_resources(wanted) for side, wanted in service.get("resources", {}).items()}
    if resources:
        container["resources"] = resources
    environment = [*container.get("env", []), *service.get("envs", [])]
    if environment:
        container["env"] = environment
    if "envFromSecret" in service:
        container["envFrom"] = [*container.get("envFrom", []), {"secretRef": {"name": service["envFromSecret"]}}]
    pod = {key: value for key, value in extra.items() if key != "mainContainer"}
    return Component(
        name=name,
        type=service.get("componentType", ""),
        sub_type=service.get("subComponentType", ""),
        replicas=service.get("replicas", 1),
        template={"metadata": service.get("extraPodMetadata", {}), "spec": {**pod, "containers": [container]}},
    )


def read_resources(wanted: Json) -> Json:
    """Return Kubernetes' names for what v1alpha1 calls `gpu` and `custom`."""
    named: Json = {key: wanted[key] for key in ("cpu", "memory") if key in wanted} | wanted.get("custom", {})
    if "gpu" in wanted:
        named[wanted.get("gpuType") or GPU] = wanted["gpu"]
    return named


def name_workload(graph: Json, component: Component) -> str:
    """Return the name of a component's Deployment and Service."""
    return f"{graph['metadata']['name']}-{component.name.lower()}"


def make_labels(graph: Json, component: Component) -> dict[str, str]:
    """Return the labels of whatever belongs to a component."""
    meta = graph["metadata"]
    labels = {
        GRAPH: meta["name"],
        COMPONENT: component.name,
        COMPONENT_TYPE: component.type,
        SUB_COMPONENT_TYPE: component.sub_type,
        DYNAMO_NAMESPACE: f"{meta['namespace']}-{meta['name']}",
    }
    return {name: value for name, value in labels.items() if value}


def make_meta(graph: Json, component: Component) -> Json:
    """Return the metadata of a component's Deployment and Service."""
    return {
        "name": name_workload(graph, component),
        "namespace": graph["metadata"]["namespace"],
        "labels": make_labels(graph, component),
        "ownerReferences": [make_owner(graph)],
    }


def make_deployment(graph: Json, component: Component) -> Json:
    """Return a component's pods. Without a template there is one container, as the operator would complete it."""
    selector = {SELECTOR: name_workload(graph, component)}
    template_meta = component.template.get("metadata", {})
    labels = {**template_meta.get("labels", {}), **make_labels(graph, component), **selector}
    fallback = {"containers": [{"name": MAIN, "image": "stand-in.invalid/dynamo"}]}
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": make_meta(graph, component),
        "spec": {
            "replicas": component.replicas,
            "selector": {"matchLabels": selector},
            "template": {
                "metadata": {**template_meta, "labels": labels},
                "spec": component.template.get("spec") or fallback,
            },
        },
    }


def make_service(graph: Json, component: Component) -> Json:
    """Return a component's Service: 8000 for the frontend, which is where models are asked."""
    name, port = PORTS.get(component.type, OTHER_PORT)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": make_meta(graph, component),
        "spec": {
            "selector": {SELECTOR: name_workload(graph, component)},
            "ports": [{"name": name, "port": port, "targetPort": name, "protocol": "TCP"}],
        },
    }


def list_defaults(graph: Json) -> list[Json]:
    """Return what the admission webhook fills into a graph, as operations of a JSON patch."""
    operations: list[Json] = []
    alpha = graph["apiVersion"] == ALPHA.api_version
    place, fields = ("services", ("replicas",)) if alpha else ("components", ("replicas", "minAvailable"))
    if ORIGIN_VERSION not in graph["metadata"].get("annotations", {}):
        if "annotations" not in graph["metadata"]:
            operations.append({"op": "add", "path": "/metadata/annotations", "value": {}})
        path = f"/metadata/annotations/{ORIGIN_VERSION.replace('/', '~1')}"
        operations.append({"op": "add", "path": path, "value": VERSION})
    parts = graph["spec"].get(place, {})
    missing = [
        f"/spec/{place}/{key}/{field}"
        for key, part in (parts.items() if alpha else enumerate(parts))
        for field in fields
        if field not in part
    ]
    return [*operations, *({"op": "add", "path": path, "value": 1} for path in missing)]


def count_deployment(wanted: Json, live: Json | None) -> Counts:
    """Return what a Deployment's controller says; that of an older revision than `wanted` updates nothing."""
    if live is None:
        return Counts()
    status: Mapping[str, Any] = live.get("status", {})
    seen = status.get("observedGeneration", 0) >= live["metadata"]["generation"]
    current = seen and read_stamp(live) == read_stamp(stamp(wanted))
    return Counts(
        replicas=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0) if current else 0,
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
    )


def count_played(component: Component, before: Json, *, ready: bool) -> Counts:
    """Return counts where no pods are run: until a revision is ready, those of the one before serve on."""
    wanted = component.replicas
    if ready:
        return Counts(replicas=wanted, updated=wanted, ready=wanted, available=wanted)
    row = before.get(component.name, {})
    serving = row.get("readyReplicas", 0)
    return Counts(replicas=max(wanted, serving), ready=serving, available=serving)


def find_trouble(component: Component, counts: Counts, unschedulable: str | None) -> tuple[Trouble, str] | None:
    """Return why a component that runs in pods is not ready, in words; None if it is."""
    desired = component.replicas
    if counts.reach(desired):
        return None
    if unschedulable is not None:
        return Trouble.NO_CAPACITY, unschedulable
    if counts.updated < counts.replicas:
        return Trouble.UPDATING, f"{counts.updated}/{desired} replicas are updated"
    return Trouble.NO_PODS, f"{counts.ready}/{desired} replicas are ready"


def judge(troubles: Mapping[str, tuple[Trouble, str]], *, fail: str) -> Verdict:
    """Return the verdict on a graph, from the names of components that are not ready, and why."""
    if fail:
        return Verdict("failed", "failed_to_reconcile_the_resources", fail)
    if not troubles:
        return Verdict("successful", "all_resources_are_ready", "All resources are ready")
    reasons = {trouble for trouble, _ in troubles.values()}
    reason = reasons.pop().value if len(reasons) == 1 else MIXED
    words = "; ".join(f"{name}: {text}" for name, (_, text) in sorted(troubles.items()))
    return Verdict("pending", reason, f"Resources not ready: {words}")


def make_status(graph: Json, counts: Mapping[str, Counts], verdict: Verdict, now: datetime) -> Json:
    """Return a graph's whole status, in the words of the version that it was read in."""
    alpha = graph["apiVersion"] == ALPHA.api_version
    generation = graph["metadata"]["generation"]
    ready = Condition("Ready", "True" if verdict.state == "successful" else "False", verdict.reason, verdict.message)
    before = graph.get("status", {}).get("conditions")
    rows = {}
    for component in list_components(graph):
        found = counts[component.name]
        names = [name_workload(graph, component)]
        rows[component.name] = {
            "componentKind": DEPLOYMENT.kind,
            **({"componentName": names[0]} if alpha else {}),
            "componentNames": names,
            "replicas": found.replicas,
            "updatedReplicas": found.updated,
            "readyReplicas": found.ready,
            "availableReplicas": found.available,
        }
    return {
        "observedGeneration": generation,
        "state": verdict.state,
        "conditions": merge_conditions([ready], before, generation=generation, now=now),
        "services" if alpha else "components": rows,
    }


def is_settled(graph: Json) -> bool:
    """Return whether this revision was ready before, perhaps written by an earlier run of this program."""
    status = graph.get("status", {})
    observed = status.get("observedGeneration") == graph["metadata"]["generation"]
    return bool(observed and status.get("state") == "successful")
