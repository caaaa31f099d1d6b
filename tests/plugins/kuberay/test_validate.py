"""What is refused, each with its mirror image: the nearest deployment that passes."""

from collections.abc import Callable
from typing import Any

import pytest

import kubeairunway_kuberay
from kubeairunway.plugin import Request
from kubeairunway_kuberay.catalog import Head, Overrides, Settings, Worker

Maker = Callable[..., Request]


def problems_of(request: Request) -> list[tuple[str, str, bool]]:
    return [(row.path, row.code, row.warning) for row in kubeairunway_kuberay.validate(request)]


def args(**values: str) -> dict[str, Any]:
    return {"engine": {"args": {name.replace("_", "-"): value for name, value in values.items()}}}


def gpus(count: int, change: dict[str, Any]) -> dict[str, Any]:
    return {**change, "resources": {"gpu": {"count": count}}}


def volume(**fields: Any) -> dict[str, Any]:
    row = {"name": "weights", "claimName": "weights", "mountPath": "/weights", **fields}
    return {"model": {"storage": {"volumes": [row]}}}


ENV = "spec.env"
LABELS, ANNOTATIONS = "spec.podTemplate.metadata.labels", "spec.podTemplate.metadata.annotations"
VOLUME = "spec.model.storage.volumes[0]"


def variable(name: str, **source: Any) -> dict[str, Any]:
    return {"env": [{"name": name, **({"valueFrom": source} if source else {"value": "x"})}]}


TOKEN = {"secrets": {"huggingFaceToken": "hf"}}
AMD = {"resources": {"gpu": {"type": "amd.com/gpu"}}}
AGGREGATED: dict[str, tuple[dict[str, Any], list[tuple[str, str, bool]]]] = {
    "nothing special": ({}, []),
    "zero": ({"scaling": {"replicas": 0}}, []),
    "a colon in the served name": (
        {"model": {"servedName": "a:b"}},
        [("spec.model.servedName", "NotAModelName", False)],
    ),
    "dots in the served name": ({"model": {"servedName": "a.b/c"}}, []),
    "AMD without an image": (AMD, [("spec.engine.image", "ImageRequired", False)]),
    "AMD with an image": ({**AMD, "image": "x/y:1"}, []),
    "AMD with an engine image": ({**AMD, "engine": {"image": "x/y:1"}}, []),
    "no GPU by name": (
        {"resources": {"gpu": {"type": "google.com/tpu"}}, "image": "x/y:1"},
        [("spec.resources.gpu.type", "NotAGpu", False)],
    ),
    "the executor": (
        args(distributed_executor_backend="mp"),
        [("spec.engine.args.distributed-executor-backend", "ArgumentRefused", False)],
    ),
    "data parallel": (
        args(data_parallel_size="2"),
        [("spec.engine.args.data-parallel-size", "ArgumentRefused", False)],
    ),
    "no statistics": (args(disable_log_stats=""), [("spec.engine.args.disable-log-stats", "ArgumentRefused", False)]),
    "a flag and its opposite": (
        args(async_scheduling="", no_async_scheduling=""),
        [("spec.engine.args.no-async-scheduling", "DuplicateArgument", False)],
    ),
    "a flag alone": (args(no_async_scheduling=""), []),
    "tensor parallelism of the GPUs": (gpus(4, args(tensor_parallel_size="4")), []),
    "tensor parallelism of more": (
        gpus(2, args(tensor_parallel_size="4")),
        [("spec.engine.args.tensor-parallel-size", "TooFewGpus", False)],
    ),
    "tensor parallelism of fewer": (
        gpus(4, args(tensor_parallel_size="2")),
        [("spec.engine.args.tensor-parallel-size", "IdleGpus", True)],
    ),
    "tensor parallelism of one": (
        gpus(2, args(tensor_parallel_size="1")),
        [("spec.engine.args.tensor-parallel-size", "IdleGpus", True)],
    ),
    "no number of tensors": (
        args(tensor_parallel_size="many"),
        [("spec.engine.args.tensor-parallel-size", "NotANumber", False)],
    ),
    "no tensors": (args(tensor_parallel_size="0"), [("spec.engine.args.tensor-parallel-size", "NotANumber", False)]),
    "half a stage": (
        args(pipeline_parallel_size="0.5"),
        [("spec.engine.args.pipeline-parallel-size", "NotANumber", False)],
    ),
    "tensors as a flag": (
        args(tensor_parallel_size=""),
        [("spec.engine.args.tensor-parallel-size", "NotANumber", False)],
    ),
    "underscores": (
        {"engine": {"args": {"tensor_parallel_size": "8"}}},
        [("spec.engine.args.tensor_parallel_size", "TooFewGpus", False)],
    ),
    "a pipeline of the GPUs": (gpus(4, args(pipeline_parallel_size="2")), []),
    "a pipeline of no divisor": (
        gpus(3, args(pipeline_parallel_size="2")),
        [("spec.engine.args.pipeline-parallel-size", "IdleGpus", True)],
    ),
    "a pipeline of too many": (
        gpus(1, args(pipeline_parallel_size="2")),
        [("spec.engine.args.pipeline-parallel-size", "TooFewGpus", False)],
    ),
    "tensors and a pipeline": (gpus(8, args(tensor_parallel_size="4", pipeline_parallel_size="2")), []),
    "tensors and a pipeline of too many": (
        gpus(4, args(tensor_parallel_size="4", pipeline_parallel_size="2")),
        [("spec.engine.args.tensor-parallel-size", "TooFewGpus", False)],
    ),
    "one token, as a secret": (TOKEN, []),
    "one token, as a variable": (variable("HF_TOKEN"), []),
    "an external Redis": (variable("RAY_REDIS_ADDRESS"), [(ENV, "ReservedVariable", False)]),
    "a Redis user": (variable("REDIS_USERNAME"), [(ENV, "ReservedVariable", False)]),
    "direct streaming": (
        variable("RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING"),
        [(ENV, "ReservedVariable", False)],
    ),
    "a resource of a container by name": (
        variable("A", resourceFieldRef={"containerName": "ray-worker", "resource": "limits.memory"}),
        [(ENV, "NoSuchContainer", False)],
    ),
    "a resource of the container": (variable("A", resourceFieldRef={"resource": "limits.memory"}), []),
    "a label of Ray's": (
        {"podTemplate": {"metadata": {"labels": {"ray.io/serve": "true"}}}},
        [(LABELS, "ReservedPodLabel", False)],
    ),
    "a label of ours": (
        {"podTemplate": {"metadata": {"labels": {"kuberay.kubeairunway.ai/deployment": "x"}}}},
        [(LABELS, "ReservedPodLabel", False)],
    ),
    "an annotation of ours": (
        {"podTemplate": {"metadata": {"annotations": {"kuberay.kubeairunway.ai/revision": "x"}}}},
        [(ANNOTATIONS, "ReservedAnnotation", False)],
    ),
    "an annotation of Ray's": ({"podTemplate": {"metadata": {"annotations": {"ray.io/note": "x"}}}}, []),
    "a volume": (volume(), []),
    "a volume of KubeRay's name": (volume(name="shared-mem"), [(f"{VOLUME}.name", "ReservedVolume", False)]),
    "a claim for one pod": (
        volume(size="1Gi", accessMode="ReadWriteOncePod"),
        [(f"{VOLUME}.accessMode", "NotShared", False)],
    ),
    "a claim for one node": (
        volume(size="1Gi", accessMode="ReadWriteOnce"),
        [(f"{VOLUME}.accessMode", "NotShared", True)],
    ),
    "a claim for all": (volume(size="1Gi", accessMode="ReadWriteMany"), []),
}


