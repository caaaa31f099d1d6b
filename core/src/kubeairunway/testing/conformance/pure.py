"""Rules about purity: the same request gives the same answers, whatever the process, the order and the time."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.model.base import thaw
from kubeairunway.model.spec import Spec
from kubeairunway.plugin import Observed, View
from kubeairunway.testing.conformance.answers import HOOKS, ask_hook, pack_request
from kubeairunway.testing.conformance.findings import Finding
from kubeairunway.testing.conformance.leaves import spell_json

if TYPE_CHECKING:
    from kubeairunway.plugin import Request
    from kubeairunway.testing.conformance.subject import Case, Subject
    from kubeairunway.testing.offline import OfflineDecision

Json = dict[str, Any]

MAX_REQUESTS: Final = 60
"""Requests that are asked about in processes of their own, over all cases."""
MAX_SERVED_NAME: Final = 253
"""What the schema takes; the default, made from the model's id, may be longer."""
DEADLINE: Final = 60.0
"""Seconds that such a process may take."""
_MODULE: Final = "kubeairunway.testing.conformance.child"
SEVERAL: Final[Json] = {
    "engine": {"args": dict.fromkeys(("zeta", "alpha", "kappa", "beta", "omega", "eta"), "x")},
    "nodeSelector": dict.fromkeys(("zeta", "alpha", "kappa", "beta"), "x"),
    "podTemplate": {"metadata": {part: dict.fromkeys(("zeta", "alpha"), "x") for part in ("labels", "annotations")}},
}
"""Maps of several members, whose order means nothing."""


def check_same(subject: Subject) -> Iterator[Finding]:
    """Asked twice in one process, every hook gives the same answer."""
    for case, decision in _list_decisions(subject):
        for hook in HOOKS:
            first, second = (_ask(subject, hook, decision.request) for _ in range(2))
            if first != second:
                text = (
                    f"{case.title}: asked twice about the same request, it gave two answers: {_differ(first, second)}"
                )
                yield Finding(subject.place(hook), text, "leave out times, random values, counters")
                break


def check_input(subject: Subject) -> Iterator[Finding]:
    """No hook changes what it gets."""
    for case, base in subject.rendered:
        for hook in HOOKS:
            given, live = base.request, make_live(base)
            spec = Spec.model_validate(given.spec.model_dump(mode="json"))
            request = replace(given, spec=spec, versions=dict(given.versions), overrides=copy.copy(given.overrides))
            before = _spell_request(request), copy.deepcopy(live)
            _call_hook(subject, hook, request, live)
            if before != (_spell_request(request), live):
                yield Finding(
                    subject.place(hook), f"{case.title}: it changes what it was given", "copy what you change"
                )


def _call_hook(subject: Subject, hook: str, request: Request, live: Json) -> None:
    try:
        if hook == "status":
            subject.hooks.status(request=request, observed=Observed(View(live)))
        elif (found := getattr(subject.hooks, hook)(request=request)) and hook == "validate":
            list(found)
    except Exception:  # noqa: BLE001, S110 - what a hook raises is another rule's
        pass


def _spell_request(request: Request) -> str:
    parts = (request.name, request.namespace, sorted((kind.name, text) for kind, text in request.versions.items()))
    return f"{parts}{request.spec.model_dump_json()}{request.overrides!r}{request.settings!r}"


def check_order(subject: Subject) -> Iterator[Finding]:
    """The order of a map's members changes nothing."""
    for case, base in subject.rendered:
        several = _keep_carried(case, base)
        first = several.request
        turned = replace(first, spec=Spec.model_validate(_turn(first.spec.model_dump(mode="json"))))
        for hook in HOOKS:
            one, other = (_ask(subject, hook, request) for request in (first, turned))
            if one != other:
                text = f"{case.title}: the order of a map's members reaches the result: {_differ(one, other)}"
                yield Finding(subject.place(hook), text, "sort what comes out of a map")


def _keep_carried(case: Case, base: OfflineDecision) -> OfflineDecision:
    """The base with as many maps as are not refused."""
    decision = base
    for field, value in SEVERAL.items():
        for part in (value, *({name: below} for name, below in value.items() if isinstance(below, dict))):
            after = decision.change(**{field: part})
            if not after.errors and after.objects:
                decision = after
    return decision if case.base is not None else base


