"""One provider's case for one engine: may it be asked, can it, does it object, how much does it want to."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kubeairunway.decide.admission import NO_OBJECTION, Admission, Verdict, ask_policies
from kubeairunway.decide.arguments import check_owned
from kubeairunway.decide.engines import REMEDIES, Need, find_offer
from kubeairunway.decide.explanation import BidVerdict, Candidate, RuleVerdict
from kubeairunway.decide.expressions import Expressions, RuleError, SpecView
from kubeairunway.decide.facts import ActiveRule, Kept, ProviderFacts
from kubeairunway.errors import HookError, HookTimeoutError
from kubeairunway.model.paths import CORE_PATHS, covers
from kubeairunway.model.problems import Problem
from kubeairunway.model.reasons import ConfigReason, Reason
from kubeairunway.model.spec import ENGINE_TITLES, EngineName, Spec
from kubeairunway.plugin import Bid, Engine, Provider, Request
from kubeairunway.plugin.calls import HookCalls
from kubeairunway.plugin.typed import read_typed

OVERRIDES = "spec.provider.overrides"

AUTO_SELECT_OFF = "AutoSelectOff"
NOT_NAMED = "NotNamed"
"""Reasons of candidates that are no reasons of conditions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The deployment and everything its choice is made from."""

    name: str
    namespace: str
    written: Spec
    providers: Mapping[str, ProviderFacts]
    calls: HookCalls
    expressions: Expressions
    need: Need
    set_paths: tuple[str, ...]
    kept: Kept | None = None
    admission: Admission | None = None

    @property
    def pin(self) -> str:
        """The provider that the spec names."""
        return self.written.provider.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One engine under trial, with the effective spec under it."""

    engine: EngineName
    spec: Spec
    view: SpecView


