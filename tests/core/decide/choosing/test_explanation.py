"""Every choice is explained in whole (design point 7)."""

import json
from typing import Any

import pytest

from kubeairunway.decide.explanation import (
    MAX_SHORT_CANDIDATES,
    MAX_SHORT_TEXT,
    short,
    to_json,
)
from kubeairunway.model.status import Selection
from kubeairunway.plugin import Bid


def cases(decision: Any) -> dict[str, Any]:
    return {candidate.provider: candidate for candidate in decision.explanation.candidates}


def test_each_rule_is_there_with_its_outcome(kit: Any) -> None:
    package = kit.provider(
        "a",
        rules=[
            kit.rule("yes", "true", 10),
            kit.rule("no", "false", 20),
            kit.rule("broken", "1", 30),
            kit.rule("own", "true", 5, administrator=True),
        ],
    )
    found = {rule.name: rule for rule in cases(kit.choose(kit.spec(), package))["a"].rules}
    assert {name: rule.outcome for name, rule in found.items()} == {
        "yes": "matched",
        "no": "notMatched",
        "broken": "error",
        "own": "matched",
    }
    assert found["broken"].error == "its value is int, not true or false"
    assert (found["own"].administrator, found["own"].replaced) == (True, False)
    assert (found["yes"].condition, found["yes"].priority) == ("true", 10)


def test_a_rule_that_replaces_a_packages_is_marked(kit: Any) -> None:
    facts = kit.provider("a", rules=[kit.rule("large", "true", 5)])
    own = kit.rule("large", "false", 90, administrator=True)
    replaced = type(facts)(name="a", provider=facts.provider, rules=(own,), versions=facts.versions)
    assert [(rule.administrator, rule.replaced) for rule in cases(kit.choose(kit.spec(), replaced))["a"].rules] == [
        (True, True)
    ]


def test_each_bid_is_there(kit: Any) -> None:
    calls = kit.calls(bids={"a": lambda _: Bid(40, "I like it")})
    found = cases(kit.choose(kit.spec(), kit.provider("a"), kit.provider("b"), calls=calls))
    assert (found["a"].bid.priority, found["a"].bid.reason, found["a"].score) == (40, "I like it", 40)
    assert (found["b"].bid, found["b"].score) == (None, 0)


WHY = {
    "a pin": ({"provider": {"name": "a"}}, (), "spec.provider.name names a"),
    "a score": ({}, ((10, False),), "a has the highest score, 10"),
    "an administrator's rule": (
        {},
        ((10, True),),
        "a rule of the administrator gives a 10, which outranks rules and bids of packages",
    ),
    "nothing": ({}, (), "a can run it; no rule or bid prefers another"),
}


@pytest.mark.parametrize(("blocks", "rules", "message"), WHY.values(), ids=WHY.keys())
def test_the_winner_won_by(kit: Any, blocks: dict[str, Any], rules: tuple[tuple[int, bool], ...], message: str) -> None:
    own = [kit.rule("r", "true", priority, administrator=administrator) for priority, administrator in rules]
    decision = kit.choose(kit.spec(**blocks), kit.provider("a", rules=own), kit.provider("b"))
    assert (decision.explanation.provider, decision.explanation.message) == ("a", message)


ENV = {"env": [{"name": "A", "value": "b"}]}
REMEDIES = {
    "it offers no such engine": (
        {"engine": {"type": "vllm"}},
        {"engines": ["sglang"]},
        "name an engine that it offers",
    ),
    "it needs a GPU": ({"resources": {}}, {}, "set resources.gpu.count to 1 or more"),
    "it takes no GPU": ({}, {"gpu": False, "cpu": True}, "set resources.gpu.count to 0"),
    "it has another mode": ({}, {"modes": ("disaggregated",)}, "set serving.mode to one that it offers"),
    "it drops a field": (ENV, {"carries": {"model", "resources"}}, "remove spec.env, which it does not support"),
    "its package is gone": (
        {},
        {"loaded": False},
        "install the package of provider z, or another version if one is installed",
    ),
    "it is disabled": ({}, {"disabled": True}, "remove disabled from its InferenceProviderConfig"),
    "it runs only when named": (
        {},
        {"auto_select": False},
        "enable autoSelect in its InferenceProviderConfig, or name it in spec.provider.name",
    ),
    "it is not ready": ({}, {"ready": False, "message": "no operator"}, "make it ready: no operator"),
    "it is not named": ({"provider": {"name": "a"}}, {}, "set spec.provider.name to z, or remove it"),
    "it has too low a score": ({}, {}, "needs a score over 50 (a has 50), or name it in spec.provider.name"),
}


@pytest.mark.parametrize(("blocks", "own", "remedy"), REMEDIES.values(), ids=REMEDIES.keys())
def test_a_loser_is_told_what_would_make_it_win_if(
    kit: Any, blocks: dict[str, Any], own: dict[str, Any], remedy: str
) -> None:
    facts = {key: own[key] for key in own if key in {"loaded", "disabled", "auto_select", "ready", "message"}}
    shape = {key: own[key] for key in own if key in {"gpu", "cpu", "modes", "carries"}}
    engines = [kit.engine(name, **shape) for name in own.get("engines", ["vllm"])]
    winner = kit.provider("a", kit.engine(cpu=True), rules=[kit.rule("r", "true", 50)])
    decision = kit.choose(kit.spec(**blocks), winner, kit.provider("z", *engines, **facts))
    assert decision.provider == "a"
    assert remedy in cases(decision)["z"].remedy
    assert cases(decision)["a"].remedy == ""


