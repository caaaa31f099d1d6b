"""What policies say before anything is created, and how the status tells it."""

from typing import Any

import pytest

from kubeairunway.decide.admission import describe_grant, describe_peer
from kubeairunway.plugin import Peer, Problem, Request


def test_nothing_is_created_for_what_a_policy_refuses(world: Any, kit: Any) -> None:
    world.policies.rules["strict"] = kit.refuse
    world.settle()
    assert world.writes == [("status", "ModelDeployment", "llm")]
    text = "spec.model.id: policy strict: acme may not run acme/small"
    for kind in ("Admitted", "Ready"):
        assert world.condition(kind) == ("False", "PolicyRefused"), kind
        assert world.message(kind) == text
    assert world.condition("Stalled") == ("True", "PolicyRefused")
    assert world.condition("Validated") == ("True", "ValidationPassed")
    assert world.condition("ProviderCompatible") == ("", "")
    assert world.status["phase"] == "Pending"
    assert world.status["message"] == text
    assert "gpus" not in world.status.get("provider", {})
    assert "policy strict: acme may not run" in world.status["selection"]["candidates"][0]["reason"]
    assert world.events == []


def test_a_policy_sees_the_complete_request_and_the_provider(world: Any, kit: Any) -> None:
    world.policies.rules["strict"] = kit.allow
    world.peers = (Peer("other", "a/b", "acme", 2, admitted=True),)
    world.before = Peer("llm", "a/b", "acme", 1, admitted=True)
    world.step()
    ((policy, provider, request),) = world.policies.calls
    assert (policy, provider) == ("strict", "acme")
    assert (request.spec.engine.type, request.spec.model.served_name) == ("vllm", "small")
    assert request.peers == world.peers
    assert request.before == world.before
    assert world.condition("Admitted") == ("", "")
    assert world.condition("ResourceCreated") == ("True", "ResourceCreated")


def test_every_policy_must_agree_and_every_refusal_is_shown(world: Any, kit: Any) -> None:
    world.policies.rules |= {"a": kit.refuse, "b": kit.allow, "c": kit.refuse}
    world.settle()
    assert world.message("Ready") == (
        "spec.model.id: policy a: acme may not run acme/small; spec.model.id: policy c: acme may not run acme/small"
    )


def test_a_policy_may_leave_another_provider_open(world: Any, kit: Any) -> None:
    world.providers["zeta"] = world.facts(kit.LIFE.acme("zeta"))
    world.policies.rules["strict"] = lambda _request, provider: (
        [Problem("spec.provider", "No", "not on acme")] if provider == "acme" else []
    )
    world.step()
    assert world.status["provider"]["name"] == "zeta"
    rows = {row["name"]: row for row in world.status["selection"]["candidates"]}
    assert rows["zeta"]["eligible"]
    assert rows["acme"]["reason"] == "change spec.provider: policy strict: not on acme"


def test_a_refusal_is_shown_although_other_providers_are_not_ready(world: Any, kit: Any) -> None:
    world.providers["zeta"] = world.facts(kit.LIFE.acme("zeta"), ready=False, message="its operator is away")
    world.policies.rules["strict"] = kit.refuse
    world.settle()
    assert world.condition("Ready") == ("False", "PolicyRefused")


def test_a_refusal_is_shown_before_what_other_providers_lack(world: Any, kit: Any) -> None:
    bare = kit.LIFE.Engine(name="vllm", carries=frozenset({"model.id"}), cpu=True)
    world.providers["aaa"] = world.facts(kit.LIFE.acme("aaa", engines=(bare,)))
    world.policies.rules["strict"] = kit.refuse
    world.spec(scaling={"replicas": 2})
    world.settle()
    assert world.condition("Ready") == ("False", "PolicyRefused")
    assert world.message("Ready").startswith("spec.model.id: policy strict: acme may not run")
    scores = {row.provider: row.score for row in world.plan.decision.explanation.all_candidates()}
    assert scores == {"aaa": 0, "acme": 0}  # a provider is not asked how much it wants what it may not have


def test_nothing_is_warned_of_while_something_else_stands_in_the_way(world: Any) -> None:
    warning = Problem("spec.model.id", "Large", "it is large", warning=True)
    world.policies.rules["mild"] = lambda _request, _provider: [warning]
    world.step()
    key, obj = next(iter(world.objects.items()))
    world.objects = {key: {**obj, "metadata": {"name": "llm", "uid": "foreign", "resourceVersion": "1"}}}
    world.deployment["status"] = {"observedGeneration": -1}
    world.memory = type(world.memory)()
    world.events.clear()
    world.settle()
    assert world.condition("Ready") == ("False", "ResourceConflict")
    assert [event for event in world.events if event[0] == "PolicyWarning"] == []


def test_what_one_provider_may_run_is_not_granted_to_another(world: Any, kit: Any) -> None:
    world.policies.rules["strict"] = kit.allow
    world.step()
    granted = world.memory.granted[1]
    ((_, _, request),) = world.policies.calls
    assert describe_grant(request, "acme") == granted
    assert describe_grant(request, "zeta") != granted
    assert describe_grant(kit.without_gpus(request), "acme") == granted


def test_what_the_provider_objects_to_is_no_business_of_policies(world: Any, kit: Any) -> None:
    world.policies.rules["strict"] = kit.refuse
    world.spec(resources={"gpu": {"count": 3}})
    world.settle()
    assert world.policies.calls == []
    assert world.condition("Ready") == ("False", "IncompatibleConfiguration")


