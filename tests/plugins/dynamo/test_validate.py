"""What Dynamo objects to, and the mirror image of each: what it lets pass."""

from collections.abc import Callable
from typing import Any

import pytest

import kubeairunway_dynamo
from kubeairunway.plugin import Problem, Request
from kubeairunway.plugin.typed import read_typed
from kubeairunway_dynamo.catalog import Overrides

Maker = Callable[..., Request]
Row = tuple[str, str]


def problems_of(request: Request, *, warning: bool = False) -> list[Row]:
    found = list(kubeairunway_dynamo.validate(request))
    assert all(isinstance(problem, Problem) and problem.message for problem in found)
    return [(problem.path, problem.code) for problem in found if problem.warning is warning]


def volume(**fields: Any) -> dict[str, Any]:
    row = {"name": "v", "claimName": "c", "mountPath": "/v", **fields}
    return {"model": {"storage": {"volumes": [row]}}}


SECRET_KEY = {"secretKeyRef": {"name": "s", "key": "k"}}
VOLUMES = "spec.model.storage.volumes[0]"
LABELS = "spec.podTemplate.metadata.labels"

SPEC_CASES: dict[str, tuple[dict[str, Any], list[Row]]] = {
    "nothing said": ({}, []),
    "no replicas": ({"scaling": {"replicas": 0}}, []),
    "a free argument": ({"engine": {"args": {"kv-transfer-config": "{}", "tp": "2"}}}, []),
    "a role as argument": (
        {"engine": {"args": {"disaggregation-mode": "prefill"}}},
        [("spec.engine.args", "ArgumentOwned")],
    ),
    "a role with underscores": (
        {"engine": {"args": {"is_prefill_worker": ""}}},
        [("spec.engine.args", "ArgumentOwned")],
    ),
    "a role as raw argument": (
        {"engine": {"extraArgs": ["--disaggregation-mode=decode"]}},
        [("spec.engine.args", "ArgumentOwned")],
    ),
    "the old connector": ({"engine": {"args": {"connector": "nixl"}}}, [("spec.engine.args", "ArgumentGone")]),
    "the old connector on SGLang": ({"engine": {"type": "sglang", "args": {"connector": "x"}}}, []),
    "a token": ({"secrets": {"huggingFaceToken": "t"}, "env": [{"name": "A", "value": "b"}]}, []),
    "a token in env alone": ({"env": [{"name": "HF_TOKEN", "valueFrom": SECRET_KEY}]}, []),
    "a label": ({"podTemplate": {"metadata": {"labels": {"nvidia.com/mine": "x"}}}}, []),
    "a label of the operator's": (
        {"podTemplate": {"metadata": {"labels": {"nvidia.com/dynamo-graph-deployment-name": "x"}}}},
        [(LABELS, "ReservedPodLabel")],
    ),
    "a label of Grove's": (
        {"podTemplate": {"metadata": {"labels": {"grove.io/podclique": "x"}}}},
        [(LABELS, "ReservedPodLabel")],
    ),
    "an annotation of that name": ({"podTemplate": {"metadata": {"annotations": {"grove.io/podclique": "x"}}}}, []),
    "a volume": (volume(), []),
    "a read-only volume": (volume(readOnly=True), []),
    "a read-only model": (volume(readOnly=True, purpose="modelCache"), []),
    "a compilation cache": (volume(purpose="compilationCache"), []),
    "a read-only compilation cache": (
        volume(readOnly=True, purpose="compilationCache"),
        [(f"{VOLUMES}.readOnly", "CacheIsWritten")],
    ),
    "a volume of the operator's": (volume(name="shared-memory"), [(f"{VOLUMES}.name", "ReservedVolume")]),
    "parts of NVIDIA's GPUs": ({"resources": {"gpu": {"type": "nvidia.com/mig-1g.10gb"}}}, []),
    "another GPU": (
        {"resources": {"gpu": {"type": "amd.com/gpu"}}},
        [("spec.engine.image", "ImageRequired")],
    ),
    "another GPU with an image": ({"resources": {"gpu": {"type": "amd.com/gpu"}}, "image": "x/y:1.4.0"}, []),
}


@pytest.mark.parametrize("case", SPEC_CASES)
def test_a_spec(make: Maker, case: str) -> None:
    change, expected = SPEC_CASES[case]
    assert problems_of(make(change=change)) == expected


IMAGES: dict[str, bool] = {
    "x/y:1.4.0": True,
    "x/y:v1.4.0": True,
    "x/y:1.4.0-cuda13": True,
    "x/y:1.4.0-rc.1+build.5": True,
    "localhost:5000/y:1.4.0": True,
    f"x/y:1.4.0@sha256:{'1' * 64}": True,
    "x/y": False,
    "localhost:5000/y": False,
    "x/y:latest": False,
    "x/y:1.4": False,
    "x/y:01.4.0": False,
    "x/y:1.4.0.1": False,
    "x/y:1.4.0-": False,
    "x/y:mine-1.4.0": False,
    f"x/y@sha256:{'1' * 64}": False,
    "x/y:1\u0661.4.0": False,  # a digit that is none of ASCII
}


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("field", ["engine.image", "image"])
def test_an_image_says_its_version_or_the_user_does(make: Maker, image: str, field: str) -> None:
    change: dict[str, Any] = {"image": image} if field == "image" else {"engine": {"image": image}}
    expected = [] if IMAGES[image] else [(f"spec.{field}", "NoRuntimeVersion")]
    assert problems_of(make(change=change)) == expected
    assert problems_of(make(change=change, overrides={"runtimeVersion": "1.4.0"})) == []
    assert problems_of(make(change=change, version="v1alpha1")) == []


