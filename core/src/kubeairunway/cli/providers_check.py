"""`kubeairunway providers check`: one provider against every rule of the contract that can be checked from outside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeairunway.cli.exit_codes import ExitCode
from kubeairunway.cli.output import format_json, write
from kubeairunway.errors import SettingsError
from kubeairunway.testing.conformance import FIRST, RULES, Finding, Subject, Verdict, check_rule

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> int:
    """Print a verdict for each rule; the exit code says whether all are kept."""
    rules = tuple(rule for rule in RULES if not options.rule or rule.id in options.rule)
    if unknown := sorted(set(options.rule) - {rule.id for rule in rules}):
        known = ", ".join(rule.id for rule in RULES)
        raise SettingsError(f"there is no rule {', '.join(unknown)} to check; there are: {known}")
    subject = Subject(target=options.name, crds=_folder(options.crds), fixtures=_folder(options.fixtures))
    first = check_rule(FIRST, subject)
    verdicts = tuple(check_rule(rule, subject) for rule in rules) if first.passed else (first,)
    subject.registry.close()
    write(format_json(as_json(options.name, verdicts)) if options.output == "json" else format_text(verdicts))
    return ExitCode.OK if all(verdict.passed for verdict in verdicts) else ExitCode.REFUSED


def _folder(text: str | None) -> Path | None:
    if text is None:
        return None
    path = Path(text).expanduser()
    if not path.is_dir():
        raise SettingsError(f"{text} is no directory")
    return path


def format_text(verdicts: tuple[Verdict, ...]) -> str:
    """Return one line per rule, what is to be changed below it, and a summary at the end."""
    lines = []
    for verdict in verdicts:
        lines.append(f"ok    {verdict.rule.id}" if verdict.passed else f"FAIL  {verdict.describe()}")
        lines += [f"      note: {note.describe()}" for note in verdict.notes]
    failed = sum(not verdict.passed for verdict in verdicts)
    seconds = sum(verdict.seconds for verdict in verdicts)
    kept = f"{len(verdicts) - failed} of {len(verdicts)} rules are kept"
    return "\n".join([*lines, f"{kept} ({seconds:.1f} s)"])


def as_json(name: str, verdicts: tuple[Verdict, ...]) -> dict[str, Any]:
    """Return the verdicts for programs."""
    return {
        "provider": name,
        "passed": all(verdict.passed for verdict in verdicts),
        "rules": [
            {
                "id": verdict.rule.id,
                "title": verdict.rule.title,
                "passed": verdict.passed,
                "seconds": round(verdict.seconds, 3),
                "findings": [_finding_json(finding) for finding in verdict.findings],
                "notes": [_finding_json(finding) for finding in verdict.notes],
            }
            for verdict in verdicts
        ],
    }


def _finding_json(finding: Finding) -> dict[str, str]:
    return {"where": finding.where, "message": finding.message, "fix": finding.fix}
