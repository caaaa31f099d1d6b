"""Paths of kinds, objects and subresources."""

from __future__ import annotations

import pytest

from kubeairunway.objects.resources import Resource

POD = Resource("", "v1", "Pod", "pods")
NODE = Resource("", "v1", "Node", "nodes", namespaced=False)
DEPLOYMENT = Resource("apps", "v1", "Deployment", "deployments")
ROLE = Resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)


@pytest.mark.parametrize(
    ("resource", "address", "path"),
    [
        pytest.param(POD, (), "/api/v1/pods", id="core collection over all namespaces"),
        pytest.param(POD, ("ns",), "/api/v1/namespaces/ns/pods", id="collection of a namespace"),
        pytest.param(POD, ("ns", "a", "status"), "/api/v1/namespaces/ns/pods/a/status", id="subresource"),
        pytest.param(DEPLOYMENT, ("ns", "a"), "/apis/apps/v1/namespaces/ns/deployments/a", id="object of a group"),
        pytest.param(NODE, ("ignored", "n1"), "/api/v1/nodes/n1", id="cluster-scoped kinds take no namespace"),
        pytest.param(NODE, (None, "n1"), "/api/v1/nodes/n1", id="cluster-scoped object"),
        pytest.param(
            ROLE,
            (None, "system:x/../y"),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:x%2F..%2Fy",
            id="quoted",
        ),
    ],
)
def test_a_path_names_exactly_what_was_asked_for(
    resource: Resource, address: tuple[str | None, ...], path: str
) -> None:
    assert resource.path(*address) == path


@pytest.mark.parametrize(
    "address",
    [
        pytest.param(("ns", ""), id="an empty name would be the collection"),
        pytest.param(("ns", ".."), id="the parent"),
        pytest.param(("..", "a"), id="the parent as namespace"),
        pytest.param((None, "a"), id="a namespaced name without its namespace"),
        pytest.param(("ns", None, "status"), id="a subresource of nothing"),
    ],
)
def test_an_address_that_would_hit_something_else_is_refused(address: tuple[str | None, ...]) -> None:
    with pytest.raises(ValueError, match=r"Pod|no name"):
        POD.path(*address)


def test_api_versions_are_written_as_in_objects() -> None:
    assert (POD.api_version, DEPLOYMENT.api_version) == ("v1", "apps/v1")


@pytest.mark.parametrize("name", ["a/b", "../b", "a?b", "a%b", "A b"])
def test_no_name_can_leave_its_place_in_the_path(name: str) -> None:
    path = POD.path("ns", name)
    assert path.startswith("/api/v1/namespaces/ns/pods/")
    assert "/" not in path.removeprefix("/api/v1/namespaces/ns/pods/")
    assert "?" not in path
