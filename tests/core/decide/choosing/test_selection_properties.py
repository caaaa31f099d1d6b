"""Order never decides: not of providers, of rules, or of the keys a user wrote (issue: property tests)."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from kubeairunway.decide.explanation import to_json
from kubeairunway.decide.expressions import Expressions
from kubeairunway.plugin import Bid

CONDITIONS = (
    "true",
    "false",
    "spec.resources.gpu.count > 1",
    "spec.engine.args.all(k, k != 'seed')",
    "size(spec.engine.args.map(k, k)) > 0 && spec.engine.args.map(k, k)[0] == 'alpha'",
    "spec.nodeSelector == {'a': '1', 'b': '2'}",
    "spec.nothing == 1",
    "1 +",
)
ENGINES = ("vllm", "sglang", "trtllm", "llamacpp")

rule_lists = st.lists(
    st.tuples(st.sampled_from(CONDITIONS), st.integers(0, 100), st.booleans()), max_size=4, unique_by=lambda row: row[0]
)
packages = st.fixed_dictionaries(
    {
        "rules": rule_lists,
        "engines": st.lists(st.sampled_from(ENGINES), min_size=1, max_size=3, unique=True),
        "carries_env": st.booleans(),
        "cpu": st.booleans(),
        "ready": st.booleans(),
        "disabled": st.booleans(),
        "auto_select": st.booleans(),
        "bid": st.none() | st.integers(0, 100),
    }
)
worlds = st.dictionaries(st.sampled_from("abcd"), packages, max_size=4)
specs = st.fixed_dictionaries(
    {
        "gpus": st.integers(0, 3),
        "args": st.dictionaries(st.sampled_from(["alpha", "beta", "seed"]), st.sampled_from(["", "1"]), max_size=3),
        "selector": st.sampled_from([{}, {"a": "1", "b": "2"}, {"a": "1"}]),
        "env": st.booleans(),
        "pin": st.sampled_from(["", "", "a", "b"]),
    }
)


def provider(kit: Any, name: str, package: dict[str, Any], rules: list[Any]) -> Any:
    carries = kit.everything if package["carries_env"] else kit.everything - {"env"}
    return kit.provider(
        name,
        *[kit.engine(engine, carries, cpu=package["cpu"]) for engine in package["engines"]],
        rules=[
            kit.rule(f"r{CONDITIONS.index(condition)}", condition, priority, administrator=administrator)
            for condition, priority, administrator in rules
        ],
        ready=package["ready"],
        disabled=package["disabled"],
        auto_select=package["auto_select"],
    )


def spec(kit: Any, drawn: dict[str, Any], *, backwards: bool) -> Any:
    def turned(mapping: dict[str, str]) -> dict[str, str]:
        return dict(reversed(mapping.items())) if backwards else mapping

    blocks: dict[str, Any] = {
        "resources": {"gpu": {"count": drawn["gpus"]}},
        "engine": {"args": turned(drawn["args"])},
        "nodeSelector": turned(drawn["selector"]),
        "provider": {"name": drawn["pin"]},
        "env": [{"name": "A", "value": "b"}] if drawn["env"] else [],
    }
    return kit.spec(**turned(blocks))


def decide(kit: Any, world: dict[str, Any], drawn: dict[str, Any], order: list[str], *, backwards: bool) -> Any:
    bids = {
        name: lambda _, bid=package["bid"]: Bid(bid, "mine")
        for name, package in world.items()
        if package["bid"] is not None
    }
    providers = [
        provider(kit, name, world[name], world[name]["rules"][::-1] if backwards else world[name]["rules"])
        for name in order
    ]
    return kit.choose(spec(kit, drawn, backwards=backwards), *providers, calls=kit.calls(bids=bids), expressions=RULES)


RULES = Expressions()


@settings(max_examples=150, deadline=None)
@given(st.data(), worlds, specs)
def test_order_never_changes_a_decision(kit: Any, data: Any, world: dict[str, Any], drawn: dict[str, Any]) -> None:
    shuffled = data.draw(st.permutations(sorted(world)))
    one = decide(kit, world, drawn, sorted(world), backwards=False)
    other = decide(kit, world, drawn, shuffled, backwards=True)
    assert (one.engine, one.provider, one.problems) == (other.engine, other.provider, other.problems)
    assert (one.provider_reason, one.provider_message) == (other.provider_reason, other.provider_message)
    assert to_json(one.explanation) == to_json(other.explanation)


@settings(max_examples=150, deadline=None)
@given(worlds, specs)
def test_every_decision_is_in_one_of_its_states(kit: Any, world: dict[str, Any], drawn: dict[str, Any]) -> None:
    decision = decide(kit, world, drawn, sorted(world), backwards=False)
    if decision.provider is None:
        assert decision.request is None
        assert decision.provider_message
    else:
        assert (decision.problems, decision.request.spec.engine.type) == ((), decision.engine)
        assert world[decision.provider]["ready"]
        assert not world[decision.provider]["disabled"]
        assert decision.engine in world[decision.provider]["engines"]
        assert drawn["pin"] in {"", decision.provider}


@settings(max_examples=100, deadline=None)
@given(worlds, specs, rule_lists)
def test_a_rule_of_the_administrator_that_matches_always_decides(
    kit: Any, world: dict[str, Any], drawn: dict[str, Any], rules: list[Any]
) -> None:
    packages_only = {
        name: {**package, "rules": [(*row[:2], False) for row in rules]} for name, package in world.items()
    }
    before = decide(kit, packages_only, {**drawn, "pin": ""}, sorted(world), backwards=False)
    for name in (case.provider for case in before.explanation.candidates if case.eligible):
        preferred = {
            **packages_only,
            name: {**packages_only[name], "rules": [*packages_only[name]["rules"], ("true", 0, True)]},
        }
        assert decide(kit, preferred, {**drawn, "pin": ""}, sorted(world), backwards=False).provider == name
