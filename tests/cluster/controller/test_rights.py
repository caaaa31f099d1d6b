"""A controller for one namespace that has Roles there and nothing cluster-wide."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

RULES = [
    {"apiGroups": ["kubeairunway.ai"], "resources": ["modeldeployments"], "verbs": ["get", "list", "watch", "patch"]},
    {"apiGroups": ["kubeairunway.ai"], "resources": ["modeldeployments/status"], "verbs": ["patch"]},
    {"apiGroups": ["kubeairunway.ai"], "resources": ["modeldeployments/finalizers"], "verbs": ["update"]},
    {"apiGroups": ["kaito.sh"], "resources": ["workspaces", "inferencesets"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["services", "configmaps", "events"], "verbs": ["*"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["*"]},
]


def grant(lab: Any, account: str) -> None:
    group = "rbac.authorization.k8s.io"
    lab.plane.apply(
        lab.object_of(f"{group}/v1", "Role", "controller", {"rules": RULES}),
        lab.object_of(
            f"{group}/v1",
            "RoleBinding",
            "controller",
            {
                "roleRef": {"apiGroup": group, "kind": "Role", "name": "controller"},
                "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": lab.namespace}],
            },
        ),
    )


@pytest.mark.slow
async def test_roles_in_one_namespace_are_enough(lab: Any, kinds: Any) -> None:
    await lab.kaito()
    lab.kubeconfig = await asyncio.to_thread(lab.plane.service_account_kubeconfig, lab.namespace, "narrow")
    await asyncio.to_thread(grant, lab, "narrow")
    controller = await lab.controller("--lease-namespace", lab.namespace)
    await lab.deploy("narrow", scaling={"replicas": 2})
    await lab.phase("narrow", "Running")
    await lab.patch(kinds.INFERENCE_SET, "narrow", {"spec": {"replicas": 4}})

    async def restored() -> bool:
        return bool((await lab.find(kinds.INFERENCE_SET, "narrow"))["spec"]["replicas"] == 2)

    await lab.until(restored, 2, "drift is undone")
    since = datetime.now(UTC)
    await lab.delete(kinds.MD, "narrow")
    await lab.gone(kinds.MD, "narrow", 3)
    assert controller.alive
    writes = Counter(lab.requests(since, writes=True, user=f"system:serviceaccount:{lab.namespace}:narrow"))
    assert {verb for verb, _ in writes} <= {"patch", "delete"}
