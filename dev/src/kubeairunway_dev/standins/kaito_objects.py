"""What KAITO makes of its objects, as pure functions: child Workspaces, Services, pods, status.

Modelled on KAITO 0.12 with nodes brought by the user and the benchmark switched off.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from kubeairunway.objects.conditions import Condition, find_condition, merge_conditions
from kubeairunway.objects.resources import Resource
from kubeairunway_dev.standins.installation import Installation
from kubeairunway_dev.standins.owned import choose_names, make_owner
from kubeairunway_dev.standins.resources import STATEFUL_SET

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from datetime import datetime

    from kubeairunway.objects.resources import Json

WORKSPACE = Resource("kaito.sh", "v1beta1", "Workspace", "workspaces")
INFERENCE_SET = Resource("kaito.sh", "v1beta1", "InferenceSet", "inferencesets")
WORKSPACE_FINALIZER = "workspace.finalizer.kaito.sh"
SET_FINALIZER = "inferenceset.finalizer.kaito.sh"
CREATED_BY = "inferenceset.kaito.sh/created-by"
WORKSPACE_LABEL = "kaito.sh/workspace"

OPERATOR = Installation(
    name="kaito-workspace",
    namespace="kaito-workspace",
    labels={"app.kubernetes.io/name": "workspace", "app.kubernetes.io/instance": "kaito-workspace"},
)

UPDATE_STRATEGY = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}
"""What KAITO's CRD fills into an InferenceSet, and ours leaves to the switch for defaults."""

PRESET_IMAGE = "stand-in.invalid/kaito-base"
"""Never pulled: a preset's image is the operator's choice, and kwok starts no container."""


class Stage(Enum):
    """How far a Workspace has come."""

    NO_NODES = 0
    NO_INFERENCE = 1
    READY = 2
    FAILED = 3


def make_children(inference_set: Json, taken: Container[str], count: int) -> list[Json]:
    """Return the Workspaces of `count` further replicas, with names that are not taken."""
    meta = inference_set["metadata"]
    return [make_child(inference_set, name) for name in choose_names(meta["name"], meta["uid"], count, taken=taken)]


def make_child(inference_set: Json, name: str) -> Json:
    """Return the Workspace of one replica."""
    meta, spec = inference_set["metadata"], inference_set["spec"]
    template = spec["template"]
    template_meta = template.get("metadata", {})
    resource = {"labelSelector": spec["labelSelector"]}
    if "partition" in template.get("resource", {}):
        resource["partition"] = template["resource"]["partition"]
    return {
        "apiVersion": WORKSPACE.api_version,
        "kind": WORKSPACE.kind,
        "metadata": {
            "name": name,
            "namespace": meta["namespace"],
            "labels": {**template_meta.get("labels", {}), CREATED_BY: meta["name"]},
            "annotations": template_meta.get("annotations", {}),
            "ownerReferences": [make_owner(inference_set)],
        },
        "resource": resource,
        "inference": template["inference"],
    }


def make_service(workspace: Json) -> Json:
    """Return a Workspace's Service: its name, port 80 to 5000, the first pod alone."""
    meta = workspace["metadata"]
    pod = f"{meta['name']}-0"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "ownerReferences": [make_owner(workspace)],
        },
        "spec": {
            "selector": {WORKSPACE_LABEL: meta["name"], "statefulset.kubernetes.io/pod-name": pod},
            "ports": [{"name": "http", "port": 80, "targetPort": 5000, "protocol": "TCP"}],
        },
    }


def make_stateful_set(workspace: Json) -> Json:
    """Return a Workspace's pods: one per node of the instance, on the nodes that its selector names.

    A preset's containers are the operator's: here one, which like KAITO's takes all GPUs of its node.
    """
    meta, inference = workspace["metadata"], workspace["inference"]
    selector = workspace["resource"]["labelSelector"].get("matchLabels", {})
    labels = {WORKSPACE_LABEL: meta["name"]}
    if CREATED_BY in meta.get("labels", {}):
        labels[CREATED_BY] = meta["labels"][CREATED_BY]
    limits = {"nvidia.com/gpu": selector.get("nvidia.com/gpu.count", "1")}
    preset = {"name": meta["name"], "image": PRESET_IMAGE, "resources": {"limits": limits}}
    template = inference.get("template") or {"spec": {"containers": [preset]}}
    template_meta = template.get("metadata", {})
    return {
        "apiVersion": STATEFUL_SET.api_version,
        "kind": STATEFUL_SET.kind,
        "metadata": {
            "name": meta["name"],
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [make_owner(workspace)],
        },
        "spec": {
            "replicas": workspace["resource"].get("count", 1),
            "podManagementPolicy": "Parallel",
            "serviceName": f"{meta['name']}-headless",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {**template_meta, "labels": {**template_meta.get("labels", {}), **labels}},
                "spec": {**template["spec"], "nodeSelector": selector},
            },
        },
    }


