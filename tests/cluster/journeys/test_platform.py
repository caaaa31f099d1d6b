"""What else happens in a cluster: hands and programs that change our objects, rights that are missing, configs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "kubeairunway.ai"
TAMPERING: dict[str, tuple[str, str, dict[str, Any]]] = {
    "replicas": ("inferenceset", "", {"spec": {"replicas": 7}}),
    "template": ("inferenceset", "", {"spec": {"template": {"inference": {"preset": {"name": "other"}}}}}),
    "label": ("inferenceset", "", {"metadata": {"labels": {f"{OURS}/provider": "other"}}}),
    "no label": ("inferenceset", "", {"metadata": {"labels": {f"{OURS}/managed-by": None}}}),
    "hash": ("inferenceset", "", {"metadata": {"annotations": {f"{OURS}/applied-hash": "other"}}}),
    "identity": ("inferenceset", "", {"metadata": {"annotations": {f"{OURS}/identity": "other"}}}),
    "no identity": ("inferenceset", "", {"metadata": {"annotations": {f"{OURS}/identity": None}}}),
    "fixed fields": ("inferenceset", "", {"metadata": {"annotations": {f"{OURS}/fixed-fields": "{]"}}}),
    "no owner uid": ("inferenceset", "", {"metadata": {"annotations": {f"{OURS}/owner-uid": None}}}),
    "no owner": ("inferenceset", "", {"metadata": {"ownerReferences": None}}),
    "port": ("service", "-api", {"spec": {"ports": [{"name": "http", "port": 81, "targetPort": 5000}]}}),
    "selector": ("service", "-api", {"spec": {"selector": {"app": "other"}}}),
}


def marks(obj: dict[str, Any]) -> dict[str, Any]:
    """What is ours of an object, without the mark that each write makes anew."""
    meta = obj["metadata"]
    annotations = {key: value for key, value in meta["annotations"].items() if key != f"{OURS}/applied-over"}
    kept = {key: meta.get(key) for key in ("labels", "ownerReferences", "finalizers")}
    if obj["kind"] == "Service":  # one whose port was edited is made anew
        return {**kept, "annotations": annotations, **{key: obj["spec"][key] for key in ("ports", "selector")}}
    kept["uid"] = meta["uid"]
    return {**kept, "annotations": annotations, "spec": obj["spec"]}


def test_whatever_somebody_changes_in_an_object_is_put_back_in_place(desk: Any, now: Any) -> None:
    names = {why: f"t-{index}" for index, why in enumerate(TAMPERING)}
    for name in names.values():
        desk.deploy(name)
    desk.kubectl("wait", "md", "--all", "--for=condition=Ready", "--timeout=30s")
    since = now()
    for why, (kind, suffix, change) in TAMPERING.items():
        before = marks(desk.get(kind, names[why] + suffix))
        desk.patch(kind, names[why] + suffix, change)
        desk.until(lambda: marks(desk.get(kind, names[why] + suffix)) == before, 2, f"{why} is put back")  # noqa: B023 - waited for here
    time.sleep(3)  # the thing under test: no write follows the repairs
    done = desk.requests(since)
    assert {pair for pair in done if pair[0] == "delete"} == {("delete", "services")}, "the one with another port"
    assert done["patch", "inferencesets"] <= 3 * len(TAMPERING), "one conversion to apply, one apply, one try again"
    desk.until(lambda: len(desk.events("DriftDetected")) >= len(TAMPERING) - 1, 5, "each is told; a hash is no drift")


def test_every_object_that_somebody_deletes_comes_back(desk: Any) -> None:
    desk.running("gone")
    objects = desk.get("md", "gone")["status"]["objects"]
    kinds = [(row["kind"].lower(), row["name"]) for row in objects] + [("inferenceset", "gone")]
    old = {pair: desk.get(*pair)["metadata"]["uid"] for pair in kinds}
    for pair in kinds:
        desk.kubectl("delete", *pair)
        desk.until(lambda: desk.get(*pair), 2, f"{pair} is back")  # noqa: B023 - waited for here
        assert desk.get(*pair)["metadata"]["uid"] != old[pair]
    desk.wait("gone")
    assert not desk.events("Recreating")


def test_a_finalizer_and_a_status_that_somebody_edits_are_put_right(desk: Any) -> None:
    desk.running("hand")
    desk.patch("md", "hand", {"metadata": {"finalizers": None}})
    desk.until(lambda: desk.get("md", "hand")["metadata"].get("finalizers"), 2, "the finalizer is back")
    for edit in ({"phase": "Failed", "provider": {"name": "other"}, "conditions": []}, None):
        uid = desk.get("inferenceset", "hand")["metadata"]["uid"]
        change = json.dumps({"status": edit})
        desk.kubectl("patch", "md", "hand", "--subresource=status", "--type=merge", "-p", change)
        shown = desk.reads("hand", "Current", reason="DeploymentReady", seconds=4)
        assert (shown["status"]["phase"], shown["status"]["provider"]["name"]) == ("Running", "kaito")
        assert desk.get("inferenceset", "hand")["metadata"]["uid"] == uid


def test_a_user_cannot_take_over_our_labels(desk: Any) -> None:
    desk.running("tags")
    before = desk.get("inferenceset", "tags")
    desk.kubectl("label", "md", "tags", f"{OURS}/provider=other", f"{OURS}/deployment=other", "team=a")
    desk.kubectl("scale", "md/tags", "--replicas=2")
    desk.wait("tags")
    assert desk.get("inferenceset", "tags")["metadata"]["labels"] == before["metadata"]["labels"]


def test_another_writer_is_named_a_contest_and_not_fought(desk: Any, now: Any) -> None:
    desk.running("fight")
    since = now()
    wanted = {"apiVersion": "kaito.sh/v1beta1", "kind": "InferenceSet", "spec": {"replicas": 4}}
    text = json.dumps({**wanted, "metadata": {"name": "fight"}})
    force = ("apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", "-")
    for _ in range(8):
        desk.kubectl(*force, text=text)
        time.sleep(0.4)  # the other writer's own pace
    desk.wait("fight", "DriftContested", 5)
    done = desk.requests(since)
    assert done["patch", "inferencesets"] <= 4, "two repairs, the first with its conversion"
    assert done["patch", "modeldeployments/status"] <= 11, "five generations that upstream acts on, and the contest"
    rows = desk.get("md", "fight")["status"]["conditions"]
    message = next(row["message"] for row in rows if row["type"] == "DriftContested")
    assert "Another writer (other) keeps changing InferenceSet 'fight' at spec.replicas; the next" in message


FOREIGN: dict[str, tuple[str, str, dict[str, Any]]] = {
    "configmap": ("v1", "ConfigMap", {"data": {"a": "b"}}),
    "workspace": (
        "kaito.sh/v1beta1",
        "Workspace",
        {"resource": {"labelSelector": {}}, "inference": {"preset": {"name": "phi-4"}}},
    ),
}
WORKSPACE = {"provider": {"overrides": {"resource": "Workspace"}}}


@pytest.mark.parametrize("kind", FOREIGN)
def test_an_object_of_somebody_else_is_left_alone_and_heals(desk: Any, kind: str) -> None:
    spec = WORKSPACE if kind == "workspace" else {}
    desk.running("model", **spec)
    names = {"workspace": "model"} | {
        row["kind"].lower(): row["name"] for row in desk.get("md", "model")["status"]["objects"]
    }
    desk.kubectl("delete", "md", "model")
    version, title, body = FOREIGN[kind]
    desk.apply({"apiVersion": version, "kind": title, **body}, names[kind])
    uid = desk.get(kind, names[kind])["metadata"]["uid"]
    desk.deploy("model", **spec)
    stopped = desk.reads("model", "InProgress", reason="ResourceConflict")
    assert f"{title} '{names[kind]}' exists" in stopped["status"]["message"]
    assert desk.get(kind, names[kind])["metadata"]["uid"] == uid
    desk.kubectl("delete", kind, names[kind])
    desk.wait("model", seconds=5)


def test_a_workspace_never_takes_somebody_elses_service_for_its_own(desk: Any) -> None:
    desk.apply({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80}]}}, "claimed")
    desk.deploy("claimed", **WORKSPACE)
    stopped = desk.reads("claimed", "InProgress", reason="ResourceConflict")
    assert "Service 'claimed' exists" in stopped["status"]["message"]
    assert desk.kubectl("get", "workspace", "claimed", "--ignore-not-found") == ""
    desk.kubectl("delete", "service", "claimed")
    desk.wait("claimed", seconds=5)
    model = {"spec": {"model": {"id": "bartowski/Qwen2.5-0.5B-Instruct-GGUF"}}}
    desk.kubectl("patch", "md", "claimed", "--type=merge", "-p", json.dumps(model))
    desk.wait("claimed")  # made anew beside the Service of the Workspace that went


def test_two_deployments_never_share_a_service(desk: Any) -> None:
    desk.running("chat")
    desk.deploy("chat-api", **WORKSPACE)
    assert "does not end in -api" in desk.reads("chat-api", "Failed")["status"]["message"]
    desk.running("shop")
    desk.running("shop-api")
    services = {desk.get("md", name)["status"]["endpoint"]["service"] for name in ("chat", "shop", "shop-api")}
    assert services == {"chat-api", "shop-api", "shop-api-api"}


@pytest.fixture
def without_config_maps(desk: Any) -> Iterator[Any]:
    """The controller may not create ConfigMaps until the returned function is called."""
    role = "clusterrole/kubeairunway-provider-kaito"
    whole = json.loads(desk.kubectl("get", role, "-o", "json"))["rules"]
    narrow = [rule if rule["apiGroups"] != [""] else {**rule, "resources": ["services"]} for rule in whole]
    watched = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}

    def write(rules: list[dict[str, Any]]) -> None:
        desk.kubectl("patch", role, "--type=merge", "-p", json.dumps({"rules": rules}))

    write([*narrow, watched])
    yield lambda: write(whole)
    write(whole)


def test_a_missing_right_is_named_and_heals_without_a_restart(desk: Any, without_config_maps: Any) -> None:
    desk.deploy("right")
    stopped = desk.reads("right", "Failed", reason="ResourceRefused")
    assert 'cannot create resource "configmaps" in API group ""' in stopped["status"]["message"]
    without_config_maps()
    desk.wait("right", seconds=15)


@pytest.fixture
def configure(desk: Any) -> Iterator[Any]:
    """Changes the administrator's word on KAITO, and takes it back afterwards."""
    yield lambda **spec: desk.patch("ipc", "kaito", {"spec": spec})
    desk.kubectl("delete", "ipc", "kaito")
    desk.kubectl("wait", "ipc/kaito", "--for=create", "--timeout=5s")
    desk.kubectl("wait", "ipc/kaito", "--for=condition=Ready", "--timeout=5s")