def test_the_frontends_image_says_its_version_too(make: Maker) -> None:
    path = "spec.provider.overrides.frontend.image"
    assert problems_of(make(overrides={"frontend": {"image": "x/y:mine"}})) == [(path, "NoRuntimeVersion")]
    assert problems_of(make(overrides={"frontend": {"image": "x/y:1.4.0"}})) == []
    assert problems_of(make(overrides={"frontend": {"image": "x/y:mine"}, "runtimeVersion": "1.4.0"})) == []


def test_a_version_that_older_dynamo_has_no_field_for_is_refused(make: Maker) -> None:
    path = "spec.provider.overrides.runtimeVersion"
    request = make(overrides={"runtimeVersion": "1.1.0"}, version="v1alpha1")
    assert problems_of(request) == [(path, "OnlyInNewerDynamo")]


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
@pytest.mark.parametrize(
    ("prefill", "decode", "role"), [(1, 1, ""), (0, 0, ""), (3, 1, ""), (0, 1, "prefill"), (2, 0, "decode")]
)
def test_prefill_and_decode_run_together_or_not_at_all(
    make: Maker, engine: str, prefill: int, decode: int, role: str
) -> None:
    change = {"scaling": {"prefill": {"replicas": prefill}, "decode": {"replicas": decode}}}
    expected = [(f"spec.scaling.{role}.replicas", "RoleWithoutWorkers")] if role else []
    assert problems_of(make(engine, "disaggregated", change)) == expected


@pytest.mark.parametrize("role", ["prefill", "decode"])
def test_gpus_of_a_role_need_an_image_made_for_them(make: Maker, role: str) -> None:
    change: dict[str, Any] = {"scaling": {role: {"gpu": {"type": "amd.com/gpu"}}}}
    assert problems_of(make("vllm", "disaggregated", change)) == [("spec.engine.image", "ImageRequired")]


MODE = "spec.provider.overrides.routerMode"
ROUTER_CASES: dict[str, tuple[dict[str, Any], dict[str, Any], list[Row], list[Row]]] = {
    "kv": ({"routerMode": "kv"}, {}, [], []),
    "kv without cached prefixes": (
        {"routerMode": "kv"},
        {"engine": {"enablePrefixCaching": False}},
        [(MODE, "NothingToRouteBy")],
        [],
    ),
    "no cached prefixes": ({"routerMode": "random"}, {"engine": {"enablePrefixCaching": False}}, [], []),
    "kv on TensorRT-LLM": ({"routerMode": "kv"}, {"engine": {"type": "trtllm"}}, [], [(MODE, "NoCacheEvents")]),
    "kv on TensorRT-LLM that tells": (
        {"routerMode": "kv"},
        {"engine": {"type": "trtllm", "args": {"publish-kv-events": ""}}},
        [],
        [],
    ),
    "kv on older TensorRT-LLM that tells": (
        {"routerMode": "kv"},
        {"engine": {"type": "trtllm", "extraArgs": ["--publish-events-and-metrics"]}},
        [],
        [],
    ),
    "TensorRT-LLM": ({}, {"engine": {"type": "trtllm"}}, [], []),
    "the router mode twice": (
        {"frontend": {"env": {"DYN_ROUTER_MODE": "kv"}}},
        {},
        [("spec.provider.overrides.frontend.env.DYN_ROUTER_MODE", "SetTwice")],
        [],
    ),
    "the token twice": (
        {"frontend": {"env": {"HF_TOKEN": "x"}}},
        {"secrets": {"huggingFaceToken": "t"}},
        [("spec.provider.overrides.frontend.env.HF_TOKEN", "SetTwice")],
        [],
    ),
    "the token once": ({"frontend": {"env": {"HF_TOKEN": "x"}}}, {}, [], []),
}


@pytest.mark.parametrize("case", ROUTER_CASES)
def test_a_router(make: Maker, case: str) -> None:
    overrides, change, errors, warnings = ROUTER_CASES[case]
    request = make(change=change, overrides=overrides)
    assert problems_of(request) == errors
    assert problems_of(request, warning=True) == warnings


@pytest.mark.parametrize(
    ("mode", "refused", "warned"),
    [
        ("ReadWriteOncePod", True, False),
        ("ReadWriteOnce", False, True),
        ("ReadWriteMany", False, False),
        ("ReadOnlyMany", False, False),
    ],
)
def test_claims_are_for_old_and_new_workers_at_once(
    make: Maker,
    mode: str,
    refused: bool,  # noqa: FBT001 - a table's column
    warned: bool,  # noqa: FBT001 - a table's column
) -> None:
    request = make(change=volume(size="1Gi", accessMode=mode))
    row = [(f"{VOLUMES}.accessMode", "NotShared")]
    assert problems_of(request) == (row if refused else [])
    assert problems_of(request, warning=True) == (row if warned else [])


@pytest.mark.parametrize(("name", "fits"), [("A", True), ("a.b-c", True), ("", False), ("a=b", False), ("é", False)])
def test_a_variable_of_the_frontend_has_a_name_that_kubernetes_takes(
    name: str,
    fits: bool,  # noqa: FBT001 - a table's column
) -> None:
    _, problems = read_typed(Overrides, {"frontend": {"env": {name: "x"}}}, "spec.provider.overrides")
    assert (problems == ()) is fits