def test_a_warning_passes_and_is_an_event(world: Any) -> None:
    warning = Problem("spec.model.id", "Large", "it is large", warning=True)
    world.policies.rules["mild"] = lambda _request, _provider: [warning]
    world.step()
    assert world.message("Validated") == "The spec is valid"
    world.settle()
    assert world.condition("ResourceCreated") == ("True", "ResourceCreated")
    assert world.events.count(("PolicyWarning", "spec.model.id: policy mild: it is large")) == 1
    assert world.message("Validated") == "The spec is valid"


BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "not loaded": (
        {"broken": {"strict": "Failed: no"}},
        "PolicyNotLoaded",
        "it cannot be asked: Failed: no; correct its package or settings and restart, or switch it off",
    ),
    "failing": (
        {"failing": {"strict": "KeyError: 'x' (strict.py:3)"}},
        "PolicyError",
        "its admit hook failed: KeyError: 'x' (strict.py:3); correct its package, or switch it off",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_policy_that_cannot_be_asked_refuses_and_says_what_to_do(world: Any, kit: Any, name: str) -> None:
    state, reason, words = BROKEN[name]
    text = f"spec: policy strict: {words}"
    for key, value in state.items():
        setattr(world.policies, key, value)
    world.policies.rules["lax"] = kit.allow
    world.settle()
    assert world.condition("Ready") == ("False", reason)
    assert world.condition("Admitted") == ("False", reason)
    assert world.condition("Stalled") == ("True", reason)
    assert world.message("Ready") == text
    assert world.events == [("PolicyError", text)]
    assert world.objects == {}


def test_what_is_to_be_mended_first_is_the_reason(world: Any, kit: Any) -> None:
    world.policies.rules["a"] = kit.refuse
    world.policies.failing["b"] = "no"
    world.settle()
    assert world.condition("Ready") == ("False", "PolicyError")
    world.policies.broken["c"] = "Failed: no"
    world.settle()
    assert world.condition("Ready") == ("False", "PolicyNotLoaded")
    assert world.message("Ready").count("policy ") == 3


def test_it_goes_on_when_the_policy_lets_it_pass(world: Any, kit: Any) -> None:
    world.policies.rules["strict"] = kit.refuse
    world.settle()
    world.policies.rules["strict"] = kit.allow
    world.run()
    assert world.condition("Admitted") == ("", "")
    assert world.condition("Stalled")[0] == "False"


def test_what_was_granted_is_on_record_if_policies_look_at_peers(world: Any, kit: Any) -> None:
    world.policies.rules["strict"] = kit.allow
    world.spec(resources={"gpu": {"count": 4}}, scaling={"replicas": 2})
    world.step()
    assert "gpus" not in world.status["provider"]
    world.policies.wants_peers = True
    world.step()
    assert world.status["provider"]["gpus"] == 8


def deployment(spec: dict[str, Any], **provider: Any) -> dict[str, Any]:
    return {"metadata": {"name": "m"}, "spec": {"model": {"id": "a/b"}, **spec}, "status": {"provider": provider}}


FOUR = {"resources": {"gpu": {"count": 4}}, "scaling": {"replicas": 2}}
ROLES = {"prefill": {"replicas": 3, "gpu": {"count": 1}}, "decode": {"gpu": {"count": 8}}}
PEERS: dict[str, tuple[dict[str, Any], tuple[str, int, bool]]] = {
    "new": (deployment(FOUR), ("", 8, False)),
    "chosen": (deployment(FOUR, name="acme"), ("acme", 8, False)),
    "granted": (deployment(FOUR, name="acme", gpus=8), ("acme", 8, True)),
    "granted something else": (deployment(FOUR, name="acme", gpus=2, resourceName="m"), ("acme", 2, True)),
    "granted none": (deployment(FOUR, name="acme", gpus=0), ("acme", 0, True)),
    "created without policies": (deployment(FOUR, name="acme", resourceName="m"), ("acme", 8, True)),
    "no GPUs": (deployment({}), ("", 0, False)),
    "no replicas": (deployment({**FOUR, "scaling": {"replicas": 0}}), ("", 0, False)),
    "default replicas": (deployment({"resources": {"gpu": {"count": 4}}, "scaling": {}}), ("", 4, False)),
    "by roles": (deployment({**FOUR, "serving": {"mode": "disaggregated"}, "scaling": ROLES}), ("", 11, False)),
    "roles in the wrong mode": (deployment({**FOUR, "scaling": {**ROLES, "replicas": 1}}), ("", 4, False)),
}


@pytest.mark.parametrize("name", PEERS)
def test_a_peer_is_what_its_status_says_it_was_granted(name: str) -> None:
    obj, (provider, gpus, admitted) = PEERS[name]
    assert describe_peer(obj) == Peer("m", "a/b", provider, gpus, admitted)


def test_providers_never_see_peers(world: Any, kit: Any) -> None:
    seen: list[Request] = []
    render = world.hooks.render

    def keep(provider: str, request: Request) -> Any:
        seen.append(request)
        return render(provider, request)

    world.hooks.render = keep
    world.policies.rules["strict"] = kit.allow
    world.peers = (Peer("other", "a/b", "acme", 2, admitted=True),)
    world.before = world.peers[0]
    world.step()
    assert [(request.peers, request.before) for request in seen] == [((), None)]
