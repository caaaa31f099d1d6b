"""A stand-in for Dynamo's operator: does to DynamoGraphDeployments what the real one does, without models.

    python -m kubeairunway_dev.standins.dynamo --kubeconfig FILE [--delay SECONDS] [--pods]

A graph is successful `delay` seconds after each change of its spec and, with `--pods`, not before the pods of all its
components are ready. It speaks v1beta1 where that is served, v1alpha1 otherwise; which, it asks once, at its start.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from kubeairunway.errors import ApiError
from kubeairunway_dev.standins import dynamo_objects as dynamo
from kubeairunway_dev.standins import pods, program
from kubeairunway_dev.standins.dynamo_objects import Trouble
from kubeairunway_dev.standins.resources import DEPLOYMENT, POD, SERVICE
from kubeairunway_dev.standins.standin import Key, StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kubeairunway.kube.client import Client
    from kubeairunway.objects.resources import Json, Resource
    from kubeairunway_dev.standins.dynamo_objects import Component, Counts
    from kubeairunway_dev.standins.switches import Switches

ASK_SECONDS: Final = 0.5
"""How often an API server that serves no DynamoGraphDeployment yet is asked again."""


class DynamoStandIn(StandIn):
    """Reconciles the DynamoGraphDeployments of a cluster, in one version, until it is cancelled."""

    def __init__(self, client: Client, switches: Switches) -> None:
        super().__init__(client, switches, dynamo.OPERATOR)
        self._resource: Resource = dynamo.BETA
        self._services = self.watch(SERVICE, labels=dynamo.GRAPH, touches=touch_graph)
        if switches.pods:
            self._deployments = self.watch(DEPLOYMENT, labels=dynamo.GRAPH, touches=touch_graph)
            indexes = {"workload": list_workloads}
            self._pods = self.watch(POD, labels=dynamo.GRAPH, indexes=indexes, touches=touch_graph)

    async def prepare(self) -> None:
        """Find the version to speak."""
        self._resource = await find_version(self.client)
        self.watch(self._resource, self._reconcile)

    async def _reconcile(self, graph: Json) -> float | None:
        if not await self.hold(self._resource, graph, dynamo.FINALIZER):
            return None
        if await self.fill_in(self._resource, graph, dynamo.list_defaults(graph)):
            return None
        switches = self.switches.read_for(graph)
        components = dynamo.list_components(graph)
        for component in components:
            await self._ensure_workload(graph, component)
        generation = graph["metadata"]["generation"]
        elapsed = switches.delay if dynamo.is_settled(graph) else self.measure(graph, generation)
        remaining = max(0.0, switches.delay - elapsed)
        counts = self._count_all(graph, components, ready=not remaining and not switches.fail)
        troubles = self._find_troubles(graph, components, counts)
        if remaining:
            # What is not ready by pods says so itself; the rest waits for the clock.
            waiting = {component.name: (Trouble.STARTING, "starting") for component in components}
            troubles = {**waiting, **troubles}
        verdict = dynamo.judge(troubles, fail=switches.fail)
        status = dynamo.make_status(graph, counts, verdict, datetime.now(UTC))
        await self.write_status(self._resource, graph, status, f"{verdict.state}: {verdict.message}")
        return remaining or None

    async def _ensure_workload(self, graph: Json, component: Component) -> None:
        """Make or update a component's Service and, where wanted, its pods."""
        namespace, name = graph["metadata"]["namespace"], dynamo.name_workload(graph, component)
        await self.settle(SERVICE, dynamo.make_service(graph, component), self._services.get(namespace, name))
        if self.switches.pods:
            live = self._deployments.get(namespace, name)
            await self.settle(DEPLOYMENT, dynamo.make_deployment(graph, component), live)

    def _count_all(self, graph: Json, components: list[Component], *, ready: bool) -> dict[str, Counts]:
        """Return each component's pods: those there are, or those that are played."""
        if not self.switches.pods:
            status = graph.get("status", {})
            before = status.get("components", status.get("services", {}))
            return {item.name: dynamo.count_played(item, before, ready=ready) for item in components}
        namespace = graph["metadata"]["namespace"]
        return {
            item.name: dynamo.count_deployment(
                dynamo.make_deployment(graph, item), self._deployments.get(namespace, dynamo.name_workload(graph, item))
            )
            for item in components
        }

    def _find_troubles(
        self, graph: Json, components: list[Component], counts: Mapping[str, Counts]
    ) -> dict[str, tuple[Trouble, str]]:
        """Return why components are not ready, by name."""
        if not self.switches.pods:
            return {}
        found = {}
        for component in components:
            name = f"{graph['metadata']['namespace']}/{dynamo.name_workload(graph, component)}"
            unschedulable = pods.find_unschedulable(self._pods.by_index("workload", name))
            trouble = dynamo.find_trouble(component, counts[component.name], unschedulable)
            if trouble is not None:
                found[component.name] = trouble
        return found


def touch_graph(item: Json) -> Iterator[Key]:
    """Yield the key of the graph that a Deployment, Service or pod belongs to."""
    meta = item["metadata"]
    yield dynamo.KIND, meta["namespace"], meta["labels"][dynamo.GRAPH]


def list_workloads(pod: Json) -> list[str]:
    """Return the Deployment ("namespace/name") that a pod belongs to."""
    meta = pod["metadata"]
    return [f"{meta['namespace']}/{meta['labels'].get(dynamo.SELECTOR, '')}"]


async def find_version(client: Client) -> Resource:
    """Return the newest version of the kind that is served, waiting until one is."""
    while True:
        for resource in (dynamo.BETA, dynamo.ALPHA):
            try:
                listing = await client.get_path(f"/apis/{resource.api_version}")
            except ApiError as error:
                if error.status != 404:  # noqa: PLR2004 - HTTP
                    raise
                continue
            if any(item["name"] == resource.plural for item in listing["resources"]):
                return resource
        await asyncio.sleep(ASK_SECONDS)


async def make(client: Client, switches: Switches) -> DynamoStandIn:
    """Return the stand-in, as `program` wants it."""
    return DynamoStandIn(client, switches)


if __name__ == "__main__":
    program.main("dynamo", make, __doc__)
