"""What each field becomes."""

from collections.abc import Callable
from typing import Any

import pytest

from kubeairunway.plugin import Request
from kubeairunway_vllm.catalog import Overrides, Settings

Maker = Callable[..., Request]
Render = Callable[[Request], list[dict[str, Any]]]
Container = Callable[[Request], dict[str, Any]]


def count_arguments(container: dict[str, Any], *names: str) -> int:
    spelled = [argument.split("=")[0].lstrip("-").replace("_", "-") for argument in container["args"]]
    return sum(spelled.count(name) for name in names)


PARALLEL: dict[str, tuple[dict[str, Any], int]] = {
    "one GPU": ({}, 0),
    "four GPUs": ({"resources": {"gpu": {"count": 4}}}, 1),
    "args": ({"resources": {"gpu": {"count": 4}}, "engine": {"args": {"tensor-parallel-size": "2"}}}, 1),
    "args with underscores": (
        {"resources": {"gpu": {"count": 4}}, "engine": {"args": {"tensor_parallel_size": "2"}}},
        1,
    ),
    "raw": ({"resources": {"gpu": {"count": 4}}, "engine": {"extraArgs": ["--tensor-parallel-size", "2"]}}, 1),
    "raw with =": ({"resources": {"gpu": {"count": 4}}, "engine": {"extraArgs": ["--tensor_parallel_size=2"]}}, 1),
    "raw, short": ({"resources": {"gpu": {"count": 4}}, "engine": {"extraArgs": ["-tp", "2"]}}, 0),
    "raw, short with =": ({"resources": {"gpu": {"count": 4}}, "engine": {"extraArgs": ["-tp=2"]}}, 0),
    "pipelines": ({"resources": {"gpu": {"count": 4}}, "engine": {"args": {"pipeline-parallel-size": "4"}}}, 0),
    "data": ({"resources": {"gpu": {"count": 4}}, "engine": {"args": {"data_parallel_size": "4"}}}, 0),
    "data, short": ({"resources": {"gpu": {"count": 4}}, "engine": {"extraArgs": ["-dp", "4"]}}, 0),
    "a value that looks like it": (
        {"resources": {"gpu": {"count": 4}}, "engine": {"args": {"chat-template": "tensor-parallel-size"}}},
        1,
    ),
}


@pytest.mark.parametrize("case", PARALLEL)
def test_tensor_parallelism_follows_the_gpus_unless_it_is_given(
    case: str, make: Maker, container_of: Container
) -> None:
    change, times = PARALLEL[case]
    assert count_arguments(container_of(make(change)), "tensor-parallel-size") == times


def test_derived_parallelism_is_the_number_of_gpus(make: Maker, container_of: Container) -> None:
    assert "--tensor-parallel-size=4" in container_of(make({"resources": {"gpu": {"count": 4}}}))["args"]


def test_arguments_come_sorted_and_raw_ones_last(make: Maker, container_of: Container) -> None:
    engine = {"args": {"zeta": "1", "alpha": "", "json": '{"a": "b=c"}'}, "extraArgs": ["--b", "-c", "d e"]}
    arguments = container_of(make({"engine": engine}))["args"]
    assert arguments[-6:] == ["--alpha", '--json={"a": "b=c"}', "--zeta=1", "--b", "-c", "d e"]


def test_prefix_caching_is_said_both_ways(make: Maker, container_of: Container) -> None:
    on, off = (container_of(make({"engine": {"enablePrefixCaching": value}}))["args"] for value in (True, False))
    assert "--enable-prefix-caching" in on
    assert "--no-enable-prefix-caching" not in on
    assert "--no-enable-prefix-caching" in off
    assert "--enable-prefix-caching" not in off


IMAGES: dict[str, tuple[dict[str, Any], Settings, str]] = {
    "engine's": ({"engine": {"image": "a/b:1"}, "image": "c/d:2"}, Settings(), "a/b:1"),
    "spec's": ({"image": "c/d:2"}, Settings(), "c/d:2"),
    "settings'": ({}, Settings(image="e/f:3"), "e/f:3"),
    "default": ({}, Settings(), "vllm/vllm-openai:v0.18.0"),
}


