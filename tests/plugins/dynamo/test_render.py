"""What is rendered for what, beyond the golden files: each choice with its mirror image."""

from collections.abc import Callable
from typing import Any

import pytest

import kubeairunway_dynamo
from kubeairunway.plugin import SERVICE, Request
from kubeairunway_dynamo.catalog import CLAIM, GRAPH

Maker = Callable[..., Request]
Components = Callable[[Request], dict[str, Any]]


def container_of(components: dict[str, Any], name: str = "Worker") -> Any:
    (container,) = components[name]["podTemplate"]["spec"]["containers"]
    return container


def value_of(arguments: list[str], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]


def test_a_graph_lives_alone_under_the_name_and_claims_its_service(make: Maker) -> None:
    rendering = kubeairunway_dynamo.render(make())
    assert (rendering.primary.kind, rendering.primary.suffix) == (GRAPH, "")
    assert (rendering.before, rendering.after) == ((), ())
    assert rendering.claims == ((SERVICE, "frontend"),)
    assert set(rendering.primary.body) == {"spec"}
    assert (rendering.primary.labels, rendering.primary.annotations) == ({}, {})


@pytest.mark.parametrize("version", GRAPH.versions)
@pytest.mark.parametrize(
    ("mode", "names"), [("aggregated", ["Frontend", "Worker"]), ("disaggregated", ["Frontend", "Prefill", "Decode"])]
)
def test_the_components_of_a_mode(
    make: Maker, components_of: Components, version: str, mode: str, names: list[str]
) -> None:
    assert list(components_of(make("vllm", mode, version=version))) == names


PARALLEL: dict[str, tuple[dict[str, Any], int, str | None]] = {
    "one GPU": ({}, 1, None),
    "four GPUs": ({}, 4, "4"),
    "given": ({"args": {"tensor-parallel-size": "2"}}, 4, None),
    "given with underscores": ({"args": {"tensor_parallel_size": "2"}}, 4, None),
    "given in SGLang's spelling": ({"args": {"tp-size": "2"}}, 4, None),
    "given in short": ({"args": {"tp": "2"}}, 4, None),
    "given raw": ({"extraArgs": ["--tensor-parallel-size=2"]}, 4, None),
    "given raw in two parts": ({"extraArgs": ["--tp", "2"]}, 4, None),
    "given raw in short": ({"extraArgs": ["-tp", "2"]}, 4, None),
    "pipelines": ({"args": {"pipeline-parallel-size": "2"}}, 4, None),
    "copies": ({"args": {"data-parallel-size": "2"}}, 4, None),
    "a value that looks like it": ({"args": {"note": "tp"}}, 4, "4"),
    "a raw value that looks like it": ({"extraArgs": ["--note", "tp"]}, 4, "4"),
    "another flag": ({"args": {"tp-planner": "x"}}, 4, "4"),
}


@pytest.mark.parametrize("case", PARALLEL)
@pytest.mark.parametrize(
    ("engine", "flag"),
    [("vllm", "--tensor-parallel-size"), ("sglang", "--tp-size"), ("trtllm", "--tensor-parallel-size")],
)
def test_tensor_parallelism(make: Maker, components_of: Components, engine: str, flag: str, case: str) -> None:
    change, gpus, expected = PARALLEL[case]
    spec = {"engine": change, "resources": {"gpu": {"count": gpus}}}
    arguments = container_of(components_of(make(engine, change=spec)))["args"]
    assert (value_of(arguments, flag) if flag in arguments else None) == expected


def test_each_role_is_parallel_over_its_own_gpus(make: Maker, components_of: Components) -> None:
    change = {"scaling": {"prefill": {"gpu": {"count": 2}}, "decode": {"gpu": {"count": 8}}}}
    components = components_of(make("sglang", "disaggregated", change))
    found = {name: value_of(container_of(components, name)["args"], "--tp-size") for name in ("Prefill", "Decode")}
    assert found == {"Prefill": "2", "Decode": "8"}


