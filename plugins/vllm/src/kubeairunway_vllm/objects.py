"""From a request without errors to Kubernetes' own objects."""

import hashlib
from collections.abc import Iterator
from typing import Any

from kubeairunway.plugin import SERVICE, Manifest, Rendering, Request, hookimpl
from kubeairunway_vllm.catalog import CLAIM, DEPLOYMENT, Overrides, Settings

PORT = 8000
"""Where vLLM listens in the pod, and the Service outside."""
PARALLELISM = {f"{kind}-parallel-size" for kind in ("tensor", "pipeline", "data")} | {"tp", "pp", "dp"}
"""Flags that spread a model over GPUs: where one is given, the number of GPUs decides nothing."""
LABELS = "vllm.kubeairunway.ai/"
"""Prefix of the pod labels that are ours."""
NVIDIA = "nvidia.com/gpu"
HF_TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable and of a Secret's key, no secret
SHM = "shm"
CACHES = {"modelCache": "HF_HOME", "compilationCache": "VLLM_CACHE_ROOT"}
"""The variable that leads to a cache, by the volume's purpose."""


@hookimpl
def render(request: Request) -> Rendering:
    """A Deployment and a Service of the same name; before them, a claim for each volume with a size."""
    overrides = read_overrides(request)
    surge = int(overrides.strategy == "surge")
    deployment = {
        "replicas": request.spec.scaling.replicas,
        "selector": {"matchLabels": select_pods(request)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": 1 - surge}},
        "progressDeadlineSeconds": overrides.progress_deadline_seconds,
        "template": _build_template(request),
    }
    ports = [{"name": "http", "port": PORT, "targetPort": "http", "protocol": "TCP"}]
    service = Manifest(SERVICE, {"spec": {"selector": select_pods(request), "ports": ports}})
    return Rendering(Manifest(DEPLOYMENT, {"spec": deployment}), before=tuple(_list_claims(request)), after=(service,))


def read_overrides(request: Request) -> Overrides:
    """The deployment's options; the defaults if it has none."""
    return request.overrides if isinstance(request.overrides, Overrides) else Overrides()


def choose_image(request: Request) -> str:
    """The container's image; empty if there is none that serves this deployment."""
    spec = request.spec
    settings = request.settings if isinstance(request.settings, Settings) else Settings()
    fits = spec.model.source == "huggingface" and spec.resources.gpu.type == NVIDIA
    return spec.engine.image or spec.image or (settings.image if fits else "")


def select_pods(request: Request) -> dict[str, str]:
    """The labels by which Deployment and Service find the pods.

    The model is one: pods of the model that another replaces may outlive their Deployment, and must not be called.
    """
    model = request.spec.model
    mark = hashlib.sha256(f"{model.source}:{model.id}".encode()).hexdigest()[:10]
    return {f"{LABELS}deployment": request.name, f"{LABELS}model": mark}


def _build_template(request: Request) -> dict[str, Any]:
    spec, metadata = request.spec, request.spec.pod_template.metadata
    rows = spec.model.storage.volumes
    volumes: list[Any] = [
        {"name": row.name, "persistentVolumeClaim": _set(claimName=row.claim_name, readOnly=row.read_only)}
        for row in rows
    ]
    mounts = [_set(name=row.name, mountPath=row.mount_path, readOnly=row.read_only) for row in rows]
    if spec.resources.gpu.count > 1:  # processes of one model talk through it, and the runtime's default is 64 MiB
        volumes.append({"name": SHM, "emptyDir": {"medium": "Memory", "sizeLimit": "20Gi"}})
        mounts.append({"name": SHM, "mountPath": "/dev/shm"})  # noqa: S108 - the pod's own
    pod = {
        "containers": [_build_container(request, mounts)],
        # Variables of a Service called "vllm" (VLLM_PORT=tcp://...) would be taken for vLLM's own options.
        "enableServiceLinks": False,
        "automountServiceAccountToken": False,
        **_set(volumes=volumes, nodeSelector=spec.node_selector, tolerations=spec.tolerations),
    }
    labels = {**metadata.labels, **select_pods(request)}
    return {"metadata": _set(labels=labels, annotations=metadata.annotations), "spec": pod}


def _build_container(request: Request, mounts: list[Any]) -> dict[str, Any]:
    resources = request.spec.resources
    limits = {resources.gpu.type: str(resources.gpu.count)} | _set(memory=resources.memory)
    return _set(
        name="vllm",
        image=choose_image(request),
        # Without an id the image knows by itself what to serve.
        command=["vllm", "serve", model] if (model := request.spec.model.id) else [],
        args=_build_arguments(request),
        env=_list_variables(request),
        ports=[{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        # CPU is not limited: throttling would slow every token.
        resources={"limits": limits, "requests": limits | _set(cpu=resources.cpu)},
        volumeMounts=mounts,
        startupProbe=_probe(10, -(-read_overrides(request).startup_seconds // 10)),
        livenessProbe=_probe(10, 3),
        readinessProbe=_probe(5, 3),
        terminationMessagePolicy="FallbackToLogsOnError",
    )


def _build_arguments(request: Request) -> list[str]:
    """What fields say, then `engine.args` sorted by name, then `engine.extraArgs` as given."""
    spec, engine, gpus = request.spec, request.spec.engine, request.spec.resources.gpu.count
    raw = (token.partition("=")[0].lstrip("-") for token in engine.extra_args if token.startswith("-"))
    given = {name.replace("_", "-").lower() for name in (*engine.args, *raw)}
    wanted = {
        "host": "0.0.0.0",  # noqa: S104 - the pod's, which the Service has to reach
        "port": PORT,
        "served-model-name": spec.model.served_name,
        "max-model-len": engine.context_length,
        "trust-remote-code": engine.trust_remote_code,
        "enforce-eager": engine.enforce_eager,
        "enable-prefix-caching" if engine.enable_prefix_caching else "no-enable-prefix-caching": True,
        "tensor-parallel-size": gpus if gpus > 1 and PARALLELISM.isdisjoint(given) else None,
    }
    ours = [f"--{flag}" if value is True else f"--{flag}={value}" for flag, value in wanted.items() if value]
    own = [f"--{key}={engine.args[key]}" if engine.args[key] else f"--{key}" for key in sorted(engine.args)]
    return [*ours, *own, *engine.extra_args]


def _probe(period: int, failures: int) -> dict[str, Any]:
    check = {"path": "/health", "port": "http"}
    return {"httpGet": check, "initialDelaySeconds": 15, "periodSeconds": period, "failureThreshold": failures}


def _list_variables(request: Request) -> list[Any]:
    spec, volumes = request.spec, request.spec.model.storage.volumes
    ours = {CACHES[row.purpose]: row.mount_path for row in volumes if row.purpose in CACHES}
    if any(row.purpose == "modelCache" and row.read_only for row in volumes):
        ours["HF_HUB_OFFLINE"] = "1"  # a download would fail on its lock file
    given = {row.name for row in spec.env}
    rows: list[Any] = [{"name": name, "value": ours[name]} for name in sorted(ours.keys() - given)]
    if token := spec.secrets.hugging_face_token:
        rows.append({"name": HF_TOKEN, "valueFrom": {"secretKeyRef": {"name": token, "key": HF_TOKEN}}})
    return [*rows, *spec.env]


def _list_claims(request: Request) -> Iterator[Manifest]:
    for row in request.spec.model.storage.volumes:
        if row.size is not None:
            spec = {"accessModes": [row.access_mode], "resources": {"requests": {"storage": row.size}}}
            # Absent is the cluster's default class, empty is none.
            named = {} if row.storage_class_name is None else {"storageClassName": row.storage_class_name}
            yield Manifest(CLAIM, {"spec": {**spec, **named}}, row.name)


def _set(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON of any shape
    """The fields that say something: Kubernetes leaves out what is empty, and would seem to have dropped it."""
    return {name: value for name, value in fields.items() if value}
