"""Small parts of the runtime on their own: urgency, backlog, logs, metrics, children's marks."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kubeairunway.runtime.backlog import Backlog
from kubeairunway.runtime.controller import is_concerned
from kubeairunway.runtime.kinds import parent_marks, trim_child
from kubeairunway.runtime.logs import HumanFormatter, JsonFormatter
from kubeairunway.runtime.operators import label_selector
from kubeairunway.runtime.telemetry import Telemetry
from kubeairunway.runtime.urgency import Patience, is_urgent

STATUS: dict[str, Any] = {
    "phase": "Deploying",
    "observedGeneration": 1,
    "message": "0 of 1 replicas are ready",
    "replicas": {"desired": 1, "ready": 0, "available": 0},
    "provider": {"name": "acme", "resourceKind": "ModelServer", "resourceName": "one"},
    "conditions": [
        {"type": "Ready", "status": "False", "reason": "DeploymentInProgress", "message": "x", "observedGeneration": 1}
    ],
}


@pytest.mark.parametrize(
    ("change", "urgent"),
    [
        ({}, False),
        ({"message": "0 of 1 replicas are ready: pulling the image"}, False),
        ({"endpoint": {"service": "one", "port": 80}}, False),
        ({"conditions": [{**STATUS["conditions"][0], "message": "y"}]}, False),
        ({"phase": "Running"}, True),
        ({"observedGeneration": 2}, True),
        ({"replicas": {"desired": 1, "ready": 1, "available": 1}}, True),
        ({"provider": {**STATUS["provider"], "name": "other"}}, True),
        ({"conditions": [{**STATUS["conditions"][0], "status": "True"}]}, True),
        ({"conditions": [{**STATUS["conditions"][0], "reason": "ResourceRefused"}]}, True),
        ({"conditions": [{**STATUS["conditions"][0], "reason": "WaitingForGPU"}]}, False),
        ({"conditions": [{**STATUS["conditions"][0], "reason": "UpstreamError"}], "phase": "Failed"}, True),
        ({"conditions": []}, True),
    ],
    ids=lambda value: str(value)[:60],
)
def test_only_facts_are_urgent(change: dict[str, Any], urgent: bool) -> None:  # noqa: FBT001 - the expected verdict
    assert is_urgent(STATUS, {**STATUS, **change}) is urgent


def test_words_that_change_again_and_again_wait_longer_each_time_until_they_are_calm() -> None:
    patience, now, waits = Patience(), 1000.0, []
    for _ in range(6):
        wait = patience.note(now, deferred=True, written=False)
        assert wait is not None
        waits.append(wait)
        assert patience.holds(now + wait - 0.1)
        assert patience.note(now + wait / 2, deferred=True, written=False) == wait / 2, "the first words set the clock"
        now += wait
        assert not patience.holds(now)
        assert patience.note(now, deferred=False, written=True) is None
    assert waits == [2, 4, 8, 16, 16, 16]
    assert patience.note(now + 61, deferred=True, written=False) == 2


def test_a_fact_takes_the_words_along_and_makes_an_end_of_restlessness() -> None:
    patience = Patience()
    assert patience.note(10, deferred=True, written=False) == 2
    assert patience.note(12, deferred=False, written=True) is None
    assert patience.note(13, deferred=True, written=False) == 4
    assert patience.note(14, deferred=False, written=True) is None
    assert patience.holds(99)
    assert patience.note(15, deferred=True, written=False) == 2
    assert patience.note(16, deferred=False, written=False) is None
    assert patience.holds(99), "the words went back to what stands"


async def test_a_backlog_leaves_room_in_the_queue_for_what_happens_meanwhile() -> None:
    line: list[tuple[str, str]] = []
    deepest = 0

    def add(key: tuple[str, str]) -> None:
        nonlocal deepest
        line.append(key)
        deepest = max(deepest, len(line))

    backlog = Backlog(batch=4, depth=lambda: len(line), add=add)
    keys = [("ns", str(number)) for number in range(20)]
    backlog.put(keys)
    backlog.put(keys[:3])
    handled: list[tuple[str, str]] = []
    async with asyncio.timeout(5):
        while len(handled) < 20:
            handled += line
            line.clear()
            await asyncio.sleep(0)
    assert handled == keys
    assert deepest <= 4


def make_record(**fields: Any) -> logging.LogRecord:
    record = logging.LogRecord("kubeairunway.x", logging.WARNING, "f", 1, "%s is late", ("it",), None)
    vars(record).update(fields)
    return record


def test_a_json_line_has_what_happened_and_to_whom() -> None:
    line = json.loads(JsonFormatter().format(make_record(deployment="ns/one", reason="Late", provider="")))
    assert line.pop("time").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "kubeairunway.x",
        "message": "it is late",
        "deployment": "ns/one",
        "reason": "Late",
    }


def test_a_json_line_stays_one_line_with_a_traceback() -> None:
    try:
        json.loads("{\n")
    except ValueError:
        record = make_record(exc_info=sys.exc_info())
    text = JsonFormatter().format(record)
    assert "\n" not in text
    assert "JSONDecodeError" in json.loads(text)["traceback"]


def test_people_get_one_short_line() -> None:
    text = HumanFormatter(colour=False).format(make_record(deployment="ns/one"))
    assert text[8:] == " WARNING it is late  deployment=ns/one"


def deployment(name: str, phase: str, ready: int) -> dict[str, Any]:
    status = {"phase": phase, "replicas": {"desired": 2, "ready": ready, "available": ready}}
    return {"metadata": {"name": name, "namespace": "ns"}, "status": status}


def test_metrics_carry_the_documented_names_and_parse() -> None:
    fresh: dict[str, Any] = {"metadata": {"name": "c", "namespace": "ns"}}
    objects = [deployment("a", "Running", 2), deployment("b", "Running", 1), fresh]
    telemetry = Telemetry(lambda: objects)
    telemetry.passed("acme", 0.01)
    telemetry.failed("acme", "Forbidden")
    telemetry.selected("acme", "auto")
    telemetry.selected("acme", "auto")
    text = telemetry.render().decode()
    values = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert values["kubeairunway_modeldeployment_total", "Running", "ns"] == 2
    assert values["kubeairunway_modeldeployment_total", "Pending", "ns"] == 1
    assert values["kubeairunway_deployment_phase", "Running", "a", "ns"] == 1
    assert values["kubeairunway_deployment_replicas", "b", "ns", "ready"] == 1
    assert values["kubeairunway_deployment_replicas", "c", "ns", "ready"] == 0
    assert values["kubeairunway_reconciliation_errors_total", "Forbidden", "acme"] == 1
    assert values["kubeairunway_reconciliation_duration_seconds_count", "acme"] == 1
    assert "# TYPE kubeairunway_provider_selection counter\n" in text
    assert 'kubeairunway_provider_selection{provider="acme",reason="auto"} 2\n' in text


def test_deployments_that_are_not_ready_are_counted_by_their_cause() -> None:
    def of(name: str, status: str, reason: str) -> dict[str, Any]:
        row = {"type": "Ready", "status": status, "reason": reason}
        return {"metadata": {"name": name, "namespace": "ns"}, "status": {"conditions": [row]}}

    rows = [("a", "False", "WaitingForGPU"), ("b", "False", "WaitingForGPU"), ("c", "Unknown", "ProviderError")]
    objects = [of(*row) for row in (*rows, ("d", "True", "DeploymentReady"))] + [deployment("e", "Pending", 0)]
    lines = [line for line in Telemetry(lambda: objects).render().decode().splitlines() if "_not_ready{" in line]
    assert lines == [
        'kubeairunway_modeldeployment_not_ready{namespace="ns",reason="ProviderError"} 1',
        'kubeairunway_modeldeployment_not_ready{namespace="ns",reason="WaitingForGPU"} 2',
    ]


def test_figures_of_a_deployment_go_with_it() -> None:
    objects = [deployment("a", "Running", 2)]
    telemetry = Telemetry(lambda: objects)
    assert 'name="a"' in telemetry.render().decode()
    objects.clear()
    assert 'name="a"' not in telemetry.render().decode()


def test_a_child_is_found_by_its_owners_and_by_the_label_it_copied() -> None:
    meta = {
        "namespace": "ns",
        "ownerReferences": [{"uid": "u1"}, {"uid": "u2"}],
        "labels": {"kubeairunway.ai/deployment": "one"},
    }
    assert parent_marks({"metadata": meta}) == ("u1", "u2", "ns/one")
    assert parent_marks({"metadata": {"namespace": "ns"}}) == ()


def test_a_child_keeps_what_hooks_may_read() -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "annotations": {"a": "b"}, "labels": {"c": "d"}},
        "spec": {"nodeName": "n", "containers": [{"name": "big"}]},
        "status": {"phase": "Running"},
    }
    assert trim_child(pod) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "labels": {"c": "d"}},
        "spec": {"nodeName": "n"},
        "status": {"phase": "Running"},
    }


def test_alternatives_in_operator_labels_become_a_set() -> None:
    assert label_selector({"b": "x,y", "a": "z"}) == "a=z,b in (x,y)"


@pytest.mark.parametrize(
    ("spec", "status", "concerned"),
    [
        ({}, {}, True),
        ({"provider": {"name": "acme"}}, {"provider": {"name": "other", "resourceName": "x"}}, True),
        ({}, {"provider": {"name": "acme", "resourceName": "x"}}, True),
        ({}, {"provider": {"name": "other", "resourceName": "x"}}, False),
        ({}, {"provider": {"name": "other"}}, True),
    ],
    ids=["nothing yet", "pinned", "chosen", "runs elsewhere", "chosen elsewhere but not created"],
)
def test_changed_facts_concern_those_they_can_change(
    spec: dict[str, Any],
    status: dict[str, Any],
    concerned: bool,  # noqa: FBT001 - the expected verdict
) -> None:
    assert is_concerned({"metadata": {}, "spec": spec, "status": status}, frozenset({"acme"})) is concerned
