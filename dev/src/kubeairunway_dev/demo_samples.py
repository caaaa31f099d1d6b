"""What the demo deploys: the same model once with each provider that is installed, and once more than any node has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection

OPERATORS: Final = ("kaito", "dynamo", "kuberay")
"""Providers whose upstream operator has a stand-in, a module of that name in `standins`."""

PROVIDERS: Final = (*OPERATORS, "vllm")

SIZES: Final = (1, 2, 4, 8)
"""GPUs of the nodes beside those that --gpus describes: KAITO wants nodes with exactly what a replica asks for."""

NODES_PER_SIZE: Final = 2
TOO_MANY: Final = 16
"""GPUs of one replica that no node has."""

HUGE: Final = "qwen-huge"
HUGE_PROVIDERS: Final = ("vllm", "dynamo", "kuberay", "kaito")
"""Who gets it, first choice first: best seen without an operator in between."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One ModelDeployment of the demo."""

    name: str
    provider: str
    gpus: int
    replicas: int = 1
    waits: bool = False
    """Whether it never runs, for want of GPUs."""

    near: int = 0
    """The size of the nodes that it is kept on, in GPUs, so that it leaves the others alone; 0 for any."""


def list_samples(installed: Collection[str], *, nodes: int, gpus: int) -> list[Sample]:
    """Return the samples for the installed providers; KAITO's takes whole nodes, at most two of those `nodes`."""
    elsewhere = max(size for size in SIZES if size != gpus)
    samples = [
        Sample("qwen-kaito", "kaito", gpus, min(2, nodes))
        if provider == "kaito"
        else Sample(f"qwen-{provider}", provider, 2, near=elsewhere)
        for provider in PROVIDERS
        if provider in installed
    ]
    owner = next((provider for provider in HUGE_PROVIDERS if provider in installed), None)
    return samples if owner is None else [*samples, Sample(HUGE, owner, TOO_MANY, waits=True)]


def make_deployment(sample: Sample) -> dict[str, Any]:
    """Return the ModelDeployment."""
    spec: dict[str, Any] = {
        "model": {"id": "Qwen/Qwen3-8B"},
        "provider": {"name": sample.provider},
        "resources": {"gpu": {"count": sample.gpus}},
        "scaling": {"replicas": sample.replicas},
    }
    if sample.near:
        spec["nodeSelector"] = {"nvidia.com/gpu.count": str(sample.near)}
    return {
        "apiVersion": "kubeairunway.ai/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": sample.name, "namespace": "default"},
        "spec": spec,
    }
