"""The spec as a value: immutable to its leaves, complete by its defaults, true to zeros and to what was written."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from kubeairunway.model.base import freeze, thaw
from kubeairunway.model.spec import Spec


def test_nothing_in_a_spec_can_be_changed() -> None:
    spec = Spec.model_validate(
        {
            "engine": {"args": {"a": "b"}},
            "provider": {"overrides": {"a": {"b": [{"c": 1}]}}},
            "nodeSelector": {"a": "b"},
        }
    )
    with pytest.raises(ValidationError):
        spec.image = "x"  # type: ignore[misc] # what is tried here
    maps: list[Any] = [spec.engine.args, spec.node_selector, spec.provider.overrides]
    maps += [spec.provider.overrides["a"], spec.provider.overrides["a"]["b"][0]]
    for frozen in maps:
        with pytest.raises(TypeError):
            frozen["a"] = "x"
    assert isinstance(spec.provider.overrides["a"]["b"], tuple)


def test_a_change_to_the_source_does_not_reach_the_spec() -> None:
    source: dict[str, Any] = {"engine": {"args": {"a": "b"}}, "provider": {"overrides": {"a": {"b": 1}}}}
    spec = Spec.model_validate(source)
    source["engine"]["args"]["a"] = "x"
    source["provider"]["overrides"]["a"]["b"] = 2
    assert spec.engine.args == {"a": "b"}
    assert spec.provider.overrides == {"a": {"b": 1}}


def test_a_copy_is_the_value_itself() -> None:
    spec = Spec()
    assert copy.deepcopy(spec) is spec


def test_a_spec_is_written_as_it_was_read() -> None:
    source = {
        "model": {"id": "a/b"},
        "engine": {"contextLength": 8, "enablePrefixCaching": False},
        "resources": {"gpu": {"count": 0}, "memory": "16Gi"},
        "scaling": {"replicas": 0, "prefill": {"replicas": 0}},
        "provider": {"overrides": {"list": [1, {"a": None}]}},
        "env": [{"name": "A", "value": ""}],
    }
    written = Spec.model_validate(source).model_dump(exclude_unset=True)
    assert thaw(written) == source | {"env": [{"name": "A", "value": ""}]}
    assert Spec.model_validate(Spec.model_validate(source).model_dump()) == Spec.model_validate(source)


QUANTITIES = {"a whole number": (4, "4"), "zero": (0, "0"), "a text": ("500m", "500m"), "binary": ("16Gi", "16Gi")}


@pytest.mark.parametrize(("written", "read"), QUANTITIES.values(), ids=QUANTITIES)
def test_a_quantity_is_kept_as_written(written: Any, read: str) -> None:
    assert Spec.model_validate({"resources": {"cpu": written}}).resources.cpu == read


@pytest.mark.parametrize("written", [0.5, True, "", "16 Gi", "Gi", "1g", "1e", [], "1Gi\n"])
def test_what_is_no_quantity_is_refused(written: Any) -> None:
    with pytest.raises(ValidationError):
        Spec.model_validate({"resources": {"cpu": written}})


def test_freezing_and_thawing_json_are_inverse() -> None:
    value = {"a": [1, {"b": None, "c": [True, "x"]}], "d": {}}
    assert thaw(freeze(value)) == value
