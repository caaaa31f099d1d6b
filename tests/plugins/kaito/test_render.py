"""What is rendered for what, beyond the golden files: each choice with its mirror image."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

import kubeairunway_kaito
from kubeairunway.plugin import CONFIG_MAP, SERVICE, Kind, Request
from kubeairunway_kaito.catalog import INFERENCE_SET, WORKSPACE, Overrides, Settings

Maker = Callable[..., Request]


def body_of(request: Request) -> Any:
    return kubeairunway_kaito.render(request).primary.body


def inference_of(request: Request) -> Any:
    body = body_of(request)
    return body["inference"] if "inference" in body else body["spec"]["template"]["inference"]


def container_of(request: Request) -> Any:
    (container,) = inference_of(request)["template"]["spec"]["containers"]
    return container


def selector_of(request: Request) -> Any:
    body = body_of(request)
    return (body.get("resource") or body["spec"])["labelSelector"]["matchLabels"]


def config_of(request: Request) -> dict[str, str]:
    before = kubeairunway_kaito.render(request).before
    return yaml.safe_load(before[0].body["data"]["inference_config.yaml"])["vllm"] if before else {}


KIND_CASES: dict[str, tuple[str, Kind | None, int, bool, Kind]] = {
    "nothing exists": ("auto", None, 1, True, INFERENCE_SET),
    "nothing exists and no set is served": ("auto", None, 1, False, WORKSPACE),
    "a Workspace exists": ("auto", WORKSPACE, 1, True, WORKSPACE),
    "a Workspace exists that no longer fits": ("auto", WORKSPACE, 2, True, INFERENCE_SET),
    "a Workspace exists that shall stop": ("auto", WORKSPACE, 0, True, INFERENCE_SET),
    "a set exists": ("auto", INFERENCE_SET, 1, True, INFERENCE_SET),
    "a set existed and none is served": ("auto", INFERENCE_SET, 1, False, WORKSPACE),
    "a Workspace is asked for": ("Workspace", None, 1, True, WORKSPACE),
    "a Workspace is asked for in place of a set": ("Workspace", INFERENCE_SET, 1, True, WORKSPACE),
    "a set is asked for in place of a Workspace": ("InferenceSet", WORKSPACE, 1, True, INFERENCE_SET),
}


@pytest.mark.parametrize("case", KIND_CASES)
def test_the_kind(vllm: Maker, kinds_without_set: tuple[Kind, ...], case: str) -> None:
    resource, primary, replicas, served, expected = KIND_CASES[case]
    rest: dict[str, Any] = {} if served else {"kinds": kinds_without_set}
    overrides = Overrides(resource=resource)  # type: ignore[arg-type]  # the table's words are those of the Literal
    request = vllm({"scaling": {"replicas": replicas}}, primary=primary, overrides=overrides, **rest)
    assert kubeairunway_kaito.render(request).primary.kind == expected


@pytest.mark.parametrize("engine", ["vllm", "llamacpp"])
def test_a_set_gets_a_service_of_ours_and_a_workspace_has_kaitos(engines: dict[str, Maker], engine: str) -> None:
    of_set = kubeairunway_kaito.render(engines[engine]()).after
    assert [(manifest.kind, manifest.suffix) for manifest in of_set] == [(SERVICE, "api")]
    assert kubeairunway_kaito.render(engines[engine](overrides=Overrides(resource="Workspace"))).after == ()


def test_a_workspace_claims_the_service_of_its_name(vllm: Maker) -> None:
    assert kubeairunway_kaito.render(vllm(overrides=Overrides(resource="Workspace"))).claims == ((SERVICE, ""),)
    assert kubeairunway_kaito.render(vllm()).claims == ()


def test_nothing_deprecated_and_no_default_of_upstreams_is_rendered(vllm: Maker) -> None:
    body = body_of(vllm(overrides=Overrides(resource="Workspace")))
    assert set(body) == {"resource", "inference"}
    assert set(body["resource"]) == {"labelSelector"}
    assert body["inference"]["preset"] == {"name": "org/model"}


def test_replicas_change_nothing_but_the_count(vllm: Maker) -> None:
    bodies = {n: body_of(vllm({"scaling": {"replicas": n}}))["spec"] for n in (0, 1, 7)}
    assert {n: body["replicas"] for n, body in bodies.items()} == {0: 0, 1: 1, 7: 7}
    assert bodies[0] | {"replicas": 1} == bodies[1]


def test_the_served_name_is_left_out_only_where_it_is_upstreams_default(vllm: Maker) -> None:
    assert config_of(vllm()) == {"served-model-name": "model"}
    assert config_of(vllm(name="model")) == {}
    assert config_of(vllm(name="model", overrides=Overrides(resource="Workspace"))) == {"served-model-name": "model"}


def test_without_arguments_there_is_no_config_map(vllm: Maker, llamacpp: Maker) -> None:
    request = vllm(name="model")
    assert kubeairunway_kaito.render(request).before == ()
    assert "config" not in inference_of(request)
    assert kubeairunway_kaito.render(llamacpp({"engine": {"contextLength": 4096}})).before == ()


def test_another_context_length_gets_another_config_map_and_so_reaches_the_model(vllm: Maker) -> None:
    requests = [vllm({"engine": {"contextLength": length}}) for length in (4096, 8192)]
    names = [inference_of(request)["config"] for request in requests]
    assert names[0] != names[1]
    for request, name in zip(requests, names, strict=True):
        (config,) = kubeairunway_kaito.render(request).before
        assert (config.kind, f"demo-{config.suffix}") == (CONFIG_MAP, name)
    assert "inference.config" in WORKSPACE.recreate
    assert "spec.template" in INFERENCE_SET.recreate


@pytest.mark.parametrize(
    "text", ["0.9", "true", "null", "8192", '{"a": [1, "b"]}', "a: b #c", 'back\\slash "q"', "é😀\x85\u2028\n\t", " "]
)
def test_yaml_reads_an_argument_as_it_was_written(vllm: Maker, text: str) -> None:
    config = config_of(vllm({"engine": {"args": {"on": text}}}))
    assert config["on"] == text


def test_the_secret_of_a_gated_model(vllm: Maker, llamacpp: Maker) -> None:
    change = {"secrets": {"huggingFaceToken": "tok"}}
    assert inference_of(vllm(change))["preset"]["presetOptions"] == {"modelAccessSecret": "tok"}
    assert "presetOptions" not in inference_of(vllm())["preset"]
    assert container_of(llamacpp(change))["env"] == [
        {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "tok", "key": "HF_TOKEN"}}}
    ]
    assert "env" not in container_of(llamacpp())


IMAGE_CASES: dict[str, tuple[dict[str, Any], str]] = {
    "nothing said": ({}, "cpu:1"),
    "a GPU": ({"resources": {"gpu": {"count": 1}}}, "gpu:1"),
    "image": ({"image": "mine:1"}, "mine:1"),
    "image on a GPU": ({"image": "mine:1", "resources": {"gpu": {"count": 1}}}, "mine:1"),
    "engine image": ({"engine": {"image": "mine:2"}}, "mine:2"),
    "both": ({"engine": {"image": "mine:2"}, "image": "mine:1"}, "mine:2"),
}


@pytest.mark.parametrize("case", IMAGE_CASES)
def test_the_image_of_llamacpp(llamacpp: Maker, case: str) -> None:
    change, expected = IMAGE_CASES[case]
    settings = Settings(cpu_runner_image="cpu:1", gpu_runner_image="gpu:1")
    assert container_of(llamacpp(change, settings=settings))["image"] == expected


ARGUMENT_CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "nothing said": ({}, ["huggingface://org/model-GGUF", "--address=:5000"]),
    "custom source": ({"model": {"source": "custom"}, "image": "x:1"}, ["--address=:5000"]),
    "GGUF file": ({"engine": {"args": {"ggufUrl": "https://x/a.gguf"}}}, ["https://x/a.gguf", "--address=:5000"]),
    "context length": (
        {"engine": {"contextLength": 2048}},
        ["huggingface://org/model-GGUF", "--address=:5000", "--context-size=2048"],
    ),
    "arguments in order": (
        {"engine": {"args": {"threads": "4", "debug": ""}, "extraArgs": ["--z", "a"]}},
        ["huggingface://org/model-GGUF", "--address=:5000", "--debug", "--threads=4", "--z", "a"],
    ),
    "served name": ({"model": {"servedName": "x"}}, ["huggingface://org/model-GGUF", "--address=:5000"]),
}


@pytest.mark.parametrize("case", ARGUMENT_CASES)
def test_the_arguments_of_llamacpp(llamacpp: Maker, case: str) -> None:
    change, expected = ARGUMENT_CASES[case]
    assert container_of(llamacpp(change))["args"] == expected


RESOURCE_CASES: dict[str, tuple[dict[str, Any], dict[str, Any] | None]] = {
    "nothing": ({}, None),
    "memory": ({"memory": "8Gi"}, {"requests": {"memory": "8Gi"}, "limits": {"memory": "8Gi"}}),
    "CPU is never limited": ({"cpu": "4"}, {"requests": {"cpu": "4"}}),
    "GPU": ({"gpu": {"count": 2}}, {"limits": {"nvidia.com/gpu": "2"}}),
    "no GPU": ({"gpu": {"count": 0}}, None),
    "all": (
        {"memory": "16Gi", "cpu": "4", "gpu": {"count": 1}},
        {"requests": {"memory": "16Gi", "cpu": "4"}, "limits": {"memory": "16Gi", "nvidia.com/gpu": "1"}},
    ),
}


@pytest.mark.parametrize("case", RESOURCE_CASES)
def test_the_resources_of_llamacpp(llamacpp: Maker, case: str) -> None:
    change, expected = RESOURCE_CASES[case]
    assert container_of(llamacpp({"resources": change})).get("resources") == expected


SELECTOR_CASES: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "llama.cpp on CPU": ("llamacpp", {}, {}),
    "llama.cpp on a GPU": ("llamacpp", {"resources": {"gpu": {"count": 2}}}, {"nvidia.com/gpu.present": "true"}),
    "llama.cpp on another GPU": ("llamacpp", {"resources": {"gpu": {"count": 2, "type": "amd.com/gpu"}}}, {}),
    "vLLM": ("vllm", {}, {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.count": "1"}),
    "vLLM on four GPUs": (
        "vllm",
        {"resources": {"gpu": {"count": 4}}},
        {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.count": "4"},
    ),
    "labels of the user's": ("llamacpp", {"nodeSelector": {"pool": "a", "zone": "b"}}, {"pool": "a", "zone": "b"}),
}


@pytest.mark.parametrize("case", SELECTOR_CASES)
@pytest.mark.parametrize("resource", ["InferenceSet", "Workspace"])
def test_the_nodes(engines: dict[str, Maker], resource: Any, case: str) -> None:
    engine, change, expected = SELECTOR_CASES[case]
    request = engines[engine](change, overrides=Overrides(resource=resource))
    assert selector_of(request) == {"kubernetes.io/os": "linux", **expected}


@pytest.mark.parametrize("resource", ["InferenceSet", "Workspace"])
def test_provisioned_nodes_get_a_machine_type_and_no_label_that_may_lie(vllm: Maker, resource: Any) -> None:
    settings = Settings(node_auto_provisioning=True, gpu_instance_types={"1": "A1"})
    for asked, expected in (("", "A1"), ("B9", "B9")):
        request = vllm(settings=settings, overrides=Overrides(resource=resource, instance_type=asked))
        body = body_of(request)
        assert (body.get("resource") or body["spec"]["template"]["resource"])["instanceType"] == expected
        assert "nvidia.com/gpu.count" not in selector_of(request)


def test_settings_for_provisioning_do_nothing_where_it_is_off(vllm: Maker) -> None:
    assert body_of(vllm(settings=Settings(gpu_instance_types={"1": "A1"}))) == body_of(vllm())


def test_options_of_presets_become_annotations_of_set_and_workspaces(vllm: Maker) -> None:
    overrides = Overrides(disable_benchmark=True)
    primary = kubeairunway_kaito.render(vllm(overrides=overrides)).primary
    assert primary.annotations == {"kaito.sh/disable-benchmark": "true"}
    assert primary.body["spec"]["template"]["metadata"]["annotations"] == primary.annotations
    assert kubeairunway_kaito.render(vllm()).primary.annotations == {}


def test_missing_overrides_and_settings_are_the_defaults(llamacpp: Maker) -> None:
    request = llamacpp()
    bare = Request(name=request.name, namespace=request.namespace, spec=request.spec, versions=request.versions)
    assert kubeairunway_kaito.render(bare) == kubeairunway_kaito.render(request)
