"""From a request without errors to Dynamo's graph, in the shape of the API version that the cluster serves.

A component is put together once, as what its pods are; the two API versions only lay it out differently.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from kubeairunway.plugin import SERVICE, Manifest, Rendering, Request, hookimpl
from kubeairunway_dynamo.arguments import build_arguments
from kubeairunway_dynamo.catalog import BETA, CLAIM, FRONTEND, FRONTEND_SUFFIX, GRAPH
from kubeairunway_dynamo.components import (
    Worker,
    choose_image,
    choose_version,
    list_workers,
    read_overrides,
)

HF_TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable and of a Secret's key, no secret
HF_HOME = "HF_HOME"
ROUTER_MODE = "DYN_ROUTER_MODE"
NIXL_HOST = "VLLM_NIXL_SIDE_CHANNEL_HOST"
"""Where vLLM's prefill and decode workers find one another."""
NVIDIA = "nvidia.com/gpu"

Json = dict[str, Any]


@hookimpl
def render(request: Request) -> Rendering:
    """The graph, and before it the claims of the volumes that have a size."""
    components = [_frontend(request), *(_worker(request, worker) for worker in list_workers(request.spec))]
    shape = _shape_beta if choose_version(request) == BETA else _shape_alpha
    spec = {"backendFramework": request.spec.engine.type, **shape(request, components)}
    # Upstream makes the Service to call under this name.
    return Rendering(
        Manifest(GRAPH, {"spec": spec}), before=tuple(_claims(request)), claims=((SERVICE, FRONTEND_SUFFIX),)
    )


# ---- what a component is ----


def _frontend(request: Request) -> Json:
    options = read_overrides(request).frontend
    requests = {"cpu": options.resources.cpu, "memory": options.resources.memory}
    own = [{"name": name, "value": options.env[name]} for name in sorted(options.env)]
    return {
        "name": FRONTEND,
        "type": "frontend",
        # None while there is no worker to send requests to.
        "replicas": options.replicas if any(worker.replicas for worker in list_workers(request.spec)) else 0,
        "image": options.image or choose_image(request),
        "env": [{"name": ROUTER_MODE, "value": read_overrides(request).router_mode}, *_token(request), *own],
        "resources": {"requests": requests},
    }


def _worker(request: Request, worker: Worker) -> Json:
    spec, metadata = request.spec, request.spec.pod_template.metadata
    rows = [(row, {"readOnly": True} if row.read_only else {}) for row in spec.model.storage.volumes]
    volumes = [(row, only) for row, only in rows if row.purpose != "compilationCache"]
    claims = [{"name": v.name, "persistentVolumeClaim": {"claimName": v.claim_name, **only}} for v, only in volumes]
    return {
        "name": worker.name,
        "type": worker.role or "worker",
        "replicas": worker.replicas,
        "image": choose_image(request),
        "command": ["python3", "-m", f"dynamo.{spec.engine.type}"],
        "args": build_arguments(request, worker),
        "env": [*_token(request), *_worker_env(request, worker), *spec.env],
        "resources": _resources(worker),
        "metadata": _only_set(labels=dict(metadata.labels), annotations=dict(metadata.annotations)),
        "pod": _only_set(nodeSelector=dict(spec.node_selector), tolerations=spec.tolerations, volumes=claims),
        "mounts": [{"name": volume.name, "mountPath": volume.mount_path, **only} for volume, only in volumes],
        "cache": next((row for row, _ in rows if row.purpose == "compilationCache"), None),
    }


def _token(request: Request) -> list[Json]:
    """The frontend needs it too: it fetches the tokenizer of the model."""
    name = request.spec.secrets.hugging_face_token
    return [{"name": HF_TOKEN, "valueFrom": {"secretKeyRef": {"name": name, "key": HF_TOKEN}}}] if name else []


