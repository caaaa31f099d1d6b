"""The API server with our CRDs, and ways to ask it: kubectl as a user would, and the client for exact answers."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kubeairunway.kube.client import Client
from kubeairunway.kube.config import load_config
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.objects.resources import Resource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kubeairunway_dev.controlplane import Cluster

CRDS = Path(__file__).parents[3] / "crds"
NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False)

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


@pytest.fixture(scope="session")
def plane(api_server: Cluster) -> Cluster:
    """etcd and API server, with our CRDs: all that these tests need."""
    api_server.install_crds([CRDS])
    return api_server


@pytest.fixture
async def client(plane: Cluster) -> AsyncIterator[Client]:
    transport = open_transport(load_config(plane.kubeconfig))
    yield Client(transport)
    await transport.close()


@pytest.fixture
def space(plane: Cluster) -> Iterator[str]:
    """The name of a fresh namespace."""
    name = f"crds-{os.getpid()}-{next(_numbers)}"
    plane.kubectl("create", "namespace", name)
    yield name
    plane.kubectl("delete", "modeldeployments", "--all", "-n", name)
