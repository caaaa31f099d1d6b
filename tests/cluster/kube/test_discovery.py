"""What the API server says it serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.errors import ApiError
from kubeairunway.kube.discovery import AGGREGATED, Discovery
from kubeairunway.objects.resources import Resource

if TYPE_CHECKING:
    from tests.core.kube.faults import FaultyTransport

    from kubeairunway.kube.client import Client
    from kubeairunway.kube.transport import Response
    from kubeairunway_dev.controlplane import Cluster

KINDS = [
    ("", "ConfigMap", Resource("", "v1", "ConfigMap", "configmaps")),
    ("", "Node", Resource("", "v1", "Node", "nodes", namespaced=False)),
    ("apps", "Deployment", Resource("apps", "v1", "Deployment", "deployments")),
    ("coordination.k8s.io", "Lease", Resource("coordination.k8s.io", "v1", "Lease", "leases")),
]


async def test_two_requests_tell_everything(client: Client, transport: FaultyTransport) -> None:
    discovery = Discovery(client)
    await discovery.refresh()
    assert len(transport.sent) == 2
    for group, kind, expected in KINDS:
        assert discovery.resource(group, kind, ["v1"]) == expected


async def test_the_first_served_version_wins(client: Client) -> None:
    discovery = Discovery(client)
    await discovery.refresh()
    found = discovery.resource("apps", "Deployment", ["v9", "v1", "v1beta1"])
    assert found is not None
    assert found.version == "v1"
    assert discovery.resource("apps", "Deployment", ["v9"]) is None
    assert discovery.resource("apps", "Nonsense", ["v1"]) is None
    assert discovery.resource("nobody.example", "Thing", ["v1"]) is None
    assert discovery.served("apps") == ("v1",)
    assert discovery.served("nobody.example") == ()


async def test_one_group_is_read_again_when_its_crd_comes_and_goes(client: Client, plane: Cluster) -> None:
    discovery = Discovery(client)
    await discovery.refresh()
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [
        {"name": name, "served": True, "storage": name == "v1", "schema": schema} for name in ("v1alpha1", "v1")
    ]
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "comets.passing.test"},
        "spec": {
            "group": "passing.test",
            "scope": "Cluster",
            "names": {"kind": "Comet", "plural": "comets"},
            "versions": versions,
        },
    }
    assert discovery.served("passing.test") == ()
    plane.apply(crd)
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/comets.passing.test")
    await discovery.refresh("passing.test")
    assert discovery.served("passing.test") == ("v1", "v1alpha1")
    found = discovery.resource("passing.test", "Comet", ["v1alpha1"])
    assert found == Resource("passing.test", "v1alpha1", "Comet", "comets", namespaced=False)
    plane.kubectl("delete", "crd", "comets.passing.test")
    await discovery.refresh("passing.test")
    assert discovery.served("passing.test") == ()


async def test_an_api_server_without_aggregated_discovery_gives_the_same_answers(
    client: Client, transport: FaultyTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    aggregated, plain = Discovery(client), Discovery(client)
    await aggregated.refresh()
    monkeypatch.setattr("kubeairunway.kube.discovery.AGGREGATED", "application/json")
    transport.sent.clear()
    await plain.refresh()
    assert len(transport.sent) > 10
    assert AGGREGATED != "application/json"
    for group, kind, expected in KINDS:
        assert plain.resource(group, kind, ["v1"]) == expected == aggregated.resource(group, kind, ["v1"])
    assert plain.served("apps") == aggregated.served("apps")


async def test_a_failing_refresh_keeps_what_was_known(client: Client, transport: FaultyTransport, faults: Any) -> None:
    discovery = Discovery(client)
    await discovery.refresh()

    async def forbid(send: Any) -> Response:
        del send
        answer: Response = faults.status_response(403, "Forbidden")
        return answer

    transport.plan(forbid, forbid)
    with pytest.raises(ApiError):
        await discovery.refresh()
    assert discovery.served("apps") == ("v1",)
