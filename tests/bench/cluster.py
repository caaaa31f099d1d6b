"""The cluster that is measured: etcd and API server, our CRDs, and those of the providers that are measured."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.kube.client import Client
from kubeairunway.kube.config import load_config
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.model.crd import crd_yaml
from kubeairunway.objects.resources import Resource
from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS, installation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator, Mapping
    from pathlib import Path

    from tests.bench.targets import Target

DEPLOYMENTS = Resource("kubeairunway.ai", "v1alpha1", "ModelDeployment", "modeldeployments", namespaced=True)
NAMESPACES = Resource("", "v1", "Namespace", "namespaces", namespaced=False)

CONTROLLER_NAMESPACE: Final = "kubeairunway-system"
ACCOUNT: Final = f"system:serviceaccount:{CONTROLLER_NAMESPACE}:controller"
"""The controller's user in the audit log, where there is one."""

QUIET: Final = 5.0
"""Seconds without a request that count as the end of the work: a status text may wait for 2."""

ALWAYS: Final = ("leases", "inferenceproviderconfigs")
"""What an idle controller writes, by design."""


@contextmanager
def measured_cluster(targets: Collection[Target], *, audit: bool = False) -> Iterator[ControlPlane]:
    """Start the API server and etcd with our CRDs, the targets' CRDs, and upstream operators that are ready.

    Kubernetes' own controllers do not run: nothing makes pods, and nothing collects garbage.
    """
    endings = tuple(ending for target in targets for ending in target.crds)
    upstream = [path for path in sorted(CRDS.iterdir()) if path.name.endswith(endings)]
    with ControlPlane(controller_manager=False, scheduler=False, audit=audit) as cluster:
        cluster.install_crds([crd_yaml(), *upstream])
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": CONTROLLER_NAMESPACE}})
        for operator in {target.operator.name: target.operator for target in targets if target.operator}.values():
            cluster.apply(*(body for _, body in installation.make_objects(operator)))
            path = f"/apis/apps/v1/namespaces/{operator.namespace}/deployments/{operator.name}"
            live = cluster.request("GET", path).json
            cluster.request("PUT", f"{path}/status", {**live, **installation.READY})
        yield cluster


def make_account(cluster: ControlPlane) -> Path:
    """A kubeconfig for the controller alone, so that its requests can be told from others' in the audit log."""
    path = cluster.service_account_kubeconfig(CONTROLLER_NAMESPACE, "controller")
    account = f"--serviceaccount={CONTROLLER_NAMESPACE}:controller"
    cluster.kubectl("create", "clusterrolebinding", "controller", "--clusterrole=cluster-admin", account)
    return path


@asynccontextmanager
async def open_client(kubeconfig: Path) -> AsyncIterator[Client]:
    """Yield a client of our own machinery: the same that the controller uses."""
    transport = open_transport(load_config(kubeconfig))
    try:
        yield Client(transport)
    finally:
        await transport.close()


Requests = Counter[tuple[str, str]]
_SAMPLE = re.compile(r"^apiserver_request_total\{(.*)\} ([0-9.e+]+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
UPSTREAM = ("workspaces", "inferencesets", "dynamographdeployments", "rayservices", "rayclusters", "deployments")
OURS = ("modeldeployments", "inferenceproviderconfigs", "leases", "events", "configmaps", "services", *UPSTREAM)


async def count_requests(client: Client) -> Requests:
    """Requests so far by (verb, resource[/subresource]), from the API server's own metrics; watches are left out."""
    answer = await client.transport.request("GET", "/metrics", accept="text/plain")
    found: Requests = Counter()
    for line in answer.body.decode().splitlines():
        match = _SAMPLE.match(line)
        if match is None:
            continue
        labels: Mapping[str, Any] = dict(_LABEL.findall(match[1]))
        if labels["resource"] in OURS and labels["verb"] != "WATCH":
            name = "/".join(part for part in (labels["resource"], labels["subresource"]) if part)
            found[labels["verb"], name] += int(float(match[2]))
    return found


async def settle(client: Client, limit: float) -> Requests:
    """Wait until nothing is said about deployments any more, events included; the counts then.

    Raises TimeoutError after `limit` seconds.
    """
    before = await count_requests(client)
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        await asyncio.sleep(QUIET)
        now = await count_requests(client)
        if not {name for _, name in now - before if name.partition("/")[0] not in ALWAYS}:
            return now
        before = now
    raise TimeoutError(f"requests about deployments did not end within {limit:.0f} s")
