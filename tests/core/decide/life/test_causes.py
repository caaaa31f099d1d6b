"""The cause below the primary in the status: where it is shown, what it leaves alone, and that it goes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kubeairunway.decide.causes.evidence import Evidence

LACKING = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."


def waiting_pod(message: str = LACKING) -> dict[str, Any]:
    row = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    container = {"name": "engine", "resources": {"limits": {"nvidia.com/gpu": "8"}}}
    return {
        "metadata": {"name": "llm-0", "uid": "p1", "labels": {"server": "llm"}},
        "spec": {"containers": [container]},
        "status": {"phase": "Pending", "conditions": [row]},
    }


def loading_pod() -> dict[str, Any]:
    status = {"containerStatuses": [{"name": "engine", "ready": False, "state": {"running": {}}}], "phase": "Running"}
    return {"metadata": {"name": "llm-0", "uid": "p1"}, "spec": {"nodeName": "a"}, "status": status}


@pytest.fixture
def waiting(world: Any) -> Any:
    """A deployment of 8 GPUs whose pod fits nowhere."""
    world.spec(resources={"gpu": {"count": 8}})
    world.step()
    world.evidence = Evidence(pods=(waiting_pod(),))
    world.upstream(phase="Starting", message="0 of 1 pods")
    world.step()
    return world


def test_the_cause_is_reason_and_message_of_ready_and_the_status_message(waiting: Any) -> None:
    assert waiting.condition("Ready") == ("False", "WaitingForGPU")
    assert waiting.condition("Reconciling") == ("True", "WaitingForGPU")
    assert waiting.condition("Stalled")[0] == "False"
    assert waiting.status["phase"] == "Deploying"
    (message,) = {row["message"] for row in waiting.status["conditions"] if row["reason"] == "WaitingForGPU"}
    assert message == waiting.status["message"]
    assert message.startswith("Pod 'llm-0' needs 8 x nvidia.com/gpu on one node")


def test_a_cause_goes_when_the_deployment_recovers(waiting: Any) -> None:
    waiting.evidence = Evidence(pods=(loading_pod(),))
    waiting.step()
    assert waiting.condition("Ready") == ("False", "ModelDownload")
    waiting.upstream(phase="Serving", ready=1)
    waiting.step()
    assert waiting.condition("Ready") == ("True", "DeploymentReady")
    assert waiting.status["message"] == "All replicas are ready"
    assert waiting.plan.wanted is None


def test_a_cause_goes_without_recovery_when_nothing_shows_it_any_more(waiting: Any) -> None:
    waiting.evidence = Evidence()
    waiting.step()
    assert waiting.condition("Ready") == ("False", "DeploymentInProgress")
    assert waiting.status["message"] == "0 of 1 replicas are ready: 0 of 1 pods"


def test_the_plan_says_what_to_look_for(waiting: Any) -> None:
    wanted = waiting.plan.wanted
    assert (wanted.selector, wanted.secrets, wanted.capacity) == ("server=llm", frozenset(), True)
    waiting.evidence = Evidence()
    waiting.step()
    assert waiting.plan.wanted.capacity is False
    waiting.upstream(phase="Starting", message=LACKING)
    waiting.step()
    assert waiting.condition("Ready") == ("False", "WaitingForGPU")
    assert waiting.plan.wanted.capacity is False, "upstream's words name no pod to count for"


def test_the_secrets_of_the_spec_are_looked_for(waiting: Any) -> None:
    waiting.providers = {
        name: replace(
            facts,
            provider=replace(
                facts.provider,
                engines=tuple(
                    replace(engine, carries=engine.carries | {"secrets.huggingFaceToken"})
                    for engine in facts.provider.engines
                ),
            ),
        )
        for name, facts in waiting.providers.items()
    }
    waiting.spec(secrets={"huggingFaceToken": "hf"})
    waiting.evidence = Evidence(missing_secrets=frozenset({"hf"}))
    waiting.step()
    assert waiting.plan.wanted.secrets == {"hf"}
    waiting.step()
    assert waiting.condition("Ready") == ("False", "SecretMissing")


@pytest.mark.parametrize("proved", [True, False])
def test_a_failure_of_upstream_is_a_failure_whose_cause_is_the_deepest(waiting: Any, proved: bool) -> None:  # noqa: FBT001 - the case
    generation = waiting.server["metadata"]["generation"]
    waiting.upstream(phase="Broken", message="gave up", observedGeneration=generation if proved else generation - 1)
    waiting.step()
    assert waiting.condition("Ready") == ("False", "WaitingForGPU")
    assert (waiting.status["phase"] == "Failed") is proved
    assert waiting.condition("Stalled")[0] == str(proved)
    waiting.evidence = Evidence(pods=(loading_pod(),))
    waiting.step()
    expected = ("UpstreamError", "gave up") if proved else ("ModelDownload",)
    assert (waiting.condition("Ready")[1], waiting.status["message"])[: len(expected)] == expected


def test_nothing_is_looked_for_while_the_model_serves(running: Any) -> None:
    running.evidence = Evidence(pods=(waiting_pod(),))
    running.step()
    assert running.plan.wanted is None
    assert running.writes == []


def test_nothing_is_looked_for_below_what_is_scaled_to_zero(running: Any) -> None:
    running.evidence = Evidence(pods=(waiting_pod(),))
    running.spec(scaling={"replicas": 0})
    running.step()
    running.step()
    assert running.plan.wanted is None
    assert running.condition("Ready") == ("False", "DeploymentInProgress")


def test_nothing_is_looked_for_before_the_primary_exists(world: Any) -> None:
    world.evidence = Evidence(pods=(waiting_pod(),))
    world.step()
    assert world.plan.wanted is None
    assert world.condition("Ready") == ("False", "DeploymentInProgress")


@pytest.mark.parametrize(
    "trouble",
    [
        lambda world: world.spec(engine={"args": {"model": "x"}}),
        lambda world: world.hooks.fail.add("render"),
        lambda world: world.deployment["metadata"].update(deletionTimestamp="2026-01-01T00:00:00Z"),
    ],
    ids=["an invalid spec", "a failing hook", "a deletion"],
)
def test_what_stands_in_the_way_hides_what_is_below(waiting: Any, trouble: Any) -> None:
    trouble(waiting)
    waiting.step()
    assert waiting.condition("Ready")[1] != "WaitingForGPU"
    assert waiting.plan.wanted is None


def test_a_paused_deployment_shows_the_cause_too(waiting: Any) -> None:
    waiting.deployment["metadata"]["annotations"] = {"kubeairunway.ai/reconcile-paused": "true"}
    waiting.evidence = Evidence(pods=(loading_pod(),))
    waiting.step()
    assert waiting.condition("Ready") == ("False", "ModelDownload")


def test_while_evidence_is_first_looked_up_the_status_stays_as_it_is(waiting: Any) -> None:
    waiting.writes.clear()
    waiting.evidence = Evidence(pending=True)
    waiting.step()
    assert waiting.writes == []
    assert waiting.condition("Ready") == ("False", "WaitingForGPU")
    waiting.evidence = Evidence(
        pods=(waiting_pod("0/2 nodes are available: 1 Insufficient nvidia.com/gpu."),), pending=True
    )
    waiting.step()
    assert waiting.writes == []
    crash = {"containerStatuses": [{"name": "e", "state": {"terminated": {"exitCode": 3}}}], "phase": "Running"}
    waiting.evidence = Evidence(pods=({**loading_pod(), "status": crash},), pending=True)
    waiting.step()
    assert waiting.condition("Ready") == ("False", "CrashLoop"), "what is certain is said"


def test_a_cause_that_is_over_does_not_stay_for_want_of_a_count(waiting: Any) -> None:
    crash = {"containerStatuses": [{"name": "e", "state": {"terminated": {"exitCode": 3}}}], "phase": "Running"}
    waiting.evidence = Evidence(pods=({**loading_pod(), "status": crash},))
    waiting.step()
    assert waiting.condition("Ready") == ("False", "CrashLoop")
    waiting.evidence = Evidence(pods=(waiting_pod(),), pending=True)
    waiting.step()
    assert waiting.condition("Ready") == ("False", "WaitingForGPU")


def test_a_failure_that_is_over_does_not_stay_for_want_of_evidence(waiting: Any) -> None:
    waiting.evidence = Evidence()
    waiting.upstream(phase="Broken", message="gave up")
    waiting.step()
    assert waiting.condition("Ready") == ("False", "UpstreamError")
    waiting.evidence = Evidence(pending=True)
    waiting.upstream(phase="Starting", message="once more")
    waiting.step()
    assert waiting.condition("Ready") == ("False", "DeploymentInProgress")


def test_while_evidence_is_first_looked_up_words_that_were_no_cause_do_not_stay(world: Any) -> None:
    world.step()
    world.evidence = Evidence(pending=True)
    world.upstream(phase="Starting", message="begun")
    world.step()
    assert world.status["message"] == "0 of 1 replicas are ready: begun"
