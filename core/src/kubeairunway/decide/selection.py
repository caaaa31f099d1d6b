"""Engine and provider for one deployment: the whole choice, with its reasons.

A choice is made for deployments that have nothing yet, and kept for those that have (`Kept`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from kubeairunway.decide.admission import REFUSALS, Admission
from kubeairunway.decide.candidates import AUTO_SELECT_OFF, Judged, Question, Trial, judge, request_for, why_unusable
from kubeairunway.decide.effective import effective_spec
from kubeairunway.decide.engines import ENGINE_ORDER, engines_to_try, need_of
from kubeairunway.decide.explanation import Candidate, EngineTrial, Explanation, RuleVerdict
from kubeairunway.decide.expressions import Expressions, SpecView
from kubeairunway.decide.facts import Kept, ProviderFacts
from kubeairunway.decide.validation import check_spec, errors_of
from kubeairunway.model.paths import set_paths
from kubeairunway.model.problems import Problem
from kubeairunway.model.reasons import Reason
from kubeairunway.model.spec import ENGINE_TITLES, EngineName, Spec
from kubeairunway.plugin import Request
from kubeairunway.plugin.calls import HookCalls

MAX_PRIORITY = 100
"""The highest priority of a rule or bid."""

NO_PROVIDERS = "no providers registered (InferenceProviderConfig resources not found)"
NONE_HEALTHY = "no healthy providers available"
NONE_COMPATIBLE = "no compatible provider found for this configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The choice for one deployment, in one of four states.

    Chosen: `provider`, `engine` and `request`, no `problems`. Refused: `problems` say what to change in the spec; a
    kept provider stays in `provider`, with a `request` for reading its status and not for rendering. Waiting:
    neither provider nor problems; `provider_reason` and `provider_message` say for whom. Unavailable: a kept
    provider that cannot be asked for changes now; `unavailable` is a reason ("PackageMissing", "ProviderDisabled",
    "ProviderNotReady", "ProviderError"), and `request` is None if its package is not loaded. One that is not ready
    was asked for its objections all the same.

    `refused_by` is a reason if policies are what refuses, and `advice` has their warnings where they let it pass; of a
    kept provider they are asked only when something is to be changed, which is not known yet.

    `spec` is the effective spec, under the engine as far as it is known. Reasons and messages of the two selections
    are those of their conditions and do not change while a choice is kept. `why` is the short form of them.
    """

    engine: EngineName | None
    provider: str | None
    spec: Spec
    request: Request | None = None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    kept: bool = False
    refused_by: Reason | None = None
    advice: tuple[Problem, ...] = ()
    unavailable: str = ""
    unavailable_message: str = ""
    engine_reason: str
    engine_message: str
    provider_reason: str
    provider_message: str
    why: str = ""
    explanation: Explanation
    rule_errors: Mapping[str, tuple[RuleVerdict, ...]] = field(default_factory=lambda: MappingProxyType({}))


def choose(  # noqa: PLR0913 - everything a choice is made from
    *,
    name: str,
    namespace: str,
    written: Spec,
    providers: Mapping[str, ProviderFacts],
    calls: HookCalls,
    expressions: Expressions,
    kept: Kept | None = None,
    admission: Admission | None = None,
) -> Decision:
    """Choose engine and provider for a deployment, or say why there is none yet or cannot be one.

    `kept` is what an earlier choice fixed for the same identity; the caller leaves it out when model, source or mode
    changed. A pin of another provider or engine moves the choice, clearing an explicit one does not.
    `admission` has the policies that judge a new choice.
    """
    standing = _standing(written, kept)
    question = Question(
        name=name,
        namespace=namespace,
        written=written,
        providers=providers,
        calls=calls,
        expressions=expressions,
        need=need_of(written),
        set_paths=set_paths(written),
        kept=standing,
        admission=admission,
    )
    found = check_spec(name, written)
    errors = errors_of(found)
    warnings = tuple(problem for problem in found if problem.warning)
    if standing is not None:
        decision = _keep(question, standing, errors)
    elif errors:
        decision = _invalid(question, errors)
    else:
        decision = _select(question)
    return replace(decision, warnings=(*warnings, *decision.warnings)) if warnings else decision


def _standing(written: Spec, kept: Kept | None) -> Kept | None:
    """What is kept, unless the spec pins something else."""
    if kept is None or kept.engine not in ENGINE_ORDER:
        return None
    moved = written.provider.name not in {"", kept.provider} or written.engine.type not in {None, kept.engine}
    return None if moved else kept


def start_trial(question: Question, engine: EngineName) -> Trial:
    """The effective spec under one engine, as every candidate for it is judged."""
    spec = effective_spec(question.written, engine, name=question.name)
    return Trial(engine=engine, spec=spec, view=SpecView(spec))


