"""Which spec fields exist, which a user set, what a carried path covers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kubeairunway.model.paths import CORE_PATHS, covers, known_paths, leaf_paths, nearest, set_paths
from kubeairunway.model.spec import Spec


def read(value: dict[str, Any]) -> Spec:
    return Spec.model_validate(value)


def test_paths_are_spelled_as_in_yaml_and_name_parents_and_leaves() -> None:
    some = {
        "model.id",
        "engine",
        "engine.contextLength",
        "scaling.prefill.gpu.count",
        "env",
        "podTemplate.metadata.labels",
    }
    assert some <= known_paths()


@pytest.mark.parametrize("path", ["spec.model.id", "engine.context_length", "env.name", "engine.args.x", ""])
def test_other_spellings_and_members_of_lists_and_maps_are_no_paths(path: str) -> None:
    assert path not in known_paths()


def test_leaves_are_the_paths_with_nothing_below() -> None:
    assert {"engine.args", "env", "resources.gpu.count", "model.storage.volumes"} <= leaf_paths()
    assert not {"engine", "resources.gpu", "scaling.prefill", "model.storage"} & leaf_paths()


def test_the_cores_own_fields_exist() -> None:
    assert known_paths() >= CORE_PATHS


SET = {
    "nothing": ({}, ()),
    "a model id": ({"model": {"id": "a/b"}}, ("model.id",)),
    "a default that was written out": ({"scaling": {"replicas": 1}, "engine": {"enablePrefixCaching": True}}, ()),
    "a zero that differs": ({"scaling": {"replicas": 0}}, ("scaling.replicas",)),
    "a zero that is the default": ({"resources": {"gpu": {"count": 0}}}, ()),
    "false that differs": ({"engine": {"enablePrefixCaching": False}}, ("engine.enablePrefixCaching",)),
    "the most specific part": ({"resources": {"gpu": {"count": 2}}}, ("resources.gpu.count",)),
    "an optional part": (
        {"scaling": {"prefill": {"replicas": 2, "gpu": {"count": 1}}}},
        ("scaling.prefill.replicas", "scaling.prefill.gpu.count"),
    ),
    "an optional part of nothing but defaults": ({"scaling": {"prefill": {}}}, ()),
    "a list and a map as a whole": (
        {"env": [{"name": "A", "value": "b"}], "engine": {"args": {"a": "b"}}},
        ("engine.args", "env"),
    ),
    "empty texts, lists and maps": ({"image": "", "env": [], "nodeSelector": {}, "engine": {"args": {}}}, ()),
    "a gateway that is off": ({"gateway": {"enabled": False}}, ()),
    "a gateway that is on": ({"gateway": {"enabled": True}}, ("gateway.enabled",)),
    "the core's own fields": (
        {"provider": {"name": "p"}, "engine": {"type": "vllm"}, "serving": {"mode": "disaggregated"}},
        ("provider.name", "engine.type", "serving.mode"),
    ),
    "volumes": (
        {"model": {"storage": {"volumes": [{"name": "v", "size": 1}]}}},
        ("model.storage.volumes",),
    ),
    "several, in the order of the schema": (
        {"tolerations": [{"operator": "Exists"}], "secrets": {"huggingFaceToken": "s"}, "model": {"id": "a"}},
        ("model.id", "secrets.huggingFaceToken", "tolerations"),
    ),
}


@pytest.mark.parametrize(("spec", "expected"), SET.values(), ids=SET)
def test_set_paths_are_those_that_differ_from_the_default(spec: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert set_paths(read(spec)) == expected


@given(st.sets(st.sampled_from(sorted(leaf_paths()))))
def test_every_set_path_is_a_leaf_and_each_leaf_can_be_set(paths: set[str]) -> None:
    wanted = paths - {"gateway.enabled"}
    assert set(set_paths(read(spec_that_sets(wanted)))) == wanted


VALUES: dict[str, Any] = {
    "model.source": "custom",
    "model.storage.volumes": [{"name": "v"}],
    "engine.type": "sglang",
    "serving.mode": "disaggregated",
    "env": [{"name": "A"}],
    "tolerations": [{}],
    "engine.extraArgs": ["-x"],
    "provider.overrides": {"a": 1},
}


def spec_that_sets(paths: set[str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for path in paths:
        *parents, last = path.split(".")
        part = result
        for parent in parents:
            part = part.setdefault(parent, {})
        part[last] = VALUES.get(path, guess_value(last))
    return result


def guess_value(name: str) -> Any:
    if name in {"replicas", "count", "contextLength"}:
        return 7
    if name in {"trustRemoteCode", "enforceEager"}:
        return True
    if name == "enablePrefixCaching":
        return False
    if name in {"args", "labels", "annotations", "nodeSelector"}:
        return {"a": "b"}
    return {"type": "amd.com/gpu", "memory": "1Gi", "cpu": "1"}.get(name, "x")


COVERED = {
    "itself": ({"resources.gpu"}, "resources.gpu", True),
    "what lies below": ({"resources.gpu"}, "resources.gpu.count", True),
    "not what lies above": ({"resources.gpu.count"}, "resources.gpu", False),
    "not a name that only begins alike": ({"engine.image"}, "engine.imagePullPolicy", False),
    "not a sibling": ({"resources.gpu.count"}, "resources.gpu.type", False),
    "nothing": (set(), "env", False),
}


@pytest.mark.parametrize(("carried", "path", "expected"), COVERED.values(), ids=COVERED)
def test_a_carried_path_covers_what_lies_below_it(carried: set[str], path: str, *, expected: bool) -> None:
    assert covers(carried, path) is expected


NEAREST = {
    "a letter too few": ("engine.contextLenth", "engine.contextLength"),
    "another spelling": ("engine.context_length", "engine.contextLength"),
    "the right name at the wrong place": ("huggingFaceToken", "secrets.huggingFaceToken"),
    "nothing like it": ("zzz", None),
}


@pytest.mark.parametrize(("path", "expected"), NEAREST.values(), ids=NEAREST)
def test_nearest_guesses_what_was_meant(path: str, expected: str | None) -> None:
    assert nearest(path, known_paths()) == expected


@given(st.text(max_size=20), st.permutations(sorted(known_paths())))
def test_the_order_of_candidates_never_changes_the_guess(path: str, candidates: list[str]) -> None:
    assert nearest(path, candidates) == nearest(path, sorted(candidates))
