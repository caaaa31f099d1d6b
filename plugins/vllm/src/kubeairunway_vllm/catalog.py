"""What plain vLLM is, as data: kinds, carried fields, overrides and settings. Facts are those of vLLM 0.18."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from kubeairunway.plugin import CONTRACT, SERVICE, Engine, Kind, Provider, hookimpl

FIXED = ("spec.selector",)  # Kubernetes refuses a change
SURGING = ("spec.template",)
DEPLOYMENT = Kind(group="apps", name="Deployment", versions=("v1",), recreate=FIXED, surge=SURGING, surge_replicas=1)
CLAIM = Kind(group="", name="PersistentVolumeClaim", versions=("v1",), max_name=253)

SERVED = frozenset({"model", "engine", "image", "env", "secrets"})
PLACED = frozenset({"scaling.replicas", "resources", "podTemplate", "nodeSelector", "tolerations"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Options of one deployment: `spec.provider.overrides`."""

    strategy: Literal["surge", "recreate"] = "surge"
    """How a change reaches the pods. surge: a new pod first, with GPUs of its own; recreate: a pod ends before its
    successor starts, for clusters without GPUs to spare."""
    startup_seconds: Annotated[int, Field(ge=30, le=86400)] = 600
    """How long a container may take until it serves, download of the model included, before it is started again."""
    progress_deadline_seconds: Annotated[int, Field(ge=60, le=604800)] = 3600
    """How long a rollout may go without progress, waiting for GPUs included, until it is called failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Options of the whole cluster: `spec.settings` of the InferenceProviderConfig."""

    image: str = "vllm/vllm-openai:v0.18.0"
    """vLLM image for deployments with NVIDIA GPUs that name none."""


@hookimpl
def provider() -> Provider:
    """What plain vLLM offers: chosen by itself, with no rule, so that every provider that has one outranks it."""
    return Provider(
        name="vllm",
        contract=CONTRACT,
        kinds=(DEPLOYMENT, SERVICE, CLAIM),
        engines=(Engine(name="vllm", carries=SERVED | PLACED),),
        overrides=Overrides,
        settings=Settings,
        docs="https://docs.vllm.ai/",
    )
