"""The cluster that is measured: etcd and API server, our CRDs, and KAITO's Workspace alone, so one object each."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import contextmanager
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from kubeairunway.kube.client import Client
from kubeairunway.kube.config import load_config
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.model.crd import crd_yaml
from kubeairunway.objects.resources import Resource
from kubeairunway_dev.controlplane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

DEPLOYMENTS = Resource("kubeairunway.ai", "v1alpha1", "ModelDeployment", "modeldeployments", namespaced=True)
WORKSPACES = Resource("kaito.sh", "v1beta1", "Workspace", "workspaces", namespaced=True)
NAMESPACES = Resource("", "v1", "Namespace", "namespaces", namespaced=False)

OPERATOR = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "kaito-workspace", "namespace": "default", "labels": {"app.kubernetes.io/name": "workspace"}},
    "spec": {
        "selector": {"matchLabels": {"app": "kaito"}},
        "template": {
            "metadata": {"labels": {"app": "kaito"}},
            "spec": {"containers": [{"name": "operator", "image": "stand-in"}]},
        },
    },
}
"""The upstream operator's Deployment as a stand-in: nothing runs here, its status says one replica is ready."""

LEASE_NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kubeairunway-system"}}


@contextmanager
def measured_cluster() -> Iterator[ControlPlane]:
    """Start the API server and etcd with our CRDs, the Workspace CRD and a ready upstream operator."""
    standins = files("kubeairunway_dev.standins") / "crds"
    workspace = next(item for item in standins.iterdir() if "workspaces" in item.name)
    with ControlPlane(controller_manager=False, scheduler=False) as cluster:
        cluster.install_crds([crd_yaml(), workspace.read_text()])
        cluster.apply(OPERATOR, LEASE_NAMESPACE)
        status = {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "observedGeneration": 1}
        path = "/apis/apps/v1/namespaces/default/deployments/kaito-workspace"
        live = cluster.request("GET", path).json
        cluster.request("PUT", f"{path}/status", {**live, "status": status})
        yield cluster


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
OURS = ("modeldeployments", "workspaces", "inferenceproviderconfigs", "leases", "events", "configmaps", "services")


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
