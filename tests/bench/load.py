"""The load: users who create deployments, an upstream that reports, and the same writes with no controller at all."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.bench.cluster import DEPLOYMENTS, NAMESPACES
from tests.bench.targets import WORKSPACE

from kubeairunway.model import names

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from tests.bench.targets import Target

    from kubeairunway.kube.client import Client

IN_FLIGHT = 16
"""Requests at once: where this API server is fastest (8 to 16)."""

Body = dict[str, Any]


async def make_namespace(client: Client, name: str) -> None:
    """Create the namespace of one burst."""
    await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})


async def run_all(work: Iterable[Callable[[], Awaitable[None]]]) -> float:
    """Run pieces of work, so many at a time; seconds it took."""
    pending = iter(work)

    async def worker() -> None:
        for piece in pending:
            await piece()

    began = time.monotonic()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return time.monotonic() - began


async def create_deployments(
    client: Client, namespace: str, numbers: Iterable[int], *, created: dict[str, float], target: Target = WORKSPACE
) -> float:
    """POST deployments of a target as a user would; note when each was answered. Seconds for all."""

    def piece(index: int) -> Callable[[], Awaitable[None]]:
        async def create() -> None:
            body = target.make_deployment(namespace, index)
            await client.create(DEPLOYMENTS, body)
            created[body["metadata"]["name"]] = time.monotonic()

        return create

    return await run_all(piece(index) for index in numbers)


async def repeat_writes(client: Client, namespace: str, samples: list[tuple[Body, Body]]) -> float:
    """The user's POST and then the three writes a controller makes, of the same content; seconds for all.

    `samples` are pairs of a deployment with its status and its Workspace, as a controller left them.
    """

    def piece(index: int, deployment: Body, workspace: Body) -> Callable[[], Awaitable[None]]:
        async def write() -> None:
            made = await client.create(DEPLOYMENTS, WORKSPACE.make_deployment(namespace, index))
            meta = made["metadata"]
            patch = {
                "metadata": {
                    "uid": meta["uid"],
                    "resourceVersion": meta["resourceVersion"],
                    "finalizers": [names.FINALIZER],
                }
            }
            made = await client.merge_patch(DEPLOYMENTS, meta["name"], namespace, patch)
            await client.create(WORKSPACE.primary, _move(workspace, namespace, made))
            meta = {key: made["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}
            await client.apply_status(
                DEPLOYMENTS,
                {
                    "apiVersion": names.API_VERSION,
                    "kind": names.MODEL_DEPLOYMENT,
                    "metadata": meta,
                    "status": deployment["status"],
                },
            )

        return write

    return await run_all(piece(index, *pair) for index, pair in enumerate(samples))


def _move(workspace: Body, namespace: str, owner: Body) -> Body:
    meta = workspace["metadata"]
    reference = {**meta["ownerReferences"][0], "uid": owner["metadata"]["uid"], "name": owner["metadata"]["name"]}
    kept = {key: meta[key] for key in ("labels", "annotations")}
    kept["annotations"] = {**kept["annotations"], names.OWNER_UID: owner["metadata"]["uid"]}
    body = {key: value for key, value in workspace.items() if key not in {"metadata", "status"}}
    return {
        **body,
        "metadata": {**kept, "name": owner["metadata"]["name"], "namespace": namespace, "ownerReferences": [reference]},
    }


async def report_ready(client: Client, namespace: str, name: str, generation: int = 1) -> float:
    """Write what KAITO writes when a Workspace is ready; the moment before the write."""
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    kinds = ("ResourceReady", "InferenceReady", "WorkspaceSucceeded")
    conditions = [
        {
            "type": kind,
            "status": "True",
            "reason": kind,
            "message": "",
            "observedGeneration": generation,
            "lastTransitionTime": moment,
        }
        for kind in kinds
    ]
    status = {"state": "Ready", "observedGeneration": generation, "conditions": conditions}
    began = time.monotonic()
    await client.merge_patch(WORKSPACE.primary, name, namespace, {"status": status}, subresource="status")
    return began
