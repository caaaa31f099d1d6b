"""A choice that is kept once the primary exists (design points 26 and 28)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pytest

from kubeairunway.decide.facts import Kept
from kubeairunway.decide.stages import choice_fields
from kubeairunway.errors import HookError
from kubeairunway.model import Problem
from kubeairunway.plugin import Kind, Request

PRIMARY = Kind(group="b.example", name="Server", versions=("v1",))
KEPT = Kept(provider="b", engine="vllm", primary=PRIMARY)


@dataclass(frozen=True)
class Overrides:
    """Options of a provider."""

    shards: int = 1


def test_the_provider_stays_although_another_would_win_now(kit: Any) -> None:
    better = kit.provider("a", rules=[kit.rule("all", "true", 100)])
    decision = kit.choose(kit.spec(), better, kit.provider("b"), kept=KEPT)
    assert (decision.provider, decision.engine, decision.kept) == ("b", "vllm", True)
    assert decision.request.primary is PRIMARY


def test_the_engine_stays_although_one_before_it_is_offered_now(kit: Any) -> None:
    provider = kit.provider("b", kit.engine("vllm"), kit.engine("sglang"))
    decision = kit.choose(kit.spec(), provider, kept=Kept(provider="b", engine="sglang"))
    assert (decision.provider, decision.engine) == ("b", "sglang")
    assert decision.spec.engine.type == "sglang"


CLEARED = {
    "both still named": {"provider": {"name": "b"}, "engine": {"type": "vllm"}},
    "the provider cleared": {"engine": {"type": "vllm"}},
    "the engine cleared": {"provider": {"name": "b"}},
    "both cleared": {},
}


@pytest.mark.parametrize("blocks", CLEARED.values(), ids=CLEARED.keys())
def test_the_choice_stays_with(kit: Any, blocks: dict[str, Any]) -> None:
    providers = kit.provider("a", rules=[kit.rule("all", "true", 100)]), kit.provider("b")
    assert kit.choose(kit.spec(**blocks), *providers, kept=KEPT).provider == "b"


MOVED = {
    "a pin of another provider": ({"provider": {"name": "a"}}, "a", "vllm"),
    "another explicit engine": ({"engine": {"type": "sglang"}}, "a", "sglang"),
}


@pytest.mark.parametrize(("blocks", "provider", "engine"), MOVED.values(), ids=MOVED.keys())
def test_the_choice_is_made_again_after(kit: Any, blocks: dict[str, Any], provider: str, engine: str) -> None:
    providers = kit.provider("a", kit.engine(), kit.engine("sglang")), kit.provider("b", kit.engine())
    decision = kit.choose(kit.spec(**blocks), *providers, kept=KEPT)
    assert (decision.provider, decision.engine, decision.kept) == (provider, engine, False)
    assert decision.request.primary is None


def test_a_choice_that_nobody_kept_is_made_again(kit: Any) -> None:
    better = kit.provider("a", rules=[kit.rule("all", "true", 100)])
    assert kit.choose(kit.spec(), better, kit.provider("b"), kept=None).provider == "a"


def refuse(_: Request) -> Iterable[Problem]:
    return [Problem("spec.model.id", "No", "not this one")]


REFUSED = {
    "a field it does not carry": ({"env": [{"name": "A", "value": "b"}]}, "spec.env"),
    "an option it does not know": ({"provider": {"overrides": {"x": 1}}}, "spec.provider.overrides.x"),
    "no GPU": ({"resources": {}}, "spec.resources.gpu.count"),
    "an invalid spec": ({"resources": {"gpu": {"count": 1}, "cpu": "1000"}}, "spec.resources.cpu"),
}


@pytest.mark.parametrize(("blocks", "path"), REFUSED.values(), ids=REFUSED.keys())
def test_a_kept_provider_that_refuses_stays_with_its_problems(kit: Any, blocks: dict[str, Any], path: str) -> None:
    kept = kit.provider("b", kit.engine(carries={"model", "resources"}), overrides=Overrides)
    decision = kit.choose(kit.spec(**blocks), kit.provider("a", kit.engine(cpu=True)), kept, kept=KEPT)
    assert [problem.path for problem in decision.problems] == [path]
    assert (decision.provider, decision.engine, decision.kept, decision.unavailable) == ("b", "vllm", True, "")
    assert decision.request.overrides == Overrides()


def test_a_kept_provider_that_objects_stays_with_its_problems(kit: Any) -> None:
    calls = kit.calls(validations={"b": refuse})
    decision = kit.choose(kit.spec(), kit.provider("a"), kit.provider("b"), calls=calls, kept=KEPT)
    assert (decision.provider, [problem.code for problem in decision.problems]) == ("b", ["No"])


def test_a_kept_provider_is_asked_for_no_bid_and_no_other_is_asked_at_all(kit: Any) -> None:
    calls = kit.calls()
    kit.choose(kit.spec(), kit.provider("a"), kit.provider("b"), calls=calls, kept=KEPT)
    assert calls.asked == [("validate", "b")]


UNAVAILABLE = {
    "disabled": ({"disabled": True}, "ProviderDisabled", True),
    "not ready": ({"ready": False, "message": "its operator is down"}, "ProviderNotReady", True),
    "without its package": ({"loaded": False}, "PackageMissing", False),
}


@pytest.mark.parametrize(("facts", "reason", "readable"), UNAVAILABLE.values(), ids=UNAVAILABLE.keys())
def test_a_kept_provider_stays_although_it_is(kit: Any, facts: dict[str, Any], reason: str, *, readable: bool) -> None:
    decision = kit.choose(kit.spec(), kit.provider("a"), kit.provider("b", **facts), kept=KEPT)
    assert (decision.provider, decision.problems, decision.unavailable) == ("b", (), reason)
    assert (decision.request is not None) is readable
    assert decision.unavailable_message


def test_a_kept_provider_stays_although_its_config_is_gone(kit: Any) -> None:
    decision = kit.choose(kit.spec(), kit.provider("a"), kept=KEPT)
    assert (decision.provider, decision.unavailable, decision.request) == ("b", "PackageMissing", None)


def test_a_kept_provider_stays_although_its_hook_fails(kit: Any) -> None:
    def broken(_: object) -> Any:
        raise HookError("b", "validate", "it fell over")

    decision = kit.choose(kit.spec(), kit.provider("b"), calls=kit.calls(validations={"b": broken}), kept=KEPT)
    assert (decision.provider, decision.problems, decision.unavailable) == ("b", (), "ProviderError")
    assert "it fell over" in decision.unavailable_message
    assert decision.request is not None


def test_a_kept_provider_stays_although_it_runs_only_when_named(kit: Any) -> None:
    decision = kit.choose(kit.spec(), kit.provider("b", auto_select=False), kept=KEPT)
    assert (decision.provider, decision.unavailable, decision.problems) == ("b", "", ())


def test_conditions_say_the_same_when_a_choice_is_made_and_while_it_is_kept(kit: Any) -> None:
    def texts(kept: Kept | None) -> tuple[str, ...]:
        decision = kit.choose(kit.spec(), kit.provider("b"), kept=kept)
        return (
            decision.engine_reason,
            decision.engine_message,
            decision.provider_reason,
            decision.provider_message,
            decision.why,
        )

    assert (
        texts(None)
        == texts(KEPT)
        == (
            "AutoSelected",
            "Engine vLLM auto-selected from provider capabilities",
            "AutoSelected",
            "Provider b auto-selected",
            "matched capabilities: engine=vllm, gpu=true, mode=aggregated",
        )
    )


def test_conditions_tell_what_was_explicit(kit: Any) -> None:
    spec = kit.spec(engine={"type": "vllm"}, provider={"name": "b"})
    decision = kit.choose(spec, kit.provider("b"))
    assert (decision.engine_reason, decision.engine_message) == (
        "ExplicitSelection",
        "Engine explicitly specified in spec",
    )
    assert (decision.provider_reason, decision.provider_message) == (
        "ExplicitSelection",
        "Provider explicitly specified in spec",
    )


def test_a_kept_provider_that_is_not_ready_still_objects(kit: Any) -> None:
    provider = kit.provider("b", ready=False, message="its operator is down")
    decision = kit.choose(kit.spec(), provider, calls=kit.calls(validations={"b": refuse}), kept=KEPT)
    assert [problem.code for problem in decision.problems] == ["No"]
    assert (decision.unavailable, decision.unavailable_message) == ("ProviderNotReady", "its operator is down")


@pytest.mark.parametrize("facts", [{"disabled": True}, {"problems": (Problem("spec.settings.x", "No", "bad x"),)}])
def test_a_kept_provider_is_not_asked_while_it_is_switched_off_or_misconfigured(
    kit: Any, facts: dict[str, Any]
) -> None:
    calls = kit.calls()
    decision = kit.choose(kit.spec(), kit.provider("b", **facts), calls=calls, kept=KEPT)
    assert (decision.provider, decision.problems, calls.asked) == ("b", (), [])
    assert decision.unavailable


def test_the_status_keeps_the_reasons_for_which_a_choice_was_made(kit: Any) -> None:
    providers = kit.provider("a"), kit.provider("b", rules=[kit.rule("r", "true", 50)])
    made = choice_fields(kit.choose(kit.spec(), *providers), {})
    assert [row["name"] for row in made["selection"]["candidates"]] == ["b", "a"]
    kept = kit.choose(kit.spec(), *providers, kept=KEPT)
    assert choice_fields(kept, {"status": made}) == made
    assert choice_fields(kept, {})["selection"]["provider"] == "b"


ENGINES_IN_THE_WAY = {"chosen": {}, "named": {"engine": {"type": "vllm"}}}


@pytest.mark.parametrize("how", ENGINES_IN_THE_WAY)
def test_a_kept_engine_that_needs_a_gpu_was(kit: Any, how: str) -> None:
    spec = kit.spec(resources={}, **ENGINES_IN_THE_WAY[how])
    (problem,) = kit.choose(spec, kit.provider("b"), kept=KEPT).problems
    assert problem.code == "GpuRequired"
    assert ("stays until spec.engine.type names another" in problem.message) is (how == "chosen")