# ---- a choice that is kept ----


def _keep(question: Question, kept: Kept, errors: tuple[Problem, ...]) -> Decision:
    engine = next(name for name in ENGINE_ORDER if name == kept.engine)
    trial = start_trial(question, engine)
    facts = question.providers.get(kept.provider)
    if facts is None or facts.provider is None:
        message = f"provider {kept.provider} is not installed: its package is not loaded; what runs goes on unchanged"
        return _kept_decision(question, trial, None, errors, (Reason.PROVIDER_MISSING, message))
    if errors:
        candidate = Candidate(
            provider=kept.provider,
            engine=engine,
            capable=True,
            reason=Reason.VALIDATION_FAILED,
            message="the spec has errors",
            problems=errors,
        )
        judged = Judged(candidate, request_for(question, trial, facts))
    else:
        judged = _hint_at_engine(question, judge(question, trial, facts))
    return _kept_decision(question, trial, judged, errors_of(judged.candidate.problems), _unavailable(facts, judged))


def _hint_at_engine(question: Question, judged: Judged) -> Judged:
    """Say that the engine may be moved, where the user never named the one that is in the way."""
    candidate = judged.candidate
    if candidate.capable or question.written.engine.type is not None:
        return judged
    title = ENGINE_TITLES[candidate.engine]
    hint = f"; {title} was chosen when this deployment was made and stays until spec.engine.type names another"
    problems = tuple(replace(problem, message=problem.message + hint) for problem in candidate.problems)
    return replace(judged, candidate=replace(candidate, problems=problems))


def _unavailable(facts: ProviderFacts, judged: Judged) -> tuple[str, str]:
    """Why a kept provider cannot be asked for changes now; two empty texts if it can."""
    if facts.disabled:
        return Reason.PROVIDER_DISABLED, f"provider {facts.name} is switched off; what runs goes on unchanged"
    if not facts.usable:
        return Reason.PROVIDER_NOT_READY, why_unusable(facts).message
    if judged.candidate.reason == Reason.PROVIDER_ERROR:
        return Reason.PROVIDER_ERROR, judged.candidate.message
    return "", ""


def _kept_decision(
    question: Question,
    trial: Trial,
    judged: Judged | None,
    problems: tuple[Problem, ...],
    unavailable: tuple[str, str],
) -> Decision:
    kept = question.kept
    provider = kept.provider if kept else ""
    candidates = (judged.candidate,) if judged else ()
    message = f"provider {provider} is kept: its objects exist or existed for this model, engine and mode"
    explanation = _explain(
        question, [EngineTrial(engine=trial.engine, candidates=candidates, provider=provider)], message
    )
    return Decision(
        engine=trial.engine,
        provider=provider,
        spec=trial.spec,
        request=judged.request if judged else None,
        problems=problems,
        warnings=judged.warnings if judged else (),
        kept=True,
        unavailable=unavailable[0],
        unavailable_message=unavailable[1],
        **_chosen_texts(question, trial.engine, provider),
        explanation=replace(explanation, engine=trial.engine, provider=provider, reason="Kept"),
        rule_errors=_rule_errors(candidates),
    )


# ---- a new choice ----


def _select(question: Question) -> Decision:
    if question.pin and question.pin not in question.providers:
        return _unknown_provider(question)
    if not question.providers:
        return _waiting(question, [], Reason.NO_PROVIDER, NO_PROVIDERS)
    asked = [question.providers[question.pin]] if question.pin else list(question.providers.values())
    offered = [facts.provider for facts in asked if facts.provider is not None]
    trials: list[EngineTrial] = []
    judged: list[Judged] = []
    for engine in engines_to_try(question.written, None, offered):
        trial = start_trial(question, engine)
        cases = [judge(question, trial, question.providers[name]) for name in sorted(question.providers)]
        winner = _best(cases)
        if winner is not None:
            return _selected(question, trials, trial, cases, winner)
        trials.append(EngineTrial(engine=engine, candidates=tuple(case.candidate for case in cases)))
        judged += cases
    return _none_selected(question, trials, judged)


def _best(cases: Iterable[Judged]) -> Judged | None:
    """The winner: administrator's rules before all else, then the score, then the name."""
    eligible = [case for case in cases if case.candidate.eligible]
    return min(eligible, key=lambda case: _rank(case.candidate), default=None)


def _rank(candidate: Candidate) -> tuple[bool, int, str]:
    return not candidate.administrator, -(candidate.score or 0), candidate.provider


