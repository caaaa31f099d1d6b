"""Nodes that kwok keeps ready, and the log that their pods answer with."""

from __future__ import annotations

from typing import Any

GPU_PRODUCT = "NVIDIA-A100-SXM4-80GB"
GPU_MEMORY_MIB = 81920
"""What NVIDIA's GPU feature discovery labels a node with for that product."""

POD_LOG = "2026-01-01T00:00:00.000000000Z stdout F This pod runs on a simulated node (kwok): no container runs.\n"
"""In the format of the container runtime interface: time, stream, full line, text."""


def make_gpu_labels(gpus: int) -> dict[str, str]:
    """Return the labels that GPU feature discovery puts on a node with `gpus` GPUs; none for 0."""
    if gpus == 0:
        return {}
    return {
        "nvidia.com/gpu.present": "true",
        "nvidia.com/gpu.count": str(gpus),
        "nvidia.com/gpu.product": GPU_PRODUCT,
        "nvidia.com/gpu.memory": str(GPU_MEMORY_MIB),
    }


def make_node(name: str, gpus: int) -> dict[str, Any]:
    """Return a node with 64 CPUs, 512 GiB and `gpus` GPUs."""
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "type": "kwok",
    }
    capacity = {"cpu": "64", "memory": "512Gi", "pods": "250", "ephemeral-storage": "1Ti"}
    if gpus:
        capacity["nvidia.com/gpu"] = str(gpus)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels | make_gpu_labels(gpus)},
        "status": {"capacity": capacity, "allocatable": capacity},
    }


def make_kwok_config(stages: str, log_file: str) -> str:
    """Return kwok's configuration: its own stages, and one log that all containers answer with."""
    logs = f"""\
apiVersion: kwok.x-k8s.io/v1alpha1
kind: ClusterLogs
metadata:
  name: all-pods
spec:
  logs:
  - logsFile: {log_file}
    follow: false
"""
    return f"{stages}\n---\n{logs}"


def is_usable(node: dict[str, Any]) -> bool:
    """Return whether pods can be scheduled on `node`: Ready and without a taint."""
    conditions = node.get("status", {}).get("conditions", [])
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and not node["spec"].get("taints")
