"""A stand-in for the KAITO operator: does to Workspaces and InferenceSets what the real one does, without models.

    python -m kubeairunway_dev.standins.kaito --kubeconfig FILE [--delay SECONDS] [--pods]

A Workspace is ready `delay` seconds after each change of its spec and, with `--pods`, not before its pods are.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kubeairunway.errors import ApiError
from kubeairunway.kube.client import Client
from kubeairunway.kube.config import load_config
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.kube.informer import EventKind, Informer
from kubeairunway.kube.workqueue import WorkQueue
from kubeairunway.objects.conditions import find_condition
from kubeairunway_dev.standins import kaito_objects as kaito
from kubeairunway_dev.standins.kaito_objects import Stage

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kubeairunway.objects.resources import Json, Resource

Key = tuple[str, str, str]
"""Kind, namespace, name."""

WORKERS = 4

log = logging.getLogger(__name__)


class KaitoStandIn:
    """Reconciles the KAITO objects of a cluster until it is cancelled."""

    def __init__(self, client: Client, *, delay: float = 0.5, pods: bool = False) -> None:
        self._client = client
        self._delay = delay
        self._pods = pods
        self._queue: WorkQueue[Key] = WorkQueue(WORKERS, self._handle)
        self._workspaces = Informer(client, kaito.WORKSPACE, indexes={"set": list_sets}, on_event=self._on_workspace)
        self._sets = Informer(client, kaito.INFERENCE_SET, on_event=partial(self._add, kaito.INFERENCE_SET))
        self._stateful_sets = Informer(
            client, kaito.STATEFUL_SET, labels=kaito.WORKSPACE_LABEL, on_event=self._on_owned
        )
        self._pod_informer = Informer(
            client, kaito.POD, labels=kaito.WORKSPACE_LABEL, indexes={"workspace": list_workspaces}
        )
        self._informers = {kaito.WORKSPACE.kind: self._workspaces, kaito.INFERENCE_SET.kind: self._sets}
        self._seen: dict[str, tuple[int, float]] = {}
        """By uid: a Workspace's newest generation, and when it was first seen, on the event loop's clock."""

        self._written: dict[str, int] = {}
        """By uid: the resourceVersion of our last status write; what the cache holds until then is out of date."""

        self._served: set[str] = set()
        """Uids of the Workspaces whose Service (and pods) were made."""

        self._unseen: dict[str, dict[str, Json]] = {}
        """Children by set that were created and have not come back from the API server's watch."""

    async def run(self) -> None:
        """Install the operator's own Deployment, then reconcile until cancelled."""
        has_nodes = await self._install()
        informers = [self._workspaces, self._sets]
        if self._pods:
            informers += [self._stateful_sets, self._pod_informer]
        async with asyncio.TaskGroup() as group:
            for informer in informers:
                group.create_task(informer.run())
            if not has_nodes:
                group.create_task(self._play_kubelet())
            for informer in informers:
                # KAITO before 0.11 serves no InferenceSet: that informer ends instead of synchronising.
                while not informer.has_synced and not informer.gone:
                    await informer.wait_synced(0.1)
            self._queue.start()
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await self._queue.stop(0)

    async def _install(self) -> bool:
        """Make the operator's Deployment; return whether there are nodes that run its pod."""
        for resource, body in kaito.make_operator():
            await self._create(resource, body)
        async for page in self._client.list_pages(kaito.NODE, limit=1, metadata_only=True):
            return bool(page.items)
        return False

    async def _play_kubelet(self) -> None:
        """Make the operator ready where no node does: its Deployment, and its pods if a controller makes them."""
        name, namespace = kaito.OPERATOR_NAME, kaito.OPERATOR_NAMESPACE
        ready = kaito.DEPLOYMENT_READY
        await self._client.merge_patch(kaito.DEPLOYMENT, name, namespace, ready, subresource="status")
        labels = f"app.kubernetes.io/instance={name}"
        add = partial(self._add, kaito.POD)
        pods = Informer(self._client, kaito.POD, namespace=namespace, labels=labels, on_event=add)
        self._informers[kaito.POD.kind] = pods
        await pods.run()

    async def _make_pod_ready(self, pod: Json) -> None:
        ready = find_condition(pod["status"].get("conditions"), "Ready")
        if ready is None or ready["status"] != "True":
            meta = pod["metadata"]
            await self._client.merge_patch(
                kaito.POD,
                meta["name"],
                meta["namespace"],
                kaito.make_ready_pod(datetime.now(UTC)),
                subresource="status",
            )

    async def _create(self, resource: Resource, body: Json) -> Json | None:
        """Create an object and return it; None if one of that name exists already."""
        try:
            return await self._client.create(resource, body)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            return None

    def _add(self, resource: Resource, _kind: EventKind, old: Json | None, new: Json | None) -> None:
        item = new or old
        if item is not None:
            # Not item["kind"]: the items of a list of pods do not say what they are.
            self._queue.add((resource.kind, item["metadata"]["namespace"], item["metadata"]["name"]))

    def _on_workspace(self, kind: EventKind, old: Json | None, new: Json | None) -> None:
        self._add(kaito.WORKSPACE, kind, old, new)
        for item in filter(None, (old, new)):
            for key in list_sets(item):
                self._unseen.get(key, {}).pop(item["metadata"]["uid"], None)
                namespace, _, name = key.partition("/")
                self._queue.add((kaito.INFERENCE_SET.kind, namespace, name))

    def _on_owned(self, _kind: EventKind, old: Json | None, new: Json | None) -> None:
        item = new or old
        if item is not None:
            meta = item["metadata"]
            self._queue.add((kaito.WORKSPACE.kind, meta["namespace"], meta["labels"][kaito.WORKSPACE_LABEL]))

    async def _handle(self, key: Key) -> float | None:
        """Reconcile one object; return seconds until it wants to be looked at again."""
        kind, namespace, name = key
        item = self._informers[kind].get(namespace, name)
        if item is None:
            self._queue.forget(key)
            return None
        try:
            if kind == kaito.WORKSPACE.kind:
                return await self._reconcile_workspace(item)
            if kind == kaito.INFERENCE_SET.kind:
                await self._reconcile_set(item)
            else:
                await self._make_pod_ready(item)
        except ApiError as error:
            # Deleted or written since it was read: the next event brings the key back.
            if error.status not in {404, 409}:
                raise
        return None

    async def _reconcile_workspace(self, workspace: Json) -> float | None:
        uid = workspace["metadata"]["uid"]
        if "deletionTimestamp" in workspace["metadata"]:
            self._served.discard(uid)
            self._seen.pop(uid, None)
            self._written.pop(uid, None)
        if not await self._hold(kaito.WORKSPACE, workspace, kaito.WORKSPACE_FINALIZER):
            return None
        await self._ensure_workload(workspace)
        stage, remaining = self._find_stage(workspace)
        reason = self._find_reason(workspace) if stage is Stage.NO_INFERENCE else None
        status = kaito.make_workspace_status(workspace, stage, datetime.now(UTC), reason)
        await self._write_status(kaito.WORKSPACE, workspace, status)
        return remaining

    async def _ensure_workload(self, workspace: Json) -> None:
        """Make the Service and, where wanted, the pods, once."""
        uid = workspace["metadata"]["uid"]
        if uid in self._served:
            return
        await self._create(kaito.SERVICE, kaito.make_service(workspace))
        if self._pods and "inference" in workspace:
            await self._create(kaito.STATEFUL_SET, kaito.make_stateful_set(workspace))
        self._served.add(uid)

    def _find_stage(self, workspace: Json) -> tuple[Stage, float | None]:
        """Return how far a Workspace is, and the seconds until that may change by time alone."""
        elapsed = self._delay if self._is_settled(workspace) else self._measure(workspace)
        if elapsed < self._delay / 2:
            return Stage.NO_NODES, self._delay / 2 - elapsed
        if elapsed < self._delay:
            return Stage.NO_INFERENCE, self._delay - elapsed
        return (Stage.READY if self._has_pods(workspace) else Stage.NO_INFERENCE), None

    def _is_settled(self, workspace: Json) -> bool:
        """Return whether this revision was ready before, perhaps written by an earlier run of this program."""
        status, generation = workspace.get("status", {}), workspace["metadata"]["generation"]
        succeeded = find_condition(status.get("conditions"), "WorkspaceSucceeded")
        return kaito.is_ready(workspace) and succeeded is not None and succeeded["observedGeneration"] == generation

    def _measure(self, workspace: Json) -> float:
        """Return the seconds since this revision of a Workspace was first seen."""
        meta = workspace["metadata"]
        now = asyncio.get_running_loop().time()
        generation, since = self._seen.get(meta["uid"], (0, now))
        if generation != meta["generation"]:
            since = now
            self._seen[meta["uid"]] = (meta["generation"], now)
        return now - since

    def _has_pods(self, workspace: Json) -> bool:
        """Return whether a Workspace's pods are ready; true where none are run."""
        if not self._pods:
            return True
        meta = workspace["metadata"]
        stateful_set = self._stateful_sets.get(meta["namespace"], meta["name"])
        if stateful_set is None:
            return False
        return bool(stateful_set["spec"]["replicas"] == stateful_set.get("status", {}).get("readyReplicas", 0))

    def _find_reason(self, workspace: Json) -> tuple[str, str] | None:
        """Return why a Workspace's pods do not run, where the scheduler says it."""
        meta = workspace["metadata"]
        return kaito.find_unschedulable(self._pod_informer.by_index("workspace", f"{meta['namespace']}/{meta['name']}"))

    async def _reconcile_set(self, inference_set: Json) -> None:
        meta = inference_set["metadata"]
        key = f"{meta['namespace']}/{meta['name']}"
        children = [*self._workspaces.by_index("set", key), *self._unseen.get(key, {}).values()]
        if "deletionTimestamp" in meta:
            self._unseen.pop(key, None)
            self._written.pop(meta["uid"], None)
            await self._delete_all(children)
        if not await self._hold(kaito.INFERENCE_SET, inference_set, kaito.SET_FINALIZER):
            return
        desired = inference_set["spec"].get("replicas", 1)
        await self._delete_all(kaito.choose_surplus(children, desired))
        for _ in range(desired - len(children)):
            child = await self._client.create(kaito.WORKSPACE, kaito.make_child(inference_set))
            # Its event may have overtaken the answer.
            if self._workspaces.get(meta["namespace"], child["metadata"]["name"]) is None:
                self._unseen.setdefault(key, {})[child["metadata"]["uid"]] = child
        await self._label_all(children, inference_set["spec"]["template"].get("metadata", {}).get("labels", {}))
        status = kaito.make_set_status(inference_set, children, datetime.now(UTC))
        await self._write_status(kaito.INFERENCE_SET, inference_set, status)

    async def _delete_all(self, children: list[Json]) -> None:
        for child in children:
            meta = child["metadata"]
            if "deletionTimestamp" not in meta:
                await self._client.delete(kaito.WORKSPACE, meta["name"], meta["namespace"], uid=meta["uid"])

    async def _label_all(self, children: list[Json], labels: dict[str, str]) -> None:
        """Add the template's labels to children that lack them; labels taken from the template stay on the children."""
        for child in children:
            meta = child["metadata"]
            if labels.items() - meta.get("labels", {}).items():
                patch = {"metadata": {"labels": labels}}
                await self._client.merge_patch(kaito.WORKSPACE, meta["name"], meta["namespace"], patch)

    async def _hold(self, resource: Resource, item: Json, finalizer: str) -> bool:
        """Return whether an object is alive and carries our finalizer.

        Puts the finalizer on a new object, takes it off one that is being deleted; that write's own event brings the
        key back.
        """
        meta = item["metadata"]
        finalizers = meta.get("finalizers", [])
        deleting = "deletionTimestamp" in meta
        if deleting and finalizer in finalizers:
            wanted = [other for other in finalizers if other != finalizer]
        elif not deleting and finalizer not in finalizers:
            wanted = [*finalizers, finalizer]
        else:
            return not deleting
        patch = {"metadata": {"finalizers": wanted, "resourceVersion": meta["resourceVersion"]}}
        await self._client.merge_patch(resource, meta["name"], meta["namespace"], patch)
        return False

    async def _write_status(self, resource: Resource, item: Json, status: Json) -> None:
        meta = item["metadata"]
        patch = kaito.make_patch(item.get("status", {}), status)
        is_stale = int(meta["resourceVersion"]) < self._written.get(meta["uid"], 0)
        if patch is not None and not is_stale:
            answer = await self._client.merge_patch(
                resource, meta["name"], meta["namespace"], patch, subresource="status"
            )
            self._written[meta["uid"]] = int(answer["metadata"]["resourceVersion"])
            log.info("%s %s/%s: %s", resource.kind, meta["namespace"], meta["name"], describe(status))


