"""What stays while a primary is made anew, while nobody sees it, and when upstream serves a better version of it."""

from dataclasses import replace
from typing import Any

from kubeairunway.model import names


def rival_of(world: Any) -> Any:
    """A provider like acme that bids for everything acme has, and would be chosen before it."""
    provider = replace(world.providers["acme"].provider, name="aaa")
    return world.facts(provider)


def hold(world: Any) -> None:
    """Keep the primary from going at once."""
    world.server["metadata"]["finalizers"] = ["acme.dev/slow"]


def let_go(world: Any) -> None:
    """Let the primary be gone."""
    world.objects = {key: obj for key, obj in world.objects.items() if key[0].name != "ModelServer"}


def test_the_choice_stays_while_its_object_is_made_anew_whoever_comes_meanwhile(running: Any) -> None:
    hold(running)
    running.spec(resources={"gpu": {"count": 2}})
    running.step()
    assert running.condition("Ready") == ("False", "Recreating")
    assert running.status["provider"]["resourceName"] == "llm", "what was created stays on record"
    running.providers["aaa"] = rival_of(running)
    let_go(running)
    running.step()
    assert running.status["provider"]["name"] == "acme"
    assert running.server["metadata"]["labels"][names.PROVIDER] == "acme"


def test_a_new_identity_is_chosen_anew_once_the_old_object_is_gone(running: Any) -> None:
    hold(running)
    running.spec(model={"id": "aaa/large"})
    running.step()
    assert "resourceName" not in running.status["provider"]
    running.providers["aaa"] = rival_of(running)
    let_go(running)
    running.step()
    assert running.server["metadata"]["labels"][names.PROVIDER] == "aaa", "it bids for models of its name"


def test_an_object_that_is_made_anew_is_no_drift(running: Any) -> None:
    hold(running)
    running.spec(resources={"gpu": {"count": 2}})
    running.step()
    let_go(running)
    running.step()
    assert [step.repair for step in running.plan.steps if step.primary] == [False]
    assert [reason for reason, _ in running.events] == ["Recreating", "ResourceCreated"]


def test_what_no_package_lets_us_see_keeps_its_phase_and_its_record(running: Any) -> None:
    facts = running.providers["acme"]
    running.providers["acme"] = type(facts)(name="acme", provider=None, ready=False, reason="PackageMissing")
    running.objects.clear()  # nobody watches the kind any more
    before = running.status
    running.step()
    assert running.condition("ProviderAvailable") == ("False", "PackageMissing")
    assert running.condition("Ready") == ("Unknown", "PackageMissing")
    kept = ("phase", "provider", "replicas", "endpoint")
    assert [running.status[key] for key in kept] == [before[key] for key in kept]


def test_a_better_version_that_upstream_begins_to_serve_is_taken_in_place(world: Any) -> None:
    facts = world.providers["acme"]
    kinds = tuple(replace(kind, versions=("v2", *kind.versions)) for kind in facts.provider.kinds if kind.group)
    newer = replace(facts.provider, kinds=(*kinds, *(kind for kind in facts.provider.kinds if not kind.group)))
    server = kinds[0]
    world.hooks.with_service = False
    render = world.hooks.render

    def render_newer(provider: str, request: Any) -> Any:
        rendering = render(provider, request)
        return replace(rendering, primary=replace(rendering.primary, kind=server))

    world.hooks.render = render_newer
    old = {kind: kind.versions[-1] for kind in newer.kinds}
    world.providers["acme"] = world.facts(newer, versions=old)
    world.step()
    assert world.objects[server, "llm"]["apiVersion"] == "serving.acme.dev/v1"
    world.upstream(kind=server, phase="Serving", ready=1)
    world.settle()
    world.writes.clear()
    world.providers["acme"] = world.facts(newer, versions={**old, server: "v2"})
    world.settle()
    assert [write for write in world.writes if write[1] != "ModelDeployment"] == [("apply", "ModelServer", "llm")]
    assert world.objects[server, "llm"]["apiVersion"] == "serving.acme.dev/v2"
    assert world.status["provider"]["apiVersion"] == "serving.acme.dev/v2"
