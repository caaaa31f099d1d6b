"""What KubeRay is, as data: kinds, the engine with the fields that each mode carries, overrides and settings.

Facts about upstream are those of KubeRay 1.7 (ray.io/v1) and of Ray Serve LLM in Ray 2.55.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated

from pydantic import Field

from kubeairunway.plugin import CONTRACT, SERVICE, Engine, Kind, Provider, hookimpl

RAY_SERVICE = Kind(
    group="ray.io",
    name="RayService",
    versions=("v1",),  # v1alpha1 is deprecated, and served nowhere without v1
    # KubeRay makes a new RayCluster beside the old one. The head's annotation follows every such change; what scales
    # is in workerGroupSpecs and leaves the clusters as they are.
    surge=("spec.rayClusterConfig.headGroupSpec",),
    # Serve replaces the replicas of a model whose configuration changed; another number of them replaces none.
    restart=tuple(
        f"spec.serveConfigV2.applications[].args.{model}.{part}"
        for model in ("llm_configs[]", "prefill_config", "decode_config")
        for part in ("engine_kwargs", "model_loading_config")
    ),
    max_name=47,  # upstream's validation: RayCluster names of 53, less what it appends
)
RAY_CLUSTER = Kind(group="ray.io", name="RayCluster", versions=("v1",))
CLAIM = Kind(group="", name="PersistentVolumeClaim", versions=("v1",), max_name=253)

SERVED = frozenset({"model.id", "model.servedName", "model.storage", "engine.args", "engine.contextLength"})
TUNED = frozenset({"engine.trustRemoteCode", "engine.enforceEager", "engine.enablePrefixCaching"})
PLACED = frozenset({"podTemplate.metadata", "nodeSelector", "tolerations"})
BOTH = SERVED | TUNED | PLACED | {"engine.image", "image", "env", "secrets.huggingFaceToken"}
AGGREGATED = Engine(name="vllm", carries=BOTH | {"scaling.replicas", "resources"})
DISAGGREGATED = Engine(name="vllm", modes=("disaggregated",), carries=BOTH | {"scaling.prefill", "scaling.decode"})

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
Version = Annotated[str, Field(pattern=r"^([0-9]+\.[0-9]+\.[0-9]+)?$")]
LabelKey = Annotated[str, Field(max_length=253, pattern=r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")]
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$")]


def _nothing() -> Mapping[str, str]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadResources:
    """What the head pod asks for."""

    cpu: Quantity = "4"
    """CPU request of the head, which runs Serve's controller and the OpenAI ingress, for example 4 or 500m."""
    memory: Quantity = "16Gi"
    """Memory request and limit of the head."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The head pod of the Ray cluster; it runs no model."""

    resources: HeadResources = field(default_factory=HeadResources)
    """What the head pod asks for."""
    ray_start_params: Mapping[str, str] = field(default_factory=_nothing)
    """Flags of `ray start` on the head, without dashes, for example {"object-store-memory": "1000000000"}."""
    node_selector: Mapping[LabelKey, LabelValue] = field(default_factory=_nothing)
    """Labels that the head's node must have; the deployment's nodeSelector is the workers' alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """The pods with the GPUs."""

    ray_start_params: Mapping[str, str] = field(default_factory=_nothing)
    """Flags of `ray start` on every worker, without dashes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Options of one deployment: `spec.provider.overrides`."""

    head: Head = field(default_factory=Head)
    """The head pod of the Ray cluster."""
    worker: Worker = field(default_factory=Worker)
    """The worker pods, of every role."""
    ray_version: Version = ""
    """Version of Ray in the image, for example 2.55.0; empty reads it from the image's tag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Options of the whole cluster: `spec.settings` of the InferenceProviderConfig."""

    image: str = "rayproject/ray-llm:2.55.0-py311-cu128"
    """Image of head and workers for deployments with NVIDIA GPUs that name none; it has Ray, Ray Serve LLM and vLLM."""
    ray_version: Version = ""
    """Version of Ray in that image; empty reads it from the image's tag."""


PROVIDER = Provider(
    name="kuberay",
    contract=CONTRACT,
    kinds=(RAY_SERVICE, CLAIM, SERVICE),
    children=(RAY_CLUSTER,),
    engines=(AGGREGATED, DISAGGREGATED),
    auto_select=False,
    overrides=Overrides,
    settings=Settings,
    operator=MappingProxyType({"app.kubernetes.io/name": "kuberay-operator"}),
    docs="https://docs.ray.io/en/latest/cluster/kubernetes/index.html",
)


@hookimpl
def provider() -> Provider:
    """What KubeRay offers."""
    return PROVIDER