LOSING = {
    "a higher name loses the tie": ("z", False, 50, "needs a score over 50"),
    "a lower name wins the tie": ("0", False, 50, "needs a score of 50 or more"),
    "nothing is over 100": ("z", False, 100, "needs a matching rule of the administrator, or name it"),
    "the administrator decided": ("z", True, 5, "needs a matching rule of the administrator over 5"),
    "the administrator decided for good": ("z", True, 100, "name it in spec.provider.name; nothing outranks a"),
}


@pytest.mark.parametrize(("name", "administrator", "score", "remedy"), LOSING.values(), ids=LOSING.keys())
def test_what_a_loser_needs_would_be_enough(
    kit: Any, name: str, *, administrator: bool, score: int, remedy: str
) -> None:
    winner = kit.provider("a", rules=[kit.rule("r", "true", score, administrator=administrator)])
    decision = kit.choose(kit.spec(), winner, kit.provider(name))
    assert decision.provider == "a"
    assert remedy in cases(decision)[name].remedy


def test_an_unmade_choice_shows_each_provider_where_it_came_closest(kit: Any) -> None:
    provider = kit.provider("a", kit.engine("vllm", gpu=False, cpu=True), kit.engine("sglang", carries={"resources"}))
    decision = kit.choose(kit.spec(), provider)
    assert decision.provider is None
    assert [trial.engine for trial in decision.explanation.trials] == ["vllm", "sglang"]
    assert [(case.engine, case.capable) for case in decision.explanation.candidates] == [("sglang", True)]
    assert [problem.path for problem in decision.problems] == ["spec.model.id"]


WHOLE: dict[str, Any] = {
    "provider": "a",
    "engine": "vllm",
    "reason": "AutoSelected",
    "message": "a has the highest score, 40",
    "need": {"gpu": True, "mode": "aggregated"},
    "engines": [
        {
            "engine": "vllm",
            "provider": "a",
            "candidates": [
                {
                    "provider": "a",
                    "eligible": True,
                    "capable": True,
                    "reason": "Eligible",
                    "message": "provider a can run it",
                    "score": 40,
                    "scoreFromAdministrator": False,
                    "rules": [
                        {
                            "name": "r",
                            "condition": "1",
                            "priority": 5,
                            "outcome": "error",
                            "from": "administrator",
                            "error": "its value is int, not true or false",
                        }
                    ],
                    "bid": {"priority": 40, "reason": "I like it"},
                },
                {
                    "provider": "b",
                    "eligible": False,
                    "capable": True,
                    "reason": "FieldNotCarried",
                    "message": "provider b does not support spec.model.id for vLLM in aggregated mode; remove it"
                    " (a would support it)",
                    "score": 0,
                    "scoreFromAdministrator": False,
                    "problems": [
                        {
                            "path": "spec.model.id",
                            "code": "FieldNotCarried",
                            "message": "provider b does not support spec.model.id for vLLM in aggregated mode;"
                            " remove it (a would support it)",
                            "warning": False,
                        }
                    ],
                    "remedy": "remove spec.model.id, which it does not support",
                },
            ],
        }
    ],
}


def test_the_whole_explanation_is_json_with_stable_keys(kit: Any) -> None:
    calls = kit.calls(bids={"a": lambda _: Bid(40, "I like it")})
    decision = kit.choose(
        kit.spec(),
        kit.provider("a", rules=[kit.rule("r", "1", 5, administrator=True)]),
        kit.provider("b", kit.engine(carries={"resources"})),
        calls=calls,
    )
    whole = to_json(decision.explanation)
    assert json.loads(json.dumps(whole)) == WHOLE
    assert list(whole) == list(WHOLE)


def test_the_short_form_fits_the_status_and_puts_the_winner_first(kit: Any) -> None:
    providers = [kit.provider(f"p{number:02}") for number in range(40)]
    best = kit.provider("winner", rules=[kit.rule("r", "true", 90)])
    row = short(kit.choose(kit.spec(), *providers, best).explanation)
    parsed = Selection.model_validate(row)
    assert (parsed.provider, parsed.engine, parsed.reason) == ("winner", "vllm", "winner has the highest score, 90")
    assert len(parsed.candidates) == MAX_SHORT_CANDIDATES
    assert (parsed.candidates[0].name, parsed.candidates[0].score, parsed.candidates[0].eligible) == (
        "winner",
        90,
        True,
    )
    assert len({candidate.name for candidate in parsed.candidates}) == len(parsed.candidates)


def test_the_short_form_puts_the_eligible_first_and_the_higher_score_before_the_lower(kit: Any) -> None:
    decision = kit.choose(
        kit.spec(**ENV),
        kit.provider("a", kit.engine(carries={"model", "resources"}), rules=[kit.rule("r", "true", 100)]),
        kit.provider("b"),
        kit.provider("c", rules=[kit.rule("r", "true", 20)]),
        kit.provider("d", rules=[kit.rule("r", "true", 50)]),
    )
    assert [row["name"] for row in short(decision.explanation)["candidates"]] == ["d", "c", "b", "a"]


def test_the_short_form_cuts_long_texts(kit: Any) -> None:
    row = short(kit.choose(kit.spec(), kit.provider("a", ready=False, message="x" * 5_000)).explanation)
    assert len(row["candidates"][0]["reason"]) == MAX_SHORT_TEXT
    assert len(row["reason"]) == MAX_SHORT_TEXT
    assert Selection.model_validate(row).candidates[0].score is None


@pytest.mark.parametrize("providers", [0, 1, 2])
def test_the_short_form_of_an_unmade_choice_fits_the_status(kit: Any, providers: int) -> None:
    spec = kit.spec(engine={"type": "trtllm"})
    row = short(kit.choose(spec, *[kit.provider(f"p{number}") for number in range(providers)]).explanation)
    assert (Selection.model_validate(row).provider, len(row["candidates"])) == ("", providers)