def _worker_env(request: Request, worker: Worker) -> list[Json]:
    """What a worker needs beside the user's variables; one of the same name is the user's to set."""
    spec = request.spec
    wanted: list[Json] = [
        {"name": HF_HOME, "value": volume.mount_path}
        for volume in spec.model.storage.volumes
        if volume.purpose == "modelCache"
    ]
    if worker.role and spec.engine.type == "vllm":
        wanted.append({"name": NIXL_HOST, "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}})
    given = {row.name for row in spec.env}
    return [row for row in wanted if row["name"] not in given]


def _resources(worker: Worker) -> Json:
    """Memory is limited to what is asked for, so that its excess ends this pod; CPU is not: that slows every token."""
    gpus = {worker.gpu_type: str(worker.gpus)} if worker.gpus else {}
    return _only_set(
        requests={**_only_set(cpu=worker.cpu, memory=worker.memory), **gpus},
        limits={**_only_set(memory=worker.memory), **gpus},
    )


def _claims(request: Request) -> Iterator[Manifest]:
    for volume in request.spec.model.storage.volumes:
        if volume.size is not None:
            spec = {"accessModes": [volume.access_mode], "resources": {"requests": {"storage": volume.size}}}
            # Absent is the cluster's default class, empty is none.
            named = {} if volume.storage_class_name is None else {"storageClassName": volume.storage_class_name}
            yield Manifest(CLAIM, {"spec": {**spec, **named}}, suffix=volume.name)


# ---- how an API version lays it out ----


def _shape_beta(request: Request, components: list[Json]) -> Json:
    runtime = read_overrides(request).runtime_version
    return {"components": [{**_component_beta(row), **_only_set(runtimeVersionOverride=runtime)} for row in components]}


def _component_beta(row: Mapping[str, Any]) -> Json:
    parts = {field: row.get(field) for field in ("image", "command", "args", "env", "resources")}
    container = _only_set(name="main", **parts, volumeMounts=row.get("mounts"))
    cache = row.get("cache")
    return {
        "name": row["name"],
        "type": row["type"],
        "replicas": row["replicas"],
        "podTemplate": {
            **_only_set(metadata=row.get("metadata")),
            "spec": {**row.get("pod", {}), "containers": [container]},
        },
        **_only_set(compilationCache=cache and {"pvcName": cache.claim_name, "mountPath": cache.mount_path}),
    }


def _shape_alpha(_request: Request, components: list[Json]) -> Json:
    claims = {row["cache"].claim_name for row in components if row.get("cache")}
    return {
        **_only_set(pvcs=[{"name": name, "create": False} for name in sorted(claims)]),
        "services": {row["name"]: _service_alpha(row) for row in components},
    }


def _service_alpha(row: Mapping[str, Any]) -> Json:
    parts = {field: row.get(field) for field in ("image", "command", "args")}
    cache, role = row.get("cache"), row["type"] if row["type"] in ("prefill", "decode") else ""
    mount = cache and {"name": cache.claim_name, "mountPoint": cache.mount_path, "useAsCompilationCache": True}
    return {
        "componentType": "worker" if role else row["type"],
        "replicas": row["replicas"],
        "extraPodSpec": {**row.get("pod", {}), "mainContainer": _only_set(**parts, volumeMounts=row.get("mounts"))},
        **_only_set(
            subComponentType=role,
            envs=row["env"],
            resources={side: _quantities_alpha(values) for side, values in row["resources"].items()},
            extraPodMetadata=row.get("metadata"),
            volumeMounts=[mount] if mount else [],
        ),
    }


def _quantities_alpha(values: Mapping[str, str]) -> Json:
    """v1alpha1 has a field for the GPUs' number and one for their resource's name."""
    gpus = next((name for name in values if "/" in name), "")
    plain = {name: value for name, value in values.items() if name != gpus}
    kind = {"gpuType": gpus} if gpus and gpus != NVIDIA else {}
    return {**plain, **({"gpu": values[gpus], **kind} if gpus else {})}


def _only_set(**fields: Any) -> Json:  # noqa: ANN401 - JSON of any shape
    return {name: value for name, value in fields.items() if value}
