"""A stand-in for KubeRay's operator: does to RayServices what the real one does, without Ray.

    python -m kubeairunway_dev.standins.kuberay --kubeconfig FILE [--delay SECONDS] [--pods]

A RayService's cluster is ready after half of `delay`, and its applications run after the rest; with `--pods`, not
before all pods of the cluster are ready. A change that wants a new cluster runs it beside the old one, which is deleted
`delay` seconds after the switch (or spec.rayClusterDeletionDelaySeconds; the real default is 60).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kubeairunway_dev.standins import kuberay_objects as ray
from kubeairunway_dev.standins import kuberay_status, kuberay_suspend, pods, program
from kubeairunway_dev.standins.kuberay_objects import RAY_CLUSTER, RAY_SERVICE, Pair
from kubeairunway_dev.standins.kuberay_status import DEPLOYING, FAILED, RUNNING, Nodes
from kubeairunway_dev.standins.kuberay_suspend import Suspension
from kubeairunway_dev.standins.resources import POD, SERVICE
from kubeairunway_dev.standins.standin import Key, StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeairunway.kube.client import Client
    from kubeairunway.objects.resources import Json
    from kubeairunway_dev.standins.switches import Switches


class KubeRayStandIn(StandIn):
    """Reconciles the RayServices and RayClusters of a cluster until it is cancelled."""

    def __init__(self, client: Client, switches: Switches) -> None:
        super().__init__(client, switches, ray.OPERATOR)
        self._services = self.watch(RAY_SERVICE, self._reconcile_service, touches=self._touch_clusters)
        self._clusters = self.watch(
            RAY_CLUSTER, self._reconcile_cluster, indexes={"service": list_services}, touches=touch_service
        )
        self._kube_services = self.watch(SERVICE, labels=ray.ORIGIN_KIND, touches=touch_service)
        if switches.pods:
            indexes = {"cluster": list_clusters}
            self._pods = self.watch(POD, labels=ray.CLUSTER, indexes=indexes, touches=touch_cluster)

    def _touch_clusters(self, service: Json) -> Iterator[Key]:
        """A service's annotations are its clusters' as well."""
        for cluster in self._find_clusters(service).values():
            yield RAY_CLUSTER.kind, cluster["metadata"]["namespace"], cluster["metadata"]["name"]

    def _find_clusters(self, service: Json) -> dict[str, Json]:
        """Return a service's clusters by name; one that is being deleted is none."""
        meta = service["metadata"]
        found = self._clusters.by_index("service", f"{meta['namespace']}/{meta['name']}")
        return {
            item["metadata"]["name"]: item
            for item in found
            if item["metadata"]["ownerReferences"][0]["uid"] == meta["uid"]
            and "deletionTimestamp" not in item["metadata"]
        }

    # ---- RayServices ----

    async def _reconcile_service(self, service: Json) -> float | None:
        if not await self.hold(RAY_SERVICE, service):
            return None
        if await self.fill_in(RAY_SERVICE, service, ray.list_defaults(service)):
            return None
        now = datetime.now(UTC)
        if objection := ray.find_objection(service):
            status = kuberay_status.make_refusal(service, objection, now)
            await self.write_status(RAY_SERVICE, service, status, objection)
            return None
        if (suspension := kuberay_suspend.find_suspension(service)) is not Suspension.NONE:
            await self._suspend(service, suspension, now)
            return None
        clusters = self._find_clusters(service)
        states, remaining = self._judge_all(service, clusters)
        serving = {name for name, state in states.items() if state == RUNNING}
        pair = ray.choose_pair(service, clusters, serving)
        if pair == ray.read_pair(service):
            await self._ensure_cluster(service, pair, clusters)
        if pair.active in serving:
            await self._point(service, pair.active)
        waiting = await self._clean_up(service, pair, clusters)
        status = self._make_status(service, pair, clusters, states)
        await self.write_status(RAY_SERVICE, service, status, describe(status))
        return min((seconds for seconds in (remaining, waiting) if seconds), default=None)

    async def _suspend(self, service: Json, suspension: Suspension, now: datetime) -> None:
        """Take a suspension one step further; that step's status brings the key back."""
        namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
        clusters = self._clusters.by_index("service", f"{namespace}/{name}")
        found = (self._kube_services.get(namespace, f"{name}-{part}-svc") for part in ("head", "serve"))
        services = [item for item in found if item is not None]
        if suspension is Suspension.UNDER_WAY:
            await self.delete_all(RAY_CLUSTER, clusters)
            await self.delete_all(SERVICE, services)
        status = kuberay_suspend.make_status(service, suspension, now, empty=not clusters and not services)
        await self.write_status(RAY_SERVICE, service, status, f"suspension {suspension.value}")

    def _judge_all(self, service: Json, clusters: dict[str, Json]) -> tuple[dict[str, str], float]:
        """Return the state of the applications on the newest cluster, and the seconds until it may change.

        KubeRay says nothing of the applications of an older cluster, nor of one whose head is not ready.
        """
        switches, pair = self.switches.read_for(service), ray.read_pair(service)
        name = pair.pending or pair.active
        cluster = clusters.get(name)
        if cluster is None or not kuberay_status.is_head_ready(cluster):
            return {}, 0.0
        if switches.fail:
            return {name: FAILED}, 0.0
        elapsed = self.measure(cluster, service["spec"].get("serveConfigV2", ""), "serve")
        settled = name == pair.active and kuberay_status.is_settled(service)
        left = 0.0 if settled else max(0.0, switches.delay / 2 - elapsed)
        runs = kuberay_status.is_complete(cluster) and not left
        return {name: RUNNING if runs else DEPLOYING}, left

    async def _ensure_cluster(self, service: Json, pair: Pair, clusters: dict[str, Json]) -> None:
        """Make or scale the newest cluster; it is made only once the status names it, so that none is forgotten."""
        name = pair.pending or pair.active
        live = clusters.get(name)
        if live is None or ray.suits(live, service["spec"]["rayClusterConfig"]):
            await self.settle(RAY_CLUSTER, ray.make_cluster(service, name), live)

    async def _point(self, service: Json, cluster: str) -> None:
        """Let the Services lead to a cluster."""
        for body in ray.make_services(service, cluster):
            meta = body["metadata"]
            await self.settle(SERVICE, body, self._kube_services.get(meta["namespace"], meta["name"]))

    async def _clean_up(self, service: Json, pair: Pair, clusters: dict[str, Json]) -> float:
        """Delete clusters that are neither active nor pending, after a while; return the seconds until the next."""
        default = self.switches.read_for(service).delay
        delay = float(service["spec"].get(ray.DELETION_DELAY, default))
        waiting = 0.0
        for name, cluster in clusters.items():
            if name in {pair.active, pair.pending}:
                continue
            left = delay - self.measure(cluster, "dangling", "deletion")
            if left <= 0:
                await self.delete_all(RAY_CLUSTER, [cluster])
            waiting = max(waiting, left)
        return waiting

    def _make_status(self, service: Json, pair: Pair, clusters: dict[str, Json], states: dict[str, str]) -> Json:
        message = self.switches.read_for(service).fail
        halves = {}
        for name in filter(None, (pair.active, pair.pending)):
            state = states.get(name) if name == (pair.pending or pair.active) else None
            words = message if state == FAILED else ""
            applications = kuberay_status.make_applications(service, state, words) if state else {}
            halves[name] = clusters.get(name), applications
        endpoints = kuberay_status.count_endpoints(clusters.get(self._find_target(service)))
        return kuberay_status.make_service_status(service, pair, halves, endpoints=endpoints, now=datetime.now(UTC))

    def _find_target(self, service: Json) -> str:
        """Return the cluster that the Service for models leads to; empty while there is no such Service."""
        meta = service["metadata"]
        found = self._kube_services.get(meta["namespace"], f"{meta['name']}-serve-svc")
        return "" if found is None else str(found["spec"]["selector"].get(ray.CLUSTER, ""))

    # ---- RayClusters ----

    async def _reconcile_cluster(self, cluster: Json) -> float | None:
        if "deletionTimestamp" in cluster["metadata"]:
            return None
        if "status" not in cluster:
            await self.create(SERVICE, ray.make_head_service(cluster))
        left = self._measure_left(cluster)
        nodes = await self._run_pods(cluster, left) if self.switches.pods else play_pods(cluster, left)
        head = next(ray.plan_pods(cluster)).name if self.switches.pods else ""
        status = kuberay_status.make_cluster_status(cluster, nodes, datetime.now(UTC), head=head)
        await self.write_status(RAY_CLUSTER, cluster, status, f"{nodes.workers} workers ready")
        return left or None

    def _measure_left(self, cluster: Json) -> float:
        """Return the seconds until the pods of a cluster's newest revision may be ready.

        Real pods of a cluster that was complete once take their own time.
        """
        meta = cluster["metadata"]
        elapsed = self.measure(cluster, meta["generation"])
        if kuberay_status.is_complete(cluster) or (self.switches.pods and kuberay_status.is_provisioned(cluster)):
            return 0.0
        service = self._services.get(meta["namespace"], meta.get("labels", {}).get(ray.ORIGIN_NAME, ""))
        switches = self.switches if service is None else self.switches.read_for(service)
        return max(0.0, switches.delay / 2 - elapsed)

    async def _run_pods(self, cluster: Json, left: float) -> Nodes:
        """Make and delete pods, and count those that are ready."""
        meta = cluster["metadata"]
        found = self._pods.by_index("cluster", f"{meta['namespace']}/{meta['name']}")
        live = {pod["metadata"]["name"]: pod for pod in found}
        plans = {plan.name: plan for plan in ray.plan_pods(cluster)}
        await self.delete_all(POD, [pod for name, pod in live.items() if name not in plans])
        for name, plan in plans.items():
            if name not in live:
                await self.create(POD, ray.make_pod(cluster, plan))
        trouble = pods.find_unschedulable(live.values()) or ""
        if left:
            return Nodes(trouble=trouble)
        ready = [plans[name].group for name, pod in live.items() if name in plans and pods.is_ready(pod)]
        head = ray.HEAD_GROUP in ready
        return Nodes(head, len(ready) - head, trouble)


