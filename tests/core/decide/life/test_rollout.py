"""Creating, running and changing a deployment, as decisions."""

from typing import Any

import pytest

from kubeairunway.decide.plan import Outcome, Step, StepKind
from kubeairunway.plugin import SERVICE, Kind

ANY_STEP = Step(action=StepKind.CREATE, kind=SERVICE, api_version="v1", name="", namespace="")
SERVER = "ModelServer"


def keys(world: Any) -> set[tuple[str, str]]:
    return {(kind.name, name) for kind, name in world.objects}


def kind_of(world: Any, name: str) -> Kind:
    found: Kind = next(kind for kind, _ in world.objects if kind.name == name)
    return found


def test_a_deployment_costs_a_finalizer_its_objects_and_one_status_until_deploying(world: Any) -> None:
    world.step()
    assert world.writes == [
        ("finalizer", "ModelDeployment", "llm"),
        ("create", SERVER, "llm"),
        ("create", "Service", "llm-api"),
        ("status", "ModelDeployment", "llm"),
    ]
    assert world.status["phase"] == "Deploying"
    assert world.status["provider"]["resourceKind"] == SERVER
    assert world.condition("Ready") == ("False", "DeploymentInProgress")
    assert world.condition("Reconciling") == ("True", "DeploymentInProgress")
    assert [reason for reason, _ in world.events] == ["ProviderSelected", "ResourceCreated"]
    assert world.events[1][1] == "Created ModelServer 'llm', Service 'llm-api'"


def test_one_more_status_makes_it_running_and_then_nothing_is_written(world: Any) -> None:
    world.step()
    world.upstream(phase="Serving", ready=1)
    before = len(world.writes)
    world.step()
    assert world.writes[before:] == [("status", "ModelDeployment", "llm")]
    assert world.condition("Ready") == ("True", "DeploymentReady")
    assert world.condition("Reconciling")[0] == world.condition("Stalled")[0] == "False"
    assert world.status["replicas"] == {"desired": 1, "ready": 1, "available": 1}
    assert world.status["endpoint"] == {"service": "llm-api", "port": 80}
    assert world.status["observedGeneration"] == 1
    world.step()
    assert len(world.writes) == before + 1


def test_ready_is_not_true_for_a_revision_that_upstream_has_not_seen(running: Any) -> None:
    running.spec(scaling={"replicas": 2})
    running.step()
    assert ("apply", SERVER, "llm") in running.writes
    assert running.condition("Ready") == ("False", "DeploymentInProgress")
    running.step()
    assert running.condition("Ready") == ("False", "DeploymentInProgress"), "upstream still reports generation 1"
    running.upstream(phase="Serving", ready=1)
    running.step()
    assert running.condition("Ready") == ("False", "DeploymentInProgress"), "one of two replicas"
    assert "1 of 2" in running.status["message"]
    running.upstream(phase="Serving", ready=2)
    running.step()
    assert running.condition("Ready") == ("True", "DeploymentReady")


def test_enough_replicas_beside_unfinished_work_are_not_told_as_lacking(running: Any) -> None:
    running.upstream(phase="Starting", ready=1, message="router: starting")
    running.step()
    assert running.condition("Ready") == ("False", "DeploymentInProgress")
    assert running.status["message"] == "Enough replicas are ready, but the provider is not done yet: router: starting"


def test_without_generations_only_a_changed_status_proves_a_revision(running: Any) -> None:
    running.hooks.generation = False
    running.spec(scaling={"replicas": 2})
    running.upstream(phase="Serving", ready=2)
    running.step()
    running.step()
    assert running.condition("Ready")[0] == "False", "this status stood before the revision was sent"
    running.upstream(phase="Serving", ready=2, revision="2")
    running.step()
    assert running.condition("Ready") == ("True", "DeploymentReady")


def test_zero_replicas_are_ready_once_proved(running: Any) -> None:
    running.spec(scaling={"replicas": 0})
    running.step()
    assert running.condition("Ready")[0] == "False"
    running.step()
    assert running.condition("Ready")[0] == "False", "upstream still reports the revision before"
    running.upstream(phase="Serving", ready=0)
    running.step()
    assert running.condition("Ready") == ("True", "ScaledToZero")
    assert running.status["phase"] == "Running"


def test_what_upstream_calls_broken_is_failed_and_heals(running: Any) -> None:
    running.upstream(phase="Broken", message="out of memory")
    running.step()
    assert running.status["phase"] == "Failed"
    assert running.condition("Stalled") == ("True", "UpstreamError")
    assert running.status["message"] == "out of memory"
    running.upstream(phase="Serving", ready=1)
    running.step()
    assert running.status["phase"] == "Running"
    assert running.condition("Stalled")[0] == "False"


def test_a_path_that_cannot_change_in_place_recreates_and_says_which(running: Any) -> None:
    running.spec(resources={"gpu": {"count": 2}})
    running.step()
    assert running.writes[0] == ("delete", SERVER, "llm")
    assert "spec.gpus cannot change in place" in running.events[0][1]
    running.settle()
    assert running.server["spec"]["gpus"] == 2