def list_defaults(inference_set: Json) -> list[Json]:
    """Return the fields that KAITO would fill into an InferenceSet, as operations of a JSON patch."""
    if "updateStrategy" in inference_set["spec"]:
        return []
    return [{"op": "add", "path": "/spec/updateStrategy", "value": UPDATE_STRATEGY}]


def make_workspace_status(workspace: Json, stage: Stage, now: datetime, reason: tuple[str, str] | None = None) -> Json:
    """Return a Workspace's whole status at `stage`; `reason` says why inference is not ready, where that is known.

    While it starts, WorkspaceSucceeded is False as well: KAITO tells a slow start from a failure by `state` alone.
    """
    before = workspace.get("status", {})
    conditions = [
        *list_node_conditions(has_nodes=stage is not Stage.NO_NODES),
        *list_inference_conditions(stage, reason),
    ]
    rows = merge_conditions(
        conditions, before.get("conditions"), generation=workspace["metadata"]["generation"], now=now
    )
    return {
        "state": find_state(stage, before.get("state", "")),
        "targetNodeCount": workspace["resource"].get("count", 1),
        "conditions": rows,
    }


def find_state(stage: Stage, before: str) -> str:
    """Return `status.state`: not ready is another word before a Workspace was ready than afterwards."""
    if stage is Stage.READY:
        return "Ready"
    if stage is Stage.FAILED:
        return "Failed"
    return "NotReady" if before in {"Ready", "NotReady"} else "Pending"


def list_node_conditions(*, has_nodes: bool) -> list[Condition]:
    """Return the conditions about nodes."""
    if has_nodes:
        return [
            Condition("NodesReady", "True", "NodesReady", "Enough Nodes are ready"),
            Condition("ResourceReady", "True", "workspaceResourceStatusSuccess", "workspace resource is ready"),
        ]
    return [
        Condition("NodesReady", "False", "NodeNotReady", "Not enough Nodes are ready"),
        Condition("ResourceReady", "False", "workspaceResourceStatusNotReady", "node status condition not ready"),
    ]


def list_inference_conditions(stage: Stage, reason: tuple[str, str] | None) -> list[Condition]:
    """Return the conditions about the workload, and the summary."""
    if stage is Stage.READY:
        deployed = "Inference has been deployed successfully"
        return [
            Condition("InferenceReady", "True", "WorkspaceInferenceStatusSuccess", deployed),
            Condition("WorkspaceSucceeded", "True", "workspaceSucceeded", "workspace succeeds"),
        ]
    why, message = reason or ("WorkspaceInferenceStatusPending", "Inference workload is not ready")
    if stage is Stage.FAILED:
        return [
            Condition("InferenceReady", "False", "WorkspaceInferenceStatusFailed", message),
            Condition("WorkspaceSucceeded", "False", "workspaceFailed", message),
        ]
    waiting = "workspace is waiting for inference workload readiness"
    return [
        Condition("InferenceReady", "False", why, message),
        Condition("WorkspaceSucceeded", "False", "workspacePending", waiting),
    ]


def is_ready(workspace: Json) -> bool:
    """Return whether a Workspace counts as a ready replica."""
    succeeded = find_condition(workspace.get("status", {}).get("conditions"), "WorkspaceSucceeded")
    return succeeded is not None and succeeded["status"] == "True"


def is_settled(workspace: Json) -> bool:
    """Return whether this revision was ready before, perhaps written by an earlier run of this program."""
    succeeded = find_condition(workspace.get("status", {}).get("conditions"), "WorkspaceSucceeded")
    generation = workspace["metadata"]["generation"]
    return is_ready(workspace) and succeeded is not None and succeeded["observedGeneration"] == generation


def make_set_status(inference_set: Json, children: Sequence[Json], now: datetime) -> Json:
    """Return an InferenceSet's status; zeros are left out, as KAITO's JSON encoding does."""
    desired = inference_set["spec"].get("replicas", 1)
    ready = sum(is_ready(child) for child in children)
    if ready == desired:
        condition = Condition("InferenceSetReady", "True", "inferencesetReady", "inferenceset is ready")
    else:
        message = f"inferenceset is not ready, {ready}/{desired} replicas are ready"
        condition = Condition("InferenceSetReady", "False", "inferencesetNotReady", message)
    meta = inference_set["metadata"]
    before = inference_set.get("status", {}).get("conditions")
    counts = {"replicas": desired, "readyReplicas": ready}
    return {
        **{name: count for name, count in counts.items() if count},
        "selector": f"{CREATED_BY}={meta['name']}",
        "conditions": merge_conditions([condition], before, generation=meta["generation"], now=now),
    }


def choose_surplus(children: Sequence[Json], desired: int) -> list[Json]:
    """Return the children to delete, those that are not ready first; ones already being deleted count as deleted."""
    alive = [child for child in children if "deletionTimestamp" not in child["metadata"]]
    return sorted(alive, key=is_ready)[: max(0, len(alive) - desired)]
