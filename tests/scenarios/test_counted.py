"""What a controller counts: repairs by provider and kind, once each."""

from __future__ import annotations

from typing import Any


def repairs(operator: Any, kind: str) -> float:
    labels = {"provider": "acme", "kind": kind}
    return float(operator.telemetry.registry.get_sample_value("kubeairunway_drift_repaired_total", labels) or 0.0)


async def test_what_is_put_back_is_counted_by_provider_and_kind(stage: Any) -> None:
    async with stage.controller() as operator:
        await stage.deploy()
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
        await stage.serve()
        await stage.until(lambda: stage.phase() == "Running", "it runs")
        assert (repairs(operator, "ModelServer"), repairs(operator, "Service")) == (0, 0)
        await stage.api.change("modelservers", "one", {"spec": {"replicas": 7}})
        await stage.until(lambda: stage.api.get("modelservers", "one")["spec"]["replicas"] == 1, "it is set right")
        await stage.settle()
        await stage.api.remove("services", "one")
        await stage.until(lambda: stage.api.get("services", "one"), "it is there again")
        await stage.settle()
        assert (repairs(operator, "ModelServer"), repairs(operator, "Service")) == (1, 1)
        await stage.api.change("modeldeployments", "one", {"spec": {"scaling": {"replicas": 2}}})
        await stage.until(lambda: stage.api.get("modelservers", "one")["spec"]["replicas"] == 2, "an edit follows")
        await stage.settle()
        assert repairs(operator, "ModelServer") == 1, "an edit is no repair"
