"""`kubeairunway explain`: which engine and provider a deployment gets, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeairunway.cli.exit_codes import ExitCode
from kubeairunway.cli.output import format_values, format_yaml, wrap_line, write
from kubeairunway.cli.situation import Case, decide_cases
from kubeairunway.decide.effective import cel_view
from kubeairunway.decide.explanation import Candidate, Explanation, RuleVerdict, to_json
from kubeairunway.errors import SettingsError
from kubeairunway.model.spec import ENGINE_TITLES

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from kubeairunway.model import Problem

CONTINUED = " \\\n      "
"""Between the parts of a shell command that goes on in the next line."""

OUTCOMES = {"matched": "matches", "notMatched": "does not match", "error": "cannot be evaluated"}


def run(options: argparse.Namespace) -> int:
    """Print the explanation of every deployment given, or of an edit."""
    if options.diff:
        from kubeairunway.cli import diff  # noqa: PLC0415 - only who compares pays for it

        return diff.run(options)
    if options.old:
        raise SettingsError("--old says what to compare with; give --diff, too")
    cases = decide_cases(options)
    if options.output == "table":
        write("\n\n".join("\n".join(describe_case(case, with_spec=options.spec)) for case in cases))
    else:
        write(format_values([case_json(case) for case in cases], options.output))
    return ExitCode.REFUSED if any(case.refused for case in cases) else ExitCode.OK


def describe_case(case: Case, *, with_spec: bool = False) -> Iterator[str]:
    """Yield the lines that explain one deployment to a person."""
    decision = case.preview.decision if case.preview else None
    verdict = _verdict(case)
    yield f"{case.namespace}/{case.name or '(no name)'}: {verdict}"
    for problem in case.problems:
        yield f"  {'warning' if problem.warning else 'error'}: {case.locate(problem)}: {_say(problem)}"
    if decision is not None:
        if decision.explanation.message not in verdict and not _is_said(decision.explanation.message, case.problems):
            yield f"  {decision.explanation.message}"
        for line in _describe_trials(decision.explanation, frozenset(case.problems)):
            yield from wrap_line(line)
        if with_spec:
            yield "  effective spec:"
            yield from (f"    {line}" for line in format_yaml([cel_view(decision.spec)]).splitlines())
    if case.call is not None:
        yield from ("", "  to call it:", f"    {case.call.port_forward}", f"    {CONTINUED.join(case.call.curl)}")


def _verdict(case: Case) -> str:
    if case.preview is None:
        return "cannot be read"
    decision = case.preview.decision
    if decision is None:
        return case.preview.obstacle or "nothing is decided"
    if case.preview.errors:
        return "refused"
    if case.refused:
        return f"refused: {case.preview.obstacle or 'no provider runs it'}"
    engine = ENGINE_TITLES[decision.engine] if decision.engine else "no engine"
    return f"{decision.provider} runs it on {engine}{' (kept)' if decision.kept else ''}"


def _is_said(text: str, problems: Iterable[Problem]) -> bool:
    """Whether a text is made of nothing but these problems."""
    for problem in problems:
        text = text.replace(problem.message, "")
    return not text.strip("; ")


def _say(problem: Problem) -> str:
    named = not problem.path or problem.path in problem.message
    return problem.message if named else f"{problem.path}: {problem.message}"


def _describe_trials(explanation: Explanation, shown: frozenset[Problem]) -> Iterator[str]:
    for trial in explanation.trials:
        yield ""
        yield f"  {ENGINE_TITLES[trial.engine]}"
        for candidate in trial.candidates:
            yield from _describe_candidate(candidate, shown, won=candidate.provider == trial.provider)


def _describe_candidate(candidate: Candidate, shown: frozenset[Problem], *, won: bool) -> Iterator[str]:
    verdict = "chosen" if won else "eligible" if candidate.eligible else "not eligible"
    score = "" if candidate.score is None else f", score {candidate.score}"
    origin = " (administrator)" if candidate.administrator else ""
    errors = [problem for problem in candidate.problems if not problem.warning]
    many = len(errors) > 1  # each on a line of its own, above or below
    why = "" if many else f": {candidate.message}"
    if errors and shown.issuperset(errors):
        why = f": see the error{'s' if many else ''} above"
    yield f"    {'*' if won else '-'} {candidate.provider}: {verdict}{score}{origin}{why}"
    for rule in candidate.rules:
        yield f"        {_describe_rule(rule)}"
    if candidate.bid is not None:
        yield f"        bid {candidate.bid.priority}: {candidate.bid.reason}"
    for problem in candidate.problems:
        if problem in shown or problem.message == candidate.message:
            continue
        yield f"        {'warning' if problem.warning else 'error'}: {_say(problem)}"
    if candidate.remedy:
        yield f"        to make it {'win' if candidate.eligible else 'eligible'}: {candidate.remedy}"


def _describe_rule(rule: RuleVerdict) -> str:
    whose = "the administrator's" if rule.administrator else "the package's"
    replaced = ", in place of the package's" if rule.replaced else ""
    error = f": {rule.error}" if rule.error else ""
    condition = " ".join(rule.condition.split())
    return f"rule {rule.name} ({whose}{replaced}, {rule.priority}) {OUTCOMES[rule.outcome]}{error}: {condition}"


def case_json(case: Case) -> dict[str, Any]:
    """Return the whole explanation of one deployment."""
    row: dict[str, Any] = {"name": case.name, "namespace": case.namespace, "accepted": not case.refused}
    if case.document is not None:
        row["source"] = case.document.place
    if case.refused and case.preview is not None and case.preview.obstacle:
        row["obstacle"] = case.preview.obstacle
    row["problems"] = [
        {
            "path": problem.path,
            "code": problem.code,
            "message": problem.message,
            "warning": problem.warning,
            "at": case.locate(problem),
        }
        for problem in case.problems
    ]
    decision = case.preview.decision if case.preview else None
    if decision is not None:
        row["explanation"] = to_json(decision.explanation)
        row["effectiveSpec"] = cel_view(decision.spec)
    if case.call is not None:
        row["call"] = case.call.to_json()
    return row