def _selected(
    question: Question, tried: list[EngineTrial], trial: Trial, cases: list[Judged], winner: Judged
) -> Decision:
    best = winner.candidate
    candidates = tuple(_with_remedy(case.candidate, best) for case in cases)
    trials = [*tried, EngineTrial(engine=trial.engine, candidates=candidates, provider=best.provider)]
    texts = _chosen_texts(question, trial.engine, best.provider)
    explanation = _explain(question, trials, winning_reason(best, pinned=bool(question.pin)))
    return Decision(
        engine=trial.engine,
        provider=best.provider,
        spec=trial.spec,
        request=winner.request,
        warnings=winner.warnings,
        advice=winner.verdict.advice,
        **texts,
        explanation=replace(explanation, engine=trial.engine, provider=best.provider, reason=texts["provider_reason"]),
        rule_errors=_rule_errors(explanation.all_candidates()),
    )


def winning_reason(best: Candidate, *, pinned: bool) -> str:
    """Why a candidate won, in a sentence."""
    if pinned:
        return f"spec.provider.name names {best.provider}"
    score = best.score or 0
    if best.administrator:
        return f"a rule of the administrator gives {best.provider} {score}, which outranks rules and bids of packages"
    if score == 0 and not any(rule.outcome == "matched" for rule in best.rules) and best.bid is None:
        return f"{best.provider} can run it; no rule or bid prefers another"
    return f"{best.provider} has the highest score, {score}"


def _with_remedy(candidate: Candidate, best: Candidate) -> Candidate:
    if not candidate.eligible or candidate is best:
        return candidate
    return replace(candidate, remedy=_needed(best, after=candidate.provider > best.provider))


def _needed(best: Candidate, *, after: bool) -> str:
    """What a loser would need, whose name comes after the winner's (and so loses ties) or before it."""
    score = best.score or 0
    bound = f"over {score}" if after else f"of {score} or more"
    named = "name it in spec.provider.name"
    beatable = score < MAX_PRIORITY or not after
    if best.administrator and not beatable:
        return f"{named}; nothing outranks {best.provider}"
    if best.administrator:
        return f"needs a matching rule of the administrator {bound}, or {named}"
    if not beatable:
        return f"needs a matching rule of the administrator, or {named}"
    return f"needs a score {bound} ({best.provider} has {score}), or {named}"


# ---- no choice ----


def _invalid(question: Question, errors: tuple[Problem, ...]) -> Decision:
    message = "; ".join(problem.message for problem in errors)
    return _undecided(question, [], Reason.VALIDATION_FAILED, message, errors)


def _unknown_provider(question: Question) -> Decision:
    known = ", ".join(sorted(question.providers)) or "none"
    message = f'InferenceProviderConfig "{question.pin}" not found; known are {known}'
    return _waiting(question, [], Reason.UNKNOWN_PROVIDER, message)


def _none_selected(question: Question, trials: list[EngineTrial], judged: list[Judged]) -> Decision:
    candidates = [case.candidate for case in judged]
    if question.pin:
        candidates = [candidate for candidate in candidates if candidate.provider == question.pin]
    coming = [candidate for candidate in candidates if candidate.transient and not errors_of(candidate.problems)]
    policy = next((reason for reason in REFUSALS for item in candidates if item.reason == reason), None)
    if coming and policy is None:  # what a policy refuses to one provider, it will most likely refuse to all
        reason = _pinned_reason(coming[0]) if question.pin else Reason.NO_PROVIDER
        return _waiting(question, trials, reason, f"{NONE_HEALTHY}: {_cases(coming)}")
    refused = [candidate for candidate in candidates if _refusal_weight(candidate, pinned=bool(question.pin))]
    if refused:
        best = min(
            (candidate for candidate in refused if policy is None or candidate.reason == policy),
            key=lambda candidate: _refusal_rank(candidate, pinned=bool(question.pin)),
        )
        message = "; ".join(problem.message for problem in errors_of(best.problems))
        undecided = _undecided(question, trials, policy or Reason.SELECTION_FAILED, message, errors_of(best.problems))
        return replace(undecided, refused_by=policy)
    return _nobody(question, trials, candidates)


def _nobody(question: Question, trials: list[EngineTrial], candidates: list[Candidate]) -> Decision:
    """Nobody that could run it is there and willing, and nothing in the spec is to blame."""
    if not candidates:
        names = [question.pin] if question.pin else sorted(question.providers)
        missing = "; ".join(f"{name}: its package is not loaded" for name in names)
        reason = Reason.PROVIDER_MISSING if question.pin else Reason.NO_PROVIDER
        return _waiting(question, trials, reason, f"{NONE_HEALTHY}: {missing}")
    willing = [
        item for item in candidates if item.reason != AUTO_SELECT_OFF and question.providers[item.provider].usable
    ]
    reason = Reason.SELECTION_FAILED if willing else Reason.NO_PROVIDER
    headline = NONE_COMPATIBLE if willing else NONE_HEALTHY
    cases = f"{headline}: {_cases(candidates)}"
    return _waiting(question, trials, _pinned_reason(candidates[0]) if question.pin else reason, cases)


