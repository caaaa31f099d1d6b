"""Every golden object is accepted by a real API server under KubeRay's own CRDs, where a directory has them."""

import copy
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from kubeairunway_dev.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[3]
UPSTREAM = (ROOT / os.environ.get("KUBEAIRUNWAY_UPSTREAM_CRDS", "../shared/upstream-crds")).resolve()
CRDS = sorted(UPSTREAM.glob("ray.io_*.yaml"))
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.yaml"))
OBJECTS = {f"{path.stem}-{row['kind']}": row for path in GOLDEN for row in yaml.safe_load(path.read_text())["objects"]}
SERVICES = {name: row for name, row in OBJECTS.items() if row["kind"] == "RayService"}


@pytest.fixture(scope="module")
def server() -> Iterator["ControlPlane"]:
    """An API server with KubeRay's CRDs; one of our own, since others test under stand-ins of the same names."""
    if not CRDS:
        pytest.skip(f"no ray.io_*.yaml in {UPSTREAM}: set KUBEAIRUNWAY_UPSTREAM_CRDS to a directory of KubeRay's CRDs")
    from kubeairunway_dev.controlplane import ControlPlane  # noqa: PLC0415 - only runs with cluster tests pay

    with ControlPlane(controller_manager=False, scheduler=False, crds=CRDS) as started:
        started.kubectl("create", "namespace", "models")
        started.kubectl("create", "serviceaccount", "default", "-n", "models")
        yield started


def dry_run(server: "ControlPlane", item: dict[str, Any]) -> str:
    """What the API server says against an object; empty if it takes it without dropping or warning of anything."""
    flags = ("--server-side", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
    done = server.kubectl("apply", *flags, input=json.dumps(item), check=False)
    if done.returncode != 0 or done.stderr.strip():
        return done.stderr or f"exit code {done.returncode}"
    return "" if _contains(json.loads(done.stdout).get("spec"), item["spec"]) else "dropped or changed"


def _contains(kept: Any, sent: Any) -> bool:
    if isinstance(sent, dict):
        return isinstance(kept, dict) and all(_contains(kept.get(key), value) for key, value in sent.items())
    if isinstance(sent, list):
        # Admission adds tolerations of a pod at the end.
        return isinstance(kept, list) and len(kept) >= len(sent) and all(map(_contains, kept, sent))
    return bool(kept == sent)


def list_pods(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    cluster = item["spec"]["rayClusterConfig"]
    yield cluster["headGroupSpec"]["template"]
    yield from (row["template"] for row in cluster["workerGroupSpecs"])


def make_pod(template: dict[str, Any]) -> dict[str, Any]:
    metadata = {**template["metadata"], "name": "demo", "namespace": "models"}
    spec = {**copy.deepcopy(template["spec"]), "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


@pytest.mark.parametrize("name", OBJECTS)
def test_is_accepted_whole(server: "ControlPlane", name: str) -> None:
    assert dry_run(server, OBJECTS[name]) == ""


@pytest.mark.parametrize("name", SERVICES)
def test_kuberay_can_make_pods_of_its_templates(server: "ControlPlane", name: str) -> None:
    """The API server reads a template in a CRD by the schema alone, and as a pod with all that it checks."""
    assert {dry_run(server, make_pod(template)) for template in list_pods(SERVICES[name])} == {""}


def test_the_check_sees_a_field_that_kuberay_does_not_know(server: "ControlPlane") -> None:
    bad = copy.deepcopy(SERVICES["aggregated-bare-RayService"])
    bad["spec"]["rayClusterConfig"]["headGroupSpec"]["nonsense"] = "x"
    assert "nonsense" in dry_run(server, bad)


def test_the_check_sees_what_pods_refuse(server: "ControlPlane") -> None:
    head = copy.deepcopy(next(list_pods(SERVICES["aggregated-bare-RayService"])))
    head["spec"]["containers"][0]["name"] = "Not_A_Name"
    assert "Not_A_Name" in dry_run(server, make_pod(head))


def test_an_object_is_created_and_applied_without_a_change(server: "ControlPlane") -> None:
    """Applied twice, an object stays at its generation: nothing that we render fights the CRD's defaults."""
    item = SERVICES["aggregated-full-RayService"]
    place = ("rayservices.ray.io", item["metadata"]["name"], "-n", "models")
    server.apply(item)
    first = server.get(*place)["metadata"]
    server.apply(item)
    again = server.get(*place)["metadata"]
    assert (first["generation"], first["resourceVersion"]) == (again["generation"], again["resourceVersion"])
