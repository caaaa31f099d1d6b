"""`kubeairunway render`: the objects that a deployment becomes, ready for kubectl."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeairunway.cli.exit_codes import ExitCode
from kubeairunway.cli.output import format_json, format_table, format_yaml, note, write
from kubeairunway.cli.situation import Case, decide_cases
from kubeairunway.decide.preview import without_bookkeeping

if TYPE_CHECKING:
    import argparse

    from kubeairunway.objects.resources import Json

HEADER = ("DEPLOYMENT", "PROVIDER", "KIND", "NAME", "API VERSION")


def run(options: argparse.Namespace) -> int:
    """Print the objects of every deployment that can be rendered; standard error says why the others cannot."""
    cases = decide_cases(options)
    for case in cases:
        report_problems(case)
    objects = [obj for case in cases for obj in list_objects(case)]
    if options.output == "table":
        write(format_table(HEADER, [row for case in cases for row in make_rows(case)]))
    elif options.output == "json":
        write(format_json({"apiVersion": "v1", "kind": "List", "items": objects}))
    elif objects:
        write(format_yaml(objects))
    return ExitCode.REFUSED if any(case.refused for case in cases) else ExitCode.OK


def report_problems(case: Case) -> None:
    """Write errors and warnings of one deployment to standard error."""
    for problem in case.problems:
        note(f"{case.locate(problem)}: {'warning: ' if problem.warning else ''}{problem.message}")
    refused = case.refused and not any(not problem.warning for problem in case.problems)
    if refused and case.preview is not None:
        where = case.document.place if case.document else "the cluster"
        note(f"{where}: {case.namespace}/{case.name}: {case.preview.obstacle or 'no provider runs it'}")


def list_objects(case: Case) -> list[Json]:
    """Return the objects of one deployment; without a live owner they carry no trace of one."""
    if case.preview is None:
        return []
    if case.document is None:
        return list(case.preview.objects)
    return [without_bookkeeping(obj) for obj in case.preview.objects]


def make_rows(case: Case) -> list[tuple[str, ...]]:
    """Return one row per object."""
    decision = case.preview.decision if case.preview else None
    provider = (decision.provider if decision else None) or ""
    return [
        (f"{case.namespace}/{case.name}", provider, obj["kind"], obj["metadata"]["name"], obj["apiVersion"])
        for obj in list_objects(case)
    ]
