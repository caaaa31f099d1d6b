"""What KAITO objects to, and the mirror image of each: what it lets pass."""

from collections.abc import Callable
from typing import Any

import pytest

import kubeairunway_kaito
from kubeairunway.plugin import Kind, Problem, Request
from kubeairunway_kaito.catalog import INFERENCE_SET, WORKSPACE, Overrides, Settings

Maker = Callable[..., Request]
PROVISIONING = Settings(node_auto_provisioning=True, cpu_instance_type="D8", gpu_instance_types={"1": "A1", "2": "A2"})


def problems_of(request: Request, *, warning: bool = False) -> list[tuple[str, str]]:
    found = list(kubeairunway_kaito.validate(request))
    assert all(isinstance(problem, Problem) and problem.message for problem in found)
    return [(problem.path, problem.code) for problem in found if problem.warning is warning]


def args(**values: str) -> dict[str, Any]:
    return {"engine": {"args": {key.replace("__", "-"): value for key, value in values.items()}}}


VLLM_CASES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "one GPU": ({}, []),
    "three replicas": ({"scaling": {"replicas": 3}}, []),
    "no replicas": ({"scaling": {"replicas": 0}}, []),
    "argument with a value": (args(dtype="half"), []),
    "argument with hyphens": (args(gpu__memory__utilization="0.9"), []),
    "argument with underscores": (args(gpu_memory_utilization="0.9"), []),
    "tensor parallel size": (args(tensor__parallel__size="2"), []),
    "bare flag": (args(enable__lora=""), [("spec.engine.args.enable-lora", "BareArgument")]),
    "a GGUF repository": ({"model": {"id": "org/model-GGUF"}}, [("spec.model.id", "NoSafetensors")]),
    "node label of the user's": ({"nodeSelector": {"pool": "a"}}, []),
    "node label that is required anyway": ({"nodeSelector": {"nvidia.com/gpu.present": "true"}}, []),
    "nodes without GPUs": (
        {"nodeSelector": {"nvidia.com/gpu.present": "false"}},
        [("spec.nodeSelector", "ConflictingNodeLabel")],
    ),
    "nodes with other GPU counts": (
        {"nodeSelector": {"nvidia.com/gpu.count": "8"}},
        [("spec.nodeSelector", "ConflictingNodeLabel")],
    ),
    "Windows nodes": (
        {"nodeSelector": {"kubernetes.io/os": "windows"}},
        [("spec.nodeSelector", "ConflictingNodeLabel")],
    ),
    "a label that KAITO drops from selectors": (
        {"nodeSelector": {"kaito.sh/workspace": "x"}},
        [("spec.nodeSelector", "ReservedNodeLabel")],
    ),
    "another label that KAITO drops": (
        {"nodeSelector": {"karpenter.kaito.sh/inferenceset-namespace": "x"}},
        [("spec.nodeSelector", "ReservedNodeLabel")],
    ),
}

LLAMACPP_CASES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "a bare model id": ({}, []),
    "memory and CPU": ({"resources": {"memory": "8Gi", "cpu": "4"}}, []),
    "an NVIDIA GPU": ({"resources": {"gpu": {"count": 1}}}, []),
    "another GPU without an image": (
        {"resources": {"gpu": {"count": 1, "type": "amd.com/gpu"}}},
        [("spec.engine.image", "ImageRequired")],
    ),
    "another GPU with an image": ({"resources": {"gpu": {"count": 1, "type": "amd.com/gpu"}}, "image": "x/y:1"}, []),
    "another GPU type that is not used": ({"resources": {"gpu": {"count": 0, "type": "amd.com/gpu"}}}, []),
    "custom source without an image": ({"model": {"source": "custom"}}, [("spec.engine.image", "ImageRequired")]),
    "custom source with an image": ({"model": {"source": "custom"}, "image": "x/y:1"}, []),
    "custom source with an engine image": ({"model": {"source": "custom"}, "engine": {"image": "x/y:1"}}, []),
    "bare flag": (args(debug=""), []),
    "context as argument": (args(context__size="1"), [("spec.engine.args.context-size", "ArgumentOwned")]),
    "context as argument with underscores": (
        args(context_size="1"),
        [("spec.engine.args.context_size", "ArgumentOwned")],
    ),
    "vLLM's argument": (args(max__model__len="1"), []),
    "GGUF file": (args(ggufUrl="https://example.com/a.gguf"), []),
    "token as variable": ({"env": [{"name": "HF_TOKEN", "value": "x"}]}, []),
    "token as secret": ({"secrets": {"huggingFaceToken": "x"}}, []),
    "pod label of the user's": ({"podTemplate": {"metadata": {"labels": {"team": "a"}}}}, []),
    "pod label of KAITO's": (
        {"podTemplate": {"metadata": {"labels": {"kaito.sh/workspace": "a"}}}},
        [("spec.podTemplate.metadata.labels", "ReservedPodLabel")],
    ),
    "nodes without GPUs": ({"nodeSelector": {"nvidia.com/gpu.present": "false"}}, []),
    "tolerations": ({"tolerations": [{"operator": "Exists"}]}, []),
}


@pytest.mark.parametrize("case", VLLM_CASES)
def test_vllm(vllm: Maker, case: str) -> None:
    change, expected = VLLM_CASES[case]
    assert problems_of(vllm(change)) == expected


