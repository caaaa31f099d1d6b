"""Edits that wait, stop halfway or are not seen as what they are: what is said then, and what the controller does."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeairunway_dev.controlplane import ControlPlane

Json = dict[str, Any]

PAUSED = "kubeairunway.ai/reconcile-paused"
GPU: Json = {"model": {"id": "Qwen/Qwen3-8B"}, "provider": {"name": "kaito"}, "resources": {"gpu": {"count": 1}}}
SELECTED: Json = {**GPU, "nodeSelector": {"pool": "a"}}
TWICE: Json = {**SELECTED, "scaling": {"replicas": 2}}


def uid_of(bench: Any, kind: str = "InferenceSet") -> str:
    return str(bench.objects()[kind, "one"]["metadata"]["uid"])


def actions(said: Json) -> list[tuple[str, str]]:
    return [(row["kind"], row["action"]) for row in said["objects"]]


def test_a_paused_deployment_waits_and_then_does_what_was_said(bench: Any) -> None:
    bench.start(GPU)
    bench.settle()
    uid = uid_of(bench)
    bench.kubectl("annotate", "md/one", f"{PAUSED}=true")
    bench.settle("Paused")
    document = bench.document(TWICE)
    said = bench.foretell(document)
    assert (said["update"], said["held"]["reason"]) == ("recreate", "ReconciliationPaused")
    moment = bench.mark()
    bench.apply(document)
    bench.until(lambda: bench.deployment()["status"]["replicas"]["desired"] == 2, "the edit is seen")
    assert bench.writes(moment) == set()
    assert uid_of(bench) == uid
    later = bench.foretell(document)
    assert (later["update"], later["pending"], later["newGeneration"]) == ("recreate", True, False)
    bench.kubectl("annotate", "md/one", f"{PAUSED}-")
    bench.settle()
    assert uid_of(bench) != uid
    assert bench.writes(moment) == {("delete", "inferencesets"), ("create", "inferencesets")}


def test_an_edit_that_pauses_writes_nothing_else(bench: Any) -> None:
    bench.start(GPU)
    bench.settle()
    document = bench.document(TWICE, **{PAUSED: "true"})
    said = bench.foretell(document)
    assert (said["update"], said["held"]["reason"]) == ("recreate", "ReconciliationPaused")
    moment = bench.mark()
    bench.apply(document)
    bench.until(lambda: bench.deployment()["status"]["replicas"]["desired"] == 2, "the edit is seen")
    assert bench.writes(moment) == set()


@contextlib.contextmanager
def switched_off(plane: ControlPlane) -> Iterator[None]:
    def switch(*, off: bool) -> None:
        patch = json.dumps({"spec": {"disabled": off}})
        plane.kubectl("patch", "ipc", "kaito", "--type=merge", "-p", patch)

    switch(off=True)
    try:
        yield
    finally:
        switch(off=False)


def test_a_provider_that_is_switched_off_holds_an_edit_back(bench: Any, plane: ControlPlane) -> None:
    bench.start(GPU)
    bench.settle()
    uid = uid_of(bench)
    with switched_off(plane):
        bench.until(lambda: bench.foretell(bench.document(SELECTED))["held"], "it is seen to be switched off")
        said = bench.foretell(bench.document(SELECTED))
        assert (said["update"], said["held"]["reason"]) == ("recreate", "ProviderDisabled")
        moment = bench.mark()
        bench.apply(bench.document(SELECTED))
        bench.settle("ProviderAvailable", "False")
        assert bench.writes(moment) == set()
    bench.settle()
    assert uid_of(bench) != uid
    assert actions(said) == [("InferenceSet", "recreated")]
    assert bench.writes(moment) == {("delete", "inferencesets"), ("create", "inferencesets")}


@contextlib.contextmanager
def operator_away(plane: ControlPlane) -> Iterator[None]:
    def name(text: str) -> None:
        where = ("-n", "kaito-workspace", "deployment", "kaito-workspace")
        plane.kubectl("label", "--overwrite", *where, f"app.kubernetes.io/name={text}")

    name("away")
    try:
        yield
    finally:
        name("workspace")


def test_a_provider_whose_operator_is_away_holds_back_what_recreates(bench: Any, plane: ControlPlane) -> None:
    bench.start(GPU)
    bench.settle()
    with operator_away(plane):
        bench.until(lambda: bench.foretell(bench.document(SELECTED))["held"], "the operator is seen to be away")
        said = bench.foretell(bench.document(SELECTED))
        assert (said["update"], said["held"]["reason"]) == ("recreate", "ProviderNotReady")
        scaled = bench.foretell(bench.document({**GPU, "scaling": {"replicas": 2}}))
        assert (scaled["update"], scaled["held"]) == ("inPlace", None)
        moment = bench.mark()
        bench.apply(bench.document(SELECTED))
        bench.until(lambda: reason_of(bench) == "ProviderNotReady", "it waits for the operator")
        assert bench.writes(moment) == set()
        bench.apply(bench.document({**GPU, "scaling": {"replicas": 2}}))
        bench.until(lambda: bench.writes(moment) == {("patch", "inferencesets")}, "it is scaled in place")


def reason_of(bench: Any) -> str:
    rows = bench.deployment()["status"]["conditions"]
    return str(next(row["reason"] for row in rows if row["type"] == "Ready"))


def test_a_name_that_is_taken_is_foretold(bench: Any) -> None:
    bench.start(GPU)
    bench.settle()
    document = bench.document({**GPU, "engine": {"contextLength": 4096}})
    said = bench.foretell(document)
    name = next(row["name"] for row in said["objects"] if (row["kind"], row["action"]) == ("ConfigMap", "created"))
    bench.kubectl("create", "configmap", name)
    said = bench.foretell(document)
    assert (said["update"], said["held"]["reason"], said["objects"]) == ("waits", "ResourceConflict", [])
    assert name in said["held"]["message"]
    moment = bench.mark()
    bench.apply(document)
    bench.until(lambda: reason_of(bench) == "ResourceConflict", "it stops at the name")
    assert bench.writes(moment) == set(), "what runs is not ended for a name that is taken"
    kept = bench.deployment()
    assert kept["status"]["phase"] == "Running"
    assert kept["status"]["message"] == said["held"]["message"]
    bench.kubectl("delete", "configmap", name)
    bench.until(lambda: reason_of(bench) == "DeploymentReady", "it goes on when the name is free")
    assert bench.kubectl("get", "configmap", name)


def test_what_upstream_will_make_is_looked_up_as_well(bench: Any) -> None:
    as_workspace = {**GPU, "provider": {"name": "kaito", "overrides": {"resource": "Workspace"}}}
    bench.plane.kubectl("create", "namespace", bench.namespace)
    bench.kubectl("create", "service", "clusterip", "one", "--tcp=80")
    said = bench.foretell(bench.document(as_workspace))
    assert (said["update"], said["held"]["reason"], said["objects"]) == ("waits", "ResourceConflict", [])
    moment = bench.mark()
    bench.apply(bench.document(as_workspace))
    bench.until(lambda: bench.deployment().get("status", {}).get("message") == said["held"]["message"], "the conflict")
    assert bench.writes(moment) == set()


def test_a_deployment_that_is_not_there_is_created(bench: Any) -> None:
    bench.plane.kubectl("create", "namespace", bench.namespace)
    said = bench.foretell(bench.document(GPU))
    assert (said["update"], said["fields"], said["provider"]["before"]) == ("create", [], "")
    assert said["gpus"] == {"before": {}, "meanwhile": {"nvidia.com/gpu": 1}, "after": {"nvidia.com/gpu": 1}}
    bench.apply(bench.document(GPU))
    bench.settle()
    assert {(row["kind"], row["name"]) for row in said["objects"]} == set(bench.objects())


def test_one_that_is_being_deleted_takes_no_edit(bench: Any) -> None:
    bench.start(GPU)
    bench.settle()
    bench.kubectl("patch", "inferenceset", "one", "--type=merge", "-p", '{"metadata":{"finalizers":["test/held"]}}')
    bench.kubectl("delete", "md/one", "--wait=false")
    said = bench.foretell(bench.document(SELECTED))
    assert (said["update"], said["held"]["reason"], said["objects"]) == ("waits", "Terminating", [])
    bench.kubectl("patch", "inferenceset", "one", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


OWN_FILE = ("apply", "-f", "-")
SERVER_SIDE = ("apply", "--server-side", "--force-conflicts", "-f", "-")


@pytest.mark.parametrize("words", [OWN_FILE, SERVER_SIDE], ids=["client-side", "server-side"])
def test_what_others_set_stays_as_kubectl_leaves_it(bench: Any, words: tuple[str, ...]) -> None:
    bench.plane.kubectl("create", "namespace", bench.namespace)
    first, second = bench.document(SELECTED), bench.document(GPU)
    bench.kubectl(*words, text=json.dumps(first))
    bench.settle()
    bench.kubectl("scale", "md/one", "--replicas=2")
    bench.settle()
    said = bench.foretell(second)
    assert said["kept"] == ["spec.scaling.replicas"]
    assert [row["path"] for row in said["fields"]] == ["spec.nodeSelector"]
    assert said["gpus"]["after"] == {"nvidia.com/gpu": 2}
    bench.kubectl(*words, text=json.dumps(second))
    new = bench.settle()
    assert new["spec"]["scaling"]["replicas"] == 2
    assert "nodeSelector" not in new["spec"]
    assert bench.foretell(second)["newGeneration"] is False


def test_a_dump_of_the_cluster_says_what_the_cluster_says(bench: Any, tmp_path: Any) -> None:
    bench.start(GPU)
    bench.settle()
    dump = tmp_path / "now.yaml"
    dump.write_text(bench.kubectl("get", "modeldeployments,inferencesets,services,configmaps", "-o", "yaml"))
    document = bench.document({**SELECTED, "scaling": {"replicas": 3}})
    assert bench.foretell(document, "--old", str(dump)) == bench.foretell(document)


def test_somebody_elses_edit_of_an_object_is_no_part_of_the_edit(bench: Any) -> None:
    bench.start(GPU)
    bench.settle()
    bench.kubectl("annotate", "md/one", f"{PAUSED}=true")
    bench.settle("Paused")
    bench.kubectl("patch", "inferenceset", "one", "--type=merge", "-p", '{"spec":{"replicas":4}}')
    said = bench.foretell(bench.document(GPU))
    assert (said["update"], said["newGeneration"], said["objects"], said["pending"]) == ("nothing", False, [], False)