SPELLINGS: dict[str, tuple[dict[str, Any], dict[str, list[str]]]] = {
    "context length": (
        {"contextLength": 4096},
        {"vllm": ["--max-model-len", "4096"], "sglang": ["--context-length", "4096"]},
    ),
    "remote code": ({"trustRemoteCode": True}, {"vllm": ["--trust-remote-code"], "sglang": ["--trust-remote-code"]}),
    "no prefix caching": (
        {"enablePrefixCaching": False},
        {"vllm": ["--no-enable-prefix-caching"], "sglang": ["--disable-radix-cache"]},
    ),
    "eager": ({"enforceEager": True}, {"vllm": ["--enforce-eager"], "sglang": ["--disable-cuda-graph"]}),
    "arguments": (
        {"args": {"b": "1", "a": ""}, "extraArgs": ["--z", "y"]},
        {name: ["--a", "--b=1", "--z", "y"] for name in ("vllm", "sglang", "trtllm")},
    ),
}


@pytest.mark.parametrize("case", SPELLINGS)
def test_each_engine_is_told_in_its_own_words(make: Maker, components_of: Components, case: str) -> None:
    change, expected = SPELLINGS[case]
    for engine, words in expected.items():
        model = "--model" if engine == "vllm" else "--model-path"
        plain = [model, "org/model", "--served-model-name", "model"]
        assert container_of(components_of(make(engine)))["args"] == plain
        container = container_of(components_of(make(engine, change={"engine": change})))
        assert container["args"] == [*plain, *words]
        assert container["command"] == ["python3", "-m", f"dynamo.{engine}"]


GIVEN_TRANSFER: dict[str, tuple[str, str, str]] = {
    "vLLM's connector": ("vllm", "kv-transfer-config", '{"kv_connector":"P2pNcclConnector"}'),
    "SGLang's backend": ("sglang", "disaggregation-transfer-backend", "mooncake"),
    "SGLang's port": ("sglang", "disaggregation-bootstrap-port", "8998"),
}


@pytest.mark.parametrize("case", GIVEN_TRANSFER)
def test_how_roles_hand_over_the_cache_is_the_users_to_say(make: Maker, components_of: Components, case: str) -> None:
    engine, flag, value = GIVEN_TRANSFER[case]
    change = {"engine": {"args": {flag: value}}}
    arguments = container_of(components_of(make(engine, "disaggregated", change)), "Decode")["args"]
    assert [part for part in arguments if flag in part] == [f"--{flag}={value}"]
    ours = container_of(components_of(make(engine, "disaggregated")), "Decode")["args"]
    assert f"--{flag}" in ours


def test_nothing_about_roles_is_said_in_aggregated_mode(make: Maker, components_of: Components) -> None:
    for engine in ("vllm", "sglang", "trtllm"):
        container = container_of(components_of(make(engine)))
        assert not [part for part in container["args"] if "disaggregation" in part or "kv-" in part or "host" in part]
        assert "env" not in container


@pytest.mark.parametrize(
    ("engine", "mode", "name", "publishes"),
    [
        ("vllm", "aggregated", "Worker", True),
        ("vllm", "disaggregated", "Prefill", True),
        ("vllm", "disaggregated", "Decode", False),
        ("sglang", "aggregated", "Worker", True),
        ("sglang", "disaggregated", "Decode", False),
        ("trtllm", "aggregated", "Worker", False),
    ],
)
def test_what_a_cache_holds_is_published_where_the_router_looks(
    make: Maker,
    components_of: Components,
    engine: str,
    mode: str,
    name: str,
    publishes: bool,  # noqa: FBT001 - a table's column
) -> None:
    for router in ("kv", "round-robin", "random"):
        components = components_of(make(engine, mode, overrides={"routerMode": router}))
        arguments = container_of(components, name)["args"]
        assert ("--kv-events-config" in arguments) is (publishes and router == "kv")
        assert {"name": "DYN_ROUTER_MODE", "value": router} in container_of(components, "Frontend")["env"]


