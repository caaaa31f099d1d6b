"""The Ray cluster: its head, and a group of workers for each role."""

import hashlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from kubeairunway.plugin import Request
from kubeairunway_kuberay.groups import Group, choose_image, choose_ray_version, list_groups, read_overrides

PREFIX = "kuberay.kubeairunway.ai/"
"""Prefix of the labels and annotations of pods that are ours; KubeRay labels pods by their RayCluster alone."""
DEPLOYMENT, REVISION = f"{PREFIX}deployment", f"{PREFIX}revision"
HF_TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable and of a Secret's key, no secret
CACHES = {"modelCache": "HF_HOME", "compilationCache": "VLLM_CACHE_ROOT"}
"""The variable that leads to a cache, by the volume's purpose."""
MOST_WORKERS = 32
"""The most replicas that a deployment can ask for. KubeRay never gives a running cluster another limit."""
SERVE_PORT = 8000
HEAD_PORTS = (("gcs-server", 6379), ("dashboard", 8265), ("client", 10001), ("serve", SERVE_PORT))
ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - KubeRay's operator has to reach the dashboard
HEAD_PARAMS: Mapping[str, str] = MappingProxyType(
    {"dashboard-host": ALL_ADDRESSES, "num-cpus": "0", "num-gpus": "0"}  # no CPU: no replica of a model on the head
)


def build_cluster(request: Request) -> dict[str, Any]:
    """The value of rayClusterConfig.

    KubeRay gives a running cluster no change of replicas, and ignores tolerations when it looks for changes. So Ray's
    autoscaler follows what Serve asks for, and an annotation of the head holds a digest of all that does not scale.
    """
    groups = list_groups(request.spec)
    workers = [_worker_group(request, group) for group in groups]
    options = _set(enableInTreeAutoscaling=True, rayVersion=choose_ray_version(request))
    whole = [options, _head_group(request), workers]
    text = json.dumps(whole, sort_keys=True, default=lambda row: row.model_dump(exclude_none=True))
    head = _head_group(request, {REVISION: hashlib.sha256(text.encode()).hexdigest()[:16]})
    # How many a new cluster starts with; afterwards they are the autoscaler's.
    counted = [row | {"replicas": max(1, group.replicas)} for row, group in zip(workers, groups, strict=True)]
    return {**options, "headGroupSpec": head, "workerGroupSpecs": counted}


def _head_group(request: Request, marks: Mapping[str, str] | None = None) -> dict[str, Any]:
    head = read_overrides(request).head
    cpu, memory = head.resources.cpu, head.resources.memory
    container = _set(
        name="ray-head",
        image=choose_image(request),
        env=_list_variables(request),
        ports=[{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in HEAD_PORTS],
        resources={"limits": {"memory": memory}, "requests": {"cpu": cpu, "memory": memory}},
    )
    pod = _set(containers=[container], nodeSelector=dict(head.node_selector), tolerations=request.spec.tolerations)
    params = {**HEAD_PARAMS, **head.ray_start_params}
    return {"rayStartParams": params, "template": {"metadata": _metadata(request, marks or {}), "spec": pod}}


def _worker_group(request: Request, group: Group) -> dict[str, Any]:
    rows = request.spec.model.storage.volumes
    limits = {group.gpu_type: str(group.gpus)} | _set(memory=group.memory)
    container = _set(
        name="ray-worker",
        image=choose_image(request),
        env=_list_variables(request, workers=True),
        # CPU is not limited: throttling would slow every token.
        resources={"limits": limits, "requests": limits | _set(cpu=group.cpu)},
        volumeMounts=[_set(name=row.name, mountPath=row.mount_path, readOnly=row.read_only) for row in rows],
    )
    pod = _set(
        containers=[container],
        volumes=[
            {"name": row.name, "persistentVolumeClaim": _set(claimName=row.claim_name, readOnly=row.read_only)}
            for row in rows
        ],
        nodeSelector=dict(request.spec.node_selector),
        tolerations=request.spec.tolerations,
    )
    # Ray's own count of CPUs, which the autoscaler needs: one for the replica, and one for each GPU's process.
    params = {**read_overrides(request).worker.ray_start_params, "num-cpus": str(group.gpus + 1)}
    if group.role:
        params["resources"] = f"'{json.dumps({group.role: 1}, separators=(',', ':'))}'"
    return {
        "groupName": group.name,
        "minReplicas": 0,
        "maxReplicas": MOST_WORKERS,
        "rayStartParams": params,
        "template": {"metadata": _metadata(request, {}), "spec": pod},
    }


def _metadata(request: Request, marks: Mapping[str, str]) -> dict[str, Any]:
    given = request.spec.pod_template.metadata
    return _set(labels={**given.labels, DEPLOYMENT: request.name}, annotations={**given.annotations, **marks})


def _list_variables(request: Request, *, workers: bool = False) -> list[Any]:
    """The same on head and workers, but for caches, whose volumes the workers alone have."""
    spec = request.spec
    volumes = spec.model.storage.volumes if workers else ()
    ours = {CACHES[row.purpose]: row.mount_path for row in volumes if row.purpose in CACHES}
    if any(row.purpose == "modelCache" and row.read_only for row in volumes):
        ours["HF_HUB_OFFLINE"] = "1"  # a download would fail on its lock file
    given = {row.name for row in spec.env}
    rows: list[Any] = [{"name": name, "value": ours[name]} for name in sorted(ours.keys() - given)]
    if token := spec.secrets.hugging_face_token:
        rows.append({"name": HF_TOKEN, "valueFrom": {"secretKeyRef": {"name": token, "key": HF_TOKEN}}})
    return [*rows, *spec.env]


def _set(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON of any shape
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value}
