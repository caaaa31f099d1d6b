"""A stand-in for the KAITO operator: does to Workspaces and InferenceSets what the real one does, without models.

    python -m kubeairunway_dev.standins.kaito --kubeconfig FILE [--delay SECONDS] [--pods]

A Workspace is ready `delay` seconds after each change of its spec and, with `--pods`, not before its pods are.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kubeairunway_dev.standins import kaito_objects as kaito
from kubeairunway_dev.standins import pods, program
from kubeairunway_dev.standins.kaito_objects import Stage
from kubeairunway_dev.standins.resources import POD, SERVICE, STATEFUL_SET
from kubeairunway_dev.standins.standin import Key, StandIn

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeairunway.kube.client import Client
    from kubeairunway.objects.resources import Json
    from kubeairunway_dev.standins.switches import Switches


class KaitoStandIn(StandIn):
    """Reconciles the KAITO objects of a cluster until it is cancelled."""

    def __init__(self, client: Client, switches: Switches) -> None:
        super().__init__(client, switches, kaito.OPERATOR)
        self._workspaces = self.watch(
            kaito.WORKSPACE, self._reconcile_workspace, indexes={"set": list_sets}, touches=touch_sets
        )
        self._sets = self.watch(kaito.INFERENCE_SET, self._reconcile_set, touches=self._touch_children)
        if switches.pods:
            label = kaito.WORKSPACE_LABEL
            self._stateful_sets = self.watch(STATEFUL_SET, labels=label, touches=touch_workspace)
            self._pods = self.watch(POD, labels=label, indexes={"workspace": list_workspaces}, touches=touch_workspace)
        self._served: set[str] = set()
        """Uids of the Workspaces whose Service (and pods) were made."""

    def _touch_children(self, inference_set: Json) -> Iterator[Key]:
        """A set's annotations are its children's as well."""
        meta = inference_set["metadata"]
        for child in self._workspaces.by_index("set", f"{meta['namespace']}/{meta['name']}"):
            yield kaito.WORKSPACE.kind, meta["namespace"], child["metadata"]["name"]

    async def _reconcile_workspace(self, workspace: Json) -> float | None:
        if "deletionTimestamp" in workspace["metadata"]:
            self._served.discard(workspace["metadata"]["uid"])
        if not await self.hold(kaito.WORKSPACE, workspace, kaito.WORKSPACE_FINALIZER):
            return None
        await self._ensure_workload(workspace)
        stage, reason, remaining = self._judge(workspace)
        status = kaito.make_workspace_status(workspace, stage, datetime.now(UTC), reason)
        await self.write_status(kaito.WORKSPACE, workspace, status, status["state"])
        return remaining

    async def _ensure_workload(self, workspace: Json) -> None:
        """Make the Service and, where wanted, the pods, once."""
        uid = workspace["metadata"]["uid"]
        if uid in self._served:
            return
        await self.create(SERVICE, kaito.make_service(workspace))
        if self.switches.pods and "inference" in workspace:
            await self.create(STATEFUL_SET, kaito.make_stateful_set(workspace))
        self._served.add(uid)

    def _read_switches(self, workspace: Json) -> Switches:
        """Return a Workspace's switches: its own annotations, then its set's."""
        switches = self.switches
        for key in list_sets(workspace):
            namespace, _, name = key.partition("/")
            inference_set = self._sets.get(namespace, name)
            if inference_set is not None:
                switches = switches.read_for(inference_set)
        return switches.read_for(workspace)

    def _judge(self, workspace: Json) -> tuple[Stage, tuple[str, str] | None, float | None]:
        """Return how far a Workspace is, why not further, and the seconds until that may change by time alone."""
        switches = self._read_switches(workspace)
        if switches.fail:
            return Stage.FAILED, ("", switches.fail), None
        delay = switches.delay
        settled = kaito.is_settled(workspace)
        elapsed = delay if settled else self.measure(workspace, workspace["metadata"]["generation"])
        if elapsed < delay / 2:
            return Stage.NO_NODES, None, delay / 2 - elapsed
        if elapsed < delay:
            return Stage.NO_INFERENCE, None, delay - elapsed
        if self._has_pods(workspace):
            return Stage.READY, None, None
        return Stage.NO_INFERENCE, self._find_reason(workspace), None

    def _has_pods(self, workspace: Json) -> bool:
        """Return whether a Workspace's pods are ready; true where none are run."""
        if not self.switches.pods:
            return True
        meta = workspace["metadata"]
        stateful_set = self._stateful_sets.get(meta["namespace"], meta["name"])
        if stateful_set is None:
            return False
        return bool(stateful_set["spec"]["replicas"] == stateful_set.get("status", {}).get("readyReplicas", 0))

    def _find_reason(self, workspace: Json) -> tuple[str, str] | None:
        """Return why a Workspace's pods do not run, where the scheduler says it."""
        meta = workspace["metadata"]
        message = pods.find_unschedulable(self._pods.by_index("workspace", f"{meta['namespace']}/{meta['name']}"))
        return None if message is None else ("Unschedulable", message)

    async def _reconcile_set(self, inference_set: Json) -> None:
        meta = inference_set["metadata"]
        children = self._workspaces.by_index("set", f"{meta['namespace']}/{meta['name']}")
        if "deletionTimestamp" in meta:
            await self.delete_all(kaito.WORKSPACE, children)
        if not await self.hold(kaito.INFERENCE_SET, inference_set, kaito.SET_FINALIZER):
            return
        if await self.fill_in(kaito.INFERENCE_SET, inference_set, kaito.list_defaults(inference_set)):
            return
        desired = inference_set["spec"].get("replicas", 1)
        await self.delete_all(kaito.WORKSPACE, kaito.choose_surplus(children, desired))
        taken = {child["metadata"]["name"] for child in children}
        for body in kaito.make_children(inference_set, taken, desired - len(children)):
            await self.create(kaito.WORKSPACE, body)
        await self._label_all(children, inference_set["spec"]["template"].get("metadata", {}).get("labels", {}))
        status = kaito.make_set_status(inference_set, children, datetime.now(UTC))
        await self.write_status(kaito.INFERENCE_SET, inference_set, status, status["conditions"][0]["message"])

    async def _label_all(self, children: list[Json], labels: dict[str, str]) -> None:
        """Add the template's labels to children that lack them; labels taken from the template stay on the children."""
        for child in children:
            meta = child["metadata"]
            if labels.items() - meta.get("labels", {}).items():
                patch = {"metadata": {"labels": labels}}
                await self.client.merge_patch(kaito.WORKSPACE, meta["name"], meta["namespace"], patch)