def test_a_users_own_events_are_left_alone(make: Maker, components_of: Components) -> None:
    change = {"engine": {"args": {"kv-events-config": "{}"}}}
    arguments = container_of(components_of(make(change=change, overrides={"routerMode": "kv"})))["args"]
    assert [part for part in arguments if "kv-events" in part] == ["--kv-events-config={}"]


IMAGE_CASES: dict[str, tuple[dict[str, Any], str, dict[str, Any], str]] = {
    "nothing said": ({}, "v1beta1", {}, "nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.4.0"),
    "older Dynamo": ({}, "v1alpha1", {}, "nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.1.1"),
    "SGLang": ({"engine": {"type": "sglang"}}, "v1beta1", {}, "nvcr.io/nvidia/ai-dynamo/sglang-runtime:1.4.0"),
    "TensorRT-LLM": (
        {"engine": {"type": "trtllm"}},
        "v1beta1",
        {},
        "nvcr.io/nvidia/ai-dynamo/tensorrtllm-runtime:1.4.0",
    ),
    "a mirror": (
        {},
        "v1beta1",
        {"registry": "m.example/d/", "runtimeVersion": "1.3.0"},
        "m.example/d/vllm-runtime:1.3.0",
    ),
    "image": ({"image": "a:1.0.0"}, "v1beta1", {"registry": "m.example"}, "a:1.0.0"),
    "engine image": ({"engine": {"image": "b:1.0.0"}}, "v1beta1", {}, "b:1.0.0"),
    "both": ({"image": "a:1.0.0", "engine": {"image": "b:1.0.0"}}, "v1beta1", {}, "b:1.0.0"),
}


@pytest.mark.parametrize("case", IMAGE_CASES)
def test_the_image_of_workers_and_frontend(make: Maker, components_of: Components, case: str) -> None:
    change, version, settings, expected = IMAGE_CASES[case]
    components = components_of(make(change=change, version=version, settings=settings))
    if version == "v1alpha1":
        found = {row["extraPodSpec"]["mainContainer"]["image"] for row in components.values()}
    else:
        found = {container_of(components, name)["image"] for name in components}
    assert found == {expected}


def test_the_version_is_said_of_every_component_and_changes_no_image(make: Maker, components_of: Components) -> None:
    components = components_of(make(overrides={"runtimeVersion": "1.3.2"}))
    assert {row["runtimeVersionOverride"] for row in components.values()} == {"1.3.2"}
    assert container_of(components)["image"].endswith(":1.4.0")
    assert all("runtimeVersionOverride" not in row for row in components_of(make()).values())


@pytest.mark.parametrize("mode", ["aggregated", "disaggregated"])
@pytest.mark.parametrize("version", GRAPH.versions)
def test_at_zero_nothing_runs_the_frontend_included(
    make: Maker, components_of: Components, version: str, mode: str
) -> None:
    none = {"replicas": 0, "prefill": {"replicas": 0}, "decode": {"replicas": 0}}
    scaling = {"replicas": 0} if mode == "aggregated" else {key: none[key] for key in ("prefill", "decode")}
    components = components_of(make("vllm", mode, {"scaling": scaling}, version=version))
    assert {row["replicas"] for row in components.values()} == {0}
    assert components_of(make("vllm", mode, version=version))["Frontend"]["replicas"] == 1


def test_replicas_change_nothing_else(make: Maker, components_of: Components) -> None:
    one, seven = (components_of(make(change={"scaling": {"replicas": n}})) for n in (1, 7))
    assert seven["Worker"]["replicas"] == 7
    assert one["Worker"] | {"replicas": 7} == seven["Worker"]
    assert one["Frontend"] == seven["Frontend"]


