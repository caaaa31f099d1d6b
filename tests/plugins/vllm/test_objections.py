"""What the provider objects to, and the mirror image of each: what it lets pass."""

from collections.abc import Callable
from typing import Any

import pytest

import kubeairunway_vllm
from kubeairunway.plugin import Request
from kubeairunway_vllm.catalog import Overrides, Settings

Maker = Callable[..., Request]
TOKEN = {"secrets": {"huggingFaceToken": "hf"}}
AMD = {"resources": {"gpu": {"type": "amd.com/gpu"}}}
CUSTOM = {"model": {"source": "custom"}}
IMAGE = {"image": "a/b:1"}


def problems_of(request: Request, *, warning: bool = False) -> list[tuple[str, str]]:
    found = list(kubeairunway_vllm.validate(request))
    return [(problem.path, problem.code) for problem in found if problem.warning is warning]


def variable(**value: Any) -> dict[str, Any]:
    return {"env": [{"name": "HF_TOKEN", **value}]}


def volume(**fields: Any) -> dict[str, Any]:
    base = {
        "name": "data",
        "mountPath": "/data",
        "claimName": "demo-data",
        "size": "1Gi",
        "accessMode": "ReadWriteMany",
    }
    return {"model": {"storage": {"volumes": [{**base, **fields}]}}}


REQUIRED = [("spec.engine.image", "ImageRequired")]
LABELS = "spec.podTemplate.metadata.labels"
CASES: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "nothing said": ({}, []),
    "other GPUs": (AMD, REQUIRED),
    "other GPUs with an image": ({**AMD, **IMAGE}, []),
    "other GPUs with an image of the engine's": ({**AMD, "engine": {"image": "a/b:1"}}, []),
    "custom": (CUSTOM, REQUIRED),
    "custom with an image": ({**CUSTOM, **IMAGE}, []),
    "token alone": (TOKEN, []),
    "variable alone": (variable(value="x"), []),
    "token and another variable": ({**TOKEN, "env": [{"name": "A", "value": "b"}]}, []),
    "label of the user's": ({"podTemplate": {"metadata": {"labels": {"app": "x"}}}}, []),
    "label that is ours": (
        {"podTemplate": {"metadata": {"labels": {"vllm.kubeairunway.ai/model": "x"}}}},
        [(LABELS, "ReservedPodLabel")],
    ),
    "a volume": (volume(), []),
    "a volume called shm": (volume(name="shm"), [("spec.model.storage.volumes[0].name", "ReservedVolume")]),
    "a claim of the user's": (volume(size=None, accessMode=None), []),
    "a volume for one pod": (
        volume(accessMode="ReadWriteOncePod"),
        [("spec.model.storage.volumes[0].accessMode", "NotShared")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_objects_to_what_would_clash_or_lead_nowhere(case: str, make: Maker) -> None:
    change, expected = CASES[case]
    assert problems_of(make(change)) == expected


@pytest.mark.parametrize(
    ("mode", "strategy", "replicas", "refused", "warned"),
    [
        ("ReadWriteOncePod", "recreate", 1, False, False),
        ("ReadWriteOncePod", "recreate", 2, True, False),
        ("ReadWriteOnce", "surge", 1, False, True),
        ("ReadWriteOnce", "recreate", 1, False, False),
        ("ReadWriteOnce", "recreate", 2, False, True),
        ("ReadOnlyMany", "surge", 2, False, False),
    ],
)
def test_volumes_for_one_are_not_shared(
    mode: str,
    strategy: Any,
    replicas: int,
    refused: bool,  # noqa: FBT001 - a table's column
    warned: bool,  # noqa: FBT001 - a table's column
    make: Maker,
) -> None:
    change = {**volume(accessMode=mode), "scaling": {"replicas": replicas}}
    request = make(change, overrides=Overrides(strategy=strategy))
    assert (bool(problems_of(request)), bool(problems_of(request, warning=True))) == (refused, warned)


WORDS = {
    "custom": (CUSTOM, Settings(), "takes the model from the image"),
    "amd": (AMD, Settings(), "no default vLLM image for amd.com/gpu"),
    "no default": ({}, Settings(image=""), "there is no default vLLM image: name"),
}


@pytest.mark.parametrize("case", WORDS)
def test_says_why_an_image_is_needed(case: str, make: Maker) -> None:
    change, settings, words = WORDS[case]
    (problem,) = kubeairunway_vllm.validate(make(change, settings=settings))
    assert words in problem.message
