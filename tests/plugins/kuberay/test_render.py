"""What is rendered for what, beyond the golden files: each choice with its mirror image."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import yaml

import kubeairunway_kuberay
from kubeairunway.plugin import SERVICE, Request
from kubeairunway_kuberay.catalog import CLAIM, RAY_SERVICE, Head, HeadResources, Overrides, Settings, Worker
from kubeairunway_kuberay.cluster import REVISION

Maker = Callable[..., Request]
Read = Callable[[Request], Any]


def cluster_of(spec: Mapping[str, Any]) -> Any:
    return spec["rayClusterConfig"]


def head_of(spec: Mapping[str, Any]) -> Any:
    return cluster_of(spec)["headGroupSpec"]


def container_of(group: Mapping[str, Any]) -> Any:
    (container,) = group["template"]["spec"]["containers"]
    return container


def pods_of(spec: Mapping[str, Any]) -> list[Any]:
    """The pod templates: the head's first."""
    return [head_of(spec)["template"], *(row["template"] for row in cluster_of(spec)["workerGroupSpecs"])]


def surge_of(spec: Mapping[str, Any]) -> Any:
    """What KubeRay's hash covers, as its source says: all but replica counts and tolerations."""
    kept = json.loads(json.dumps(cluster_of(spec)))
    for template in (kept["headGroupSpec"]["template"], *(row["template"] for row in kept["workerGroupSpecs"])):
        template["spec"].pop("tolerations", None)
    for row in kept["workerGroupSpecs"]:
        for name in ("replicas", "minReplicas", "maxReplicas"):
            del row[name]
    return kept


def test_each_mode_has_its_builder(modes: dict[str, Maker], application_of: Read) -> None:
    paths = {mode: application_of(make())["import_path"] for mode, make in modes.items()}
    assert paths == {
        "aggregated": "ray.serve.llm:build_openai_app",
        "disaggregated": "ray.serve.llm:build_pd_openai_app",
    }


def test_the_ingress_runs_on_the_head_for_no_cpu(modes: dict[str, Maker], application_of: Read) -> None:
    for make in modes.values():
        options = application_of(make())["args"]["ingress_deployment_config"]["ray_actor_options"]
        assert options == {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}


def test_scaling_changes_the_application_and_leaves_the_clusters(aggregated: Maker, spec_of: Read) -> None:
    one, three = (spec_of(aggregated({"scaling": {"replicas": count}})) for count in (1, 3))
    assert one["serveConfigV2"] != three["serveConfigV2"]
    assert surge_of(one) == surge_of(three)
    assert head_of(one) == head_of(three)
    counts = [cluster_of(spec)["workerGroupSpecs"][0]["replicas"] for spec in (one, three)]
    assert counts == [1, 3]


def test_scaling_a_role_leaves_the_clusters(disaggregated: Maker, spec_of: Read) -> None:
    one, three = (
        spec_of(disaggregated({"scaling": {"prefill": {"replicas": count}, "decode": {"replicas": count}}}))
        for count in (1, 3)
    )
    assert head_of(one) == head_of(three)
    assert surge_of(one) == surge_of(three)


def test_the_limits_of_the_autoscaler_never_change(modes: dict[str, Maker], spec_of: Read) -> None:
    for make in modes.values():
        spec = spec_of(make({"scaling": {"replicas": 32}}))
        assert cluster_of(spec)["enableInTreeAutoscaling"] is True
        for row in cluster_of(spec)["workerGroupSpecs"]:
            assert (row["minReplicas"], row["maxReplicas"]) == (0, 32)


SURGES: dict[str, dict[str, Any]] = {
    "image": {"image": "x/y:1"},
    "env": {"env": [{"name": "A", "value": "b"}]},
    "token": {"secrets": {"huggingFaceToken": "hf"}},
    "tolerations": {"tolerations": [{"operator": "Exists"}]},
    "nodes": {"nodeSelector": {"a": "b"}},
    "volumes": {"model": {"storage": {"volumes": [{"name": "v", "claimName": "c", "mountPath": "/v"}]}}},
    "labels": {"podTemplate": {"metadata": {"labels": {"a": "b"}}}},
    "annotations": {"podTemplate": {"metadata": {"annotations": {"a": "b"}}}},
}
RESOURCES: dict[str, dict[str, Any]] = {
    "memory": {"resources": {"memory": "1Gi"}},
    "cpu": {"resources": {"cpu": "1"}},
    "GPUs": {"resources": {"gpu": {"count": 2}}},
}
IN_PLACE: dict[str, dict[str, Any]] = {
    "served name": {"model": {"servedName": "x"}},
    "context": {"engine": {"contextLength": 1024}},
    "arguments": {"engine": {"args": {"dtype": "half"}}},
    "eager": {"engine": {"enforceEager": True}},
}


