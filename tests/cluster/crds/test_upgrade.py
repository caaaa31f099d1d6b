"""An object stored before a rule existed: it can still be looked at, given a status, and deleted."""

from __future__ import annotations

import copy
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.model.crd import crd_documents
from kubeairunway_dev.errors import KubectlError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeairunway_dev.controlplane import Cluster

GROUP = "upgrade.kubeairunway.ai"
SECONDS = 30
PLURAL = f"modeldeployments.{GROUP}"


def without_rules(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {key: without_rules(value) for key, value in schema.items() if key != "x-kubernetes-validations"}
    return [without_rules(item) for item in schema] if isinstance(schema, list) else schema


def upgrade_crd(plane: Cluster, *, rules: bool) -> None:
    crd = copy.deepcopy(crd_documents()[0])
    crd["metadata"]["name"] = PLURAL
    crd["spec"]["group"] = GROUP
    crd["spec"]["names"] = {key: crd["spec"]["names"][key] for key in ("kind", "plural", "singular", "listKind")}
    plane.apply(crd if rules else without_rules(crd))
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", f"crd/{PLURAL}")


@pytest.fixture
def old_object(plane: Cluster, space: str) -> Iterator[dict[str, Any]]:
    """An object whose env breaks today's rules, stored under a CRD that had none."""
    upgrade_crd(plane, rules=False)
    body = {
        "apiVersion": f"{GROUP}/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "old", "namespace": space, "finalizers": ["kubeairunway.ai/provider-cleanup"]},
        "spec": {"model": {"id": "a/b"}, "env": [{"name": "A"}], "scaling": {"prefill": {}}},
    }
    plane.apply(body)
    upgrade_crd(plane, rules=True)
    yield body
    plane.kubectl("delete", "crd", PLURAL, "--wait=false")


def try_creation(plane: Cluster, body: dict[str, Any]) -> str:
    name = {**body["metadata"], "name": "probe", "finalizers": []}
    answer = plane.kubectl(
        "create", "--dry-run=server", "-f", "-", input=json.dumps({**body, "metadata": name}), check=False
    )
    return answer.stderr


def test_a_status_can_be_written_and_the_finalizer_taken_though_the_spec_breaks_a_rule(
    plane: Cluster, old_object: dict[str, Any]
) -> None:
    space = old_object["metadata"]["namespace"]
    deadline = time.monotonic() + SECONDS
    while "exactly one of value" not in try_creation(plane, old_object):
        assert time.monotonic() < deadline, "the new rules were never served"
    status = {"status": {"observedGeneration": 1, "phase": "Pending"}}
    patch = ("patch", PLURAL, "old", "-n", space, "--type=merge", "-p")
    plane.kubectl(*patch, json.dumps(status), "--subresource=status")
    assert plane.get(PLURAL, "old", "-n", space)["status"] == status["status"]
    with pytest.raises(KubectlError, match=r"scaling\.prefill is for disaggregated mode only"):
        plane.kubectl(*patch, json.dumps({"spec": {"scaling": {"prefill": {"replicas": 2}}}}))
    plane.kubectl(*patch, json.dumps({"metadata": {"finalizers": None}}))
    plane.kubectl("delete", PLURAL, "old", "-n", space, "--timeout=30s")