def play_pods(cluster: Json, left: float) -> Nodes:
    """Return pods that nobody runs: until the new ones are ready, those of the scale before serve on."""
    desired = kuberay_status.count_desired(cluster)
    if not left:
        return Nodes(head=True, workers=desired)
    serving = cluster.get("status", {}).get("readyWorkerReplicas", 0)
    return Nodes(kuberay_status.is_head_ready(cluster), min(serving, desired))


def list_services(cluster: Json) -> list[str]:
    """Return the RayService ("namespace/name") that a cluster was made for, if it was."""
    meta = cluster["metadata"]
    labels = meta.get("labels", {})
    if labels.get(ray.ORIGIN_KIND) != RAY_SERVICE.kind:
        return []
    return [f"{meta['namespace']}/{labels[ray.ORIGIN_NAME]}"]


def list_clusters(pod: Json) -> list[str]:
    """Return the RayCluster ("namespace/name") that a pod belongs to."""
    meta = pod["metadata"]
    return [f"{meta['namespace']}/{meta['labels'][ray.CLUSTER]}"]


def touch_service(item: Json) -> Iterator[Key]:
    """Yield the key of the RayService that a RayCluster or Service was made for."""
    for key in list_services(item):
        namespace, _, name = key.partition("/")
        yield RAY_SERVICE.kind, namespace, name


def touch_cluster(pod: Json) -> Iterator[Key]:
    """Yield the key of the RayCluster that a pod belongs to."""
    meta = pod["metadata"]
    yield RAY_CLUSTER.kind, meta["namespace"], meta["labels"][ray.CLUSTER]


def describe(status: Json) -> str:
    """Return a RayService's status in a few words, for the log."""
    halves = {half: status[f"{half}ServiceStatus"].get("rayClusterName") for half in ("active", "pending")}
    named = ", ".join(f"{half} {name}" for half, name in halves.items() if name)
    return f"{status.get('serviceStatus', 'not running')}; {named}"


async def make(client: Client, switches: Switches) -> KubeRayStandIn:
    """Return the stand-in, as `program` wants it."""
    return KubeRayStandIn(client, switches)


if __name__ == "__main__":
    program.main("kuberay", make, __doc__)
