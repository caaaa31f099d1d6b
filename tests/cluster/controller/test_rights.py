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


CONFIG_RULES = [
    {
        "apiGroups": ["kubeairunway.ai"],
        "resources": ["inferenceproviderconfigs", "inferenceproviderconfigs/status"],
        "verbs": ["get", "list", "watch", "create", "patch"],
    }
]
CRD_RULES = [
    {
        "apiGroups": ["apiextensions.k8s.io"],
        "resources": ["customresourcedefinitions"],
        "verbs": ["get", "list", "watch"],
    }
]
LATE = "CRDs may not be watched"


def grant_everywhere(lab: Any, account: str, name: str, rules: Any) -> None:
    group, full = "rbac.authorization.k8s.io", f"{lab.namespace}-{name}"
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": full}, "rules": rules}
    lab.plane.apply(role)
    lab.plane.kubectl(
        "create", "clusterrolebinding", full, f"--clusterrole={full}", f"--serviceaccount={lab.namespace}:{account}"
    )


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


@pytest.mark.slow
async def test_a_provider_config_says_so_where_crds_may_not_be_watched(lab: Any, kinds: Any) -> None:
    lab.kubeconfig = await asyncio.to_thread(lab.plane.service_account_kubeconfig, lab.namespace, "blind")
    await asyncio.to_thread(grant, lab, "blind")
    await asyncio.to_thread(grant_everywhere, lab, "blind", "configs", CONFIG_RULES)

    async def served() -> str:
        status = (await lab.find(kinds.CONFIG, "kaito") or {}).get("status") or {}
        rows = status.get("conditions") or ()
        return next((f"{row['status']} {row['message']}" for row in rows if row["type"] == "KindsServed"), "")

    async def is_late() -> bool:
        return LATE in await served()

    blind = await lab.controller("--lease-namespace", lab.namespace)
    await lab.until(is_late, 10, "the condition says so")
    assert (await served()).startswith("True ")
    assert any(LATE in line["message"] for line in blind.lines())
    assert await blind.stop() == 0
    await asyncio.to_thread(grant_everywhere, lab, "blind", "crds", CRD_RULES)
    await lab.controller("--lease-namespace", lab.namespace)

    async def is_in_time() -> bool:
        return await served() == "True "

    await lab.until(is_in_time, 10, "with the right the words go")
