"""Every golden object is accepted by a real API server under KAITO's own CRDs, where a directory has them."""

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
CRDS = sorted(UPSTREAM.glob("kaito.sh_*.yaml"))
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.yaml"))
OBJECTS = {f"{path.stem}-{row['kind']}": row for path in GOLDEN for row in yaml.safe_load(path.read_text())["objects"]}
PODS = {name: row for name, row in OBJECTS.items() if "llamacpp" in name and row["kind"] != "Service"}


@pytest.fixture(scope="module")
def server() -> Iterator["ControlPlane"]:
    """An API server with KAITO's CRDs; one of our own, since others test under stand-ins of the same names."""
    if not CRDS:
        pytest.skip(f"no kaito.sh_*.yaml in {UPSTREAM}: set KUBEAIRUNWAY_UPSTREAM_CRDS to a directory of KAITO's CRDs")
    from kubeairunway_dev.controlplane import ControlPlane  # noqa: PLC0415 - only runs with cluster tests pay

    with ControlPlane(controller_manager=False, scheduler=False, crds=CRDS) as started:
        started.kubectl("create", "namespace", "models")
        yield started


def dry_run(server: "ControlPlane", item: dict[str, Any]) -> str:
    """What the API server says against an object; empty if it takes it without dropping or warning of anything."""
    flags = ("--server-side", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
    done = server.kubectl("apply", *flags, input=json.dumps(item), check=False)
    if done.returncode != 0 or done.stderr.strip():
        return done.stderr or f"exit code {done.returncode}"
    kept = json.loads(done.stdout)
    lost = [
        field for field in ("spec", "resource", "inference", "data") if not _contains(kept.get(field), item.get(field))
    ]
    return f"dropped or changed: {lost}" if lost else ""


def _contains(kept: Any, sent: Any) -> bool:
    if isinstance(sent, dict):
        return isinstance(kept, dict) and all(_contains(kept.get(key), value) for key, value in sent.items())
    if isinstance(sent, list):
        return isinstance(kept, list) and len(kept) == len(sent) and all(map(_contains, kept, sent))
    return bool(kept == sent) or (kept is None and sent == "")  # Kubernetes' own types leave empty texts out


@pytest.mark.parametrize("name", OBJECTS)
def test_is_accepted_whole(server: "ControlPlane", name: str) -> None:
    assert dry_run(server, OBJECTS[name]) == ""


@pytest.mark.parametrize("name", [name for name, row in OBJECTS.items() if row["kind"] == "InferenceSet"])
def test_is_accepted_whole_in_the_older_version(server: "ControlPlane", name: str) -> None:
    assert dry_run(server, OBJECTS[name] | {"apiVersion": "kaito.sh/v1alpha1"}) == ""


@pytest.mark.parametrize("name", PODS)
def test_kaito_can_make_a_stateful_set_of_its_pods(server: "ControlPlane", name: str) -> None:
    """CRDs keep a pod template unread, so the API server reads it as what KAITO makes of it."""
    item = PODS[name]
    inference = item["inference"] if item["kind"] == "Workspace" else item["spec"]["template"]["inference"]
    template = copy.deepcopy(inference["template"])
    labels = {"kaito.sh/workspace": "demo"}
    template.setdefault("metadata", {}).setdefault("labels", {}).update(labels)
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template, "serviceName": ""}
    metadata = {"name": "demo", "namespace": "models"}
    stateful_set = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}
    assert dry_run(server, stateful_set) == ""


def test_the_check_sees_a_field_that_kaito_does_not_know(server: "ControlPlane") -> None:
    bad = copy.deepcopy(OBJECTS["vllm-workspace-Workspace"])
    bad["inference"]["preset"]["nonsense"] = "x"
    assert "nonsense" in dry_run(server, bad)


def test_the_check_sees_a_field_that_pods_do_not_have(server: "ControlPlane") -> None:
    template = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"containers": [{"name": "model", "image": "x", "limits": {}}]},
    }
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template, "serviceName": ""}
    metadata = {"name": "demo", "namespace": "models"}
    bad = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}
    assert "limits" in dry_run(server, bad)


@pytest.mark.parametrize("kind", ["InferenceSet", "Workspace"])
def test_an_object_is_created_and_applied_without_a_change(server: "ControlPlane", kind: str) -> None:
    """Applied twice, an object stays at its generation: nothing that we render fights the CRD's defaults."""
    item = next(row for row in OBJECTS.values() if row["kind"] == kind)
    place = (f"{kind.lower()}s.kaito.sh", item["metadata"]["name"], "-n", "models")
    server.apply(item)
    first = server.get(*place)["metadata"]
    server.apply(item)
    again = server.get(*place)["metadata"]
    assert (first["generation"], first["resourceVersion"]) == (again["generation"], again["resourceVersion"])
