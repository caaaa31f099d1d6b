"""What `explain --diff` says of an edit is what the controller does when the edit is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Json = dict[str, Any]

GPU: Json = {"model": {"id": "Qwen/Qwen3-8B"}, "provider": {"name": "kaito"}, "resources": {"gpu": {"count": 1}}}
CPU: Json = {"model": {"id": "org/small-GGUF"}, "provider": {"name": "kaito"}, "engine": {"type": "llamacpp"}}
AS_WORKSPACE: Json = {"provider": {"name": "kaito", "overrides": {"resource": "Workspace"}}}
VLLM: Json = {**GPU, "provider": {"name": "vllm"}}
WRITES = {"created": "create", "changed": "patch"}
RESOURCES = {
    "InferenceSet": "inferencesets",
    "Workspace": "workspaces",
    "Deployment": "deployments",
    "Service": "services",
    "ConfigMap": "configmaps",
}


def workspace(**overrides: Any) -> Json:
    return {"provider": {"name": "kaito", "overrides": {"resource": "Workspace", **overrides}}}


@dataclass(frozen=True)
class Edit:
    """A deployment, what is laid over its spec, and what that comes to."""

    old: Json
    change: Json
    update: str
    why: str = ""
    downtime: str = "none"
    gpus: tuple[int, int, int] = (1, 1, 1)  # before, meanwhile, after
    objects: Mapping[str, set[str]] = field(default_factory=dict)  # kinds by what becomes of them
    waits_for: tuple[str, str] = ("Ready", "True")
    generation: bool = True

    @property
    def new(self) -> Json:
        return {**self.old, **self.change}


RECREATE: Json = {"update": "recreate", "downtime": "untilReady"}
SET: Json = {**RECREATE, "objects": {"recreated": {"InferenceSet"}}}
CONFIGURED: Json = {
    **RECREATE,
    "objects": {"recreated": {"InferenceSet"}, "created": {"ConfigMap"}, "deleted": {"ConfigMap"}},
}
SPACE: Json = {**RECREATE, "objects": {"recreated": {"Workspace"}}}
IN_PLACE: Json = {"update": "inPlace", "objects": {"changed": {"InferenceSet"}}}
ROLLING: Json = {"update": "surge", "downtime": "rolling", "objects": {"changed": {"Deployment"}}}
WITHOUT_PODS: Json = {"waits_for": ("ResourceCreated", "True")}

EDITS: dict[str, Edit] = {
    "nothing": Edit(GPU, {}, "nothing", generation=False),
    "defaults written out": Edit(GPU, {"scaling": {"replicas": 1}}, "nothing", generation=False),
    "an empty text": Edit(GPU, {"image": ""}, "nothing"),
    "the engine that was chosen": Edit(GPU, {"engine": {"type": "vllm"}}, "nothing"),
    "more replicas": Edit(GPU, {"scaling": {"replicas": 3}}, **IN_PLACE, gpus=(1, 3, 3)),
    "no replicas": Edit(GPU, {"scaling": {"replicas": 0}}, **IN_PLACE, downtime="scaledToZero", gpus=(1, 0, 0)),
    "another model": Edit(GPU, {"model": {"id": "Qwen/Qwen3-14B"}}, **CONFIGURED, why="another model"),
    "another engine": Edit(
        GPU,
        {"engine": {"type": "llamacpp"}, "model": {"id": "org/small-GGUF"}},
        **RECREATE,
        why="another model",
        objects={"recreated": {"InferenceSet"}, "changed": {"Service"}, "deleted": {"ConfigMap"}},
    ),
    "another source": Edit(
        {**CPU, "image": "registry.example.com/x:1"},
        {"model": {"source": "custom"}},
        **RECREATE,
        why="another model",
        gpus=(0, 0, 0),
        objects={"recreated": {"InferenceSet"}, "changed": {"Service"}},
    ),
    "a set's node selector": Edit(GPU, {"nodeSelector": {"pool": "a"}}, **SET, why="spec.labelSelector"),
    "a set's GPUs": Edit(GPU, {"resources": {"gpu": {"count": 2}}}, **SET, why="spec.labelSelector", gpus=(1, 2, 2)),
    "a set's arguments": Edit(GPU, {"engine": {"contextLength": 4096}}, **CONFIGURED, why="spec.template"),
    "a set's token": Edit(GPU, {"secrets": {"huggingFaceToken": "hf"}}, **SET, why="spec.template"),
    "a set's machine": Edit(
        GPU,
        {"provider": {"name": "kaito", "overrides": {"instanceType": "Standard_X"}}},
        **SET,
        why="spec.labelSelector, spec.template",
    ),
    "a set's pods": Edit(CPU, {"env": [{"name": "A", "value": "b"}]}, **SET, why="spec.template", gpus=(0, 0, 0)),
    "several at once": Edit(
        GPU,
        {"scaling": {"replicas": 2}, "nodeSelector": {"pool": "a"}},
        **SET,
        why="spec.labelSelector",
        gpus=(1, 2, 2),
    ),
    "a workspace's node selector": Edit(
        {**GPU, **AS_WORKSPACE}, {"nodeSelector": {"pool": "a"}}, **SPACE, why="resource.labelSelector"
    ),
    "a workspace's machine": Edit(
        {**GPU, **AS_WORKSPACE}, workspace(instanceType="Standard_X"), **SPACE, why="resource.instanceType"
    ),
    "a workspace's token": Edit(
        {**GPU, **AS_WORKSPACE}, {"secrets": {"huggingFaceToken": "hf"}}, **SPACE, why="inference.preset"
    ),
    "a workspace's arguments": Edit(
        {**GPU, **AS_WORKSPACE},
        {"engine": {"contextLength": 4096}},
        **RECREATE,
        why="inference.config",
        objects={"recreated": {"Workspace"}, "created": {"ConfigMap"}, "deleted": {"ConfigMap"}},
    ),
    "a workspace's pods": Edit(
        {**CPU, **AS_WORKSPACE},
        {"env": [{"name": "A", "value": "b"}]},
        **SPACE,
        why="inference.template",
        gpus=(0, 0, 0),
    ),
    "a workspace's annotations": Edit(
        {**GPU, **AS_WORKSPACE},
        workspace(bypassResourceChecks=True),
        "inPlace",
        objects={"changed": {"Workspace"}},
    ),
    "a set instead of a workspace": Edit(
        {**GPU, **AS_WORKSPACE},
        {"provider": {"name": "kaito"}, "scaling": {"replicas": 2}},
        **RECREATE,
        why="another kind",
        gpus=(1, 2, 2),
        objects={"deleted": {"Workspace"}, "created": {"InferenceSet", "Service"}},
    ),
    "another provider": Edit(
        GPU,
        {"provider": {"name": "vllm"}},
        **RECREATE,
        why="another kind",
        objects={"deleted": {"InferenceSet", "Service", "ConfigMap"}, "created": {"Deployment", "Service"}},
        **WITHOUT_PODS,
    ),
    "a Deployment's arguments": Edit(
        VLLM, {"engine": {"contextLength": 4096}}, **ROLLING, gpus=(1, 2, 1), **WITHOUT_PODS
    ),
    "a Deployment's arguments and replicas": Edit(
        VLLM,
        {"engine": {"contextLength": 4096}, "scaling": {"replicas": 3}},
        **ROLLING,
        gpus=(1, 4, 3),
        **WITHOUT_PODS,
    ),
    "a Deployment's replicas": Edit(
        VLLM,
        {"scaling": {"replicas": 2}},
        "inPlace",
        gpus=(1, 2, 2),
        objects={"changed": {"Deployment"}},
        **WITHOUT_PODS,
    ),
    "a Deployment that ends old pods first": Edit(
        {**VLLM, "provider": {"name": "vllm", "overrides": {"strategy": "recreate"}}},
        {"engine": {"contextLength": 4096}},
        "inPlace",
        downtime="restart",
        objects={"changed": {"Deployment"}},
        **WITHOUT_PODS,
    ),
    "a value that nobody takes": Edit(
        GPU,
        {"nodeSelector": {"nvidia.com/gpu.count": "7"}},
        "refused",
        why="leave it out",
        waits_for=("Stalled", "True"),
    ),
    "a field that is not carried": Edit(
        GPU,
        {"engine": {"enforceEager": True}},
        "refused",
        why="spec.engine.enforceEager",
        waits_for=("Stalled", "True"),
    ),
    "a provider that is not there": Edit(
        GPU, {"provider": {"name": "acme"}}, "waits", waits_for=("ProviderSelected", "False")
    ),
}


@pytest.fixture(scope="session")
def benches(make_bench: Callable[[], Any]) -> dict[str, Any]:
    """Every deployment before its edit, started side by side."""
    found = {name: make_bench() for name in EDITS}
    for name, bench in found.items():
        bench.start(EDITS[name].old)
    return found


def by_action(objects: list[Json]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in objects:
        found.setdefault(row["action"], set()).add(row["kind"])
    return found


def compare(before: Mapping[Any, Json], after: Mapping[Any, Json]) -> dict[tuple[str, str], str]:
    """What became of each object, by its uid and by what was sent."""
    found = {}
    for key in {**before, **after}:
        old, new = (objects[key]["metadata"] if key in objects else None for objects in (before, after))
        if old is None or new is None:
            found[key] = "created" if old is None else "deleted"
        elif old["uid"] != new["uid"]:
            found[key] = "recreated"
        elif sent(old) != sent(new):
            found[key] = "changed"
    return found


def sent(meta: Json) -> str:
    return str(meta["annotations"]["kubeairunway.ai/applied-hash"])


def due(said: Json, *, ready: bool) -> list[Json]:
    """What is done by now: without pods nothing gets ready, so that what waits for it stays."""
    return [row for row in said["objects"] if ready or row["when"] != "whenReady"]


def actions(rows: list[Json]) -> dict[tuple[str, str], str]:
    return {(row["kind"], row["name"]): row["action"] for row in rows}


def expected_writes(rows: list[Json]) -> set[tuple[str, str]]:
    found = set()
    for row in rows:
        verbs = {"recreated": ("delete", "create"), "deleted": ("delete",)}.get(row["action"], ())
        found |= {(verb, RESOURCES[row["kind"]]) for verb in verbs or (WRITES[row["action"]],)}
    return found


@pytest.mark.parametrize("name", EDITS)
def test_the_controller_does_what_was_said(name: str, benches: Any) -> None:
    edit, bench = EDITS[name], benches[name]
    old = bench.settle(*((edit.waits_for) if edit.old["provider"]["name"] == "vllm" else ("Ready", "True")))
    before = bench.objects()
    document = bench.document(edit.new)
    said = bench.foretell(document)
    moment = bench.mark()
    bench.apply(document)
    new = bench.settle(*edit.waits_for)
    done = due(said, ready=edit.waits_for[0] == "Ready")
    bench.until(lambda: compare(before, bench.objects()) == actions(done), f"what was said: {actions(done)}")

    assert said["update"] == edit.update
    assert edit.why in said["reason"]
    assert said["downtime"] == edit.downtime
    counts = tuple(said["gpus"][when].get("nvidia.com/gpu", 0) for when in ("before", "meanwhile", "after"))
    assert counts == edit.gpus
    assert by_action(said["objects"]) == edit.objects
    assert bench.writes(moment) == expected_writes(done)
    assert said["newGeneration"] is edit.generation is (new["metadata"]["generation"] > old["metadata"]["generation"])
    assert said["provider"]["before"] == old["status"]["provider"]["name"]
    assert (said["held"] is not None) is (edit.update == "waits")
    assert said["stops"] is None
    assert said["pending"] is False
    if edit.update not in {"refused", "waits"}:
        assert said["provider"]["after"] == new["status"]["provider"]["name"]
        assert said["engine"]["after"] == new["status"]["engine"]["type"]
    # Made, the edit is no edit any more: whatever else was said to be done is done.
    again = bench.foretell(document)
    assert again["newGeneration"] is False
    left = [row for row in said["objects"] if row not in done]
    assert actions(again["objects"]) == actions(left)
    assert again["pending"] is bool(left)
