"""The Deployment of an upstream operator itself, which providers look for: a pod that does nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kubeairunway_dev.standins.resources import DEPLOYMENT, NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubeairunway.objects.resources import Json, Resource

READY = {"status": {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Names and labels that upstream's chart gives its operator."""

    name: str
    namespace: str
    labels: Mapping[str, str]

    @property
    def selector(self) -> str:
        """The label selector of the operator's pods."""
        return ",".join(f"{name}={value}" for name, value in self.labels.items())


def make_objects(operator: Installation) -> list[tuple[Resource, Json]]:
    """Return the operator's namespace and Deployment."""
    labels = dict(operator.labels)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": operator.namespace}}
    # No container runs: kwok pulls nothing.
    pod = {"containers": [{"name": "manager", "image": f"stand-in.invalid/{operator.name}"}]}
    deployment = {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": {"name": operator.name, "namespace": operator.namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    return [(NAMESPACE, namespace), (DEPLOYMENT, deployment)]
