"""What is said while nothing has been created yet, and that nothing is written then but the status."""

from typing import Any

import pytest

UNMADE: dict[str, tuple[dict[str, Any], tuple[str, str], str, str]] = {
    "an invalid spec": ({"model": {"id": ""}}, ("Stalled", "ValidationFailed"), "Validated", "spec.model.id"),
    "a provider that nobody knows": (
        {"provider": {"name": "nobody"}},
        ("Reconciling", "UnknownProvider"),
        "ProviderSelected",
        "known are acme",
    ),
    "an engine that nobody offers": (
        {"engine": {"type": "sglang"}},
        ("Reconciling", "SelectionFailed"),
        "ProviderSelected",
        "does not support engine SGLang",
    ),
    "what the provider cannot express": (
        {"resources": {"gpu": {"count": 3}}},
        ("Stalled", "IncompatibleConfiguration"),
        "ProviderCompatible",
        "3 GPUs cannot be split",
    ),
}


@pytest.mark.parametrize("name", UNMADE)
def test_what_stands_in_the_way_of_a_new_deployment_is_said_and_nothing_is_made(world: Any, name: str) -> None:
    spec, (kind, reason), false, words = UNMADE[name]
    world.spec(**spec)
    world.step()
    assert world.writes == [("status", "ModelDeployment", "llm")], "no finalizer, no object"
    assert world.status["phase"] == "Pending"
    assert world.condition(kind) == ("True", reason)
    assert world.condition("Ready") == ("False", reason)
    assert world.condition(false)[0] == "False"
    assert words in world.status["message"]
    assert {row["observedGeneration"] for row in world.status["conditions"]} == {2}
    other = {"Stalled": "Reconciling", "Reconciling": "Stalled"}[kind]
    assert world.condition(other)[0] == "False"


def test_a_deployment_that_waits_for_any_provider_is_reconciling(world: Any) -> None:
    world.providers.clear()
    world.step()
    assert world.writes == [("status", "ModelDeployment", "llm")]
    assert (world.status["phase"], world.condition("Reconciling")) == ("Pending", ("True", "NoProvider"))
