"""From a request without errors to KAITO's objects."""

from typing import Any

from kubeairunway.plugin import CONFIG_MAP, SERVICE, Manifest, Rendering, Request
from kubeairunway_kaito.arguments import CONFIG_KEY, PORT, build_inference_config, build_runner_arguments, name_config
from kubeairunway_kaito.catalog import INFERENCE_SET, WORKSPACE
from kubeairunway_kaito.placement import (
    NVIDIA,
    choose_kind,
    find_instance_type,
    read_overrides,
    read_settings,
    require_node_labels,
)

CREATED_BY = "inferenceset.kaito.sh/created-by"
"""The label with the InferenceSet's name on its Workspaces and their pods."""
API_SUFFIX = "api"
"""Suffix of our Service. KAITO makes one for each Workspace, with its name: ours must never stand in its place."""
HF_TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable and of a Secret's key, no secret


def render_deployment(request: Request) -> Rendering:
    """An InferenceSet and a Service, or a Workspace, whose Service is KAITO's own."""
    config = build_inference_config(request) if request.spec.engine.type == "vllm" else ""
    before = (Manifest(CONFIG_MAP, {"data": {CONFIG_KEY: config}}, name_config(config)),) if config else ()
    inference = _preset(request, config) if request.spec.engine.type == "vllm" else {"template": _pod_template(request)}
    if choose_kind(request) == WORKSPACE:
        # KAITO makes a Service of the Workspace's name, and takes any that is there for its own.
        return Rendering(_workspace(request, inference), before=before, claims=((SERVICE, ""),))
    return Rendering(_inference_set(request, inference), before=before, after=(_service(request),))


def _inference_set(request: Request, inference: dict[str, Any]) -> Manifest:
    annotations = _annotations(request)
    template: dict[str, Any] = {}
    if annotations:
        # Workspaces get them from the template; the set reads its own for its benchmark condition.
        template["metadata"] = {"annotations": annotations}
    if instance_type := find_instance_type(request):
        template["resource"] = {"instanceType": instance_type}
    template["inference"] = inference
    spec = {"replicas": request.spec.scaling.replicas, "labelSelector": _node_selector(request), "template": template}
    return Manifest(INFERENCE_SET, {"spec": spec}, annotations=annotations)


def _workspace(request: Request, inference: dict[str, Any]) -> Manifest:
    resource: dict[str, Any] = {"labelSelector": _node_selector(request)}
    if instance_type := find_instance_type(request):
        resource["instanceType"] = instance_type
    return Manifest(WORKSPACE, {"resource": resource, "inference": inference}, annotations=_annotations(request))


def _service(request: Request) -> Manifest:
    # When one replica spans nodes, only the first pod of its StatefulSet answers requests.
    selector = {CREATED_BY: request.name, "apps.kubernetes.io/pod-index": "0"}
    ports = [{"name": "http", "port": 80, "targetPort": PORT, "protocol": "TCP"}]
    return Manifest(SERVICE, {"spec": {"selector": selector, "ports": ports}}, API_SUFFIX)


def _annotations(request: Request) -> dict[str, str]:
    overrides = read_overrides(request)
    wanted = {
        "kaito.sh/bypass-resource-checks": overrides.bypass_resource_checks,
        "kaito.sh/disable-benchmark": overrides.disable_benchmark,
    }
    return {name: "true" for name, on in wanted.items() if on}


def _node_selector(request: Request) -> dict[str, Any]:
    return {"matchLabels": {**request.spec.node_selector, **require_node_labels(request)}}


def _preset(request: Request, config: str) -> dict[str, Any]:
    preset: dict[str, Any] = {"name": request.spec.model.id}
    if secret := request.spec.secrets.hugging_face_token:
        preset["presetOptions"] = {"modelAccessSecret": secret}
    inference: dict[str, Any] = {"preset": preset}
    if config:
        inference["config"] = f"{request.name}-{name_config(config)}"
    return inference


def _pod_template(request: Request) -> dict[str, Any]:
    metadata = request.spec.pod_template.metadata
    named = _set(labels=metadata.labels, annotations=metadata.annotations)
    spec = _set(containers=[_runner(request)], tolerations=request.spec.tolerations)
    return _set(metadata=named, spec=spec)


def choose_image(request: Request) -> str:
    """The llama.cpp image: the deployment's, else the settings' for what it runs on; empty if there is none."""
    spec, settings = request.spec, read_settings(request)
    if image := spec.engine.image or spec.image:
        return image
    if spec.model.source == "custom":
        return ""
    if not spec.resources.gpu.count:
        return settings.cpu_runner_image
    return settings.gpu_runner_image if spec.resources.gpu.type == NVIDIA else ""


def _runner(request: Request) -> dict[str, Any]:
    return _set(
        name="model",
        image=choose_image(request),
        args=build_runner_arguments(request),
        ports=[{"name": "http", "containerPort": PORT}],
        # The runner opens the port when it has the model; without a probe KAITO calls a download ready.
        readinessProbe={"tcpSocket": {"port": PORT}, "periodSeconds": 5},
        resources=_resources(request),
        env=_environment(request),
    )


def _resources(request: Request) -> dict[str, Any]:
    # Memory is limited to what is asked for: beyond it this pod ends, and not its neighbours on the node.
    # CPU is not limited: throttling slows every token, and an idle CPU is better used.
    wanted = request.spec.resources
    gpus = {wanted.gpu.type: str(wanted.gpu.count)} if wanted.gpu.count else {}
    limits = {**_set(memory=wanted.memory), **gpus}
    return _set(requests=_set(memory=wanted.memory, cpu=wanted.cpu), limits=limits)


def _environment(request: Request) -> list[Any]:
    secret = request.spec.secrets.hugging_face_token
    token = {"name": HF_TOKEN, "valueFrom": {"secretKeyRef": {"name": secret, "key": HF_TOKEN}}}
    return [*request.spec.env, *([token] if secret else [])]


def _set(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON of any shape
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value}
