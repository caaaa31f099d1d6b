"""What a pass does and, as important, what it does not do."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from kubeairunway.runtime import urgency

if TYPE_CHECKING:
    import pytest


def passes(operator: Any) -> float:
    value = operator.telemetry.registry.get_sample_value(
        "kubeairunway_reconciliation_duration_seconds_count", {"provider": "acme"}
    )
    return float(value or 0.0)


def errors(operator: Any) -> float:
    total: float = sum(
        sample.value
        for metric in operator.telemetry.registry.collect()
        if metric.name == "kubeairunway_reconciliation_errors"
        for sample in metric.samples
        if sample.name.endswith("_total")
    )
    return total


async def test_a_deployment_costs_a_finalizer_its_objects_and_two_statuses(stage: Any) -> None:
    async with stage.controller():
        await stage.settle()
        before = len(stage.api.writes)
        await stage.deploy()
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
        await stage.serve()
        await stage.until(lambda: stage.phase() == "Running", "it runs")
        await stage.settle()
    written = [(call.method, call.plural, call.subresource) for call in stage.api.writes[before:]]
    assert written == [
        ("PATCH", "modeldeployments", ""),
        ("POST", "modelservers", ""),
        ("POST", "services", ""),
        ("PATCH", "modeldeployments", "status"),
        ("PATCH", "modeldeployments", "status"),
    ]


async def test_no_finalizer_is_set_where_somebody_set_it_already(stage: Any) -> None:
    await stage.deploy()
    await stage.api.change(
        "modeldeployments", "one", {"metadata": {"finalizers": ["kubeairunway.ai/provider-cleanup"]}}
    )
    async with stage.controller():
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
    assert [call for call in stage.api.writes if (call.plural, call.subresource) == ("modeldeployments", "")] == []


async def test_the_echo_of_our_own_writes_causes_no_pass(stage: Any) -> None:
    async with stage.controller() as operator:
        await stage.deploy()
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
        await stage.settle()
        assert passes(operator) == 1


async def test_news_that_mean_nothing_to_us_cause_no_pass(stage: Any) -> None:
    async with stage.controller() as operator:
        await stage.deploy()
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
        await stage.settle()
        before = passes(operator)
        await stage.api.change("modeldeployments", "one", {"metadata": {"labels": {"team": "search"}}})
        await stage.settle()
        assert passes(operator) == before
        await stage.api.change("modeldeployments", "one", {"metadata": {"labels": {"kubeairunway.ai/x": "y"}}})
        await stage.until(lambda: passes(operator) == before + 1, "what is ours counts")


async def test_a_stale_deployment_is_looked_at_again_and_is_no_error(stage: Any) -> None:
    stage.api.refuse["PATCH", "modeldeployments"] = (409, "Conflict")
    async with stage.controller() as operator:
        await stage.deploy()
        await stage.until(lambda: any(call.status == 409 for call in stage.api.calls), "it was refused")
        del stage.api.refuse["PATCH", "modeldeployments"]
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
        assert errors(operator) == 0


async def test_a_refused_object_is_reported_and_tried_again(stage: Any) -> None:
    stage.api.refuse["POST", "services"] = (403, "Forbidden")
    async with stage.controller() as operator:
        await stage.deploy()
        await stage.until(lambda: stage.condition("ResourceCreated")[1] == "ResourceRefused", "it says so")
        assert stage.condition("Stalled")[0] == "True"
        del stage.api.refuse["POST", "services"]
        await stage.until(lambda: stage.condition("ResourceCreated")[0] == "True", "it goes on by itself")
        assert errors(operator) >= 1
    creates = Counter(call.plural for call in stage.api.writes if call.method == "POST" and call.status == 201)
    assert creates["modelservers"] == 1


async def test_a_conflict_on_any_object_stops_everything_before_the_first_write(stage: Any) -> None:
    await stage.api.put("services", {"metadata": {"name": "one"}, "spec": {"ports": [{"port": 80}]}})
    async with stage.controller():
        await stage.deploy()
        await stage.until(lambda: stage.condition("Ready")[1] == "ResourceConflict", "it says so")
        assert stage.phase() == "Pending"
        assert stage.api.get("modelservers", "one") is None
        await stage.settle()
        await stage.api.change("services", "one", {"metadata": {"labels": {"still": "here"}}})
        await stage.settle()
        statuses = [
            call for call in stage.api.writes if (call.plural, call.subresource) == ("modeldeployments", "status")
        ]
        assert len(statuses) == 1
        reads = len(stage.api.calls)
        await stage.settle()
        assert len(stage.api.calls) == reads
        await stage.api.remove("services", "one")
        await stage.until(lambda: stage.phase() == "Deploying", "it goes on by itself")


async def test_a_repair_that_changes_nothing_is_not_made_twice(stage: Any) -> None:
    async with stage.controller():
        await stage.deploy()
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
        await stage.api.change("modelservers", "one", {"spec": {"replicas": 7}})
        await stage.until(lambda: stage.api.get("modelservers", "one")["spec"]["replicas"] == 1, "it is set right")
        await stage.settle()
    repairs = [call for call in stage.api.writes if (call.method, call.plural) == ("PATCH", "modelservers")]
    assert len(repairs) == 1


async def test_an_object_that_cannot_be_put_right_is_reported_and_stays(stage: Any) -> None:
    """A claim that somebody made larger cannot shrink, and to delete it would be to delete what it holds."""
    async with stage.controller():
        await stage.deploy()
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
        uid = stage.api.get("services", "one")["metadata"]["uid"]
        stage.api.refuse["PATCH", "services"] = (422, "Invalid")
        await stage.api.change("services", "one", {"spec": {"selector": {"app": "other"}}})
        await stage.until(lambda: stage.condition("ResourceCreated")[1] == "ResourceRefused", "it says so")
        await stage.settle()
        assert stage.api.get("services", "one")["metadata"]["uid"] == uid
    assert [call for call in stage.api.writes if call.method == "DELETE"] == []


async def test_deletion_waits_for_the_primary_alone(stage: Any) -> None:
    async with stage.controller():
        await stage.deploy()
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
        await stage.api.change("modelservers", "one", {"metadata": {"finalizers": ["acme.dev/slow"]}})
        await stage.settle()
        moment = {"metadata": {"deletionTimestamp": "2099-01-01T00:00:00Z"}}
        await stage.api.change("modeldeployments", "one", moment)
        await stage.until(lambda: stage.phase() == "Terminating", "it says so")
        await stage.settle()
        assert len([call for call in stage.api.writes if call.method == "DELETE"]) == 1
        await stage.api.remove("modelservers", "one")
        await stage.until(lambda: stage.api.get("modeldeployments", "one") is None, "it is gone")


async def test_a_foreign_object_that_goes_before_it_is_watched_blocks_nobody(stage: Any) -> None:
    await stage.api.put("services", {"metadata": {"name": "one"}, "spec": {}})

    async def remove(call: Any) -> None:
        if (call.method, call.plural, call.name) == ("GET", "services", "one") and stage.api.get("services", "one"):
            await stage.api.remove("services", "one")

    async with stage.controller():
        stage.api.react = remove
        await stage.deploy()
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
    reads = [call for call in stage.api.calls if (call.method, call.plural, call.name) == ("GET", "services", "one")]
    assert len(reads) == 2


async def test_an_object_of_ours_that_is_going_is_not_taken_over_but_made_anew(stage: Any) -> None:
    """A plan is made before the old object shows: it asks to create what is there and on its way out."""

    async def show(call: Any) -> None:
        if (call.method, call.plural, call.subresource) != ("PATCH", "modeldeployments", ""):
            return
        stage.api.react = None
        marks = {"kubeairunway.ai/owner-uid": stage.api.get("modeldeployments", "one")["metadata"]["uid"]}
        going = {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["acme.dev/slow"]}
        await stage.api.put("modelservers", {"metadata": {"name": "one", "annotations": marks, **going}, "spec": {}})

    async with stage.controller() as operator:
        await stage.settle()
        stage.api.react = show
        await stage.deploy()
        await stage.until(lambda: errors(operator), "the name is taken")
        await stage.settle()
        assert not [call for call in stage.api.writes if (call.method, call.plural) == ("PATCH", "modelservers")]
        await stage.api.remove("modelservers", "one")
        await stage.until(lambda: stage.phase() == "Deploying", "it is made anew")


async def test_words_alone_wait_for_the_next_fact_but_not_for_ever(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urgency, "PATIENCE_SECONDS", 0.2)

    async def say(words: str) -> None:
        conditions = [{"type": "Healthy", "status": "False", "message": words}]
        await stage.api.change(
            "modelservers", "one", {"status": {"phase": "Starting", "observedGeneration": 1, "conditions": conditions}}
        )

    def statuses() -> int:
        return sum((call.plural, call.subresource) == ("modeldeployments", "status") for call in stage.api.writes)

    def message() -> str:
        return str(stage.api.get("modeldeployments", "one")["status"]["message"])

    async with stage.controller() as operator:
        await stage.deploy()
        await stage.until(lambda: stage.phase() == "Deploying", "it deploys")
        await stage.settle()
        await say("none of three")
        await stage.until(lambda: "none of three" in message(), "words are written in the end")
        monkeypatch.setattr(urgency, "PATIENCE_SECONDS", 60.0)
        before = statuses()
        for words in ("one of three", "two of three", "all three"):
            seen = passes(operator)
            await say(words)
            await stage.until(lambda: passes(operator) > seen, "it is seen")  # noqa: B023 - awaited within the loop
        assert statuses() == before
        await stage.serve()
        await stage.until(lambda: stage.phase() == "Running", "it runs")
        assert statuses() == before + 1
