"""How engine and provider are chosen (design points 6 and 29)."""

from dataclasses import dataclass
from typing import Any, Literal

import pytest

from kubeairunway.errors import HookError, HookTimeoutError
from kubeairunway.model import Problem
from kubeairunway.plugin import Bid

CPU = {"gpu": {"count": 0}}
ROLES = {"prefill": {"gpu": {"count": 1}}, "decode": {"gpu": {"count": 1}}}
DISAGGREGATED = {"serving": {"mode": "disaggregated"}, "scaling": ROLES, "resources": {}}

SHIPPED = {
    "a CPU deployment": ({"resources": CPU}, "llamacpp", "kaito"),
    "a deployment without resources": ({"resources": {}}, "llamacpp", "kaito"),
    "one GPU": ({}, "vllm", "dynamo"),
    "two GPUs, though a provider that runs only when named wants them": (
        {"resources": {"gpu": {"count": 2}}},
        "vllm",
        "dynamo",
    ),
    "two GPUs on that provider": (
        {"resources": {"gpu": {"count": 2}}, "provider": {"name": "kuberay"}},
        "vllm",
        "kuberay",
    ),
    "an explicit engine of one provider": ({"engine": {"type": "sglang"}}, "sglang", "dynamo"),
    "llama.cpp on a GPU": ({"engine": {"type": "llamacpp"}}, "llamacpp", "kaito"),
    "disaggregated mode": (DISAGGREGATED, "vllm", "dynamo"),
    "disaggregated mode with an engine": ({**DISAGGREGATED, "engine": {"type": "sglang"}}, "sglang", "dynamo"),
    "a pinned provider that others outbid": ({"provider": {"name": "kaito"}}, "vllm", "kaito"),
    "a pinned provider on a CPU": ({"provider": {"name": "kaito"}, "resources": CPU}, "llamacpp", "kaito"),
}


@pytest.mark.parametrize(("blocks", "engine", "provider"), SHIPPED.values(), ids=SHIPPED.keys())
def test_the_providers_of_today_divide_the_work(kit: Any, blocks: dict[str, Any], engine: str, provider: str) -> None:
    decision = kit.choose(kit.spec(**blocks), *kit.shipped())
    assert (decision.engine, decision.provider, decision.problems) == (engine, provider, ())
    assert decision.request.spec is decision.spec
    assert decision.spec.engine.type == engine


ENGINES = ("llamacpp", "trtllm", "sglang", "vllm")


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_engine_is_the_first_in_order_that_a_provider_offers(kit: Any, count: int) -> None:
    offered = ENGINES[:count]
    decision = kit.choose(kit.spec(), kit.provider("p", *map(kit.engine, offered)))
    assert decision.engine == offered[-1]


def test_the_next_engine_is_tried_if_all_refuse_the_first(kit: Any) -> None:
    narrow = kit.engine("vllm", carries={"model", "resources"})
    decision = kit.choose(
        kit.spec(env=[{"name": "A", "value": "b"}]),
        kit.provider("a", narrow, kit.engine("sglang")),
        kit.provider("b", narrow, kit.engine("sglang")),
    )
    assert (decision.engine, decision.provider) == ("sglang", "a")
    assert [trial.engine for trial in decision.explanation.trials] == ["vllm", "sglang"]


def test_an_explicit_engine_is_not_replaced_by_the_next(kit: Any) -> None:
    narrow = kit.engine("vllm", carries={"model", "resources", "engine"})
    spec = kit.spec(env=[{"name": "A", "value": "b"}], engine={"type": "vllm"})
    decision = kit.choose(spec, kit.provider("a", narrow, kit.engine("sglang")))
    assert (decision.engine, decision.provider) == ("vllm", None)
    assert [problem.path for problem in decision.problems] == ["spec.env"]


def test_an_engine_on_gpu_and_one_on_cpu_may_be_listed_apart(kit: Any) -> None:
    provider = kit.provider("a", kit.engine(), kit.engine(gpu=False, cpu=True))
    assert kit.choose(kit.spec(), provider).provider == "a"
    assert kit.choose(kit.spec(resources=CPU), provider).provider == "a"


# ---- scores ----


PACKAGE: Literal["package"] = "package"
ADMINISTRATOR: Literal["administrator"] = "administrator"


