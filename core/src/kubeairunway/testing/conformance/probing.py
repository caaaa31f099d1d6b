"""A live object that a `status` hook calls running, found by watching what the hook reads.

No rule of the contract says how upstream writes its status, so it is searched for: every path that the hook reads is
filled with what its default is like, texts come from the package's own constants, and what makes the hook say more is
kept. A recorded object (`kubeairunway providers record`) is used instead where there is one.
"""

from __future__ import annotations

import ast
import copy
import pickle
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from kubeairunway.plugin import Observed, Report, State, View
from kubeairunway.plugin.results import UnusableError, check_report
from kubeairunway.testing.conformance.leaves import set_path, walk_values
from kubeairunway.testing.fixtures import read_fixture

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kubeairunway.plugin import Kind, Request
    from kubeairunway.testing.conformance.subject import Subject
    from kubeairunway.testing.offline import OfflineDecision

Json = dict[str, Any]
T = TypeVar("T")

GENERATION: Final = 7
MAX_CALLS: Final = 1500
"""Calls of a hook that a search from one start may take: a fifth of a second for shipped hooks."""
MAX_STARTS: Final = 6
_ROUNDS: Final = 6
_PRIMARY: Final = ""
_STATE_FIELDS: Final = ("status", "state", "phase")
LONGEST_WORD: Final = 40
MAX_PARTS: Final = 240


@dataclass(frozen=True, slots=True)
class Scene:
    """Live objects as a `status` hook sees them, as plain values that can be changed and copied."""

    primary: Json
    others: Mapping[tuple[Kind, str], Json] = field(default_factory=dict)
    children: Mapping[Kind, tuple[Json, ...]] = field(default_factory=dict)

    @property
    def observed(self) -> Observed:
        """What the hook gets: copies."""
        return Observed(
            View(_copy(self.primary)),
            {key: View(_copy(obj)) for key, obj in self.others.items()},
            {kind: tuple(View(_copy(obj)) for obj in many) for kind, many in self.children.items()},
        )


def _copy(obj: Json) -> Json:
    copied: Json = pickle.loads(pickle.dumps(obj))  # noqa: S301 - our own bytes, in a third of the time of deepcopy
    return copied


class SpyView(View):
    """A View that remembers which paths were read, and with which default."""

    __slots__ = ("_prefix", "_reads")

    def __init__(self, raw: Mapping[str, Any], reads: dict[str, Any], prefix: str) -> None:
        super().__init__(raw)
        object.__setattr__(self, "_reads", reads)
        object.__setattr__(self, "_prefix", prefix)

    def get(self, path: str, default: T) -> T:
        """Remember, and read as a View does."""
        self._reads.setdefault(f"{self._prefix}{path}", default)  # type: ignore[attr-defined]  # a slot of ours
        return View.get(self, path, default)

    def condition(self, name: str) -> View:
        """Remember, and read as a View does; what is read of the condition is remembered, too."""
        prefix = f"{self._prefix}status.conditions[{name}]."  # type: ignore[attr-defined]  # a slot of ours
        self._reads.setdefault(prefix[:-1], {})  # type: ignore[attr-defined]  # a slot of ours
        return SpyView(View.condition(self, name).raw, self._reads, prefix)  # type: ignore[attr-defined]  # as above


def make_scene(decision: OfflineDecision) -> Scene:
    """All objects of a decision as if they lived, with no status."""
    seen = decision.seen
    steps = seen.plan.steps if seen else ()
    base = decision.document["metadata"]["name"]
    primary: Json = {}
    others: dict[tuple[Kind, str], Json] = {}
    for step in steps:
        body = copy.deepcopy(step.body)
        body["metadata"] |= {"uid": f"uid-{step.name}", "resourceVersion": "1", "generation": GENERATION}
        if step.primary:
            primary = body
        else:
            others[step.kind, step.name.removeprefix(base).removeprefix("-")] = body
    return Scene(primary, others)


def ask(subject: Subject, request: Request, scene: Scene) -> Report:
    """The hook's report, checked. Raises what the hook raises, UnusableError for what the contract does not allow."""
    return check_report(subject.hooks.status(request=request, observed=scene.observed))


def serves(report: Report, request: Request, generation: int = GENERATION) -> bool:
    """Whether the core would call a deployment Ready upon this report."""
    if report.state is not State.RUNNING or report.generation not in (None, generation):
        return False
    scaling = request.spec.scaling
    if request.spec.serving.mode == "aggregated":
        return report.ready >= scaling.replicas
    roles = {"prefill": scaling.prefill, "decode": scaling.decode}
    return all(report.roles.get(name, 0) >= role.replicas for name, role in roles.items() if role is not None)


