"""How many GPUs pass."""

from typing import Any

import gpu_quota
import pytest

from kubeairunway.plugin import Peer, Problem
from kubeairunway.testing import admit

SETTINGS = {"default": 8, "namespaces": {"big": 64, "free": None, "none": 0}}
HOLDS_FOUR = Peer("other", "a/b", "kaito", 4, admitted=True)
WAITS = Peer("waits", "a/b", "", 8, admitted=False)


def held(gpus: int) -> Peer:
    return Peer("model", "a/b", "kaito", gpus, admitted=True)


def ask(gpus: int = 1, replicas: int = 1, **more: Any) -> tuple[Problem, ...]:
    spec = {"model": {"id": "a/b"}, "resources": {"gpu": {"count": gpus}}, "scaling": {"replicas": replicas}}
    return admit(gpu_quota, **{"settings": SETTINGS, **spec, **more})


CASES: dict[str, tuple[dict[str, Any], bool]] = {
    "as many as there are": ({"gpus": 8}, True),
    "one more": ({"gpus": 9}, False),
    "by replicas": ({"gpus": 4, "replicas": 3}, False),
    "beside another": ({"gpus": 4, "peers": [HOLDS_FOUR]}, True),
    "one more beside another": ({"gpus": 5, "peers": [HOLDS_FOUR]}, False),
    "beside one that waits": ({"gpus": 8, "peers": [WAITS]}, True),
    "without GPUs above the cap": ({"gpus": 0, "peers": [HOLDS_FOUR] * 3}, True),
    "scaled to zero": ({"gpus": 8, "replicas": 0, "peers": [HOLDS_FOUR] * 2}, True),
    "shrinking above the cap": ({"gpus": 12, "before": held(16)}, True),
    "staying above the cap": ({"gpus": 16, "before": held(16)}, True),
    "growing above the cap": ({"gpus": 17, "before": held(16)}, False),
    "growing into what it holds itself": ({"gpus": 8, "before": held(8)}, True),
    "with a cap of its own": ({"gpus": 64, "namespace": "big"}, True),
    "above its own cap": ({"gpus": 33, "replicas": 2, "namespace": "big"}, False),
    "where there is no cap": ({"gpus": 64, "replicas": 9, "namespace": "free"}, True),
    "where there is none": ({"namespace": "none"}, False),
    "without settings": ({"gpus": 64, "settings": {}}, True),
}


@pytest.mark.parametrize("name", CASES)
def test_a_deployment_passes_if_what_it_asks_for_is_left(name: str) -> None:
    arguments, passes = CASES[name]
    assert [problem.code for problem in ask(**arguments)] == ([] if passes else ["QuotaExceeded"])


def test_a_refusal_says_what_is_asked_for_and_what_is_left() -> None:
    (problem,) = ask(3, 2, peers=[HOLDS_FOUR])
    text = "6 GPUs are too many: namespace default may hold 8, and 4 of them are left"
    assert (problem.path, problem.message) == ("spec.resources.gpu.count", text)


def test_roles_are_counted_together() -> None:
    roles = {"prefill": {"replicas": 2, "gpu": {"count": 2}}, "decode": {"replicas": 1, "gpu": {"count": 5}}}
    spec: dict[str, Any] = {"model": {"id": "a/b"}, "serving": {"mode": "disaggregated"}, "scaling": roles}
    (problem,) = admit(gpu_quota, settings=SETTINGS, **spec)
    assert problem.path == "spec.scaling"
    assert problem.message.startswith("9 GPUs are too many")


@pytest.mark.parametrize("settings", [{"default": -1}, {"namespaces": {"a": "many"}}, {"defualt": 1}])
def test_settings_are_typed(settings: dict[str, Any]) -> None:
    with pytest.raises(LookupError, match=r"settings: gpu-quota\.[dn]"):
        ask(settings=settings)