@pytest.mark.parametrize("change", [*SURGES, *RESOURCES])
def test_a_change_of_pods_is_seen_by_kuberay_and_declared(aggregated: Maker, spec_of: Read, change: str) -> None:
    """The mark on the head is in what KubeRay compares, and below the path that the kind declares."""
    before, after = spec_of(aggregated()), spec_of(aggregated({**SURGES, **RESOURCES}[change]))
    assert surge_of(before) != surge_of(after)
    assert RAY_SERVICE.surge == ("spec.rayClusterConfig.headGroupSpec",)
    marks = [head_of(spec)["template"]["metadata"]["annotations"][REVISION] for spec in (before, after)]
    assert marks[0] != marks[1]


@pytest.mark.parametrize("change", IN_PLACE)
def test_a_change_of_the_application_leaves_the_clusters(aggregated: Maker, spec_of: Read, change: str) -> None:
    before, after = spec_of(aggregated()), spec_of(aggregated(IN_PLACE[change]))
    assert before["serveConfigV2"] != after["serveConfigV2"]
    assert cluster_of(before) == cluster_of(after)


def test_zero_suspends_and_more_does_not(modes: dict[str, Maker], spec_of: Read) -> None:
    zero = {"replicas": 0}
    stopped = [
        spec_of(modes["aggregated"]({"scaling": zero})),
        spec_of(modes["disaggregated"]({"scaling": {"prefill": zero, "decode": zero}})),
    ]
    assert all(spec["suspend"] is True for spec in stopped)
    assert all("suspend" not in spec_of(make()) for make in modes.values())
    assert "suspend" not in spec_of(modes["disaggregated"]({"scaling": {"prefill": zero}}))
    # What Serve is told stays valid: it knows no deployment without replicas.
    assert all('"num_replicas": 1' in spec["serveConfigV2"] for spec in stopped)


def test_env_and_token_are_on_head_and_workers(modes: dict[str, Maker], spec_of: Read) -> None:
    change = {"secrets": {"huggingFaceToken": "tok"}, "env": [{"name": "A", "value": "b"}]}
    expected = [
        {"name": "HF_TOKEN", "valueFrom": {"secretKeyRef": {"name": "tok", "key": "HF_TOKEN"}}},
        {"name": "A", "value": "b"},
    ]
    for make in modes.values():
        for template in pods_of(spec_of(make(change))):
            assert template["spec"]["containers"][0]["env"] == expected
        for template in pods_of(spec_of(make())):
            assert "env" not in template["spec"]["containers"][0]


def test_labels_and_tolerations_are_on_head_and_workers_and_nodes_are_the_workers(
    aggregated: Maker, spec_of: Read
) -> None:
    change = {
        "podTemplate": {"metadata": {"labels": {"team": "nlp"}, "annotations": {"note": "x"}}},
        "tolerations": [{"key": "a", "operator": "Exists", "tolerationSeconds": 3, "effect": "NoExecute"}],
        "nodeSelector": {"gpu-type": "a100"},
    }
    overrides = Overrides(head=Head(node_selector={"pool": "cpu"}))
    head, worker = pods_of(spec_of(aggregated(change, overrides=overrides)))
    for template in (head, worker):
        assert template["metadata"]["labels"] == {"team": "nlp", "kuberay.kubeairunway.ai/deployment": "demo"}
        assert template["metadata"]["annotations"]["note"] == "x"
        assert template["spec"]["tolerations"] == change["tolerations"]
    assert head["spec"]["nodeSelector"] == {"pool": "cpu"}
    assert worker["spec"]["nodeSelector"] == {"gpu-type": "a100"}


def test_options_of_head_and_workers(aggregated: Maker, spec_of: Read) -> None:
    overrides = Overrides(
        head=Head(resources=HeadResources(cpu="8", memory="32Gi"), ray_start_params={"num-cpus": "2", "verbose": ""}),
        worker=Worker(ray_start_params={"object-store-memory": "1"}),
        ray_version="2.50.0",
    )
    cluster = cluster_of(spec_of(aggregated(overrides=overrides)))
    assert container_of(cluster["headGroupSpec"])["resources"] == {
        "limits": {"memory": "32Gi"},
        "requests": {"cpu": "8", "memory": "32Gi"},
    }
    params = cluster["headGroupSpec"]["rayStartParams"]
    assert params == {"dashboard-host": "0.0.0.0", "num-cpus": "2", "num-gpus": "0", "verbose": ""}  # noqa: S104 - in a pod
    assert cluster["workerGroupSpecs"][0]["rayStartParams"] == {"object-store-memory": "1", "num-cpus": "2"}
    assert cluster["rayVersion"] == "2.50.0"


