"""What the demo deploys, for whichever providers are installed."""

from __future__ import annotations

import pytest

from kubeairunway_dev.demo import is_shown, make_table, shorten
from kubeairunway_dev.demo_samples import Sample, list_samples, make_deployment

ALL = ("kaito", "dynamo", "kuberay", "vllm")


@pytest.mark.parametrize(
    ("installed", "names"),
    [
        pytest.param(ALL, ["qwen-kaito", "qwen-dynamo", "qwen-kuberay", "qwen-vllm", "qwen-huge"], id="all"),
        pytest.param(("vllm", "other"), ["qwen-vllm", "qwen-huge"], id="one of ours"),
        pytest.param(("other",), [], id="none of ours"),
    ],
)
def test_there_is_a_sample_for_each_installed_provider_and_one_that_waits(
    installed: tuple[str, ...], names: list[str]
) -> None:
    samples = list_samples(installed, nodes=3, gpus=1)
    assert [sample.name for sample in samples] == names
    assert [sample.name for sample in samples if sample.waits] == names[-1:]


@pytest.mark.parametrize(
    ("nodes", "gpus", "replicas", "near"),
    [
        pytest.param(3, 1, 2, 8, id="default"),
        pytest.param(1, 4, 1, 8, id="one node"),
        pytest.param(3, 8, 2, 4, id="large nodes are KAITO's"),
    ],
)
def test_kaito_gets_whole_nodes_and_the_others_stay_away_from_them(
    nodes: int, gpus: int, replicas: int, near: int
) -> None:
    kaito, *others, huge = list_samples(ALL, nodes=nodes, gpus=gpus)
    assert (kaito.gpus, kaito.replicas) == (gpus, replicas)
    assert {sample.near for sample in others} == {near}
    assert huge.gpus > max(gpus, 8)


def test_a_deployment_names_its_provider_and_its_nodes() -> None:
    spec = make_deployment(Sample("a", "dynamo", 2, near=8))["spec"]
    assert spec["provider"] == {"name": "dynamo"}
    assert spec["resources"] == {"gpu": {"count": 2}}
    assert spec["nodeSelector"] == {"nvidia.com/gpu.count": "8"}
    assert "nodeSelector" not in make_deployment(Sample("a", "kaito", 1))["spec"]


RUNS, WAITS = Sample("a", "vllm", 1), Sample("a", "vllm", 16, waits=True)


@pytest.mark.parametrize(
    ("sample", "phase", "reason", "message", "shown"),
    [
        pytest.param(RUNS, "Running", "", "", True, id="runs"),
        pytest.param(RUNS, "Deploying", "WaitingForGPU", "", False, id="does not run yet"),
        pytest.param(WAITS, "Deploying", "WaitingForGPU", "16 asked", True, id="waits and says so"),
        pytest.param(WAITS, "Deploying", "DeploymentInProgress", "0 of 1", False, id="does not say why"),
        pytest.param(WAITS, "Running", "WaitingForGPU", "", False, id="runs where it should not"),
    ],
)
def test_the_goal_is_running_or_the_reason_why_not(
    sample: Sample, phase: str, reason: str, message: str, *, shown: bool
) -> None:
    row = {"type": "Ready", "reason": reason, "message": message}
    assert is_shown(sample, {"status": {"phase": phase, "conditions": [row]}}) is shown
    assert not is_shown(sample, {})


def test_the_table_says_below_what_waits_for_what() -> None:
    row = {"type": "Ready", "reason": "WaitingForGPU", "message": "asks for 16"}
    status = {"phase": "Deploying", "conditions": [row], "provider": {"resourceKind": "Deployment"}}
    samples = [Sample("a", "vllm", 2, 3), Sample("huge", "vllm", 16, waits=True)]
    table = make_table(samples, {"default/a": {"status": status}, "default/huge": {"status": status}})
    assert table.splitlines() == [
        "NAME  PROVIDER  KIND        PHASE      READY  GPUS  REASON",
        "a     vllm      Deployment  Deploying  0/0    6     WaitingForGPU",
        "huge  vllm      Deployment  Deploying  0/0    16    WaitingForGPU",
        "",
        "huge: asks for 16",
    ]


def test_long_words_are_cut_and_lines_joined() -> None:
    assert shorten("a\n b") == "a b"
    assert len(shorten("x" * 500)) == 100