def test_upstream_may_normalise_a_fixed_path_without_being_recreated(running: Any) -> None:
    running.edit(kind_of(running, SERVER), "llm", model="ACME/small")
    running.spec(scaling={"replicas": 2})
    running.step()
    assert [write[0] for write in running.writes] == ["apply", "status"]


def test_an_identity_change_deletes_waits_and_creates(running: Any) -> None:
    running.server["metadata"]["finalizers"] = ["acme.dev/slow"]
    running.spec(model={"id": "acme/large"})
    running.step()
    assert running.writes == [("delete", SERVER, "llm"), ("status", "ModelDeployment", "llm")]
    assert running.condition("Ready") == ("False", "Recreating")
    assert running.condition("ResourceCreated") == ("False", "Recreating")
    running.step()
    assert len(running.writes) == 2, "it is only waited for"
    del running.objects[kind_of(running, SERVER), "llm"]
    running.step()
    assert running.writes[2] == ("create", SERVER, "llm")
    assert running.server["spec"]["model"] == "acme/large"
    assert [reason for reason, _ in running.events].count("Recreating") == 1
    assert not [reason for reason, _ in running.events if reason == "DriftDetected"]


def test_a_recreate_that_does_not_end_is_stuck_and_never_forced(running: Any) -> None:
    running.server["metadata"]["finalizers"] = ["acme.dev/never"]
    running.spec(model={"id": "acme/large"})
    running.step()
    running.step(301)
    assert running.condition("Ready") == ("False", "DeletionStuck")
    assert running.condition("Stalled") == ("True", "DeletionStuck")
    running.step(10)
    assert [reason for reason, _ in running.events].count("DeletionStuck") == 1
    assert running.server["metadata"]["finalizers"] == ["acme.dev/never"]


@pytest.mark.parametrize("change", [{"model": {"id": "acme/large"}}, {"resources": {"gpu": {"count": 2}}}])
def test_a_recreate_waits_for_the_provider_before_it_takes_anything_away(running: Any, change: Any) -> None:
    running.spec(**change, provider={"name": "acme"})
    facts = running.providers["acme"]
    running.providers["acme"] = running.facts(
        facts.provider, ready=False, reason="OperatorMissing", message="no operator"
    )
    running.step()
    assert not [write for write in running.writes if write[0] == "delete"]
    assert running.status["phase"] == "Running"
    assert running.condition("Ready")[0] == "False"


def test_another_primary_kind_takes_the_place_of_the_first(running: Any) -> None:
    running.spec(engine={"contextLength": 4096})
    running.step()
    assert ("ModelServer", "llm") not in keys(running)
    running.step()
    assert ("ModelCluster", "llm") in keys(running)


def test_what_a_rendering_no_longer_has_goes_once_the_primary_is_ready(running: Any) -> None:
    running.hooks.with_service = False
    running.spec(scaling={"replicas": 2})
    running.step()
    assert ("Service", "llm-api") in keys(running)
    running.upstream(phase="Serving", ready=2)
    running.settle()
    assert ("Service", "llm-api") not in keys(running)
    assert ("ModelServer", "llm") in keys(running)


@pytest.mark.parametrize(
    ("outcome", "reason", "stalled"),
    [
        pytest.param(Outcome(ANY_STEP, error="Invalid", message="said no"), "ResourceRefused", "True", id="refused"),
        pytest.param(
            Outcome(ANY_STEP, error="Transport", message="no answer", transient=True),
            "ResourceFailed",
            "False",
            id="lost",
        ),
    ],
)
def test_a_refused_write_is_shown_and_tried_again(world: Any, outcome: Outcome, reason: str, stalled: str) -> None:
    world.refuse["create", SERVER] = outcome
    conclusion = world.step()
    assert conclusion.retry
    assert world.status["phase"] == "Pending"
    assert world.condition("Ready") == ("False", reason)
    assert world.condition("Stalled")[0] == stalled
    assert "resourceName" not in world.status["provider"]
    world.refuse.clear()
    world.step()
    assert world.status["phase"] == "Deploying"


def test_a_name_longer_than_upstream_bears_is_refused_before_anything_is_created(world: Any) -> None:
    world.deployment["metadata"]["name"] = "l" * 31
    world.step()
    assert world.objects == {}
    assert world.condition("ProviderCompatible") == ("False", "IncompatibleConfiguration")
    assert "at least 1 shorter" in world.status["message"]


def test_what_upstream_will_make_is_claimed_when_the_primary_is_created_and_never_again(world: Any) -> None:
    world.hooks.claims = ((SERVICE, ""),)
    world.step()
    claims = {step.name: step.claims for step in world.plan.steps}
    assert claims == {"llm": ((SERVICE, "v1", "llm"),), "llm-api": ()}
    world.upstream(phase="Serving", ready=1)
    world.settle()
    world.spec(scaling={"replicas": 2})
    world.step()
    assert [step.claims for step in world.plan.steps] == [()]


def test_a_claim_of_a_kind_that_is_not_served_is_no_claim(world: Any) -> None:
    world.hooks.claims = ((Kind(group="serving.acme.dev", name="Spare", versions=("v1",), optional=True), ""),)
    world.step()
    assert {step.name: step.claims for step in world.plan.steps} == {"llm": (), "llm-api": ()}
