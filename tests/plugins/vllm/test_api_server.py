"""Every golden object is accepted whole by a real API server, and applied twice without a change."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from kubeairunway_dev.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.yaml"))
OBJECTS = {
    f"{path.stem}-{row['metadata']['name']}-{row['kind']}": row
    for path in GOLDEN
    for row in yaml.safe_load(path.read_text())["objects"]
}


@pytest.fixture(scope="module")
def server() -> Iterator["ControlPlane"]:
    from kubeairunway_dev.controlplane import ControlPlane  # noqa: PLC0415 - only runs with cluster tests pay

    with ControlPlane(controller_manager=False, scheduler=False) as started:
        started.kubectl("create", "namespace", "models")
        yield started


def apply(server: "ControlPlane", item: dict[str, Any]) -> str:
    """What the API server says against an object; empty if it takes it without dropping or warning of anything."""
    flags = ("--server-side", "--validate=strict", "-o", "json", "-f", "-")
    done = server.kubectl("apply", *flags, input=json.dumps(item), check=False)
    if done.returncode != 0 or done.stderr.strip():
        return done.stderr or f"exit code {done.returncode}"
    kept = json.loads(done.stdout)
    return "" if _contains(kept["spec"], item["spec"]) else f"dropped or changed: {kept['spec']}"


def _contains(kept: Any, sent: Any) -> bool:
    if isinstance(sent, dict):
        return isinstance(kept, dict) and all(_contains(kept.get(key), value) for key, value in sent.items())
    if isinstance(sent, list):
        return isinstance(kept, list) and len(kept) == len(sent) and all(map(_contains, kept, sent))
    return bool(kept == sent) or (kept is None and sent == "")  # Kubernetes' own types leave empty texts out


@pytest.mark.parametrize("name", OBJECTS)
def test_is_accepted_whole_and_stays_as_it_is(server: "ControlPlane", name: str) -> None:
    item = OBJECTS[name]
    assert apply(server, item) == ""
    place = (item["kind"], item["metadata"]["name"], "-n", "models")
    first = server.get(*place)
    assert apply(server, item) == ""
    again = server.get(*place)
    assert first["spec"] == again["spec"]
    if item["kind"] != "PersistentVolumeClaim":  # the API server writes those anew whatever is applied
        assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]


def test_the_check_sees_a_field_that_pods_do_not_have(server: "ControlPlane") -> None:
    bad = copy.deepcopy(next(row for row in OBJECTS.values() if row["kind"] == "Deployment"))
    bad["metadata"]["name"] = "bad"
    bad["spec"]["template"]["spec"]["containers"][0]["limits"] = {}
    assert "limits" in apply(server, bad)
