"""A stand-in for Kubernetes' Deployment controller and the pods' nodes: every rollout is complete after a while.

    python -m tests.bench.rollouts --kubeconfig FILE [--delay SECONDS]

Only Deployments of ours are looked at. The real controller does not run in the bench: without nodes nothing would ever
be ready, and with them the figures would be those of thousands of pods.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kubeairunway.model import names
from kubeairunway.objects.conditions import find_condition
from kubeairunway.objects.times import format_time
from kubeairunway_dev.standins import program
from kubeairunway_dev.standins.installation import Installation
from kubeairunway_dev.standins.resources import DEPLOYMENT
from kubeairunway_dev.standins.standin import StandIn

if TYPE_CHECKING:
    from kubeairunway.kube.client import Client
    from kubeairunway.objects.resources import Json
    from kubeairunway_dev.standins.switches import Switches

OPERATOR = Installation(name="rollouts", namespace="rollouts", labels={"app.kubernetes.io/name": "rollouts"})
"""A mark that this program is here; no provider looks for it."""


class RolloutsStandIn(StandIn):
    """Completes the rollouts of Deployments until it is cancelled."""

    def __init__(self, client: Client, switches: Switches) -> None:
        super().__init__(client, switches, OPERATOR)
        self.watch(DEPLOYMENT, self._reconcile, labels=f"{names.MANAGED_BY}={names.MANAGED_BY_VALUE}")

    async def _reconcile(self, deployment: Json) -> float | None:
        generation = deployment["metadata"]["generation"]
        if deployment.get("status", {}).get("observedGeneration") == generation:
            return None
        left = self.switches.delay - self.measure(deployment, generation)
        if left > 0:
            return left
        await self.write_status(DEPLOYMENT, deployment, make_status(deployment), "rollout complete")
        return None


def make_status(deployment: Json) -> Json:
    """Return the status of a Deployment whose pods are all new and ready."""
    replicas = deployment["spec"]["replicas"]
    before = deployment.get("status", {}).get("conditions")
    counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), replicas)
    rows = (("Available", "MinimumReplicasAvailable"), ("Progressing", "NewReplicaSetAvailable"))
    now = format_time(datetime.now(UTC))
    conditions = [
        find_condition(before, kind)
        or {"type": kind, "status": "True", "reason": reason, "lastTransitionTime": now, "lastUpdateTime": now}
        for kind, reason in rows
    ]
    return {"observedGeneration": deployment["metadata"]["generation"], **counts, "conditions": conditions}


async def make(client: Client, switches: Switches) -> RolloutsStandIn:
    """Return the stand-in, as `program` wants it."""
    return RolloutsStandIn(client, switches)


if __name__ == "__main__":
    program.main("rollouts", make, __doc__)