@dataclass(frozen=True, slots=True)
class Judged:
    """A case, and the request that its provider would render."""

    candidate: Candidate
    request: Request | None = None
    warnings: tuple[Problem, ...] = ()
    verdict: Verdict = NO_OBJECTION


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a provider may not be asked, whatever the engine."""

    reason: str
    message: str
    remedy: str
    transient: bool = False


def judge(question: Question, trial: Trial, facts: ProviderFacts) -> Judged:
    """Judge one provider for one engine; a kept provider is judged although it may not be asked for new deployments."""
    kept = question.kept is not None
    obstacle = _find_obstacle(question, facts)
    provider = facts.provider
    if provider is None or (obstacle is not None and obstacle.reason == NOT_NAMED):
        return Judged(_blocked(facts, trial, obstacle or _missing(facts)))
    offer = find_offer(provider, trial.engine, question.need)
    if isinstance(offer, Problem):
        return _incapable(question, trial, facts, offer, obstacle)
    overrides, problems = _read_overrides(question, provider)
    readable = not problems
    problems = (*problems, *_check_carries(question, facts, offer), *_check_arguments(question, trial))
    request = _make_request(question, trial, facts, overrides) if readable else None
    if obstacle is not None:
        blocked = _blocked(facts, trial, obstacle, capable=True, problems=problems)
        return Judged(blocked, request_for(question, trial, facts) if kept else None)
    return _ask(question, trial, facts, problems, request)


def request_for(question: Question, trial: Trial, facts: ProviderFacts) -> Request | None:
    """A request to read the status of what runs; overrides that cannot be read are taken as none."""
    if facts.provider is None:
        return None
    overrides, _ = _read_overrides(question, facts.provider)
    if overrides is None and facts.provider.overrides is not None:
        overrides = facts.provider.overrides()
    return _make_request(question, trial, facts, overrides)


def _make_request(question: Question, trial: Trial, facts: ProviderFacts, overrides: object) -> Request:
    return Request(
        name=question.name,
        namespace=question.namespace,
        spec=trial.spec,
        versions=facts.versions,
        primary=question.kept.primary if question.kept else None,
        overrides=overrides,
        settings=facts.settings,
    )


# ---- may it be asked ----


def _missing(facts: ProviderFacts) -> Obstacle:
    message = facts.message or f"the package of provider {facts.name} is not loaded"
    remedy = f"install the package of provider {facts.name}, or another version if one is installed"
    return Obstacle(Reason.PROVIDER_MISSING, message, remedy)


def _find_obstacle(question: Question, facts: ProviderFacts) -> Obstacle | None:
    name = facts.name
    if question.pin and question.pin != name:
        remedy = f"set spec.provider.name to {name}, or remove it"
        return Obstacle(NOT_NAMED, f"spec.provider.name names {question.pin}", remedy)
    if facts.provider is None:
        return _missing(facts)
    if not facts.usable and not _serves_on(question, facts):
        return why_unusable(facts)
    if not facts.auto_select and not question.pin and question.kept is None:
        remedy = "enable autoSelect in its InferenceProviderConfig, or name it in spec.provider.name"
        return Obstacle(AUTO_SELECT_OFF, f"provider {name} runs only what names it", remedy)
    return None


def _serves_on(question: Question, facts: ProviderFacts) -> bool:
    """Whether a kept provider is asked although it is not ready: its hooks work whatever its upstream does."""
    return question.kept is not None and not facts.disabled and not facts.problems


def why_unusable(facts: ProviderFacts) -> Obstacle:
    """What keeps new deployments away from a provider whose package is loaded."""
    name = facts.name
    if facts.disabled:
        message = f"provider {name} is switched off by the administrator"
        return Obstacle(Reason.PROVIDER_DISABLED, message, "remove disabled from its InferenceProviderConfig")
    if facts.problems:
        first = facts.problems[0]
        message = f"the settings of provider {name} are invalid: {first.path}: {first.message}"
        remedy = f"correct {first.path} of its InferenceProviderConfig"
        return Obstacle(ConfigReason.SETTINGS_INVALID, message, remedy, transient=True)
    message = facts.message or f"provider {name} is not ready"
    return Obstacle(facts.reason or Reason.PROVIDER_NOT_READY, message, f"make it ready: {message}", transient=True)


def _blocked(
    facts: ProviderFacts,
    trial: Trial,
    obstacle: Obstacle,
    *,
    capable: bool = False,
    problems: tuple[Problem, ...] = (),
) -> Candidate:
    return Candidate(
        provider=facts.name,
        engine=trial.engine,
        capable=capable,
        reason=obstacle.reason,
        message=obstacle.message,
        remedy=obstacle.remedy,
        transient=obstacle.transient,
        problems=problems,
    )


# ---- can it ----


def _incapable(
    question: Question, trial: Trial, facts: ProviderFacts, problem: Problem, obstacle: Obstacle | None
) -> Judged:
    if obstacle is not None:
        return Judged(_blocked(facts, trial, obstacle, problems=(problem,)), _status_request(question, trial, facts))
    candidate = Candidate(
        provider=facts.name,
        engine=trial.engine,
        reason=problem.code,
        message=problem.message,
        remedy=REMEDIES[problem.code],
        rules=_judge_rules(question, trial, facts),
        problems=(problem,),
    )
    return Judged(candidate, _status_request(question, trial, facts))


def _status_request(question: Question, trial: Trial, facts: ProviderFacts) -> Request | None:
    return request_for(question, trial, facts) if question.kept else None


def _read_overrides(question: Question, provider: Provider) -> tuple[Any, tuple[Problem, ...]]:
    raw = question.written.provider.overrides
    if provider.overrides is None:
        if not raw:
            return None, ()
        message = f"provider {provider.name} takes no overrides; remove {', '.join(sorted(raw))}"
        return None, (Problem(OVERRIDES, "UnknownField", message),)
    if not raw:
        return provider.overrides(), ()
    return read_typed(provider.overrides, raw, OVERRIDES)


def _check_carries(question: Question, facts: ProviderFacts, offer: Engine) -> tuple[Problem, ...]:
    lost = [path for path in question.set_paths if not is_carried(offer.carries, path)]
    return tuple(_not_carried(question, facts, offer, path) for path in lost)


@lru_cache(maxsize=4_096)  # every deployment asks the same few questions
def is_carried(carries: frozenset[str], path: str) -> bool:
    """Whether an engine's `carries` covers a field, or the core answers to it."""
    return covers(carries, path) or covers(CORE_PATHS, path)


def _not_carried(question: Question, facts: ProviderFacts, offer: Engine, path: str) -> Problem:
    others = sorted(other.name for other in question.providers.values() if _carries(question, other, offer.name, path))
    others = [name for name in others if name != facts.name]
    instead = f"{' and '.join(others)} would support it" if others else "no other provider here does"
    message = (
        f"provider {facts.name} does not support spec.{path} for {ENGINE_TITLES[offer.name]} in {question.need.mode}"
        f" mode; remove it ({instead})"
    )
    return Problem(f"spec.{path}", "FieldNotCarried", message)


def _carries(question: Question, facts: ProviderFacts, engine: EngineName, path: str) -> bool:
    if facts.provider is None or facts.disabled:
        return False
    offer = find_offer(facts.provider, engine, question.need)
    return isinstance(offer, Engine) and is_carried(offer.carries, path)