VERSIONS: dict[str, tuple[dict[str, Any], Settings, str, str | None]] = {
    "ours": ({}, Settings(), "", "2.55.0"),
    "the settings' tag": ({}, Settings(image="h:5000/ray-llm:2.56.1-py312"), "", "2.56.1"),
    "the settings' word": ({}, Settings(image="ray-llm:mine", ray_version="2.57.0"), "", "2.57.0"),
    "a tag": ({"image": "x/ray-llm:2.54.0@sha256:1"}, Settings(), "", "2.54.0"),
    "no tag": ({"image": "h:5000/ray-llm"}, Settings(ray_version="2.57.0"), "", None),
    "a digest": ({"image": "x/ray-llm@sha256:1.2.3"}, Settings(), "", None),
    "a word of one's own": ({"image": "x/ray-llm:2.54.0"}, Settings(), "2.58.0", "2.58.0"),
}


@pytest.mark.parametrize("case", VERSIONS)
def test_the_version_of_ray(aggregated: Maker, spec_of: Read, case: str) -> None:
    change, settings, said, expected = VERSIONS[case]
    request = aggregated(change, settings=settings, overrides=Overrides(ray_version=said))
    assert cluster_of(spec_of(request)).get("rayVersion") == expected


IMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "nothing said": ({}, "ours:1"),
    "image": ({"image": "mine:1"}, "mine:1"),
    "engine image": ({"engine": {"image": "mine:2"}}, "mine:2"),
    "both": ({"engine": {"image": "mine:2"}, "image": "mine:1"}, "mine:2"),
}


@pytest.mark.parametrize("case", IMAGES)
def test_the_image_is_that_of_head_and_workers(aggregated: Maker, spec_of: Read, case: str) -> None:
    change, expected = IMAGES[case]
    templates = pods_of(spec_of(aggregated(change, settings=Settings(image="ours:1"))))
    assert {template["spec"]["containers"][0]["image"] for template in templates} == {expected}


def test_a_replica_fills_the_gpus_of_one_worker(aggregated: Maker, application_of: Read, spec_of: Read) -> None:
    for count, parallel in ((1, 1), (4, 4)):
        request = aggregated({"resources": {"gpu": {"count": count}}})
        (model,) = application_of(request)["args"]["llm_configs"]
        assert model["placement_group_config"] == {"bundles": [{"GPU": 1}] * count, "strategy": "STRICT_PACK"}
        assert model["engine_kwargs"]["tensor_parallel_size"] == parallel
        worker = cluster_of(spec_of(request))["workerGroupSpecs"][0]
        assert container_of(worker)["resources"]["limits"] == {"nvidia.com/gpu": str(count)}


def test_each_role_stays_on_its_own_workers(disaggregated: Maker, application_of: Read, spec_of: Read) -> None:
    request = disaggregated()
    args = application_of(request)["args"]
    groups = {row["groupName"]: row for row in cluster_of(spec_of(request))["workerGroupSpecs"]}
    for role, count in (("prefill", 1), ("decode", 2)):
        model, group = args[f"{role}_config"], groups[f"{role}-workers"]
        assert model["placement_group_config"]["bundles"] == [{"GPU": 1, role: 1}, *([{"GPU": 1}] * (count - 1))]
        assert group["rayStartParams"]["resources"] == f"""'{{"{role}":1}}'"""
        assert container_of(group)["resources"]["limits"]["nvidia.com/gpu"] == str(count)
        assert model["engine_kwargs"]["kv_transfer_config"] == {"kv_connector": "NixlConnector", "kv_role": "kv_both"}
    assert list(groups) == ["prefill-workers", "decode-workers"]


def test_the_transfer_of_the_cache_may_be_given_and_is_none_in_aggregated_mode(
    modes: dict[str, Maker], application_of: Read
) -> None:
    given = {"engine": {"args": {"kv-transfer-config": '{"kv_connector": "Mine"}'}}}
    args = application_of(modes["disaggregated"](given))["args"]
    assert args["prefill_config"]["engine_kwargs"]["kv_transfer_config"] == {"kv_connector": "Mine"}
    (model,) = application_of(modes["aggregated"]())["args"]["llm_configs"]
    assert "kv_transfer_config" not in model["engine_kwargs"]


