"""Rules about fields of the spec: each is carried or refused, at the ends of what it may hold and whatever its text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeairunway.model.paths import covers
from kubeairunway.testing.conformance.findings import Finding
from kubeairunway.testing.conformance.leaves import holds_text, spell_json
from kubeairunway.testing.conformance.texts import TRICKY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeairunway.testing.conformance.subject import Case, Subject, Variant, Varied

EXACT = ("engine.args", "engine.extraArgs", "env", "podTemplate.metadata.annotations")
"""Fields whose texts reach the object as they are, be it in a command line or in a file of YAML."""


def check_carried(subject: Subject) -> Iterator[Finding]:
    """A carried field that changes changes the rendering, or is refused."""
    for case, _ in subject.rendered:
        for row in subject.varied[case.title]:
            if covers(case.engine.carries, row.change.path) and _is_dropped(row):
                yield Finding(
                    f"Engine {case.engine.name}.carries, {subject.place('render')}",
                    f"spec.{row.change.field} is carried, and changing it changes nothing in {case.title}: "
                    f"{spell_json(row.change.before) if row.change.before else 'absent'} and "
                    f"{spell_json(row.change.after)} are rendered alike",
                    f"render it, refuse it in validate(), or take {row.change.path} out of carries",
                )


def _is_dropped(row: Varied) -> bool:
    if row.before.errors or row.after.errors or row.before.hook_error or row.after.hook_error:
        return False
    return row.before.objects == row.after.objects


def check_uncarried(subject: Subject) -> Iterator[Finding]:
    """A field that is not carried is refused at its path, or a part of it that the core takes from nobody."""
    for case, base in subject.rendered:
        for row in subject.varied[case.title]:
            path = f"spec.{row.change.path}"
            if covers(case.engine.carries, row.change.path) or row.after.document == base.document:
                continue
            refused = (problem.path for problem in row.after.errors)
            if not any(path.startswith(part) or part.startswith(path) for part in refused):
                text = f"{path} is not carried, and not refused in {case.title}"
                yield Finding(
                    f"Engine {case.engine.name}.carries", text, "add it to carries, or let the core refuse it"
                )


def check_bounds(subject: Subject) -> Iterator[Finding]:
    """The ends of what carried fields may hold are rendered or refused."""
    for case, _ in subject.rendered:
        for row in subject.bounds[case.title]:
            if row.decision.hook_error:
                text = f"{case.title} with {row.title}: {row.decision.hook_error}"
                yield Finding(subject.place("render"), text, "render it, or object in validate()")


def check_texts(subject: Subject) -> Iterator[Finding]:
    """No text is lost: each reaches the object as it is, and no two become one."""
    for case, _ in subject.rendered:
        seen: dict[str, str] = {}
        for row in subject.texts[case.title]:
            yield from _check_text(subject, case, row, seen)


def _check_text(subject: Subject, case: Case, row: Variant, seen: dict[str, str]) -> Iterator[Finding]:
    field, _, title = row.title.partition(": ")
    where = f"{subject.place('render')}, spec.{field}"
    if row.decision.hook_error:
        yield Finding(
            where, f"{case.title} with {title}: {row.decision.hook_error}", "render it, or object in validate()"
        )
        return
    if row.decision.errors or not row.decision.objects:
        return
    text = TRICKY.get(title)
    if field in EXACT and text is not None and not holds_text(list(row.decision.objects), text):
        yield Finding(
            where, f"{title} ({text!r}) is not in the objects as it was written", "quote it, and encode nothing"
        )
    first = seen.setdefault(f"{field} {row.decision.objects!r}", title)
    if first != title:
        yield Finding(where, f"{title} and {first} are rendered alike", "write each value as it is")
