"""The CRDs on a real API server, as a user with kubectl meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kubeairunway_dev.errors import KubectlError

if TYPE_CHECKING:
    from kubeairunway_dev.controlplane import Cluster

CRDS = Path(__file__).parents[3] / "crds"
SAMPLES = sorted((CRDS / "samples").glob("*.yaml"))
NOW = "2026-01-01T00:00:00Z"


def write(name: str, **spec: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": {"id": "a/b"}, **spec}
    return {
        "apiVersion": "kubeairunway.ai/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": body,
    }


def apply(plane: Cluster, space: str, body: dict[str, Any]) -> dict[str, Any]:
    text = plane.kubectl("apply", "--server-side", "-n", space, "-o", "json", "-f", "-", input=json.dumps(body)).stdout
    live: dict[str, Any] = json.loads(text)
    return live


def test_both_crds_are_applied_and_established_without_a_warning(plane: Cluster) -> None:
    done = plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRDS))
    assert done.stderr == ""
    for plural in ("modeldeployments", "inferenceproviderconfigs"):
        crd = plane.get("crd", f"{plural}.kubeairunway.ai")
        conditions = {row["type"]: row["status"] for row in crd["status"]["conditions"]}
        assert conditions["Established"] == conditions["NamesAccepted"] == "True"
        assert conditions.get("NonStructuralSchema", "False") == "False"


@pytest.mark.parametrize("sample", SAMPLES, ids=[path.stem for path in SAMPLES])
def test_a_sample_is_accepted_without_a_warning_and_applying_it_again_changes_nothing(
    sample: Path, plane: Cluster, space: str
) -> None:
    # The second apply still makes a resourceVersion: it stores the default of status, which a create only shows.
    command = ("apply", "--server-side", "--validate=strict", "-n", space, "-o", "json", "-f", str(sample))
    answers = [plane.kubectl(*command) for _ in range(3)]
    first, second, third = (json.loads(answer.stdout) for answer in answers)
    if first["kind"] == "InferenceProviderConfig":
        plane.kubectl("delete", "ipc", first["metadata"]["name"])
    assert answers[0].stderr == ""
    assert first["metadata"]["generation"] == third["metadata"]["generation"] == 1
    assert second["metadata"]["resourceVersion"] == third["metadata"]["resourceVersion"]
    assert first["spec"] == second["spec"] == third["spec"]


def test_a_model_id_alone_gets_these_defaults_and_no_others(plane: Cluster, space: str) -> None:
    live = apply(plane, space, write("bare"))
    assert live["spec"] == {"model": {"id": "a/b", "source": "huggingface"}, "scaling": {"replicas": 1}}
    assert live["status"] == {"observedGeneration": -1}


def test_defaults_appear_only_in_parts_that_the_user_wrote(plane: Cluster, space: str) -> None:
    live = apply(plane, space, write("parts", engine={"contextLength": 8}, resources={"gpu": {}}, serving={}))
    assert live["spec"]["engine"] == {
        "contextLength": 8,
        "trustRemoteCode": False,
        "enablePrefixCaching": True,
        "enforceEager": False,
    }
    assert live["spec"]["resources"] == {"gpu": {"count": 0, "type": "nvidia.com/gpu"}}
    assert live["spec"]["serving"] == {"mode": "aggregated"}


def test_zeros_and_false_survive_a_round_trip(plane: Cluster, space: str) -> None:
    sent = write(
        "zeros",
        scaling={"replicas": 0},
        engine={"enablePrefixCaching": False},
        resources={"gpu": {"count": 0}, "memory": 0},
        gateway={"enabled": False},
    )
    apply(plane, space, sent)
    live = plane.get("md", "zeros", "-n", space)["spec"]
    assert live["scaling"]["replicas"] == 0
    assert live["engine"]["enablePrefixCaching"] is False
    assert live["resources"]["gpu"]["count"] == 0
    assert live["resources"]["memory"] == 0
    assert live["gateway"] == {"enabled": False}


def test_an_unknown_field_is_refused_by_kubectl(plane: Cluster, space: str) -> None:
    body = write("unknown", engine={"contextLenght": 8})
    with pytest.raises(KubectlError, match="contextLenght"):
        plane.kubectl("create", "--validate=strict", "-n", space, "-f", "-", input=json.dumps(body))


def test_overrides_keep_whatever_is_in_them(plane: Cluster, space: str) -> None:
    overrides = {"resource": "Workspace", "deep": {"list": [1, {"a": None}, "b"], "off": False}}
    live = apply(plane, space, write("free", provider={"name": "kaito", "overrides": overrides}))
    assert live["spec"]["provider"]["overrides"] == overrides


def test_kubectl_scales_up_and_to_zero(plane: Cluster, space: str) -> None:
    apply(plane, space, write("scaled"))
    for replicas in (3, 0):
        plane.kubectl("scale", "modeldeployment/scaled", f"--replicas={replicas}", "-n", space)
        assert plane.get("md", "scaled", "-n", space)["spec"]["scaling"]["replicas"] == replicas


def test_scaling_beyond_the_limit_is_refused(plane: Cluster, space: str) -> None:
    apply(plane, space, write("scaled"))
    with pytest.raises(KubectlError, match="less than or equal to 32"):
        plane.kubectl("scale", "modeldeployment/scaled", "--replicas=33", "-n", space)


def test_scaling_a_disaggregated_deployment_as_a_whole_is_refused(plane: Cluster, space: str) -> None:
    roles = {"prefill": {"gpu": {"count": 1}}, "decode": {"gpu": {"count": 1}}}
    apply(plane, space, write("split", serving={"mode": "disaggregated"}, scaling=roles))
    with pytest.raises(KubectlError, match=r"scaling\.prefill\.replicas"):
        plane.kubectl("scale", "modeldeployment/split", "--replicas=2", "-n", space)


def full_status() -> dict[str, Any]:
    condition = {
        "status": "True",
        "reason": "Proved",
        "message": "",
        "lastTransitionTime": NOW,
        "observedGeneration": 1,
    }
    candidate = {"name": "kaito", "eligible": True, "score": 100, "reason": "rule cpu"}
    return {
        "observedGeneration": 1,
        "phase": "Running",
        "message": "",
        "selection": {"provider": "kaito", "engine": "vllm", "reason": "rule cpu", "candidates": [candidate]},
        "provider": {
            "name": "kaito",
            "apiVersion": "kaito.sh/v1beta1",
            "resourceKind": "Workspace",
            "resourceName": "full",
            "selectedReason": "rule cpu",
        },
        "engine": {"type": "vllm", "selectedReason": "first that kaito offers"},
        "replicas": {"desired": 2, "ready": 1, "available": 2},
        "selector": "app=full",
        "endpoint": {"service": "full", "port": 80},
        "gateway": {
            "endpoint": "10.0.0.1",
            "modelName": "b",
            "gatewayNamespace": "infra",
            "apiFormats": ["openai-chat"],
        },
        "image": {"requested": "a:1", "resolved": "a@sha256:0", "createdAt": NOW, "verified": False},
        "objects": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "full-config"}],
        "conditions": [{"type": "Ready", **condition}, {"type": "Validated", **condition}],
    }


def write_status(plane: Cluster, space: str, name: str, status: dict[str, Any]) -> None:
    body = {key: value for key, value in write(name).items() if key != "spec"} | {"status": status}
    plane.kubectl(
        *("apply", "--server-side", "--field-manager=status", "--subresource=status", "-n", space, "-f", "-"),
        input=json.dumps(body),
    )


def test_a_whole_status_is_kept_and_shown(plane: Cluster, space: str) -> None:
    apply(plane, space, write("full"))
    write_status(plane, space, "full", full_status())
    assert plane.get("md", "full", "-n", space)["status"] == full_status()
    scale = json.loads(plane.kubectl("get", "--raw", scale_path(space, "full")).stdout)
    assert scale["spec"] == {"replicas": 1}
    assert scale["status"] == {"replicas": 2, "selector": "app=full"}
    lines = plane.kubectl("get", "md", "-n", space).stdout.splitlines()
    assert lines[0].split() == ["NAME", "PHASE", "READY", "PROVIDER", "ENGINE", "REPLICAS", "AGE"]
    assert lines[1].split()[:6] == ["full", "Running", "True", "kaito", "vllm", "1"]
    wide = plane.kubectl("get", "modeldeployments", "-o", "wide", "-n", space).stdout
    assert "a/b" in wide
    assert "Proved" in wide


def scale_path(space: str, name: str) -> str:
    return f"/apis/kubeairunway.ai/v1alpha1/namespaces/{space}/modeldeployments/{name}/scale"


def test_the_users_apply_neither_writes_nor_clears_the_status(plane: Cluster, space: str) -> None:
    apply(plane, space, write("kept"))
    write_status(plane, space, "kept", full_status())
    live = apply(plane, space, write("kept", scaling={"replicas": 2}) | {"status": {"phase": "Failed"}})
    assert live["status"] == full_status()


def test_a_status_outside_its_bounds_is_refused(plane: Cluster, space: str) -> None:
    apply(plane, space, write("bounds"))
    for status, message in (
        ({"phase": "Odd"}, "Unsupported value"),
        ({"message": "x" * 32769}, "may not be more than 32768"),
        ({"replicas": {"ready": -1}}, "greater than or equal to 0"),
    ):
        with pytest.raises(KubectlError, match=message):
            write_status(plane, space, "bounds", status)


def test_category_and_explain_know_the_resources(plane: Cluster, space: str) -> None:
    apply(plane, space, write("listed"))
    assert "modeldeployment.kubeairunway.ai/listed" in plane.kubectl("get", "ai", "-o", "name", "-n", space).stdout
    told = plane.kubectl("explain", "modeldeployment.spec.engine").stdout
    for field in ("contextLength", "enablePrefixCaching", "extraArgs", "enum: vllm, sglang, trtllm, llamacpp"):
        assert field in told


def provider_config(name: str, **spec: Any) -> str:
    body = {
        "apiVersion": "kubeairunway.ai/v1alpha1",
        "kind": "InferenceProviderConfig",
        "metadata": {"name": name},
        "spec": spec,
    }
    return json.dumps(body)


@pytest.mark.parametrize(
    ("name", "spec", "message"),
    [
        ("a.b", {}, "must not contain dots"),
        ("c", {"selectionRules": [{"name": "r", "condition": "true", "priority": 101}]}, "less than or equal to 100"),
        ("c", {"selectionRules": [{"name": "r", "condition": "true", "priority": -1}]}, "greater than or equal to 0"),
        ("c", {"selectionRules": [{"name": "r"}]}, r"spec\.selectionRules\[0\]\.condition: Required value"),
        ("c", {"selectionRules": [{"name": "r", "condition": ""}]}, "at least 1 chars"),
        ("c", {"selectionRules": [{"name": "r", "condition": "true"}] * 2}, "Duplicate value"),
        ("c", {"disabled": "yes"}, r"spec\.disabled.* must be of type boolean"),
        ("c", {"settings": []}, r"spec\.settings.* must be of type object"),
    ],
)
def test_a_bad_provider_config_is_refused(name: str, spec: dict[str, Any], message: str, plane: Cluster) -> None:
    with pytest.raises(KubectlError, match=message):
        plane.kubectl("create", "-f", "-", input=provider_config(name, **spec))


def declared() -> dict[str, Any]:
    kind = {"group": "acme.dev", "name": "Server", "versions": ["v1"], "recreate": ["spec.model"], "optional": False}
    engine = {"name": "vllm", "modes": ["aggregated"], "gpu": True, "cpu": False, "carries": ["model.id"]}
    return {
        "contract": 1,
        "package": {"distribution": "acme", "version": "1.0"},
        "autoSelect": True,
        "kinds": [{**kind, "maxName": 63}],
        "children": [{**kind, "name": "Child"}],
        "engines": [engine, {**engine, "modes": ["disaggregated"]}],
        "rules": [{"name": "large", "condition": "spec.resources.gpu.count >= 8", "priority": 60}],
        "operator": {"app": "acme, acme-operator"},
        "documentation": "https://acme.dev",
        "overridesSchema": {"type": "object", "properties": {"cache": {"enum": ["none", "local"]}}},
        "settingsSchema": {"type": "object"},
    }


def test_a_provider_config_keeps_what_the_package_declares(plane: Cluster) -> None:
    plane.kubectl("create", "-f", "-", input=provider_config("acme"))
    status = {"ready": True, "version": "1.0", "lastHeartbeat": NOW, "declared": declared()}
    body = {**json.loads(provider_config("acme")), "status": status}
    plane.kubectl(
        "apply", "--server-side", "--force-conflicts", "--subresource=status", "-f", "-", input=json.dumps(body)
    )
    try:
        assert plane.get("ipc", "acme")["status"]["declared"] == declared()
        row = plane.kubectl("get", "ipc", "acme", "--no-headers").stdout.split()
        assert row[:3] == ["acme", "true", "1.0"]
        assert "inferenceproviderconfig.kubeairunway.ai/acme" in plane.kubectl("get", "ai", "-o", "name").stdout
    finally:
        plane.kubectl("delete", "ipc", "acme")


def test_there_are_samples_of_both_kinds() -> None:
    kinds = [yaml.safe_load(path.read_text(encoding="utf-8"))["kind"] for path in SAMPLES]
    assert kinds.count("ModelDeployment") >= 9
    assert kinds.count("InferenceProviderConfig") >= 1