@dataclass(frozen=True)
class Offer:
    """What one provider brings: rules as (priority, holds, who wrote it) and a bid."""

    rules: tuple[tuple[int, bool, Literal["package", "administrator"]], ...] = ()
    bid: int | None = None


SCORES = {
    "the higher rule wins": (Offer(((50, True, PACKAGE),)), Offer(((60, True, PACKAGE),)), "b"),
    "a rule that does not hold counts nothing": (Offer(((50, True, PACKAGE),)), Offer(((60, False, PACKAGE),)), "a"),
    "the maximum of the true rules counts, not their sum": (
        Offer(((40, True, PACKAGE), (50, True, PACKAGE))),
        Offer(((60, True, PACKAGE),)),
        "b",
    ),
    "a bid weighs as a rule": (Offer(((50, True, PACKAGE),)), Offer(bid=60), "b"),
    "a bid below the rules changes nothing": (
        Offer(((50, True, PACKAGE),)),
        Offer(((50, True, PACKAGE),), bid=10),
        "a",
    ),
    "no rule and no bid is a candidate at 0": (Offer(), Offer(), "a"),
    "a true rule of 0 equals none": (Offer(), Offer(((0, True, PACKAGE),)), "a"),
    "a tie goes by name": (Offer(((50, True, PACKAGE),)), Offer(bid=50), "a"),
    "an administrator's 0 outranks a package's 100": (
        Offer(((100, True, PACKAGE),)),
        Offer(((0, True, ADMINISTRATOR),)),
        "b",
    ),
    "an administrator's 0 outranks a bid of 100": (Offer(bid=100), Offer(((0, True, ADMINISTRATOR),)), "b"),
    "an administrator's rule that does not hold outranks nothing": (
        Offer(((1, True, PACKAGE),)),
        Offer(((100, False, ADMINISTRATOR),)),
        "a",
    ),
    "between two of the administrator the higher wins": (
        Offer(((10, True, ADMINISTRATOR),)),
        Offer(((20, True, ADMINISTRATOR),)),
        "b",
    ),
    "a package's rule does not lift an administrator's": (
        Offer(((10, True, ADMINISTRATOR), (100, True, PACKAGE)), bid=100),
        Offer(((20, True, ADMINISTRATOR),)),
        "b",
    ),
    "a tie of the administrator's goes by name": (
        Offer(((10, True, ADMINISTRATOR),)),
        Offer(((10, True, ADMINISTRATOR), (100, True, PACKAGE))),
        "a",
    ),
}


def offering(kit: Any, name: str, offer: Offer) -> Any:
    rules = [
        kit.rule(f"r{number}", "true" if holds else "false", priority, administrator=who == ADMINISTRATOR)
        for number, (priority, holds, who) in enumerate(offer.rules)
    ]
    return kit.provider(name, rules=rules)


@pytest.mark.parametrize(("first", "second", "winner"), SCORES.values(), ids=SCORES.keys())
def test_scores(kit: Any, first: Offer, second: Offer, winner: str) -> None:
    offers = {"a": first, "b": second}
    bids = {name: lambda _, bid=offer.bid: Bid(bid, "mine") for name, offer in offers.items() if offer.bid is not None}
    providers = [offering(kit, name, offer) for name, offer in offers.items()]
    decision = kit.choose(kit.spec(), *providers, calls=kit.calls(bids=bids))
    assert decision.provider == winner


def test_a_rule_that_replaces_a_packages_counts_as_the_administrators(kit: Any) -> None:
    own = kit.provider("b", rules=[kit.rule("large", "true", 100)])
    replaced = kit.provider("b", rules=[kit.rule("large", "true", 5, administrator=True)])
    other = kit.provider("a", rules=[kit.rule("all", "true", 100)])
    assert kit.choose(kit.spec(), other, own).provider == "a"
    assert kit.choose(kit.spec(), other, replaced).provider == "b"


# ---- who may be chosen ----

UNUSABLE = {
    "is not ready": ({"ready": False, "reason": "KindNotServed", "message": "its CRD is not served"}, "is not served"),
    "is disabled": ({"disabled": True}, "switched off"),
    "has bad settings": ({"problems": (Problem("spec.settings.x", "InvalidValue", "x is wrong"),)}, "x is wrong"),
    "runs only when named": ({"auto_select": False}, "runs only what names it"),
}