def describe(status: Json) -> str:
    """Return a status in a few words, for the log."""
    if "state" in status:
        return str(status["state"])
    return str(status["conditions"][0]["message"])


def list_sets(workspace: Json) -> list[str]:
    """Return the InferenceSet ("namespace/name") that made a Workspace, if one did."""
    meta = workspace["metadata"]
    name = meta.get("labels", {}).get(kaito.CREATED_BY)
    return [f"{meta['namespace']}/{name}"] if name else []


def list_workspaces(pod: Json) -> list[str]:
    """Return the Workspace ("namespace/name") that a pod belongs to."""
    meta = pod["metadata"]
    return [f"{meta['namespace']}/{meta['labels'][kaito.WORKSPACE_LABEL]}"]


@contextlib.asynccontextmanager
async def open_client(kubeconfig: Path | None) -> AsyncIterator[Client]:
    """Yield a client with our own field manager, closed afterwards."""
    transport = open_transport(load_config(kubeconfig))
    try:
        yield Client(transport, field_manager="kaito-stand-in")
    finally:
        await transport.close()


async def run(kubeconfig: Path | None, *, delay: float, pods: bool, stop: asyncio.Event | None = None) -> None:
    """Play KAITO until `stop` is set, or for ever."""
    async with open_client(kubeconfig) as client:
        task = asyncio.create_task(KaitoStandIn(client, delay=delay, pods=pods).run())
        stopped = asyncio.create_task((stop or asyncio.Event()).wait())
        await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not task.done():
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def run_until_signal(options: argparse.Namespace) -> None:
    """Play KAITO until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    await run(options.kubeconfig, delay=options.delay, pods=options.pods, stop=stop)


def main() -> None:
    """Run the stand-in as a program."""
    parser = argparse.ArgumentParser(prog="python -m kubeairunway_dev.standins.kaito", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, help="default: KUBECONFIG")
    parser.add_argument("--delay", type=float, default=0.5, metavar="SECONDS", help="from change to ready; default 0.5")
    parser.add_argument("--pods", action="store_true", help="run pods too (needs nodes); ready not before they are")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s kaito stand-in: %(message)s")
    asyncio.run(run_until_signal(options))


if __name__ == "__main__":
    main()
