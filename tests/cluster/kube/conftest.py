"""The real API server for the machinery's tests, and a client whose transport can be made to fail."""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.kube.client import Client
from kubeairunway.kube.config import load_config
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.objects.resources import Json, Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.core.kube.faults import FaultyTransport

    from kubeairunway_dev.controlplane import Cluster

NAMESPACES = Resource("", "v1", "Namespace", "namespaces", namespaced=False)

_numbers = itertools.count(1)


def _load_faults() -> Any:
    """Load the faults beside the unit tests: in importlib mode tests are no packages that import each other."""
    path = Path(__file__).parents[2] / "core" / "kube" / "faults.py"
    spec = importlib.util.spec_from_file_location("kube_faults", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kube_faults"] = module
    spec.loader.exec_module(module)
    return module


_FAULTS = _load_faults()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def faults() -> Any:
    return _FAULTS


@pytest.fixture(scope="session")
def plane(api_server: Cluster) -> Cluster:
    """etcd and API server are enough here: no test needs a pod."""
    return api_server


@pytest.fixture
async def transport(plane: Cluster) -> AsyncIterator[FaultyTransport]:
    made: FaultyTransport = _FAULTS.FaultyTransport(open_transport(load_config(plane.kubeconfig)))
    yield made
    await made.close()


@pytest.fixture
def client(transport: FaultyTransport) -> Client:
    return Client(transport)


@pytest.fixture
async def ns(client: Client) -> str:
    """The name of a fresh namespace."""
    name = f"kube-{os.getpid()}-{next(_numbers)}"
    body: Json = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await client.create(NAMESPACES, body)
    return name


@pytest.fixture(scope="session")
def widgets(plane: Cluster) -> Iterator[Resource]:
    """A small CRD of our own with a status subresource."""
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.machinery.test"},
        "spec": {
            "group": "machinery.test",
            "scope": "Namespaced",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
            "versions": [version],
        },
    }
    plane.apply(crd)
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd/widgets.machinery.test")
    yield Resource("machinery.test", "v1", "Widget", "widgets")
    plane.kubectl("delete", "crd", "widgets.machinery.test", "--ignore-not-found", "--wait=false")