@pytest.mark.parametrize(("facts", "message"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_a_provider_is_not_chosen_that(kit: Any, facts: dict[str, Any], message: str) -> None:
    a = kit.provider("a", rules=[kit.rule("all", "true", 100)], **facts)
    decision = kit.choose(kit.spec(), a, kit.provider("b"))
    assert decision.provider == "b"
    case = next(candidate for candidate in decision.explanation.candidates if candidate.provider == "a")
    assert not case.eligible
    assert message in case.message
    assert case.remedy


@pytest.mark.parametrize(("facts", "message"), UNUSABLE.values(), ids=UNUSABLE.keys())
def test_the_deployment_waits_if_the_only_provider(kit: Any, facts: dict[str, Any], message: str) -> None:
    decision = kit.choose(kit.spec(), kit.provider("a", **facts))
    assert (decision.provider, decision.problems) == (None, ())
    assert decision.provider_reason == "NoProvider"
    assert message in decision.provider_message


def test_a_provider_without_its_package_is_not_chosen(kit: Any) -> None:
    gone = kit.provider("a", loaded=False)
    decision = kit.choose(kit.spec(), gone, kit.provider("b"))
    assert decision.provider == "b"
    case = next(candidate for candidate in decision.explanation.candidates if candidate.provider == "a")
    assert case.reason == "PackageMissing"
    assert case.remedy == "install the package of provider a, or another version if one is installed"
    assert "a: its package is not loaded" in kit.choose(kit.spec(), gone).provider_message


def test_there_may_be_no_provider_yet(kit: Any) -> None:
    decision = kit.choose(kit.spec())
    assert (decision.provider, decision.problems, decision.provider_reason) == (None, (), "NoProvider")
    assert decision.provider_message == "no providers registered (InferenceProviderConfig resources not found)"


def test_an_unknown_provider_is_waited_for_and_the_known_ones_are_named(kit: Any) -> None:
    decision = kit.choose(kit.spec(provider={"name": "kato"}), *kit.shipped())
    assert (decision.provider, decision.problems, decision.provider_reason) == (None, (), "UnknownProvider")
    assert decision.provider_message == 'InferenceProviderConfig "kato" not found; known are dynamo, kaito, kuberay'


def test_a_pinned_provider_runs_although_it_runs_only_when_named(kit: Any) -> None:
    spec = kit.spec(provider={"name": "a"})
    assert kit.choose(spec, kit.provider("a", auto_select=False), kit.provider("b")).provider == "a"


PINNED = {
    "is not ready": ({"ready": False}, "ProviderNotReady"),
    "says why it is not ready": ({"ready": False, "reason": "KindNotServed"}, "ProviderNotReady"),
    "has bad settings": ({"problems": (Problem("spec.settings.x", "No", "bad x"),)}, "ProviderNotReady"),
    "is disabled": ({"disabled": True}, "ProviderDisabled"),
    "is not loaded": ({"loaded": False}, "PackageMissing"),
}


@pytest.mark.parametrize(("facts", "reason"), PINNED.values(), ids=PINNED.keys())
def test_a_pinned_provider_is_waited_for_that(kit: Any, facts: dict[str, Any], reason: str) -> None:
    decision = kit.choose(kit.spec(provider={"name": "a"}), kit.provider("a", **facts), kit.provider("b"))
    assert (decision.provider, decision.problems, decision.provider_reason) == (None, (), reason)
    assert "a: " in decision.provider_message
    assert "b: " not in decision.provider_message


def test_a_deployment_waits_for_the_provider_that_could_run_it(kit: Any) -> None:
    narrow = kit.provider("a", kit.engine(carries={"model", "resources"}))
    coming = kit.provider("b", ready=False, message="its operator is not up")
    decision = kit.choose(kit.spec(env=[{"name": "A", "value": "b"}]), narrow, coming)
    assert (decision.provider, decision.problems) == (None, ())
    assert decision.provider_message == "no healthy providers available: b: its operator is not up"


# ---- what cannot be run ----

INCAPABLE = {
    "an engine that it does not offer": (
        {"engine": {"type": "sglang"}, "provider": {"name": "kaito"}},
        "spec.engine.type",
        "provider kaito does not support engine SGLang; it offers vLLM and llama.cpp",
    ),
    "a mode that it does not offer": (
        {**DISAGGREGATED, "engine": {"type": "trtllm"}, "provider": {"name": "dynamo"}},
        "spec.serving.mode",
        "provider dynamo does not support disaggregated mode for engine TensorRT-LLM",
    ),
    "a mode that it does not offer for llama.cpp": (
        {**DISAGGREGATED, "engine": {"type": "llamacpp"}, "provider": {"name": "kaito"}},
        "spec.serving.mode",
        "does not support disaggregated mode for engine llama.cpp",
    ),
    "no GPU": (
        {"resources": CPU, "engine": {"type": "vllm"}, "provider": {"name": "dynamo"}},
        "spec.resources.gpu.count",
        "vLLM engine on provider dynamo requires GPU (set resources.gpu.count > 0)",
    ),
    "no GPU without an engine": (
        {"resources": CPU, "provider": {"name": "dynamo"}},
        "spec.resources.gpu.count",
        "vLLM engine on provider dynamo requires GPU",
    ),
    "no GPU on any provider": (
        {"resources": CPU, "engine": {"type": "vllm"}},
        "spec.resources.gpu.count",
        "vLLM engine on provider dynamo requires GPU",
    ),
}


@pytest.mark.parametrize(("blocks", "path", "message"), INCAPABLE.values(), ids=INCAPABLE.keys())
def test_a_problem_is_shown_for(kit: Any, blocks: dict[str, Any], path: str, message: str) -> None:
    decision = kit.choose(kit.spec(**blocks), *kit.shipped())
    assert decision.provider is None
    assert [problem.path for problem in decision.problems] == [path]
    assert message in decision.problems[0].message
    assert decision.provider_reason == "SelectionFailed"


def test_an_engine_that_nobody_offers_is_waited_for(kit: Any) -> None:
    decision = kit.choose(kit.spec(engine={"type": "trtllm"}), kit.provider("a"), kit.provider("b"))
    assert (decision.provider, decision.problems, decision.provider_reason) == (None, (), "SelectionFailed")
    assert "no compatible provider found for this configuration" in decision.provider_message


def test_a_spec_with_errors_is_not_shown_to_providers(kit: Any) -> None:
    calls = kit.calls()
    decision = kit.choose(kit.spec(model={}), kit.provider("a"), calls=calls)
    assert [problem.path for problem in decision.problems] == ["spec.model.id"]
    assert (decision.provider, decision.provider_reason, calls.asked) == (None, "ValidationFailed", [])


# ---- hooks that fail ----


@pytest.mark.parametrize("failure", [HookError, HookTimeoutError])
@pytest.mark.parametrize("hook", ["validations", "bids"])
def test_a_provider_whose_hook_fails_stops_no_other(kit: Any, failure: type[HookError], hook: str) -> None:
    def broken(_: object) -> Any:
        raise failure("a", "validate", "it fell over")

    decision = kit.choose(kit.spec(), kit.provider("a"), kit.provider("b"), calls=kit.calls(**{hook: {"a": broken}}))
    assert decision.provider == "b"
    case = next(candidate for candidate in decision.explanation.candidates if candidate.provider == "a")
    assert (case.reason, case.eligible, "it fell over" in case.message) == ("ProviderError", False, True)


def test_a_deployment_waits_if_the_only_providers_hook_fails(kit: Any) -> None:
    def broken(_: object) -> Any:
        raise HookError("a", "validate", "it fell over")

    decision = kit.choose(kit.spec(), kit.provider("a"), calls=kit.calls(validations={"a": broken}))
    assert (decision.provider, decision.problems) == (None, ())
    assert "it fell over" in decision.provider_message


def test_only_capable_candidates_without_errors_are_asked_for_a_bid(kit: Any) -> None:
    calls = kit.calls(validations={"b": lambda _: [Problem("spec.model.id", "No", "not this one")]})
    kit.choose(
        kit.spec(engine={"type": "vllm"}),
        kit.provider("a"),
        kit.provider("b"),
        kit.provider("c", kit.engine("sglang")),
        kit.provider("d", kit.engine(carries={"model"})),
        calls=calls,
    )
    assert [name for hook, name in calls.asked if hook == "select"] == ["a"]


def test_a_rule_with_an_error_does_not_match_and_is_reported(kit: Any) -> None:
    bad = kit.rule("bad", "spec.nothing == 1", 100)
    decision = kit.choose(kit.spec(), kit.provider("b", rules=[bad]), kit.provider("a"))
    assert decision.provider == "a"
    assert [(rule.name, rule.error) for rule in decision.rule_errors["b"]] == [
        ("bad", "no such member in mapping: 'nothing'")
    ]
