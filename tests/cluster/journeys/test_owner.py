"""A model owner with kubectl: first deployment, scaling, bad edits, changes of mind, deletion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubeairunway_dev.errors import KubectlError

SAMPLES = Path(__file__).parents[3] / "crds" / "samples"
BY_KAITO = ("minimal-cpu", "gpu-vllm", "gated-model", "pinned-provider", "custom-image", "scaled-to-zero")
NOT_BY_KAITO = {
    "disaggregated": "spec.serving.mode",
    "engine-options": "spec.engine.extraArgs",
    "placement": "spec.tolerations",
    "storage": "spec.model.storage.volumes",
}


def test_samples_run_or_say_what_is_in_the_way(desk: Any) -> None:
    for name in (*BY_KAITO, *NOT_BY_KAITO):
        desk.kubectl("apply", "-f", str(SAMPLES / f"{name}.yaml"))
    for name in BY_KAITO:
        desk.kubectl("wait", "-f", str(SAMPLES / f"{name}.yaml"), "--for=condition=Ready", "--timeout=20s")
    for name, path in NOT_BY_KAITO.items():
        desk.kubectl("wait", "-f", str(SAMPLES / f"{name}.yaml"), "--for=condition=Stalled", "--timeout=20s")
        shown = json.loads(desk.kubectl("get", "-f", str(SAMPLES / f"{name}.yaml"), "-o", "json"))
        assert path in shown["status"]["message"], name
    table = desk.kubectl("get", "md", "-o", "wide").splitlines()
    assert table[0].split() == ["NAME", "PHASE", "READY", "PROVIDER", "ENGINE", "REPLICAS", "AGE", "MODEL", "REASON"]
    assert any(line.split()[:6] == ["qwen", "Running", "True", "kaito", "vllm", "2"] for line in table)


def test_scaling_follows_and_zero_is_a_value(desk: Any) -> None:
    desk.running("scale")
    uid = desk.get("inferenceset", "scale")["metadata"]["uid"]
    for replicas in (3, 0, 1):
        desk.kubectl("scale", "md/scale", f"--replicas={replicas}")
        desk.wait("scale")
        assert desk.get("inferenceset", "scale")["spec"]["replicas"] == replicas
        shown = desk.reads("scale", "Current")
        assert shown["status"]["replicas"] == {"desired": replicas, "ready": replicas, "available": replicas}
    assert desk.get("inferenceset", "scale")["metadata"]["uid"] == uid, "scaling never recreates"
    desk.deploy("nothing", scaling={"replicas": 0})
    desk.reads("nothing", "Current", reason="ScaledToZero")
    assert desk.get("inferenceset", "nothing")["spec"]["replicas"] == 0


REFUSED_BY_THE_API_SERVER = {
    "replicas below zero": ({"scaling": {"replicas": -1}}, "spec.scaling.replicas"),
    "no model": ({"model": {"id": ""}}, "model.id is required when source is huggingface"),
    "memory that is no quantity": ({"resources": {"memory": "lots"}}, "write resources.memory like"),
    "an unknown engine": ({"engine": {"type": "ollama"}}, "spec.engine.type"),
    "dashes before a name": ({"engine": {"args": {"--dtype": "half"}}}, "without the leading dashes"),
}
EDITS = {
    "an argument that a field sets": ({"engine": {"args": {"served-model-name": "x"}}}, "spec.model.servedName"),
    "a field that KAITO cannot set": ({"engine": {"enablePrefixCaching": False}}, "spec.engine.enablePrefixCaching"),
    "code of strangers": ({"engine": {"trustRemoteCode": True}}, "spec.engine.trustRemoteCode"),
    "an option that does not exist": ({"provider": {"overrides": {"ressource": "x"}}}, "did you mean resource?"),
    "no GPU for the kept engine": ({"resources": {"gpu": {"count": 0}}}, "until spec.engine.type names another"),
}
MENDED = {"engine": None, "provider": None, "resources": {"gpu": {"count": 1}}}


def test_a_bad_edit_is_refused_or_stalls_and_never_harms_what_runs(desk: Any) -> None:
    desk.running("edit")
    before = desk.get("inferenceset", "edit")
    for change, said in REFUSED_BY_THE_API_SERVER.values():
        with pytest.raises(KubectlError, match=said):
            desk.patch("md", "edit", {"spec": change})
    for why, (change, said) in EDITS.items():
        desk.patch("md", "edit", {"spec": change})
        stalled = desk.reads("edit", "Failed")
        assert said in stalled["status"]["message"], why
        assert stalled["status"]["phase"] == "Running", why
        desk.patch("md", "edit", {"spec": MENDED})
        desk.reads("edit", "Current")
    after = desk.get("inferenceset", "edit")
    assert (after["metadata"]["uid"], after["spec"]) == (before["metadata"]["uid"], before["spec"])


def test_naming_and_clearing_what_was_chosen_changes_nothing(desk: Any) -> None:
    desk.running("mind")
    uid = desk.get("inferenceset", "mind")["metadata"]["uid"]
    for change in (
        {"engine": {"type": "vllm"}},
        {"provider": {"name": "kaito"}},
        {"engine": None},
        {"provider": None},
    ):
        desk.patch("md", "mind", {"spec": change})
        desk.reads("mind", "Current")
    desk.patch("md", "mind", {"spec": {"provider": {"name": "nobody"}}})
    waiting = desk.reads("mind", "InProgress", reason="UnknownProvider")
    assert "known are " in waiting["status"]["message"]
    desk.patch("md", "mind", {"spec": {"provider": None}})
    desk.reads("mind", "Current")
    assert desk.get("inferenceset", "mind")["metadata"]["uid"] == uid


def test_a_change_that_needs_another_object_makes_one_and_says_so(desk: Any) -> None:
    desk.running("anew")
    old = desk.get("inferenceset", "anew")
    desk.patch("md", "anew", {"spec": {"engine": {"contextLength": 4096}}})
    desk.wait("anew")
    new = desk.get("inferenceset", "anew")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    config = desk.get("configmap", new["spec"]["template"]["inference"]["config"])
    assert "4096" in config["data"]["inference_config.yaml"]
    assert any("spec.template cannot change in place" in text for text in desk.events("Recreating"))
    shown = desk.reads("anew", "Current")
    names = {row["name"] for row in shown["status"]["objects"]}
    desk.until(lambda: {row["metadata"]["name"] for row in our(desk, "configmap")} <= names, 5, "the old one is gone")


def our(desk: Any, kind: str) -> list[dict[str, Any]]:
    return [obj for obj in desk.find_all(kind) if "kubeairunway.ai/managed-by" in obj["metadata"].get("labels", {})]


def test_a_pause_holds_and_is_followed(desk: Any) -> None:
    desk.running("pause")
    desk.kubectl("annotate", "md", "pause", "kubeairunway.ai/reconcile-paused=True")
    desk.wait("pause", "Paused")
    desk.kubectl("scale", "md/pause", "--replicas=2")
    desk.kubectl("delete", "service", "pause-api")
    desk.until(lambda: desk.get("md", "pause")["status"]["replicas"]["desired"] == 2, 5, "the status follows")
    held = desk.reads("pause", "InProgress")
    assert held["status"]["observedGeneration"] == 1
    assert desk.get("inferenceset", "pause")["spec"]["replicas"] == 1
    assert not desk.get("service", "pause-api")
    desk.kubectl("annotate", "md", "pause", "kubeairunway.ai/reconcile-paused-")
    desk.wait("pause")
    assert desk.get("service", "pause-api")


def test_the_same_name_again_at_once_is_another_deployment(desk: Any) -> None:
    first = desk.running("again")
    desk.kubectl("delete", "md", "again", "--timeout=3s")
    second = desk.running("again")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    owner = desk.get("inferenceset", "again")["metadata"]["ownerReferences"][0]
    assert owner["uid"] == second["metadata"]["uid"]


def test_what_a_stuck_predecessor_left_is_waited_for(desk: Any) -> None:
    desk.running("heir")
    desk.patch("inferenceset", "heir", {"metadata": {"finalizers": ["example.com/never"]}})
    desk.kubectl("delete", "md", "heir", "--wait=false")
    desk.until(lambda: desk.get("md", "heir")["status"]["phase"] == "Terminating", 3, "it is Terminating")
    desk.until(lambda: not desk.get("md", "heir"), 8, "the deletion limit ends it")
    desk.deploy("heir")
    waiting = desk.reads("heir", "InProgress", reason="ResourceConflict")
    assert "it is being deleted); this goes on by itself when it is gone" in waiting["status"]["message"]
    desk.patch("inferenceset", "heir", {"metadata": {"finalizers": None}})
    desk.wait("heir", seconds=5)


def test_deployments_do_not_hold_up_their_namespace(desk: Any) -> None:
    for name in ("one", "two"):
        desk.running(name)
    desk.kubectl("delete", "namespace", desk.namespace, "--wait=false")
    desk.until(
        lambda: not desk.find_all("md,inferenceset"), 8, "all are gone; the namespace follows when it is asked again"
    )


def test_render_and_explain_say_what_the_controller_does(desk: Any) -> None:
    deployment = desk.running("same", scaling={"replicas": 2}, engine={"args": {"dtype": "half"}})
    written = {key: deployment[key] for key in ("apiVersion", "kind", "spec")}
    written["metadata"] = {"name": "same", "namespace": desk.namespace}
    rendered = desk.program("render", "-f", "-", "-o", "json", text=json.dumps(written))
    documents = json.loads(rendered)
    documents = documents if isinstance(documents, list) else documents.get("items", [documents])
    assert [obj["kind"] for obj in documents] == ["ConfigMap", "InferenceSet", "Service"]
    for obj in documents:
        live = desk.get(obj["kind"].lower(), obj["metadata"]["name"])
        assert obj["metadata"]["labels"].items() <= live["metadata"]["labels"].items()
        for key in {"data", "spec"} & obj.keys():
            assert contains(live[key], obj[key]), (obj["kind"], key)
    assert "kaito runs it on vLLM" in desk.program("explain", "same", "-n", desk.namespace)


def contains(live: Any, wanted: Any) -> bool:
    """Whether everything rendered is in what lives; the API server may add fields."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(contains(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(contains, live, wanted))
    return bool(live == wanted)
