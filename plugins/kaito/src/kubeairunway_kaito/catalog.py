"""What KAITO is, as data: kinds, engines with the fields they carry, rules, overrides and settings.

Facts about upstream are those of KAITO 0.12 (kaito.sh/v1beta1).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from kubeairunway.plugin import CONFIG_MAP, CONTRACT, SERVICE, Engine, Kind, Provider, Rule

GROUP = "kaito.sh"

LABEL_VALUE = 63
"""Longest value of a Kubernetes label."""
REVISION_SUFFIX = len("-") + 10
"""What Kubernetes adds to a StatefulSet's name for the label controller-revision-hash of its pods."""
CHILD_SUFFIX = len("-") + 5
"""What Kubernetes adds to an InferenceSet's name when KAITO lets it name the child Workspaces."""

WORKSPACE = Kind(
    group=GROUP,
    name="Workspace",
    # v1alpha1 has no modelAccessSecret and sets an instance type of its own: it cannot say what we render.
    versions=("v1beta1",),
    recreate=(
        "resource.labelSelector",  # these three: KAITO's webhook refuses a change
        "resource.instanceType",
        "inference.preset",
        "inference.template",  # taken, but the StatefulSet is created once and never updated
        "inference.config",  # rolled out, but the old pod is reported as ready for the new generation
    ),
    max_name=LABEL_VALUE - REVISION_SUFFIX,  # its StatefulSet has its name
)
INFERENCE_SET = Kind(
    group=GROUP,
    name="InferenceSet",
    versions=("v1beta1", "v1alpha1"),
    recreate=("spec.labelSelector", "spec.template"),  # taken, but only Workspaces made later have them
    max_name=LABEL_VALUE - REVISION_SUFFIX - CHILD_SUFFIX,
    optional=True,
)

BOTH = frozenset(
    {"model.id", "engine.contextLength", "engine.args", "scaling.replicas", "secrets.huggingFaceToken", "nodeSelector"}
)
RUNNER = frozenset({"model.source", "engine.extraArgs", "engine.image", "image", "resources", "env", "tolerations"})
VLLM = Engine(name="vllm", carries=BOTH | {"model.servedName", "resources.gpu.count"})
LLAMACPP = Engine(name="llamacpp", cpu=True, carries=BOTH | RUNNER | {"podTemplate.metadata"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Options of one deployment: `spec.provider.overrides`."""

    resource: Literal["auto", "InferenceSet", "Workspace"] = "auto"
    """Kind to render. auto keeps the kind that exists, else takes InferenceSet where the cluster serves it.
    A Workspace has exactly one replica."""
    instance_type: str = ""
    """Machine type of the nodes that KAITO makes for this deployment, for example Standard_NC24ads_A100_v4; preferred
    over the settings' types. KAITO refuses it where node auto-provisioning is off."""
    bypass_resource_checks: bool = False
    """Let KAITO accept nodes whose GPU memory it thinks too small for the model; vLLM only."""
    disable_benchmark: bool = False
    """Skip the benchmark that KAITO runs before a replica is ready; vLLM only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Options of the whole cluster: `spec.settings` of the InferenceProviderConfig."""

    cpu_runner_image: str = "ghcr.io/kaito-project/aikit/runners/llama-cpp-cpu:latest"
    """llama.cpp image for deployments without GPUs that name none; its arguments are the model's reference and
    LocalAI's flags. Pin a version or digest in production."""
    gpu_runner_image: str = "ghcr.io/kaito-project/aikit/runners/llama-cpp-cuda:latest"
    """The same for deployments with NVIDIA GPUs."""
    node_auto_provisioning: bool = False
    """KAITO makes the nodes, so every deployment needs a machine type. False: the nodes are there already."""
    cpu_instance_type: str = ""
    """Machine type for deployments without GPUs, with nodeAutoProvisioning."""
    gpu_instance_types: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Machine type by GPUs per replica, with nodeAutoProvisioning: {"1": "Standard_NC24ads_A100_v4"}."""


PROVIDER = Provider(
    name="kaito",
    contract=CONTRACT,
    kinds=(INFERENCE_SET, WORKSPACE, SERVICE, CONFIG_MAP),
    children=(WORKSPACE,),
    engines=(VLLM, LLAMACPP),
    rules=(
        Rule(name="cpu", condition="spec.resources.gpu.count == 0", priority=100),
        Rule(name="llamacpp", condition='spec.engine.type == "llamacpp"', priority=100),
    ),
    overrides=Overrides,
    settings=Settings,
    operator=MappingProxyType({"app.kubernetes.io/name": "workspace,ai-toolchain-operator"}),
    docs="https://kaito-project.github.io/kaito/docs/",
)