def test_gpus_of_another_kind_are_asked_for_by_their_name(make: Maker, components_of: Components) -> None:
    change = {"image": "x:1.0.0", "resources": {"gpu": {"count": 2, "type": "amd.com/gpu"}}}
    beta = container_of(components_of(make(change=change)))["resources"]
    assert beta == {"requests": {"amd.com/gpu": "2"}, "limits": {"amd.com/gpu": "2"}}
    alpha = components_of(make(change=change, version="v1alpha1"))["Worker"]["resources"]
    assert alpha == {side: {"gpu": "2", "gpuType": "amd.com/gpu"} for side in ("requests", "limits")}


def test_cpu_is_asked_for_and_never_limited(make: Maker, components_of: Components) -> None:
    change = {"resources": {"memory": "8Gi", "cpu": "4"}}
    resources = container_of(components_of(make(change=change)))["resources"]
    assert resources["requests"] == {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "1"}
    assert resources["limits"] == {"memory": "8Gi", "nvidia.com/gpu": "1"}


def test_the_token_reaches_every_component_and_a_users_variable_wins_over_ours(
    make: Maker, components_of: Components
) -> None:
    mine = [{"name": "VLLM_NIXL_SIDE_CHANNEL_HOST", "value": "10.0.0.1"}, {"name": "HF_HOME", "value": "/mine"}]
    volumes = [{"name": "w", "claimName": "c", "mountPath": "/model-cache", "purpose": "modelCache"}]
    change = {"secrets": {"huggingFaceToken": "t"}, "env": mine, "model": {"storage": {"volumes": volumes}}}
    components = components_of(make("vllm", "disaggregated", change))
    token = {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "t", "key": "HF_TOKEN"}}}
    assert container_of(components, "Prefill")["env"] == [token, *mine]
    assert token in container_of(components, "Frontend")["env"]
    plain = components_of(make("vllm", "disaggregated", {"model": {"storage": {"volumes": volumes}}}))
    assert [row["name"] for row in container_of(plain, "Decode")["env"]] == ["HF_HOME", "VLLM_NIXL_SIDE_CHANNEL_HOST"]


def claim_for(make: Maker, **fields: Any) -> list[Any]:
    row = {"name": "w", "claimName": "demo-w", "mountPath": "/w", "accessMode": "ReadWriteMany", **fields}
    rendering = kubeairunway_dynamo.render(make(change={"model": {"storage": {"volumes": [row]}}}))
    return [(manifest.kind, manifest.suffix, manifest.body["spec"]) for manifest in rendering.before]


def test_a_volume_with_a_size_gets_its_claim(make: Maker) -> None:
    plain = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "5Gi"}}}
    assert claim_for(make) == []
    assert claim_for(make, size="5Gi") == [(CLAIM, "w", plain)]
    assert claim_for(make, size="5Gi", storageClassName="fast")[0][2] == plain | {"storageClassName": "fast"}
    assert claim_for(make, size="5Gi", storageClassName="")[0][2] == plain | {"storageClassName": ""}


def test_placement_and_metadata_are_the_workers_alone(make: Maker, components_of: Components) -> None:
    change = {
        "nodeSelector": {"pool": "a"},
        "tolerations": [{"operator": "Exists"}],
        "podTemplate": {"metadata": {"labels": {"team": "nlp"}}},
        "env": [{"name": "A", "value": "b"}],
    }
    plain, placed = components_of(make()), components_of(make(change=change))
    assert placed["Frontend"] == plain["Frontend"]
    template = placed["Worker"]["podTemplate"]
    assert template["metadata"] == {"labels": {"team": "nlp"}}
    assert template["spec"]["nodeSelector"] == {"pool": "a"}


def test_missing_overrides_and_settings_are_the_defaults(make: Maker) -> None:
    request = make()
    bare = Request(name=request.name, namespace=request.namespace, spec=request.spec, versions=request.versions)
    assert kubeairunway_dynamo.render(bare) == kubeairunway_dynamo.render(request)