def find_running(subject: Subject, decision: OfflineDecision) -> Scene | None:
    """A scene upon which the core would say Ready, recorded or searched for; None if none was found."""
    scene = make_scene(decision)
    for recorded in _place_recorded(subject, scene):
        if _try(subject, decision.request, recorded)[0]:
            return recorded
    return _Search(subject, decision.request, scene).run()


def read_recorded(subject: Subject) -> tuple[Json, ...]:
    """The recorded objects that were given."""
    return tuple(read_fixture(path) for path in sorted(subject.fixtures.rglob("*.yaml"))) if subject.fixtures else ()


def _place_recorded(subject: Subject, scene: Scene) -> Iterator[Scene]:
    """The recorded status of each object of the primary's kind, as of the primary's generation."""
    for recorded in read_recorded(subject):
        if recorded["kind"] == scene.primary["kind"]:
            yield Scene({**scene.primary, "status": _renumber(recorded.get("status", {}))}, scene.others)


def _renumber(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    """The same status as of our generation."""
    if isinstance(value, dict):
        return {key: GENERATION if key == "observedGeneration" else _renumber(item) for key, item in value.items()}
    return [_renumber(item) for item in value] if isinstance(value, list) else value


def _try(subject: Subject, request: Request, scene: Scene) -> tuple[bool, int]:
    """Whether the scene is Ready, and how near it comes: higher is nearer."""
    try:
        report = ask(subject, request, scene)
    except UnusableError:
        return False, -2
    except Exception:  # noqa: BLE001 - the package's code may raise anything
        return False, -1
    rank = {State.RUNNING: 40, State.PROGRESSING: 20, State.WAITING: 10, State.FAILED: 0}[report.state]
    counts = min(report.ready + sum(report.roles.values()), 8)
    return serves(report, request), rank + counts + (8 if report.generation in (None, GENERATION) else 0)


class _Search:
    """Fills what is read, round by round, and keeps what helps."""

    def __init__(self, subject: Subject, request: Request, scene: Scene) -> None:
        self._subject = subject
        self._request = request
        self._scene = scene
        self._calls = 0
        scaling = request.spec.scaling
        roles = [role.replicas for role in (scaling.prefill, scaling.decode) if role is not None]
        self._counts = sorted({scaling.replicas, *roles, sum(roles), 0}, reverse=True)
        self._words = list_words(subject)

    def run(self) -> Scene | None:
        """The scene that serves, if one is found."""
        for children in (False, True) if self._subject.provider.children else (False,):
            found, values = self._start({}, children=children)
            # What names something that is being replaced has to be absent, whatever else is said.
            texts = [key for key, value in values.items() if isinstance(value, str) and "conditions[" not in key]
            for absent in texts[:MAX_STARTS]:
                if not found:
                    found, values = self._start({absent: None}, children=children)
            if found:
                return self._build(values, children=children)
        return None

    def _start(self, values: dict[str, Any], *, children: bool) -> tuple[bool, dict[str, Any]]:
        self._calls, found = 0, False
        for _ in range(_ROUNDS):
            before = len(values)
            for key, default in self._read(values, children=children).items():
                if key not in values and (guess := self._guess(key, default)):
                    values = {**values, key: guess[0]}
            found, values = self._climb(values, children=children)
            if found or len(values) == before:
                break
        return found, values

    def _climb(self, values: dict[str, Any], *, children: bool) -> tuple[bool, dict[str, Any]]:
        """Change one value at a time as long as the hook says more."""
        found, best = self._judge(values, children=children)
        guesses = {key: self._guess(key, "" if value is None else value) for key, value in values.items()}
        for key in sorted(guesses, key=lambda key: len(guesses[key])):
            for value in (*guesses[key], None):
                if found or self._calls > MAX_CALLS:
                    return found, values
                changed = {**values, key: value}
                good, rank = self._judge(changed, children=children)
                if rank > best:
                    found, best, values = good, rank, changed
        return found, values

    def _judge(self, values: Mapping[str, Any], *, children: bool) -> tuple[bool, int]:
        self._calls += 1
        return _try(self._subject, self._request, self._build(values, children=children))

    def _guess(self, key: str, default: Any) -> tuple[Any, ...]:  # noqa: ANN401 - what the hook gave as default
        last = key.rpartition(".")[2]
        if isinstance(default, bool):
            return (True, False)
        if isinstance(default, int):
            return (GENERATION,) if "eneration" in last else tuple(self._counts)
        if isinstance(default, str):
            if last.startswith(("message", "deletion")) or "metadata." in key or key.startswith(("kind", "spec.")):
                return ()
            return ("True", "False") if "conditions[" in key and last == "status" else self._words
        if isinstance(default, dict):
            return ({},) if key.endswith("]") else self._guess_map(last)
        rows = [{"type": word, "status": "True", "observedGeneration": GENERATION} for word in self._words]
        return (rows,) if last == "conditions" else ()

    def _guess_map(self, name: str) -> tuple[Json, ...]:
        """What a map may be: one part, or parts under the names of what is rendered there.

        A part has every count that the package knows, and a word of its own for its state.
        """
        numbers = {word: self._counts[0] for word in self._words if word.lower().endswith(("replicas", "ready"))}
        part = {**numbers, "observedGeneration": GENERATION}
        names = [
            key for path, value in walk_values(self._scene.primary) if path[-1:] == (name,) for key in _names(value)
        ]
        states = sorted(self._words, key=lambda word: not word.isupper())
        parts: list[Json] = [part]
        parts += [{**part, place: word} for word in states for place in _STATE_FIELDS]
        several: list[Json] = [dict.fromkeys(names or ["sample"], row) for row in parts[:MAX_PARTS]]
        return (part, *several, *parts[1:MAX_PARTS])

    def _read(self, values: Mapping[str, Any], *, children: bool) -> dict[str, Any]:
        """What the hook reads of a scene, with the defaults it gives."""
        scene, reads = self._build(values, children=children), dict[str, Any]()
        observed = Observed(
            SpyView(scene.primary, reads, _PRIMARY),
            {key: SpyView(obj, reads, f"{key[0].name}/{key[1]}:") for key, obj in scene.others.items()},
            {
                kind: tuple(SpyView(obj, reads, f"{kind.name}:") for obj in many)
                for kind, many in scene.children.items()
            },
        )
        with suppress(Exception):  # what was read until then is what counts
            self._subject.hooks.status(request=self._request, observed=observed)
        return reads

    def _build(self, values: Mapping[str, Any], *, children: bool) -> Scene:
        scene = self._scene
        child = {"metadata": {"name": "child", "generation": GENERATION}}
        many = {kind: (_fill(child, values, f"{kind.name}:"),) for kind in self._subject.provider.children if children}
        others = {key: _fill(obj, values, f"{key[0].name}/{key[1]}:") for key, obj in scene.others.items()}
        return Scene(_fill(scene.primary, values, _PRIMARY), others, many)


def _names(value: Any) -> list[str]:  # noqa: ANN401 - JSON of any shape
    """The names of parts: a map's keys, or what the rows of a list are called."""
    if isinstance(value, dict):
        return list(value)
    rows = value if isinstance(value, list) else []
    return [row["name"] for row in rows if isinstance(row, dict) and isinstance(row.get("name"), str)]


def _fill(obj: Mapping[str, Any], values: Mapping[str, Any], prefix: str) -> Json:
    """An object with the values whose keys begin with a prefix; a value of None is absent."""
    filled, conditions = dict(obj), dict[str, Json]()
    absent = {key for key, value in values.items() if value is None}
    for key, value in values.items():
        path = key.removeprefix(prefix)
        if value is None or not key.startswith(prefix) or ":" in path:
            continue
        if path.startswith("status.conditions["):
            name, _, rest = path.removeprefix("status.conditions[").partition("]")
            if f"{prefix}status.conditions[{name}]" in absent:
                continue
            row = conditions.setdefault(name, {"type": name, "status": "True", "observedGeneration": GENERATION})
            if rest:
                row[rest.removeprefix(".")] = value
        else:
            filled = set_path(filled, path, value)
    if conditions:
        filled = set_path(filled, "status.conditions", list(conditions.values()))
    return filled


def list_words(subject: Subject) -> tuple[str, ...]:
    """Short words in the package's source that may be a state of upstream's."""
    found: dict[str, None] = {}
    for path in subject.files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _is_word(node.value):
                found[node.value] = None
    return tuple(found)


def _is_word(text: str) -> bool:
    return 1 < len(text) <= LONGEST_WORD and text.replace("_", "").replace("-", "").isalnum() and text[0].isalpha()