def _pinned_reason(candidate: Candidate) -> Reason:
    """What a condition calls the reason why the named provider is waited for; the message has the details."""
    return Reason(candidate.reason) if candidate.reason in set(Reason) else Reason.PROVIDER_NOT_READY


_REFUSALS = {"GpuRequired": 2, "GpuUnsupported": 2, "ServingModeUnsupported": 3, "EngineUnsupported": 4}
"""How far a refusal is from running the deployment; what a capable provider objects to is 1."""


def _refusal_weight(candidate: Candidate, *, pinned: bool) -> int:
    """0 if a candidate's problems are not for the user to mend: it could not be asked, or others may come."""
    if not errors_of(candidate.problems) or candidate.reason in {AUTO_SELECT_OFF, Reason.PROVIDER_DISABLED}:
        return 0
    if candidate.transient or (candidate.reason == "EngineUnsupported" and not pinned):
        return 0
    return _REFUSALS.get(candidate.reason, 1)


def _refusal_rank(candidate: Candidate, *, pinned: bool) -> tuple[int, int, tuple[bool, int, str]]:
    return _refusal_weight(candidate, pinned=pinned), ENGINE_ORDER.index(candidate.engine), _rank(candidate)


def _cases(candidates: list[Candidate]) -> str:
    """One clause per provider: its first case, which is that of the engine tried first."""
    texts: dict[str, str] = {}
    for candidate in candidates:
        texts.setdefault(candidate.provider, f"{candidate.provider}: {candidate.message}")
    return "; ".join(texts[name] for name in sorted(texts))


def _waiting(question: Question, trials: list[EngineTrial], reason: str, message: str) -> Decision:
    return _undecided(question, trials, reason, message, ())


def _undecided(
    question: Question, trials: list[EngineTrial], reason: str, message: str, problems: tuple[Problem, ...]
) -> Decision:
    engine = question.written.engine.type
    explanation = replace(_explain(question, trials, message), reason=reason)
    engine_texts = (Reason.EXPLICIT_SELECTION, _EXPLICIT_ENGINE) if engine else (Reason.SELECTION_FAILED, message)
    return Decision(
        engine=engine,
        provider=None,
        spec=effective_spec(question.written, engine, name=question.name),
        problems=problems,
        engine_reason=engine_texts[0],
        engine_message=engine_texts[1],
        provider_reason=reason,
        provider_message=message,
        explanation=explanation,
        rule_errors=_rule_errors(explanation.all_candidates()),
    )


# ---- texts ----

_EXPLICIT_ENGINE = "Engine explicitly specified in spec"
_EXPLICIT_PROVIDER = "Provider explicitly specified in spec"


def _chosen_texts(question: Question, engine: EngineName, provider: str) -> dict[str, Any]:
    """Reasons and messages of the conditions; the same when a choice is made and while it is kept."""
    need = question.need
    explicit_engine, explicit_provider = question.written.engine.type is not None, bool(question.pin)
    auto_engine = f"Engine {ENGINE_TITLES[engine]} auto-selected from provider capabilities"
    return {
        "engine_reason": Reason.EXPLICIT_SELECTION if explicit_engine else Reason.AUTO_SELECTED,
        "engine_message": _EXPLICIT_ENGINE if explicit_engine else auto_engine,
        "provider_reason": Reason.EXPLICIT_SELECTION if explicit_provider else Reason.AUTO_SELECTED,
        "provider_message": _EXPLICIT_PROVIDER if explicit_provider else f"Provider {provider} auto-selected",
        "why": f"matched capabilities: engine={engine}, gpu={str(need.gpu).lower()}, mode={need.mode}",
    }


def _explain(question: Question, trials: list[EngineTrial], message: str) -> Explanation:
    return Explanation(
        engine="",
        provider="",
        reason="",
        message=message,
        gpu=question.need.gpu,
        mode=question.need.mode,
        trials=tuple(trials),
    )


def _rule_errors(candidates: Iterable[Candidate]) -> Mapping[str, tuple[RuleVerdict, ...]]:
    """The rules that had no verdict, by provider; a rule that failed for several engines once, with its first error."""
    found: dict[str, dict[str, RuleVerdict]] = {}
    for candidate in candidates:
        for rule in candidate.rules:
            if rule.outcome == "error":
                found.setdefault(candidate.provider, {}).setdefault(rule.name, rule)
    return MappingProxyType({provider: tuple(rules.values()) for provider, rules in found.items()})
