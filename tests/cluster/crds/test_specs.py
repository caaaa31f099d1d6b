"""The table of specs against the real API server: refused with its message at its field, or accepted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kubeairunway.errors import ApiError
from kubeairunway.objects.resources import Resource

if TYPE_CHECKING:
    from kubeairunway.kube.client import Client

TABLE: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    (Path(__file__).parents[2] / "bad_specs.yaml").read_text(encoding="utf-8")
)
DEPLOYMENTS = Resource("kubeairunway.ai", "v1alpha1", "ModelDeployment", "modeldeployments")
UNPROCESSABLE = 422


def rows(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", TABLE[name], ids=[row["name"] for row in TABLE[name]])


def build_object(row: dict[str, Any], spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": DEPLOYMENTS.api_version,
        "kind": "ModelDeployment",
        "metadata": {"name": row.get("object", "model"), "namespace": "default"},
        "spec": spec,
    }


def expect_refusal(error: ApiError, row: dict[str, Any]) -> None:
    assert error.status == UNPROCESSABLE
    causes = [(cause["field"], cause["message"]) for cause in error.details["causes"]]
    assert any(field == row["field"] and row["message"] in message for field, message in causes), causes


async def delete_model(client: Client, live: dict[str, Any]) -> None:
    await client.delete(DEPLOYMENTS, live["metadata"]["name"], "default", uid=live["metadata"]["uid"])


@rows("refused")
async def test_a_bad_spec_is_refused_at_its_field_with_a_message_that_helps(
    row: dict[str, Any], client: Client
) -> None:
    with pytest.raises(ApiError) as caught:
        await client.create(DEPLOYMENTS, build_object(row, row["spec"]))
    expect_refusal(caught.value, row)


@rows("accepted")
async def test_a_spec_at_the_edge_is_accepted(row: dict[str, Any], client: Client) -> None:
    live = await client.create(DEPLOYMENTS, build_object(row, row["spec"]))
    await delete_model(client, live)
    assert contains(live["spec"], row["spec"])


@rows("transitions")
async def test_a_managed_volume_cannot_change(row: dict[str, Any], client: Client) -> None:
    live = await client.create(DEPLOYMENTS, build_object(row, row["old"]))
    patch = [{"op": "replace", "path": "/spec", "value": row["spec"]}]
    try:
        with pytest.raises(ApiError) as caught:
            await client.json_patch(DEPLOYMENTS, "model", "default", patch)
    finally:
        await delete_model(client, live)
    expect_refusal(caught.value, row)


@rows("accepted_transitions")
async def test_everything_else_can_change(row: dict[str, Any], client: Client) -> None:
    live = await client.create(DEPLOYMENTS, build_object(row, row["old"]))
    patch = [{"op": "replace", "path": "/spec", "value": row["spec"]}]
    try:
        changed = await client.json_patch(DEPLOYMENTS, "model", "default", patch)
    finally:
        await delete_model(client, live)
    assert contains(changed["spec"], row["spec"])


def largest_spec() -> dict[str, Any]:
    long = "x" * 2500
    volumes = [
        {"name": f"{i}{'v' * 60}", "claimName": f"{i}{'c' * 250}", "mountPath": f"/{i}{'p' * 1000}"} for i in range(8)
    ]
    return {
        "model": {"id": "m" * 512, "storage": {"volumes": volumes}},
        "engine": {
            "args": {f"arg-{i}-{'a' * 100}": long for i in range(64)},
            "extraArgs": [f"--other-{i}={long}" for i in range(64)],
        },
        "resources": {"gpu": {"count": 64}, "cpu": "512", "memory": "4Ti"},
        "env": [{"name": f"{i}{'E' * 240}", "value": long} for i in range(128)],
        "nodeSelector": {f"{'d' * 60}.{'d' * 60}/{i}{'k' * 60}": "v" * 63 for i in range(64)},
        "tolerations": [{"key": f"k{i}", "operator": "Equal", "value": "v" * 63} for i in range(64)],
        "podTemplate": {"metadata": {"annotations": {f"example.com/a{i}": long for i in range(32)}}},
    }


async def test_the_largest_spec_is_within_what_the_rules_may_cost(client: Client) -> None:
    live = await client.create(DEPLOYMENTS, build_object({"object": "largest"}, largest_spec()))
    await delete_model(client, live)
    assert len(live["spec"]["env"]) == 128


def contains(live: Any, sent: Any) -> bool:
    """Whether all that was sent lives, whatever defaults were added to it."""
    if isinstance(sent, dict):
        return isinstance(live, dict) and all(key in live and contains(live[key], sent[key]) for key in sent)
    if isinstance(sent, list):
        return isinstance(live, list) and len(live) == len(sent) and all(map(contains, live, sent))
    return type(live) is type(sent) and bool(live == sent)