@pytest.mark.parametrize("case", IMAGES)
def test_the_most_specific_image_wins(case: str, make: Maker, container_of: Container) -> None:
    change, settings, image = IMAGES[case]
    assert container_of(make(change, settings=settings))["image"] == image


def test_the_default_image_is_a_release() -> None:
    tag = Settings().image.rpartition(":")[2]
    assert [part.isdecimal() for part in tag.removeprefix("v").split(".")] == [True] * 3


@pytest.mark.parametrize(("gpus", "shared"), [(1, False), (2, True), (8, True)])
def test_several_gpus_share_memory(gpus: int, shared: bool, make: Maker, objects_of: Render) -> None:  # noqa: FBT001 - a table's column
    pod = objects_of(make({"resources": {"gpu": {"count": gpus}}}))[0]["spec"]["template"]["spec"]
    wanted = [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "20Gi"}}] if shared else []
    assert pod.get("volumes", []) == wanted
    mounts = [{"name": "shm", "mountPath": "/dev/shm"}] if shared else []  # noqa: S108 - in the pod
    assert pod["containers"][0].get("volumeMounts", []) == mounts


def test_probes_wait_for_the_model(make: Maker, container_of: Container) -> None:
    container = container_of(make())
    numbers = {
        name: tuple(
            container[f"{name}Probe"][key] for key in ("initialDelaySeconds", "periodSeconds", "failureThreshold")
        )
        for name in ("startup", "liveness", "readiness")
    }
    assert numbers == {"startup": (15, 10, 60), "liveness": (15, 10, 3), "readiness": (15, 5, 3)}
    slow = container_of(make(overrides=Overrides(startup_seconds=1801)))
    assert slow["startupProbe"]["failureThreshold"] == 181


@pytest.mark.parametrize(("strategy", "surge", "unavailable"), [("surge", 1, 0), ("recreate", 0, 1)])
def test_the_strategy_says_who_goes_first(
    strategy: Any, surge: int, unavailable: int, make: Maker, objects_of: Render
) -> None:
    spec = objects_of(make(overrides=Overrides(strategy=strategy)))[0]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": surge, "maxUnavailable": unavailable}


def test_the_users_labels_stand_beside_ours(make: Maker, objects_of: Render) -> None:
    labels = {"app": "mine", "kubeairunway.ai/team": "x"}
    spec = objects_of(make({"podTemplate": {"metadata": {"labels": labels}}}))[0]["spec"]
    assert spec["template"]["metadata"]["labels"] == labels | spec["selector"]["matchLabels"]


def test_another_model_has_other_pods(make: Maker, objects_of: Render) -> None:
    """Else the Service would lead to the pods of the old model until the garbage collector ends them."""
    selectors = [
        objects_of(make(change))[-1]["spec"]["selector"]
        for change in ({}, {"model": {"id": "org/other"}}, {"model": {"source": "custom"}, "image": "a/b:1"})
    ]
    assert len({tuple(sorted(selector.items())) for selector in selectors}) == 3
    assert selectors[0] == objects_of(make({"engine": {"contextLength": 5}}))[-1]["spec"]["selector"]


def test_a_variable_of_the_user_wins_over_a_cache(make: Maker, container_of: Container) -> None:
    volumes = [{"name": "w", "purpose": "modelCache", "mountPath": "/model-cache", "claimName": "w"}]
    env = [{"name": "HF_HOME", "value": "/model-cache/hub"}]
    change = {"model": {"storage": {"volumes": volumes}}, "env": env}
    assert container_of(make(change))["env"] == env


def test_services_of_the_namespace_are_no_options_of_vllm(make: Maker, objects_of: Render) -> None:
    pod = objects_of(make(name="vllm"))[0]["spec"]["template"]["spec"]
    assert pod["enableServiceLinks"] is False


def test_why_a_container_ended_is_in_its_status(make: Maker, container_of: Container) -> None:
    assert container_of(make())["terminationMessagePolicy"] == "FallbackToLogsOnError"