def _check_arguments(question: Question, trial: Trial) -> tuple[Problem, ...]:
    """Arguments in the spelling of an engine that the spec does not name; for one it names they are checked already."""
    engine = question.written.engine
    if engine.type is not None or not (engine.args or engine.extra_args):
        return ()
    known = set(check_owned(question.written, None))
    return tuple(problem for problem in check_owned(question.written, trial.engine) if _unknown(problem, known))


def _unknown(problem: Problem, known: set[Problem]) -> bool:
    return all(problem.path != other.path for other in known)


# ---- does it object, and how much does it want to ----


def _ask(
    question: Question, trial: Trial, facts: ProviderFacts, problems: tuple[Problem, ...], request: Request | None
) -> Judged:
    rules = _judge_rules(question, trial, facts)
    bid: Bid | None = None
    verdict = NO_OBJECTION
    try:
        if request is not None:
            problems = (*problems, *question.calls.validate(facts.name, request))
        if request is not None and all(problem.warning for problem in problems) and question.kept is None:
            verdict = ask_policies(question.admission, request, facts.name)
            bid = None if verdict.reason else question.calls.select(facts.name, request)
    except (HookError, HookTimeoutError) as error:
        return Judged(_broken(facts, trial, rules, error), request)
    administrator, score = _score(rules, bid)
    errors = [problem for problem in (*problems, *verdict.problems) if not problem.warning]
    candidate = Candidate(
        provider=facts.name,
        engine=trial.engine,
        capable=True,
        eligible=not errors,
        reason=verdict.reason or (_refusal_reason(errors) if errors else "Eligible"),
        message="; ".join(problem.message for problem in errors) or f"provider {facts.name} can run it",
        score=score,
        administrator=administrator,
        rules=rules,
        bid=BidVerdict(priority=bid.priority, reason=bid.reason) if bid else None,
        problems=(*problems, *verdict.problems, *verdict.advice),
        remedy="; ".join(map(_remedy_for, errors)),
    )
    warnings = tuple(problem for problem in problems if problem.warning)
    if request is None:
        request = _status_request(question, trial, facts)
    return Judged(candidate, request, warnings, verdict)


def _broken(
    facts: ProviderFacts, trial: Trial, rules: tuple[RuleVerdict, ...], error: HookError | HookTimeoutError
) -> Candidate:
    return Candidate(
        provider=facts.name,
        engine=trial.engine,
        capable=True,
        transient=True,
        reason=Reason.PROVIDER_ERROR,
        message=f"its {error.operation} hook failed: {error.reason}",
        rules=rules,
        remedy=f"correct the package of provider {facts.name}, or name another in spec.provider.name",
    )


def _refusal_reason(errors: list[Problem]) -> str:
    return "FieldNotCarried" if errors[0].code == "FieldNotCarried" else Reason.INCOMPATIBLE_CONFIGURATION


def _remedy_for(problem: Problem) -> str:
    if problem.code == "FieldNotCarried":
        return f"remove {problem.path}, which it does not support"
    return f"change {problem.path}: {problem.message}"


def _judge_rules(question: Question, trial: Trial, facts: ProviderFacts) -> tuple[RuleVerdict, ...]:
    if question.kept is not None or facts.provider is None:
        return ()
    packaged = {rule.name for rule in facts.provider.rules}
    ordered = sorted(facts.rules, key=lambda active: active.rule.name)
    return tuple(_judge_rule(question, trial, active, replaced=active.rule.name in packaged) for active in ordered)


def _judge_rule(question: Question, trial: Trial, active: ActiveRule, *, replaced: bool) -> RuleVerdict:
    rule = active.rule
    verdict = question.expressions.verdict(rule.condition, trial.view)
    failed = isinstance(verdict, RuleError)
    return RuleVerdict(
        name=rule.name,
        condition=rule.condition,
        priority=rule.priority,
        outcome="error" if failed else "matched" if verdict else "notMatched",
        administrator=active.administrator,
        replaced=active.administrator and replaced,
        error=verdict.text if isinstance(verdict, RuleError) else "",
    )


def _score(rules: tuple[RuleVerdict, ...], bid: Bid | None) -> tuple[bool, int]:
    """Whether an administrator's rule matched, and the score: the highest of those, or of package rules and the bid."""
    matched = [rule for rule in rules if rule.outcome == "matched"]
    administrators = [rule.priority for rule in matched if rule.administrator]
    if administrators:
        return True, max(administrators)
    return False, max([rule.priority for rule in matched] + ([bid.priority] if bid else []), default=0)