@pytest.mark.parametrize("case", LLAMACPP_CASES)
def test_llamacpp(llamacpp: Maker, case: str) -> None:
    change, expected = LLAMACPP_CASES[case]
    assert problems_of(llamacpp(change)) == expected


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        (1, []),
        (0, [("spec.scaling.replicas", "WorkspaceIsOneReplica")]),
        (2, [("spec.scaling.replicas", "WorkspaceIsOneReplica")]),
    ],
)
@pytest.mark.parametrize("engine", ["vllm", "llamacpp"])
def test_a_workspace_is_exactly_one_replica(
    engines: dict[str, Maker],
    kinds_without_set: tuple[Kind, ...],
    engine: str,
    replicas: int,
    expected: list[tuple[str, str]],
) -> None:
    change = {"scaling": {"replicas": replicas}}
    assert problems_of(engines[engine](change, kinds=kinds_without_set)) == expected
    assert problems_of(engines[engine](change, overrides=Overrides(resource="Workspace"))) == expected
    assert problems_of(engines[engine](change, overrides=Overrides(resource="InferenceSet"))) == []


@pytest.mark.parametrize("primary", [WORKSPACE, INFERENCE_SET])
def test_scaling_an_existing_workspace_is_no_problem_where_sets_are_served(vllm: Maker, primary: Kind) -> None:
    assert problems_of(vllm({"scaling": {"replicas": 3}}, primary=primary)) == []


def test_a_set_cannot_be_asked_for_where_none_is_served(vllm: Maker, kinds_without_set: tuple[Kind, ...]) -> None:
    request = vllm(kinds=kinds_without_set, overrides=Overrides(resource="InferenceSet"))
    assert problems_of(request) == [("spec.provider.overrides.resource", "KindNotServed")]


def test_a_workspace_does_not_take_the_name_of_a_sets_service(vllm: Maker, kinds_without_set: tuple[Kind, ...]) -> None:
    workspace = Overrides(resource="Workspace")
    assert problems_of(vllm(name="chat-api", overrides=workspace)) == [("metadata.name", "NameMeetsService")]
    assert problems_of(vllm(name="chat-apis", overrides=workspace)) == []
    assert problems_of(vllm(name="chat-api")) == [], "a set's Service would be chat-api-api"
    assert problems_of(vllm(name="chat-api", kinds=kinds_without_set)) == [], "nobody has a set"
    assert problems_of(vllm(name="chat-api", overrides=workspace, primary=WORKSPACE)) == [], "it was there first"


def test_provisioned_nodes_need_a_machine_type(vllm: Maker, llamacpp: Maker) -> None:
    count = ("spec.resources.gpu.count", "NoInstanceType")
    assert problems_of(vllm(settings=PROVISIONING)) == []
    assert problems_of(vllm({"resources": {"gpu": {"count": 4}}}, settings=PROVISIONING)) == [count]
    asked = Overrides(instance_type="A4")
    assert problems_of(vllm({"resources": {"gpu": {"count": 4}}}, settings=PROVISIONING, overrides=asked)) == []
    assert problems_of(llamacpp(settings=PROVISIONING)) == []
    bare = Settings(node_auto_provisioning=True)
    assert problems_of(llamacpp(settings=bare)) == [("spec.provider.overrides.instanceType", "NoInstanceType")]


def test_a_machine_type_decides_the_number_of_gpus_and_a_warning_says_so(vllm: Maker) -> None:
    asked = Overrides(instance_type="A4")
    warning = ("spec.resources.gpu.count", "InstanceTypeDecides")
    assert problems_of(vllm({"resources": {"gpu": {"count": 2}}}, overrides=asked), warning=True) == [warning]
    assert problems_of(vllm(overrides=asked), warning=True) == []
    assert problems_of(vllm({"resources": {"gpu": {"count": 2}}}), warning=True) == []


@pytest.mark.parametrize(
    ("option", "overrides"),
    [
        ("bypassResourceChecks", Overrides(bypass_resource_checks=True)),
        ("disableBenchmark", Overrides(disable_benchmark=True)),
    ],
)
def test_options_for_presets_are_refused_where_they_do_nothing(
    vllm: Maker, llamacpp: Maker, option: str, overrides: Overrides
) -> None:
    assert problems_of(vllm(overrides=overrides)) == []
    assert problems_of(llamacpp(overrides=overrides)) == [(f"spec.provider.overrides.{option}", "OnlyForVllm")]


def test_settings_without_a_runner_image_make_one_necessary(llamacpp: Maker) -> None:
    bare = Settings(cpu_runner_image="")
    assert problems_of(llamacpp(settings=bare)) == [("spec.engine.image", "ImageRequired")]
    assert problems_of(llamacpp({"image": "x/y:1"}, settings=bare)) == []


GGUF_CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "no word of GGUF": ({"model": {"id": "Qwen/Qwen3-0.6B"}}, True),
    "GGUF in the name": ({"model": {"id": "Qwen/Qwen3-0.6B-GGUF"}}, False),
    "gguf in the name": ({"model": {"id": "google/gemma-gguf"}}, False),
    "an image": ({"model": {"id": "Qwen/Qwen3-0.6B"}, "image": "x/y:1"}, False),
    "a file": ({"model": {"id": "Qwen/Qwen3-0.6B"}, **args(ggufUrl="https://example.com/a.gguf")}, False),
}


@pytest.mark.parametrize("case", GGUF_CASES)
def test_a_model_that_may_have_no_gguf_files(llamacpp: Maker, case: str) -> None:
    """On CPU it is let through with a warning; with a GPU it is vLLM's, and has to stay refused there."""
    change, doubtful = GGUF_CASES[case]
    expected = [("spec.model.id", "NoGguf")] if doubtful else []
    assert problems_of(llamacpp(change), warning=True) == expected
    assert problems_of(llamacpp(change)) == []
    with_gpu = llamacpp({**change, "resources": {"gpu": {"count": 1}}})
    assert problems_of(with_gpu, warning=True) == []
    assert problems_of(with_gpu) == expected