VALUES: dict[str, tuple[str, str, str, Any]] = {
    "integer": ("max-num-seqs", "64", "max_num_seqs", 64),
    "float": ("gpu-memory-utilization", "0.9", "gpu_memory_utilization", 0.9),
    "true": ("enable_chunked_prefill", "true", "enable_chunked_prefill", True),
    "False": ("enable-chunked-prefill", "False", "enable_chunked_prefill", False),
    "bare": ("enable-chunked-prefill", "", "enable_chunked_prefill", True),
    "bare no": ("no-enable-chunked-prefill", "", "enable_chunked_prefill", False),
    "no with a value": ("no-x", "1", "no_x", 1),
    "text": ("dtype", "half", "dtype", "half"),
    "quoted text": ("dtype", '"half"', "dtype", '"half"'),
    "null": ("dtype", "null", "dtype", "null"),
    "object": ("hf-overrides", '{"a": [1, null]}', "hf_overrides", {"a": [1, None]}),
    "list": ("middleware", '["a"]', "middleware", ["a"]),
    "a revision of digits": ("revision", "12345678", "revision", "12345678"),
    "no number": ("x", "NaN", "x", "NaN"),
    "too great a number": ("x", "1e999", "x", "1e999"),
    "an endless number": ("x", "9" * 4096, "x", "9" * 4096),
    "a number of 64 bits": ("x", str(2**63 - 1), "x", 2**63 - 1),
    "a number of more": ("x", str(2**63), "x", str(2**63)),
    "leading zero": ("x", "007", "x", "007"),
    "too deep": ("x", "[" * 2000 + "]" * 2000, "x", "[" * 2000 + "]" * 2000),
    "broken": ("x", '{"a"', "x", '{"a"'),
    "blank": ("x", " ", "x", " "),
}


@pytest.mark.parametrize("case", VALUES)
def test_an_argument_has_the_type_that_vllm_wants(aggregated: Maker, application_of: Read, case: str) -> None:
    name, text, keyword, expected = VALUES[case]
    (model,) = application_of(aggregated({"engine": {"args": {name: text}}}))["args"]["llm_configs"]
    value = model["engine_kwargs"][keyword]
    assert (type(value), value) == (type(expected), expected)


@pytest.mark.parametrize(
    "text", ["a: b #c", 'back\\slash "q"', "é😀", "\x7f\x85\u2028\u2029\ufeff\uffff", "\n\t", "- a", "'", "%", "|"]
)
def test_yaml_reads_a_text_as_it_was_written(aggregated: Maker, application_of: Read, spec_of: Read, text: str) -> None:
    request = aggregated({"engine": {"args": {"chat-template": text}}})
    (model,) = application_of(request)["args"]["llm_configs"]
    assert model["engine_kwargs"]["chat_template"] == text
    assert spec_of(request)["serveConfigV2"].replace("\n", "").isprintable()


def test_fields_of_the_engine(aggregated: Maker, application_of: Read) -> None:
    (plain,) = application_of(aggregated())["args"]["llm_configs"]
    assert plain["engine_kwargs"] == {"enable_prefix_caching": True, "tensor_parallel_size": 1}
    engine = {"contextLength": 8, "trustRemoteCode": True, "enforceEager": True, "enablePrefixCaching": False}
    (full,) = application_of(aggregated({"engine": engine}))["args"]["llm_configs"]
    assert full["engine_kwargs"] == {
        "enable_prefix_caching": False,
        "enforce_eager": True,
        "max_model_len": 8,
        "tensor_parallel_size": 1,
        "trust_remote_code": True,
    }


PARALLEL: dict[str, tuple[int, dict[str, str], int]] = {
    "the GPUs": (4, {}, 4),
    "given": (4, {"tensor-parallel-size": "2"}, 2),
    "given with underscores": (4, {"tensor_parallel_size": "2"}, 2),
    "a pipeline": (8, {"pipeline-parallel-size": "2"}, 4),
    "a pipeline and given": (8, {"pipeline-parallel-size": "2", "tensor-parallel-size": "1"}, 1),
}


@pytest.mark.parametrize("case", PARALLEL)
def test_tensor_parallelism_follows_the_gpus_unless_given(aggregated: Maker, application_of: Read, case: str) -> None:
    count, args, expected = PARALLEL[case]
    request = aggregated({"resources": {"gpu": {"count": count}}, "engine": {"args": args}})
    (model,) = application_of(request)["args"]["llm_configs"]
    assert model["engine_kwargs"]["tensor_parallel_size"] == expected


