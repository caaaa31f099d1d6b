"""What policies say of changes, and that nothing they say harms what runs."""

from typing import Any

import pytest

from kubeairunway.model import names

PRIMARY = {("apply", "ModelServer", "llm"), ("create", "ModelServer", "llm"), ("delete", "ModelServer", "llm")}


def primary_writes(world: Any) -> list[tuple[str, str, str]]:
    return [write for write in world.writes if write in PRIMARY]


def test_what_runs_unchanged_is_not_asked_about(running: Any, kit: Any) -> None:
    running.policies.rules["strict"] = kit.refuse
    running.policies.failing["later"] = "no"
    running.settle()
    assert running.policies.calls == []
    assert running.writes == []
    assert running.condition("Ready") == ("True", "DeploymentReady")


def test_what_ran_before_there_were_policies_is_not_asked_about_after_a_restart(running: Any, kit: Any) -> None:
    running.memory = type(running.memory)()
    running.policies.rules["strict"] = kit.refuse
    running.settle()
    assert (running.policies.calls, running.writes) == ([], [])


CHANGES: dict[str, dict[str, Any]] = {
    "in place": {"scaling": {"replicas": 3}},
    "by making it anew": {"resources": {"gpu": {"count": 2}}},
    "another model": {"model": {"id": "acme/large"}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_that_a_policy_refuses_leaves_what_runs(running: Any, kit: Any, name: str) -> None:
    before = running.server
    running.policies.rules["strict"] = kit.refuse
    running.spec(**CHANGES[name])
    running.settle()
    assert primary_writes(running) == []
    assert running.server == before
    assert running.condition("Ready") == ("False", "PolicyRefused")
    assert running.condition("Admitted") == ("False", "PolicyRefused")
    assert running.condition("Stalled") == ("True", "PolicyRefused")
    assert running.status["phase"] == "Running"
    assert running.status["observedGeneration"] == running.deployment["metadata"]["generation"]
    assert running.status["provider"]["resourceName"] == "llm"
    assert running.status["replicas"]["available"] == 1


@pytest.mark.parametrize("state", ["broken", "failing"])
@pytest.mark.parametrize("name", CHANGES)
def test_a_broken_policy_leaves_what_runs(running: Any, name: str, state: str) -> None:
    getattr(running.policies, state)["bad"] = "Failed: no"
    running.spec(**CHANGES[name])
    running.settle()
    assert primary_writes(running) == []
    assert running.condition("Ready")[1] in {"PolicyError", "PolicyNotLoaded"}
    assert running.condition("Stalled")[0] == "True"
    assert running.status["phase"] == "Running"


def test_a_refused_change_is_taken_back_without_asking(running: Any, kit: Any) -> None:
    spec = running.deployment["spec"]
    running.policies.rules["strict"] = kit.refuse
    running.spec(scaling={"replicas": 3})
    running.settle()
    running.policies.calls.clear()
    running.deployment["spec"] = spec
    running.deployment["metadata"]["generation"] += 1
    running.settle()
    assert running.policies.calls == []
    assert running.condition("Ready") == ("True", "DeploymentReady")
    assert primary_writes(running) == []


def test_a_change_that_policies_let_pass_is_carried_out_and_warned_of_once(running: Any, kit: Any) -> None:
    warning = kit.Problem("spec.scaling", "Many", "that is many", warning=True)
    running.policies.rules["strict"] = lambda _request, _provider: [warning]
    running.spec(scaling={"replicas": 3})
    running.settle()
    assert primary_writes(running) == [("apply", "ModelServer", "llm")]
    assert [event for event in running.events if event[0] == "PolicyWarning"] == [
        ("PolicyWarning", "spec.scaling: policy strict: that is many")
    ]
    assert len(running.policies.calls) == 1


def test_what_is_put_back_is_not_asked_about(running: Any, kit: Any) -> None:
    running.policies.rules["strict"] = kit.refuse
    running.memory = type(running.memory)()
    running.edit(kit.LIFE.SERVER, "llm", replicas=7)
    running.settle()
    assert running.server["spec"]["replicas"] == 1
    del running.objects[kit.LIFE.SERVER, "llm"]
    running.settle()
    assert running.server["spec"]["replicas"] == 1
    assert running.policies.calls == []


def test_what_an_earlier_rendering_left_is_cleared_up_without_asking(running: Any, kit: Any) -> None:
    running.policies.rules["strict"] = kit.refuse
    running.memory = type(running.memory)()
    running.hooks.with_service = False
    running.settle()
    assert ("delete", "Service", "llm-api") in running.writes
    assert running.policies.calls == []


def test_what_was_granted_once_is_made_anew_whatever_policies_say_meanwhile(running: Any, kit: Any) -> None:
    running.server["metadata"]["finalizers"] = ["upstream"]
    running.spec(resources={"gpu": {"count": 2}})
    running.step()
    assert running.server["metadata"]["deletionTimestamp"]
    running.policies.rules["strict"] = kit.refuse
    del running.objects[kit.LIFE.SERVER, "llm"]
    running.settle()
    assert running.server["spec"]["gpus"] == 2
    assert running.condition("Admitted") == ("", "")


def test_a_grant_counts_no_longer_once_what_was_granted_is_given_up(running: Any, kit: Any) -> None:
    running.policies.wants_peers = True
    running.policies.rules["strict"] = kit.refuse
    granted = running.memory.granted
    assert granted[1]
    running.objects.clear()
    running.deployment["status"] = {"observedGeneration": -1}
    running.settle()
    assert running.condition("Ready") == ("False", "PolicyRefused")


def test_gpus_on_record_stay_while_a_change_is_refused_and_follow_one_that_passes(world: Any, kit: Any) -> None:
    world.policies.wants_peers = True
    world.policies.rules["strict"] = kit.allow
    world.spec(resources={"gpu": {"count": 4}})
    world.run()
    assert world.status["provider"]["gpus"] == 4
    world.policies.rules["strict"] = kit.refuse
    world.spec(scaling={"replicas": 3})
    world.settle()
    assert world.status["provider"]["gpus"] == 4
    world.policies.rules["strict"] = kit.allow
    world.settle()
    assert world.status["provider"]["gpus"] == 12


def test_a_paused_deployment_is_not_asked_about(running: Any, kit: Any) -> None:
    running.policies.rules["strict"] = kit.refuse
    running.deployment["metadata"]["annotations"] = {names.PAUSED: "true"}
    running.spec(scaling={"replicas": 3})
    running.settle()
    assert running.policies.calls == []


def test_a_deletion_asks_no_policy(running: Any, kit: Any) -> None:
    running.policies.rules["strict"] = kit.refuse
    running.policies.failing["bad"] = "no"
    running.deployment["metadata"]["deletionTimestamp"] = running.now.isoformat()
    running.settle()
    assert primary_writes(running) == [("delete", "ModelServer", "llm")]
    assert running.deployment["metadata"]["finalizers"] == []
    assert running.policies.calls == []


def test_more_gpus_are_a_change_even_if_nothing_is_rendered_of_them(running: Any, kit: Any) -> None:
    running.policies.wants_peers = True
    running.policies.rules["strict"] = kit.refuse
    running.before = kit.Peer("llm", "acme/small", "acme", 0, admitted=True)
    running.settle()
    assert running.condition("Ready") == ("True", "DeploymentReady")
    render = running.hooks.render
    running.hooks.render = lambda provider, request: render(provider, kit.without_gpus(request))
    running.spec(resources={"gpu": {"count": 1}})
    running.settle()
    assert running.condition("Admitted") == ("False", "PolicyRefused")
    assert running.status["provider"]["gpus"] == 0
