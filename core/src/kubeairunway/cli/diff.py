"""`kubeairunway explain --diff`: what applying a file changes in a deployment that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from kubeairunway.cli.exit_codes import ExitCode
from kubeairunway.cli.output import format_json, format_values, wrap_line, write
from kubeairunway.cli.update_input import UpdateCase, decide_update
from kubeairunway.decide.update import Action, Downtime, How, Moment

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from kubeairunway.decide.update import FieldChange, Held, ObjectChange, Update

MAX_PATHS: Final = 6
"""Paths of one object that are shown to people; programs get all."""
MAX_VALUE: Final = 60
"""Characters of a value that are shown to people."""

HOW: Final[Mapping[How, str]] = {
    How.NOTHING: "no object changes; only the status follows",
    How.IN_PLACE: "in place",
    How.SURGE: "surge: upstream runs old and new side by side",
    How.CREATE: "create: nothing of it is there yet",
    How.RECREATE: "recreate",
    How.REFUSED: "refused",
    How.WAITS: "waits",
}
DOWNTIME: Final[Mapping[Downtime, str]] = {
    Downtime.NONE: "none",
    Downtime.ROLLING: "none; upstream replaces what runs step by step (rolling restart)",
    Downtime.RESTART: "from when what serves ends, before anything new starts, until that is ready",
    Downtime.UNTIL_READY: "from the deletion until the new one is ready",
    Downtime.SCALED_TO_ZERO: "from then on nothing serves, as asked",
}
MOMENTS: Final[Mapping[Moment, str]] = {
    Moment.AT_ONCE: "",
    Moment.WHEN_GONE: " when the old one is gone",
    Moment.WHEN_READY: " when the new revision is ready",
}


def run(options: argparse.Namespace) -> int:
    """Print what the edit comes to."""
    case = decide_update(options)
    if options.output == "table":
        write("\n".join(piece for line in describe_update(case) for piece in wrap_line(line)))
    else:
        write(format_values([update_json(case)], options.output))
    refused = case.update is None or case.update.how is How.REFUSED
    return ExitCode.REFUSED if refused else ExitCode.OK


# ---- for people ----


def describe_update(case: UpdateCase) -> Iterator[str]:
    """Yield the lines that tell a person what the edit comes to."""
    update = case.update
    shown = any(not problem.warning for problem in case.problems)  # each objection is said once
    yield f"{case.namespace}/{case.name or '(no name)'}: {_verdict(update, shown=shown)}"
    for problem in case.problems:
        yield f"  {'warning' if problem.warning else 'error'}: {case.document.locate(problem)}: {problem.message}"
    if update is None:
        return
    if update.held is not None and update.how is not How.WAITS:
        yield f"  not yet: {update.held.reason}: {update.held.message}"
    if update.stops is not None:
        yield f"  it begins, and then stops: {update.stops.reason}: {update.stops.message}"
    if update.earlier:
        yield "  what is asked for now is refused: what runs is of an earlier revision, and its GPUs are not counted"
    if update.pending:
        yield "  the controller has not carried out yet what is asked for now; that is in this as well"
    if update.before.provider and update.before.provider != update.after.provider and update.after.provider:
        yield f"  provider {update.before.provider} hands over to {update.after.provider}"
    for path in update.kept:
        yield f"  {path} stays: the file does not name it, and it was not set by applying a file"
    for field in update.fields:
        yield from _describe_field(field, shown=shown)
    yield from _describe_objects(update)
    if update.how not in {How.NOTHING, How.REFUSED, How.WAITS}:
        yield f"  downtime: {DOWNTIME[update.downtime]}"
        yield f"  GPUs: {_describe_gpus(update)}"


def _verdict(update: Update | None, *, shown: bool) -> str:
    if update is None:
        return "cannot be read"
    if update.how is How.NOTHING and not update.generation:
        return "no change: nothing is written"
    if update.how is How.REFUSED:
        serves = "; the running revision serves on" if update.before.provider else ""
        return f"refused{serves}" + ("" if shown else f": {update.reason}")
    if update.how is How.WAITS:
        held = update.held
        return f"nothing is written for now: {held.reason}: {held.message}" if held else HOW[update.how]
    return f"{HOW[update.how]}: {update.reason}" if update.reason else HOW[update.how]


def _describe_field(field: FieldChange, *, shown: bool) -> Iterator[str]:
    values = f"{_show(field.before)} -> {_show(field.after)}"
    how = "no object changes" if field.how is How.NOTHING else HOW[field.how].partition(":")[0]
    reason = f": {field.reason}" if field.reason and not (shown and field.how is How.REFUSED) else ""
    together = " (with the other changes; not alone)" if field.together else ""
    if field.together and field.how is How.NOTHING:
        how, together = "adds nothing to the other changes", ""
    yield f"  {field.path}: {values}"
    yield f"      {how}{reason}{together}"
    for change in field.objects:
        if change.paths:
            yield f"      {change.kind} {change.name}: {_show_paths(change.paths)}"


def _describe_objects(update: Update) -> Iterator[str]:
    if update.objects:
        yield "  objects:"
    for change in update.objects:
        yield f"      {change.kind} {change.name}: {change.action}{_when(change)}{_paths_of(change)}"


def _when(change: ObjectChange) -> str:
    if change.action is Action.RECREATED:
        return " (deleted at once, created when it is gone)"
    return MOMENTS[change.when]


def _paths_of(change: ObjectChange) -> str:
    return f" at {_show_paths(change.paths)}" if change.paths else ""


def _show_paths(paths: tuple[str, ...]) -> str:
    more = f" and {len(paths) - MAX_PATHS} more" if len(paths) > MAX_PATHS else ""
    return ", ".join(paths[:MAX_PATHS]) + more


def _show(value: Any) -> str:  # noqa: ANN401 - JSON of any shape
    if value is None:
        return "(absent)"
    text = " ".join(format_json(value).split())
    return text if len(text) <= MAX_VALUE else f"{text[: MAX_VALUE - 3]}..."


def _describe_gpus(update: Update) -> str:
    gpus = update.gpus
    return f"{_count(gpus.before)} now, {_count(gpus.meanwhile)} meanwhile, {_count(gpus.after)} then"


def _count(gpus: Mapping[str, int]) -> str:
    return " + ".join(f"{count} {name}" for name, count in gpus.items()) or "0"


# ---- for programs ----


def update_json(case: UpdateCase) -> dict[str, Any]:
    """Return the whole of what the edit comes to."""
    update = case.update
    row: dict[str, Any] = {"name": case.name, "namespace": case.namespace, "source": case.document.place}
    if update is not None:
        row |= _update_rows(update)
    row["problems"] = [
        {
            "path": problem.path,
            "code": problem.code,
            "message": problem.message,
            "warning": problem.warning,
            "at": case.document.locate(problem),
        }
        for problem in case.problems
    ]
    return row


def _update_rows(update: Update) -> dict[str, Any]:
    return {
        "update": str(update.how),
        "reason": update.reason,
        "held": _held_json(update.held),
        "stops": _held_json(update.stops),
        "pending": update.pending,
        "earlier": update.earlier,
        "newGeneration": update.generation,
        "provider": {"before": update.before.provider, "after": update.after.provider},
        "engine": {"before": update.before.engine, "after": update.after.engine},
        "fields": [_field_json(field) for field in update.fields],
        "kept": list(update.kept),
        "objects": [_object_json(change) for change in update.objects],
        "downtime": str(update.downtime),
        "gpus": {
            "before": dict(update.gpus.before),
            "meanwhile": dict(update.gpus.meanwhile),
            "after": dict(update.gpus.after),
        },
    }


def _held_json(held: Held | None) -> dict[str, str] | None:
    return {"reason": str(held.reason), "message": held.message} if held else None


def _field_json(field: FieldChange) -> dict[str, Any]:
    return {
        "path": field.path,
        "before": field.before,
        "after": field.after,
        "update": str(field.how),
        "reason": field.reason,
        "together": field.together,
        "objects": [_object_json(change) for change in field.objects],
    }


def _object_json(change: ObjectChange) -> dict[str, Any]:
    return {
        "action": str(change.action),
        "when": str(change.when),
        "apiVersion": change.api_version,
        "kind": change.kind,
        "name": change.name,
        "paths": list(change.paths),
    }