def test_the_application_is_yaml_with_keys_in_one_order(modes: dict[str, Maker], spec_of: Read) -> None:
    for make in modes.values():
        text = spec_of(make())["serveConfigV2"]
        assert yaml.safe_load(text) == json.loads(text)
        assert json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n" == text


def test_volumes_with_a_size_get_claims_first(aggregated: Maker, spec_of: Read) -> None:
    rows = [
        {"name": "a", "mountPath": "/a", "size": "1Gi", "claimName": "demo-a", "accessMode": "ReadWriteMany"},
        {"name": "b", "mountPath": "/b", "claimName": "theirs"},
        {"name": "c", "mountPath": "/c", "size": "1Gi", "accessMode": "ReadOnlyMany", "storageClassName": ""},
    ]
    request = aggregated({"model": {"storage": {"volumes": rows}}})
    before = kubeairunway_kuberay.render(request).before
    assert [(manifest.kind, manifest.suffix) for manifest in before] == [(CLAIM, "a"), (CLAIM, "c")]
    assert "storageClassName" not in before[0].body["spec"]
    assert before[1].body["spec"]["storageClassName"] == ""
    head, worker = pods_of(spec_of(request))
    assert "volumes" not in head["spec"]
    assert [row["name"] for row in worker["spec"]["volumes"]] == ["a", "b", "c"]


CACHES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "custom": ({"purpose": "custom"}, {}),
    "model cache": ({"purpose": "modelCache"}, {"HF_HOME": "/x"}),
    "read-only model cache": ({"purpose": "modelCache", "readOnly": True}, {"HF_HOME": "/x", "HF_HUB_OFFLINE": "1"}),
    "compilation cache": ({"purpose": "compilationCache"}, {"VLLM_CACHE_ROOT": "/x"}),
}


@pytest.mark.parametrize("case", CACHES)
def test_a_cache_is_found_by_its_variable(aggregated: Maker, spec_of: Read, case: str) -> None:
    fields, expected = CACHES[case]
    row = {"name": "v", "claimName": "c", "mountPath": "/x", **fields}
    head, worker = pods_of(spec_of(aggregated({"model": {"storage": {"volumes": [row]}}})))
    env = worker["spec"]["containers"][0].get("env", [])
    assert {item["name"]: item["value"] for item in env} == expected
    assert "env" not in head["spec"]["containers"][0]


def test_a_variable_of_the_users_comes_before_ours(aggregated: Maker, spec_of: Read) -> None:
    row = {"name": "v", "claimName": "c", "mountPath": "/x", "purpose": "modelCache"}
    change = {"model": {"storage": {"volumes": [row]}}, "env": [{"name": "HF_HOME", "value": "/y"}]}
    _, worker = pods_of(spec_of(aggregated(change)))
    assert worker["spec"]["containers"][0]["env"] == [{"name": "HF_HOME", "value": "/y"}]


RESOURCE_CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "GPU": ({}, {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1"}}),
    "memory": (
        {"memory": "8Gi"},
        {
            "limits": {"nvidia.com/gpu": "1", "memory": "8Gi"},
            "requests": {"nvidia.com/gpu": "1", "memory": "8Gi"},
        },
    ),
    "CPU is never limited": (
        {"cpu": "4"},
        {"limits": {"nvidia.com/gpu": "1"}, "requests": {"nvidia.com/gpu": "1", "cpu": "4"}},
    ),
}


@pytest.mark.parametrize("case", RESOURCE_CASES)
def test_the_resources_of_a_worker(aggregated: Maker, spec_of: Read, case: str) -> None:
    change, expected = RESOURCE_CASES[case]
    (worker,) = cluster_of(spec_of(aggregated({"resources": change})))["workerGroupSpecs"]
    assert container_of(worker)["resources"] == expected


def test_the_services_that_kuberay_makes_are_claimed(modes: dict[str, Maker]) -> None:
    for make in modes.values():
        rendering = kubeairunway_kuberay.render(make())
        assert rendering.claims == ((SERVICE, "head-svc"), (SERVICE, "serve-svc"))
        assert (rendering.before, rendering.after) == ((), ())


def test_missing_overrides_and_settings_are_the_defaults(aggregated: Maker) -> None:
    request = aggregated()
    bare = Request(name=request.name, namespace=request.namespace, spec=request.spec, versions=request.versions)
    assert kubeairunway_kuberay.render(bare) == kubeairunway_kuberay.render(request)