def _turn(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """The same value with the members of every map in the opposite order."""
    if isinstance(value, Mapping):
        return {key: _turn(value[key]) for key in reversed(list(value))}
    return [_turn(item) for item in value] if isinstance(value, list) else value


# ---- in processes of their own ----


def check_processes(subject: Subject) -> Iterator[Finding]:
    """Processes of different hash seeds give the same answers."""
    yield from _compare(subject, "watched", "seeded", "in processes that differ in PYTHONHASHSEED", "sort sets")


def check_memory(subject: Subject) -> Iterator[Finding]:
    """What was asked before changes nothing."""
    fix = "keep nothing between calls"
    yield from _compare(subject, "watched", "backwards", "after other requests than before", fix)


def check_alone(subject: Subject) -> Iterator[Finding]:
    """Hooks touch no file, socket, clock, environment, thread or process, and use no chance."""
    said: set[tuple[str, str, str]] = set()
    for (case, _), answer in zip(_list_decisions(subject), run_children(subject)["watched"], strict=True):
        for hook in HOOKS:
            for what, place in answer[hook]["done"]:
                if (hook, what, place) not in said:
                    said.add((hook, what, place))
                    text = f"{hook}() {what} at {place} ({case.title})"
                    yield Finding(subject.place(hook), text, "take it from the request, or do without")


def _compare(subject: Subject, one: str, other: str, words: str, fix: str) -> Iterator[Finding]:
    children = run_children(subject)
    for (case, _), first, second in zip(_list_decisions(subject), children[one], children[other], strict=True):
        for hook in HOOKS:
            if first[hook]["answer"] != second[hook]["answer"]:
                text = f"{case.title}: the same request gave two answers {words}: "
                yield Finding(subject.place(hook), text + _differ(first[hook]["answer"], second[hook]["answer"]), fix)


def run_children(subject: Subject) -> Mapping[str, list[Json]]:
    """The answers of three processes, each made once: watched, of another hash seed, and asked backwards."""
    if subject.answers is None:
        file = str(Path(subject.module.__file__ or "").resolve())
        errand = {
            "module": subject.module.__name__,
            "file": file,
            "folders": sorted({str(Path(file).parent) if file.endswith("__init__.py") else file}),
            "path": [path for path in sys.path if path],
            "requests": [
                {
                    "request": pack_request(decision.request, decision.spec.provider.overrides),
                    "live": _find_live(subject, case, decision),
                }
                for case, decision in _list_decisions(subject)
            ],
        }
        runs = {"watched": (True, False, "1"), "seeded": (False, False, "2"), "backwards": (False, True, "1")}
        started = {
            name: _start(json.dumps({**errand, "watch": watch, "backwards": backwards}), seed)
            for name, (watch, backwards, seed) in runs.items()
        }
        subject.answers = {name: _finish(*each) for name, each in started.items()}
    return subject.answers


def _start(errand: str, seed: str) -> tuple[subprocess.Popen[bytes], str]:
    import os  # noqa: PLC0415 - the child's environment is this one's

    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
    pipe = subprocess.PIPE
    command = [sys.executable, "-W", "ignore", "-m", _MODULE]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment), errand  # noqa: S603 - our own


def _finish(process: subprocess.Popen[bytes], errand: str) -> list[Json]:
    try:
        output, errors = process.communicate(errand.encode(), timeout=DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise ChildError(f"its hooks did not answer {MAX_REQUESTS} requests within {DEADLINE:g} s") from None
    if process.returncode != 0:
        raise ChildError(f"ended with {process.returncode}: {errors.decode(errors='replace').strip()[-500:]}")
    answers: list[Json] = json.loads(output)["answers"]
    return answers


class ChildError(Exception):
    """The package cannot be asked in a process of its own; the message says why."""


def _list_decisions(subject: Subject) -> list[tuple[Case, OfflineDecision]]:
    """The plainest spec of every case, and an even choice of all others."""
    plain = [(case, base) for case, base in subject.rendered]
    more = [(case, _keep_carried(case, base)) for case, base in plain]
    rest = [(case, row.decision) for case, row in subject.corpus if _can_travel(row.decision)]
    step = max(1, len(rest) // max(1, MAX_REQUESTS - 2 * len(plain)))
    return [*plain, *more, *rest[::step], *((case, _change_all(subject, case, base)) for case, base in plain)]


def _change_all(subject: Subject, case: Case, base: OfflineDecision) -> OfflineDecision:
    """A spec in which everything is different that can be: asked about first, it is what is remembered."""
    decision = base
    for row in subject.varied[case.title]:
        after = decision.change(**row.change.after)
        if not after.errors and after.objects:
            decision = after
    return decision


def _can_travel(decision: OfflineDecision) -> bool:
    """Whether a process can read what another one writes; a served name derived from the id may be too long for it."""
    return len(decision.spec.model.served_name) <= MAX_SERVED_NAME


def _find_live(subject: Subject, case: Case, decision: OfflineDecision) -> Json:
    """The primary of a decision with the status of one that serves, where such a one was found."""
    scene = subject.running(case)
    status = scene.primary.get("status", {}) if scene else {}
    return {**make_live(decision), "status": status}


def make_live(decision: OfflineDecision) -> Json:
    """The primary of a decision as if it lived, with no status."""
    body: Json = copy.deepcopy(thaw(decision.primary))
    return {**body, "metadata": {**body["metadata"], "uid": "1", "resourceVersion": "1", "generation": 1}, "status": {}}


def _ask(subject: Subject, hook: str, request: Request) -> Any:  # noqa: ANN401 - JSON
    live = {"metadata": {"generation": 1}, "status": {}}
    answer = ask_hook(subject.hooks, hook, request, provider=subject.provider, raw=live)
    return json.loads(spell_json(answer))


def _differ(one: Any, other: Any) -> str:  # noqa: ANN401 - JSON
    """Where two answers first differ, in a few letters of each."""
    first, second = spell_json(one), spell_json(other)
    index = next((at for at, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]), 0)
    start = max(0, index - 30)
    return f"...{first[start : index + 40]}... and ...{second[start : index + 40]}..."
