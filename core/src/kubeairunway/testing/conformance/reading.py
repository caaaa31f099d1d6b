"""Rules about `status`: it has an answer for every object, and no answer says more than upstream did."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.plugin import State
from kubeairunway.testing.conformance.findings import Finding
from kubeairunway.testing.conformance.leaves import Path, remove_at, replace_at, spell_path, walk_values
from kubeairunway.testing.conformance.probing import (
    GENERATION,
    Scene,
    ask,
    find_running,
    make_scene,
    read_recorded,
    serves,
)
from kubeairunway.testing.conformance.subject import find_long_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kubeairunway.plugin import Report, Request
    from kubeairunway.testing.conformance.subject import Case, Subject
    from kubeairunway.testing.offline import OfflineDecision

Json = dict[str, Any]

GARBAGE: Final[Mapping[str, Any]] = {
    "null": None,
    "true": True,
    "zero": 0,
    "minus one": -1,
    "a huge number": 2**62,
    "a fraction": 1.5,
    "an empty text": "",
    "a text": "garbage",
    "an empty list": [],
    "a list of null": [None],
    "a list of lists": [[]],
    "an empty map": {},
    "a map of null": {"status": None},
    "a row without a type": [{"status": "True"}],
}
"""What no operator should write, by what it is."""
RANDOM_OBJECTS: Final = 150
_SEED: Final = 4
_EMPTY: Final[Mapping[str, Json]] = {
    "nothing at all": {},
    "no status": {"metadata": {"generation": GENERATION}},
    "an empty status": {"metadata": {"generation": GENERATION}, "status": {}},
    "a status of null": {"metadata": {"generation": GENERATION}, "status": None},
    "conditions of null": {"metadata": {"generation": GENERATION}, "status": {"conditions": None}},
}
_FIX_PROOF: Final = "report State.WAITING, generation 0 or None and no replicas until upstream says more"
RECORD: Final = "record one with `kubeairunway providers record KIND/NAME`, and give its directory as --fixtures"


def check_proof(subject: Subject) -> Iterator[Finding]:
    """An object without a status proves nothing."""
    for case, base in subject.rendered:
        for title, raw in _EMPTY.items():
            report = _ask(subject, base.request, Scene(raw))
            if report is not None and (
                report.state is State.RUNNING or report.generation not in (0, None) or report.ready
            ):
                text = f"{case.title}: {title} is reported as {_show(report)}"
                yield Finding(subject.place("status"), text, _FIX_PROOF)


def check_total(subject: Subject) -> Iterator[Finding]:
    """Every object has an answer."""
    for case, base in subject.rendered:
        said: set[str] = set()
        for title, scene in _list_scenes(subject, case, base):
            error = _find_error(subject, base.request, scene)
            if error and error not in said:
                said.add(error)
                text = f"{case.title}: {title} makes it fail with {error}"
                yield Finding(subject.place("status"), text, "read with View.get, and never trust a type or a sign")


def _list_scenes(subject: Subject, case: Case, base: OfflineDecision) -> Iterator[tuple[str, Scene]]:
    plain = make_scene(base)
    for title, raw in _EMPTY.items():
        yield title, Scene(raw, plain.others)
    yield "an object whose others are gone", Scene(plain.primary)
    yield from _list_random(subject, plain)
    scene = subject.running(case)
    if scene is not None:
        for path, name, value in _list_garbage(scene):
            yield f"{spell_path(path)} = {name}", _with(scene, replace_at(scene.primary, path, value))
        for path, _ in _list_paths(scene):
            yield f"no {spell_path(path)}", _with(scene, remove_at(scene.primary, path))


def _list_random(subject: Subject, plain: Scene) -> Iterator[tuple[str, Scene]]:
    """Objects that are half like a status, the same ones each time."""
    chance = random.Random(_SEED)  # noqa: S311 - a fixed seed, no secret
    kinds = subject.provider.children
    for number in range(RANDOM_OBJECTS):
        others = {key: _as_object(_make_hostile(chance)) for key in plain.others}
        children = {
            kind: tuple(_as_object(_make_hostile(chance)) for _ in range(chance.randint(0, 2))) for kind in kinds
        }
        yield f"hostile object {number}", Scene(_as_object(_make_hostile(chance)), others, children)


def _make_hostile(chance: random.Random, depth: int = 0) -> Any:  # noqa: ANN401 - JSON of any shape
    if depth < 3 and chance.random() < 0.7:  # noqa: PLR2004 - figures of the choice, and nothing else
        keys = (
            "conditions",
            "status",
            "phase",
            "state",
            "observedGeneration",
            "ready",
            "replicas",
            "type",
            "readyReplicas",
        )
        many = [_make_hostile(chance, depth + 1) for _ in range(chance.randint(0, 4))]
        return many if chance.random() < 0.3 else {chance.choice(keys): value for value in many}  # noqa: PLR2004 - as above
    return chance.choice(list(GARBAGE.values()))


def _as_object(value: Any) -> Json:  # noqa: ANN401 - JSON of any shape
    return value if isinstance(value, dict) else {"status": value}


def check_honest(subject: Subject) -> Iterator[Finding]:
    """Garbage in the place of a value counts for no more than its absence."""
    for case, base, scene in _list_running(subject):
        for path, name, value in _list_garbage(scene):
            if isinstance(value, type(_value_at(scene.primary, path))):
                continue
            worse, absent = (
                _ask(subject, base.request, _with(scene, changed))
                for changed in (replace_at(scene.primary, path, value), remove_at(scene.primary, path))
            )
            if worse and serves(worse, base.request) and not (absent and serves(absent, base.request)):
                text = f"{case.title}: {spell_path(path)} = {name} still means {_show(worse)}, and its absence does not"
                yield Finding(subject.place("status"), text, "read with View.get and a default of the right type")


def check_generation(subject: Subject) -> Iterator[Finding]:
    """What upstream said of an older generation proves nothing of this one."""
    for case, base, scene in _list_running(subject):
        newer = GENERATION + 1
        meta = {**scene.primary["metadata"], "generation": newer}
        report = _ask(subject, base.request, _with(scene, {**scene.primary, "metadata": meta}))
        if report is not None and report.generation is not None and serves(report, base.request, newer):
            text = f"{case.title}: at generation {newer}, a status about {GENERATION} is reported as {_show(report)}"
            yield Finding(subject.place("status"), text, "report the generation that upstream's status names")


def check_counts(subject: Subject) -> Iterator[Finding]:
    """Fewer replicas than asked for are reported as what they are."""
    for case, base, scene in _list_running(subject):
        yield from _check_fewer(subject, case, base, scene)
        three = base.change(scaling={"replicas": 3})
        if case.mode == "aggregated" and not three.errors and three.objects:
            more = find_running(subject, three)
            if more is not None:
                yield from _check_fewer(subject, case, three, more)


def _check_fewer(subject: Subject, case: Case, decision: OfflineDecision, scene: Scene) -> Iterator[Finding]:
    counts = [
        (path, value)
        for path, value in walk_values(scene.primary.get("status"))
        if isinstance(value, int) and not isinstance(value, bool) and value > 0 and "eneration" not in str(path[-1:])
    ]
    wanted = _count_wanted(decision)
    for fewer in range(wanted) if counts else ():
        status = scene.primary["status"]
        for path, value in counts:
            status = replace_at(status, path, min(value, fewer))
        report = _ask(subject, decision.request, _with(scene, {**scene.primary, "status": status}))
        if report is not None and serves(report, decision.request):
            text = f"{case.title}: with every count of the status at {fewer} of {wanted} it reports {_show(report)}"
            yield Finding(subject.place("status"), text, "report the replicas that upstream counts as ready")
            return


def check_zero(subject: Subject) -> Iterator[Finding]:
    """A deployment that is scaled to zero can be Ready."""
    for case, base, _ in _list_running(subject):
        none = base.change(scaling={"replicas": 0})
        if case.mode == "aggregated" and not none.errors and none.objects and find_running(subject, none) is None:
            text = f"{case.title}: no status was found that it reports as RUNNING for 0 replicas"
            yield Finding(
                subject.place("status"), text, "zero of zero replicas is all of them; or refuse 0 in validate()"
            )


def check_reachable(subject: Subject) -> Iterator[Finding]:
    """Some status is Ready; without one to start from, four rules have nothing to look at."""
    for case, base in subject.rendered:
        if subject.running(case) is None:
            recorded = any(row["kind"] == base.primary["kind"] for row in read_recorded(subject))
            text = f"{case.title}: no status was found that it reports as RUNNING for this generation with all replicas"
            yield Finding(subject.place("status"), text, RECORD, note=not recorded)


def check_identity(subject: Subject) -> Iterator[Finding]:
    """Selector and Service are of this deployment alone."""
    for case, base in subject.rendered:
        names = find_long_names(base)
        pair = [base.rename(name) for name in names]
        if any(each.errors or not each.objects for each in pair):
            continue
        reports = [_ask(subject, each.request, _rename(subject, case, each)) for each in pair]
        for field in ("pods", "service"):
            first, second = (getattr(report, field, "") for report in reports)
            if first and first == second:
                text = f"{case.title}: Report.{field} is {first!r} for both {names[0]} and {names[1]}"
                yield Finding(subject.place("status"), text, "use the whole name")


def _rename(subject: Subject, case: Case, decision: OfflineDecision) -> Scene:
    scene, running = make_scene(decision), subject.running(case)
    status = running.primary.get("status", {}) if running else {}
    return _with(scene, {**scene.primary, "status": status})


def _count_wanted(decision: OfflineDecision) -> int:
    """Replicas asked for; where there are roles, of the smallest."""
    scaling = decision.spec.scaling
    roles = [role.replicas for role in (scaling.prefill, scaling.decode) if role is not None]
    return min(roles, default=scaling.replicas)


# ---- asking ----


def _list_running(subject: Subject) -> Iterator[tuple[Case, OfflineDecision, Scene]]:
    for case, base in subject.rendered:
        scene = subject.running(case)
        if scene is not None:
            yield case, base, scene


def _list_paths(scene: Scene) -> Iterator[tuple[Path, Any]]:
    for path, value in walk_values(scene.primary.get("status")):
        yield ("status", *path), value


def _list_garbage(scene: Scene) -> Iterator[tuple[Path, str, Any]]:
    for path, _ in _list_paths(scene):
        for name, value in GARBAGE.items():
            yield path, name, value


def _value_at(obj: Any, path: Path) -> Any:  # noqa: ANN401 - JSON of any shape
    for step in path:
        obj = obj[step]
    return obj


def _with(scene: Scene, primary: Json) -> Scene:
    return replace(scene, primary=primary)


def _ask(subject: Subject, request: Request, scene: Scene) -> Report | None:
    """The report; None where the hook fails, which is the matter of `status-total`."""
    try:
        return ask(subject, request, scene)
    except Exception:  # noqa: BLE001 - the package's code may raise anything
        return None


def _find_error(subject: Subject, request: Request, scene: Scene) -> str:
    try:
        ask(subject, request, scene)
    except Exception as error:  # noqa: BLE001 - the package's code may raise anything
        return f"{type(error).__name__}: {error}"
    return ""


def _show(report: Report) -> str:
    return f"{report.state}, generation {report.generation}, {report.ready} ready"