def test_settings_that_are_wrong_are_said_where_they_are(desk: Any, configure: Any) -> None:
    desk.running("runs")
    configure(settings={"cpuRunnerImage": 5})
    desk.kubectl("wait", "ipc/kaito", "--for=condition=SettingsValid=False", "--timeout=5s")
    desk.deploy("waits")
    for name, reason in (("runs", "ProviderNotReady"), ("waits", "NoProvider")):
        shown = desk.reads(name, "InProgress", reason=reason)
        assert "spec.settings.cpuRunnerImage: 5 does not fit; use a string" in shown["status"]["message"]
    configure(settings=None)
    for name in ("runs", "waits"):
        desk.wait(name, seconds=5)


def test_rules_that_are_wrong_are_said_and_the_others_count(desk: Any, configure: Any) -> None:
    rules = [
        {"name": "number", "condition": "spec.resources.gpu.count", "priority": 50},
        {"name": "missing", "condition": "spec.nowhere == 1", "priority": 60},
        {"name": "mine", "condition": "spec.model.id.startsWith('Qwen')", "priority": 7},
    ]
    configure(selectionRules=rules)
    shown = desk.running("ruled")
    assert "a rule of the administrator gives kaito 7" in shown["status"]["selection"]["reason"]
    desk.kubectl("wait", "ipc/kaito", "--for=condition=RulesValid=False", "--timeout=5s")
    rows = {row["type"]: row["message"] for row in desk.get("ipc", "kaito")["status"]["conditions"]}
    assert "rule missing" in rows["RulesValid"]
    assert "rule number: its value is int, not true or false" in rows["RulesValid"]


def test_a_provider_that_is_switched_off_changes_nothing_that_runs(desk: Any, configure: Any) -> None:
    desk.running("off")
    configure(disabled=True)
    desk.reads("off", "InProgress", reason="ProviderDisabled")
    desk.kubectl("scale", "md/off", "--replicas=2")
    shown = desk.reads("off", "InProgress", reason="ProviderDisabled")
    assert shown["status"]["phase"] == "Running"
    assert desk.get("inferenceset", "off")["spec"]["replicas"] == 1
    desk.deploy("deleted")
    desk.kubectl("delete", "md", "deleted", "--timeout=3s")
    configure(disabled=False)
    desk.wait("off", seconds=5)
    assert desk.get("inferenceset", "off")["spec"]["replicas"] == 2
