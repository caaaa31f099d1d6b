"""Fixtures over the embedded control plane; importing this module costs nothing, since every pytest run does it."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeairunway_dev.controlplane import Cluster, ControlPlane

NODES, GPUS = 2, 8

_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that points the tests at an existing cluster."""
    parser.getgroup("kubeairunway").addoption(
        "--cluster-kubeconfig",
        type=Path,
        metavar="FILE",
        help="run cluster tests against this cluster instead of the embedded control plane",
    )


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Yield one whole cluster for the session: controllers, scheduler, two nodes with eight GPUs each.

    Builds it first where the cache has none, which takes minutes. Tests that harm it start a ControlPlane of their own.
    """
    from kubeairunway_dev.controlplane import Cluster, ControlPlane  # noqa: PLC0415 - only runs with cluster tests pay

    given: Path | None = request.config.getoption("--cluster-kubeconfig")
    if given is not None:
        yield Cluster(given.resolve())
        return
    with ControlPlane(nodes=NODES, gpus=GPUS) as started:
        yield started


@pytest.fixture(scope="session")
def api_server() -> Iterator[ControlPlane]:
    """Yield etcd and API server alone: ready soonest, half the memory, but it takes no pods."""
    from kubeairunway_dev.controlplane import ControlPlane  # noqa: PLC0415 - only runs with cluster tests pay

    with ControlPlane(controller_manager=False, scheduler=False) as started:
        yield started


@pytest.fixture
def namespace(control_plane: Cluster) -> Iterator[str]:
    """Yield the name of a fresh namespace that takes pods; it is deleted after the test, without waiting for that."""
    name = f"test-{os.getpid()}-{next(_numbers)}"
    control_plane.kubectl("create", "namespace", name)
    control_plane.kubectl("wait", "--for=create", "--timeout=30s", "-n", name, "serviceaccount/default")
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false")
