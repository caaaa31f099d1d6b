"""What all stand-ins share: switches, names, finalizers, patches."""

from __future__ import annotations

from typing import Any

import pytest

from kubeairunway_dev.standins import installation, pods
from kubeairunway_dev.standins.installation import Installation
from kubeairunway_dev.standins.owned import (
    choose_names,
    list_finalizers,
    make_patch,
    make_suffix,
    read_stamp,
    stamp,
)
from kubeairunway_dev.standins.switches import DELAY, FAIL, HOLD, Switches


@pytest.mark.parametrize(
    ("flags", "notes", "expected"),
    [
        pytest.param(Switches(), {}, Switches(), id="nothing said"),
        pytest.param(Switches(fail="a", hold=True), {}, Switches(fail="a", hold=True), id="flags hold for all"),
        pytest.param(
            Switches(), {FAIL: "b", DELAY: "3", HOLD: "true"}, Switches(delay=3, fail="b", hold=True), id="one"
        ),
        pytest.param(Switches(fail="a", hold=True), {FAIL: "", HOLD: "false"}, Switches(), id="spared"),
    ],
)
def test_an_object_s_annotations_come_before_the_flags(
    flags: Switches, notes: dict[str, str], expected: Switches
) -> None:
    assert flags.read_for({"metadata": {"annotations": notes}}) == expected


def test_a_delay_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ValueError, match="soon"):
        Switches().read_for({"metadata": {"annotations": {DELAY: "soon"}}})


GOING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("meta", "own", "held", "expected"),
    [
        pytest.param({}, "own", False, ["own"], id="new"),
        pytest.param({"finalizers": ["own", "x"]}, "own", False, ["own", "x"], id="at rest"),
        pytest.param({"finalizers": ["x", "own"], **GOING}, "own", False, ["x"], id="going"),
        pytest.param({}, "own", True, ["own", HOLD], id="held"),
        pytest.param({"finalizers": ["own", HOLD], **GOING}, "own", True, [HOLD], id="going and held"),
        pytest.param({"finalizers": [HOLD], **GOING}, "own", False, [], id="let go"),
        pytest.param({"finalizers": ["x"], **GOING}, "own", True, ["x"], id="held too late"),
        pytest.param({}, "", False, [], id="no finalizer of its own"),
    ],
)
def test_finalizers_stay_as_long_as_they_should(
    meta: dict[str, Any], own: str, expected: list[str], *, held: bool
) -> None:
    assert list_finalizers(meta, own, held=held) == expected


@pytest.mark.parametrize(
    ("before", "after", "patch"),
    [
        pytest.param({"a": 1}, {"a": 1}, None, id="nothing changed"),
        pytest.param({"a": 1, "b": 2}, {"a": 2}, {"a": 2, "b": None}, id="what went is removed"),
        pytest.param({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": None, "c": 2}}, id="below as well"),
        pytest.param({"a": {"b": 1}}, {"a": {}}, {"a": {"b": None}}, id="emptied"),
        pytest.param({}, {"a": {"b": [1]}}, {"a": {"b": [1]}}, id="all new"),
    ],
)
def test_a_patch_leads_from_one_status_to_the_other(
    before: dict[str, Any], after: dict[str, Any], patch: dict[str, Any] | None
) -> None:
    assert make_patch(before, after) == (None if patch is None else {"status": patch})


def test_names_look_generated_are_the_same_again_and_go_around_those_that_are_taken() -> None:
    names = choose_names("a", "seed", 3)
    assert choose_names("a", "seed", 3) == names
    assert choose_names("a", "seed", 2, taken={names[0]}) == names[1:]
    assert choose_names("a", "other", 3) != names
    assert len(make_suffix("seed")) == 5
    assert set(make_suffix("seed")) <= set("bcdfghjklmnpqrstvwxz2456789")


def test_a_stamp_tells_contents_apart() -> None:
    body = {"metadata": {"name": "a", "annotations": {"k": "v"}}, "spec": {"x": 1}}
    assert stamp(body)["metadata"]["annotations"]["k"] == "v"
    assert read_stamp(stamp(body)) == read_stamp(stamp(dict(body)))
    assert read_stamp(stamp(body)) != read_stamp(stamp({**body, "spec": {"x": 2}}))
    assert read_stamp(body) == ""


@pytest.mark.parametrize(
    ("pod", "ready"),
    [
        pytest.param({"metadata": {}}, False, id="says nothing"),
        pytest.param(
            {"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "False"}]}}, False, id="no"
        ),
        pytest.param({"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}, True, id="yes"),
        pytest.param(
            {"metadata": GOING, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}, False, id="going"
        ),
    ],
)
def test_a_pod_is_ready_when_it_says_so_and_stays(pod: dict[str, Any], *, ready: bool) -> None:
    assert pods.is_ready(pod) is ready


def test_an_operator_is_a_deployment_with_the_chart_s_labels() -> None:
    operator = Installation(name="op", namespace="ns", labels={"a": "b", "c": "d"})
    (_, namespace), (_, deployment) = installation.make_objects(operator)
    assert namespace["metadata"] == {"name": "ns"}
    assert deployment["metadata"] == {"name": "op", "namespace": "ns", "labels": {"a": "b", "c": "d"}}
    assert deployment["spec"]["template"]["metadata"]["labels"] == {"a": "b", "c": "d"}
    assert operator.selector == "a=b,c=d"
