"""Pods, events and nodes as the API server shows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BORN = "2026-03-01T11:00:00Z"
GPU = "nvidia.com/gpu"


class Make:
    """Makes objects; what a test does not say is healthy."""

    now = NOW
    born = BORN

    def pod(self, name: str = "llm-0", **changes: Any) -> dict[str, Any]:
        """A pod that asks for 8 GPUs, on a node unless `node` is empty."""
        container = {"name": "engine", "image": "engine:1", "resources": {"limits": {GPU: "8", "memory": "64Gi"}}}
        meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": BORN, "labels": {"app": "llm"}}
        spec = {"nodeName": changes.pop("node", "node-a"), "containers": [container], **changes.pop("spec", {})}
        return {"metadata": {**meta, **changes.pop("meta", {})}, "spec": spec, "status": changes}

    def container(self, **state: Any) -> dict[str, Any]:
        """Status of a container: `state` and `last` are {kind: details}."""
        row = {"name": "engine", "image": "engine:1", "ready": False, "restartCount": state.pop("restarts", 0)}
        row["state"] = state.pop("state", {})
        row["lastState"] = state.pop("last", {})
        return {**row, **state}

    def with_container(self, name: str = "llm-0", **state: Any) -> dict[str, Any]:
        """A pod on a node with one container in some state."""
        return self.pod(name, phase=state.pop("phase", "Pending"), containerStatuses=[self.container(**state)])

    def unscheduled(self, message: str, name: str = "llm-0", **changes: Any) -> dict[str, Any]:
        """A pod that the scheduler found no node for."""
        row = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        return self.pod(name, node="", phase="Pending", conditions=[row], **changes)

    def event(self, message: str, *, reason: str = "FailedCreate", kind: str = "ReplicaSet", **more: Any) -> Any:
        """A warning, seen a minute ago unless said otherwise."""
        about = {"apiVersion": "apps/v1", "kind": kind, "name": "llm-abc", "namespace": "ml", "uid": "uid-rs"}
        seen = more.pop("seen", "2026-03-01T11:59:00Z")
        meta = {"name": "llm.1", "namespace": "ml", "uid": "e1", "resourceVersion": "7"}
        body = {"metadata": meta, "involvedObject": about, "reason": reason, "message": message, "lastTimestamp": seen}
        return {**body, **more}

    def node(self, name: str, gpus: int, **changes: Any) -> dict[str, Any]:
        """A node that takes pods."""
        status = {"allocatable": {"cpu": "64", GPU: str(gpus)}, "conditions": [{"type": "Ready", "status": "True"}]}
        meta = {"name": name, "labels": changes.pop("labels", {})}
        return {"metadata": meta, "spec": changes.pop("spec", {}), "status": {**status, **changes}}


@pytest.fixture(scope="session")
def make() -> Make:
    return Make()
