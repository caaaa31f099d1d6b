"""Where a deployment goes: the kind that KAITO gets, the labels of its nodes, their machine type."""

from collections.abc import Mapping

from kubeairunway.plugin import Kind, Request
from kubeairunway_kaito.catalog import INFERENCE_SET, WORKSPACE, Overrides, Settings

NVIDIA = "nvidia.com/gpu"

RESERVED_NODE_LABELS = frozenset(
    {f"kaito.sh/{name}" for name in ("workspace", "workspacenamespace", "ragengine", "ragenginenamespace")}
    | {f"karpenter.kaito.sh/workspace-{name}" for name in ("name", "namespace")}
    | {f"karpenter.kaito.sh/inferenceset{end}" for end in ("", "-namespace")}
)
"""Node labels that KAITO sets itself and silently drops from a selector."""


def read_overrides(request: Request) -> Overrides:
    """The deployment's options; the defaults if it has none."""
    return request.overrides if isinstance(request.overrides, Overrides) else Overrides()


def read_settings(request: Request) -> Settings:
    """The cluster's options; the defaults if it has none."""
    return request.settings if isinstance(request.settings, Settings) else Settings()


def choose_kind(request: Request) -> Kind:
    """The primary's kind: what is asked for, else what exists while it fits, else the one that scales."""
    wanted = read_overrides(request).resource
    if wanted != "auto":
        return WORKSPACE if wanted == "Workspace" else INFERENCE_SET
    if INFERENCE_SET not in request.versions:
        return WORKSPACE
    keeps_workspace = request.primary == WORKSPACE and request.spec.scaling.replicas == 1
    return WORKSPACE if keeps_workspace else INFERENCE_SET


def find_instance_type(request: Request) -> str:
    """The machine type of nodes that KAITO shall make; empty if the nodes are there, or if there is no such type."""
    asked = read_overrides(request).instance_type
    settings = read_settings(request)
    if asked or not settings.node_auto_provisioning:
        return asked
    gpus = request.spec.resources.gpu.count
    return settings.gpu_instance_types.get(str(gpus), "") if gpus else settings.cpu_instance_type


def require_node_labels(request: Request) -> Mapping[str, str]:
    """Labels that nodes need for this deployment, whatever the user selects.

    On nodes that are there already KAITO gives each vLLM replica whole nodes, and reads their GPUs from the labels
    of NVIDIA's GPU feature discovery: gpu.count picks nodes that have just as many.
    """
    labels = {"kubernetes.io/os": "linux"}
    gpu, presets = request.spec.resources.gpu, request.spec.engine.type == "vllm"
    if gpu.count and (presets or gpu.type == NVIDIA):
        labels["nvidia.com/gpu.present"] = "true"
    if presets and not find_instance_type(request):
        labels["nvidia.com/gpu.count"] = str(gpu.count)
    return labels