def list_sets(workspace: Json) -> list[str]:
    """Return the InferenceSet ("namespace/name") that made a Workspace, if one did."""
    meta = workspace["metadata"]
    name = meta.get("labels", {}).get(kaito.CREATED_BY)
    return [f"{meta['namespace']}/{name}"] if name else []


def touch_sets(workspace: Json) -> Iterator[Key]:
    """Yield the key of the InferenceSet that made a Workspace."""
    for key in list_sets(workspace):
        namespace, _, name = key.partition("/")
        yield kaito.INFERENCE_SET.kind, namespace, name


def list_workspaces(pod: Json) -> list[str]:
    """Return the Workspace ("namespace/name") that a pod belongs to."""
    meta = pod["metadata"]
    return [f"{meta['namespace']}/{meta['labels'][kaito.WORKSPACE_LABEL]}"]


def touch_workspace(item: Json) -> Iterator[Key]:
    """Yield the key of the Workspace that a StatefulSet or pod belongs to."""
    meta = item["metadata"]
    yield kaito.WORKSPACE.kind, meta["namespace"], meta["labels"][kaito.WORKSPACE_LABEL]


async def make(client: Client, switches: Switches) -> KaitoStandIn:
    """Return the stand-in, as `program` wants it."""
    return KaitoStandIn(client, switches)


if __name__ == "__main__":
    program.main("kaito", make, __doc__)