@pytest.mark.parametrize("case", AGGREGATED)
def test_aggregated(aggregated: Maker, case: str) -> None:
    change, expected = AGGREGATED[case]
    assert problems_of(aggregated(change)) == expected


def roles(prefill: dict[str, Any], decode: dict[str, Any]) -> dict[str, Any]:
    return {"scaling": {"prefill": prefill, "decode": decode}}


DISAGGREGATED: dict[str, tuple[dict[str, Any], list[tuple[str, str, bool]]]] = {
    "nothing special": ({}, []),
    "both at zero": (roles({"replicas": 0}, {"replicas": 0}), []),
    "no prefill": (roles({"replicas": 0}, {}), [("spec.scaling.prefill.replicas", "RoleWithoutWorkers", False)]),
    "no decode": (roles({}, {"replicas": 0}), [("spec.scaling.decode.replicas", "RoleWithoutWorkers", False)]),
    "AMD for one role": (
        roles({}, {"gpu": {"type": "amd.com/gpu"}}),
        [("spec.engine.image", "ImageRequired", False)],
    ),
    "no GPU by name": (
        {**roles({"gpu": {"type": "google.com/tpu"}}, {}), "image": "x/y:1"},
        [("spec.scaling.prefill.gpu.type", "NotAGpu", False)],
    ),
    "tensors for one role": (
        args(tensor_parallel_size="2"),
        [("spec.engine.args.tensor-parallel-size", "TooFewGpus", False)],
    ),
    "tensors for both": ({**args(tensor_parallel_size="2"), **roles({"gpu": {"count": 2}}, {})}, []),
}


@pytest.mark.parametrize("case", DISAGGREGATED)
def test_disaggregated(disaggregated: Maker, case: str) -> None:
    change, expected = DISAGGREGATED[case]
    assert problems_of(disaggregated(change)) == expected


@pytest.mark.parametrize(
    ("flag", "head", "worker"),
    [
        ("address", False, False),
        ("block", False, False),
        ("num-gpus", False, False),
        ("resources", False, False),
        ("labels", False, False),
        ("num-cpus", True, False),
        ("object-store-memory", True, True),
    ],
)
def test_flags_of_ray_start_that_are_set_already(aggregated: Maker, flag: str, head: bool, worker: bool) -> None:  # noqa: FBT001 - a table's columns
    for role, passes, overrides in (
        ("head", head, Overrides(head=Head(ray_start_params={flag: "1"}))),
        ("worker", worker, Overrides(worker=Worker(ray_start_params={flag: "1"}))),
    ):
        path = f"spec.provider.overrides.{role}.rayStartParams"
        assert problems_of(aggregated(overrides=overrides)) == ([] if passes else [(path, "ReservedFlag", False)])


def test_settings_without_an_image_ask_for_one(aggregated: Maker) -> None:
    assert problems_of(aggregated(settings=Settings(image=""))) == [("spec.engine.image", "ImageRequired", False)]


def test_a_message_says_what_would_be_right(aggregated: Maker) -> None:
    (problem,) = kubeairunway_kuberay.validate(aggregated(gpus(2, args(tensor_parallel_size="4"))))
    assert problem.message == "it takes 4 GPUs, and a replica has 2; ask for as many"
