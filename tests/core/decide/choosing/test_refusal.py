"""What a provider cannot express, what it objects to, and the options that are its own (design points 6, 10)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from kubeairunway.model import Problem
from kubeairunway.plugin import Request

ENV = [{"name": "A", "value": "b"}]


@dataclass(frozen=True)
class Overrides:
    """Options of a provider."""

    router_mode: Literal["direct", "kv"] = "direct"
    shards: int = 1


NOT_CARRIED = {
    "env": {"env": ENV},
    "engine.contextLength": {"engine": {"contextLength": 4096}},
    "engine.args": {"engine": {"args": {"seed": "1"}}},
    "engine.enablePrefixCaching": {"engine": {"enablePrefixCaching": False}},
    "scaling.replicas": {"scaling": {"replicas": 0}},
    "model.servedName": {"model": {"id": "a/b", "servedName": "c"}},
    "nodeSelector": {"nodeSelector": {"zone": "a"}},
    "tolerations": {"tolerations": [{"operator": "Exists"}]},
    "secrets.huggingFaceToken": {"secrets": {"huggingFaceToken": "hf"}},
}


@pytest.mark.parametrize(("path", "blocks"), NOT_CARRIED.items(), ids=NOT_CARRIED.keys())
def test_a_field_that_is_not_carried_is_refused(kit: Any, path: str, blocks: dict[str, Any]) -> None:
    narrow = kit.provider("narrow", kit.engine(carries={"model.id", "resources.gpu"}))
    decision = kit.choose(kit.spec(**blocks), narrow)
    assert decision.provider is None
    assert [(problem.path, problem.code) for problem in decision.problems] == [(f"spec.{path}", "FieldNotCarried")]
    assert "provider narrow does not support" in decision.problems[0].message


def test_a_field_with_its_default_value_need_not_be_carried(kit: Any) -> None:
    narrow = kit.provider("narrow", kit.engine(carries={"model.id", "resources.gpu"}))
    spec = kit.spec(scaling={"replicas": 1}, engine={"enablePrefixCaching": True}, env=[], image="")
    assert kit.choose(spec, narrow).provider == "narrow"


def test_what_the_core_answers_to_need_not_be_carried(kit: Any) -> None:
    narrow = kit.provider("narrow", kit.engine(carries={"model.id", "resources.gpu"}))
    spec = kit.spec(engine={"type": "vllm"}, serving={"mode": "aggregated"}, provider={"name": "narrow"})
    assert kit.choose(spec, narrow).provider == "narrow"


def test_a_path_covers_what_lies_below_it(kit: Any) -> None:
    wide = kit.provider("wide", kit.engine(carries={"model", "resources", "engine"}))
    spec = kit.spec(engine={"contextLength": 4096, "args": {"seed": "1"}}, resources={"gpu": {"count": 1}, "cpu": "1"})
    assert kit.choose(spec, wide).provider == "wide"


def test_the_message_names_the_providers_that_would_carry_it(kit: Any) -> None:
    narrow = kit.engine(carries={"model", "resources"})
    decision = kit.choose(
        kit.spec(env=ENV, provider={"name": "a"}),
        kit.provider("a", narrow),
        kit.provider("b"),
        kit.provider("c"),
        kit.provider("d", narrow),
        kit.provider("e", disabled=True),
    )
    assert "(b and c would support it)" in decision.problems[0].message
    assert "spec.env" in decision.problems[0].message


def test_carries_differ_by_mode(kit: Any) -> None:
    provider = kit.provider("a", kit.engine(), kit.engine(carries={"model", "scaling"}, modes=("disaggregated",)))
    roles = {"prefill": {"gpu": {"count": 1}}, "decode": {"gpu": {"count": 1}}}
    split = kit.spec(env=ENV, serving={"mode": "disaggregated"}, scaling=roles, resources={})
    assert kit.choose(kit.spec(env=ENV), provider).provider == "a"
    assert [problem.path for problem in kit.choose(split, provider).problems] == ["spec.env"]


def test_a_provider_that_carries_less_loses_to_one_that_carries_all(kit: Any) -> None:
    keen = kit.provider("keen", kit.engine(carries={"model", "resources"}), rules=[kit.rule("all", "true", 100)])
    assert kit.choose(kit.spec(env=ENV), keen, kit.provider("plain")).provider == "plain"


def test_an_objection_refuses_and_a_warning_does_not(kit: Any) -> None:
    def object_to(request: Request) -> Iterator[Problem]:
        yield Problem("spec.model.id", "Odd", f"{request.spec.model.id} is odd", warning=True)
        if request.spec.resources.gpu.count > 1:
            yield Problem("spec.resources.gpu.count", "TooMany", "use 1 GPU")

    calls = kit.calls(validations={"a": object_to})
    taken = kit.choose(kit.spec(), kit.provider("a"), calls=calls)
    assert (taken.provider, [problem.code for problem in taken.warnings]) == ("a", ["Odd"])
    refused = kit.choose(kit.spec(resources={"gpu": {"count": 2}}), kit.provider("a"), calls=calls)
    assert (refused.provider, [problem.code for problem in refused.problems]) == (None, ["TooMany"])


def test_all_that_is_wrong_with_one_provider_is_shown_at_once(kit: Any) -> None:
    calls = kit.calls(validations={"a": lambda _: [Problem("spec.model.id", "No", "not this model")]})
    decision = kit.choose(kit.spec(env=ENV), kit.provider("a", kit.engine(carries={"model", "resources"})), calls=calls)
    assert [problem.path for problem in decision.problems] == ["spec.env", "spec.model.id"]


def test_if_all_refuse_the_problems_of_the_best_are_shown(kit: Any) -> None:
    calls = kit.calls(validations={name: lambda _, name=name: [Problem("spec.x", "No", name)] for name in "abc"})
    providers = [
        kit.provider("a", rules=[kit.rule("r", "true", 10)]),
        kit.provider("b", rules=[kit.rule("r", "true", 90)]),
        kit.provider("c", rules=[kit.rule("r", "true", 50)]),
    ]
    assert [problem.message for problem in kit.choose(kit.spec(), *providers, calls=calls).problems] == ["b"]


def test_a_capable_providers_objection_is_shown_before_an_incapable_ones(kit: Any) -> None:
    incapable = kit.provider("a", kit.engine(modes=("disaggregated",)), rules=[kit.rule("r", "true", 100)])
    capable = kit.provider("b", kit.engine(carries={"model", "resources"}))
    assert [problem.path for problem in kit.choose(kit.spec(env=ENV), incapable, capable).problems] == ["spec.env"]


def test_a_spec_warning_comes_with_the_choice(kit: Any) -> None:
    decision = kit.choose(kit.spec(engine={"trustRemoteCode": True}), kit.provider("a"))
    assert (decision.provider, [problem.code for problem in decision.warnings]) == ("a", ["RemoteCode"])


# ---- overrides ----


def test_overrides_reach_the_request_typed(kit: Any) -> None:
    provider = kit.provider("a", overrides=Overrides)
    given = kit.choose(kit.spec(provider={"name": "a", "overrides": {"routerMode": "kv"}}), provider)
    assert given.request.overrides == Overrides(router_mode="kv")
    assert kit.choose(kit.spec(), provider).request.overrides == Overrides()
    assert kit.choose(kit.spec(), kit.provider("a")).request.overrides is None


BAD_OVERRIDES = {
    "an unknown key": ({"routerMood": "kv"}, "spec.provider.overrides.routerMood", "routerMode"),
    "a value of the wrong type": ({"shards": "two"}, "spec.provider.overrides.shards", "integer"),
    "a value out of a list": ({"routerMode": "x"}, "spec.provider.overrides.routerMode", "direct"),
}


@pytest.mark.parametrize(("overrides", "path", "hint"), BAD_OVERRIDES.values(), ids=BAD_OVERRIDES.keys())
def test_an_override_is_refused_that_has(kit: Any, overrides: dict[str, Any], path: str, hint: str) -> None:
    calls = kit.calls()
    spec = kit.spec(provider={"name": "a", "overrides": overrides})
    decision = kit.choose(spec, kit.provider("a", overrides=Overrides), calls=calls)
    assert (decision.provider, decision.request, calls.asked) == (None, None, [])
    assert [problem.path for problem in decision.problems] == [path]
    assert hint in decision.problems[0].message


def test_a_provider_without_overrides_takes_none(kit: Any) -> None:
    decision = kit.choose(kit.spec(provider={"name": "a", "overrides": {"x": 1}}), kit.provider("a"))
    assert [(problem.path, problem.message) for problem in decision.problems] == [
        ("spec.provider.overrides", "provider a takes no overrides; remove x")
    ]


def test_an_argument_that_the_chosen_engine_calls_a_field_is_refused(kit: Any) -> None:
    decision = kit.choose(kit.spec(engine={"args": {"max-model-len": "1"}}), kit.provider("a"))
    assert [problem.path for problem in decision.problems] == ["spec.engine.args.max-model-len"]


def test_the_request_is_complete(kit: Any) -> None:
    provider = kit.provider("a", settings="the settings")
    decision = kit.choose(kit.spec(), provider)
    request = decision.request
    assert (request.name, request.namespace, request.settings) == ("model", "team", "the settings")
    assert (request.versions, request.primary) == (provider.versions, None)
    assert (request.spec.model.served_name, request.spec.engine.type) == ("b", "vllm")
