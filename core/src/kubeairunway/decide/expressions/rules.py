"""Compiling and evaluating rules, with both remembered; knows nothing of the CEL library but its adapter."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import orjson

from kubeairunway.decide.effective import cel_view, json_value
from kubeairunway.decide.expressions.limits import check_text
from kubeairunway.model.base import Model
from kubeairunway.model.spec import Spec

if TYPE_CHECKING:
    from kubeairunway.decide.expressions.evaluator import Compiled

MAX_PROGRAMS = 1_024
"""Rules kept compiled: far more than 32 per provider for any number of providers one would install."""

MAX_VERDICTS = 16_384
"""Verdicts remembered in each of two generations: up to 4 MiB."""

_LONG_KEY = 64

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class RuleError:
    """A rule that did not compile, or had no value or none that is true or false; `text` says why."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A compiled rule and the paths of the spec it reads (an empty path is the whole spec)."""

    text: str
    compiled: "Compiled"
    paths: tuple[tuple[str, ...], ...]


@dataclass(slots=True)
class SpecView:
    """An effective spec on its way to rules: what they see is made when the first of them has to be evaluated."""

    spec: Spec
    _view: Any = field(default=None, repr=False)
    _keys: dict[tuple[str, ...], object] = field(default_factory=dict, repr=False)

    def key_at(self, path: tuple[str, ...]) -> object:
        """What a rule can see at a path, as a hashable value; several rules read the same paths."""
        if path not in self._keys:
            self._keys[path] = _key_at(self.spec, path)
        return self._keys[path]

    def cel(self) -> Any:  # noqa: ANN401 - a value of the CEL library
        """The spec as the CEL library's own values; made once."""
        if self._view is None:
            from kubeairunway.decide.expressions.evaluator import to_cel  # noqa: PLC0415 - celpy loads with first use

            self._view = to_cel(cel_view(self.spec))
        return self._view


def compile_rule(text: str) -> Program | RuleError:
    """Compile a rule; whatever can be said without a spec is said here.

    Bounds are checked before the parser sees the text. Unknown names and functions, `has()` of anything but a field,
    and loops without a variable are errors, too.
    """
    objection = check_text(text)
    if objection:
        return RuleError(objection)
    from kubeairunway.decide.expressions.evaluator import compile_text  # noqa: PLC0415 - celpy loads with first use

    result = compile_text(text)
    return RuleError(result) if isinstance(result, str) else Program(text, result, result.paths)


def evaluate(program: Program, view: SpecView | Mapping[str, Any]) -> bool | RuleError:
    """Evaluate a compiled rule over an effective spec, or over what `cel_view` made of one."""
    from kubeairunway.decide.expressions.evaluator import run, to_cel  # noqa: PLC0415 - celpy loads with first use

    value = run(program.compiled, view.cel() if isinstance(view, SpecView) else to_cel(view))
    return RuleError(value) if isinstance(value, str) else value


class Expressions:
    """Rules compiled once per text, and their verdicts by the parts of a spec that a rule reads.

    Deployments that differ in what no rule reads share verdicts, so a burst of them evaluates each rule once. Threads
    may share one: each step reads or replaces a whole dict entry, and the worst a race does is work done twice.
    """

    def __init__(self, *, programs: int = MAX_PROGRAMS, verdicts: int = MAX_VERDICTS) -> None:
        self._max_programs = programs
        self._max_verdicts = verdicts
        self._programs: dict[str, Program | RuleError] = {}
        self._recent: dict[Key, bool | RuleError] = {}
        self._older: dict[Key, bool | RuleError] = {}

    def program(self, text: str) -> Program | RuleError:
        """The compiled rule of that text."""
        program = self._programs.get(text)
        if program is None:
            program = compile_rule(text)
            if len(self._programs) >= self._max_programs:
                self._programs = {}
            self._programs[text] = program
        return program

    def verdict(self, text: str, view: SpecView) -> bool | RuleError:
        """Whether a rule holds for a spec."""
        program = self.program(text)
        if isinstance(program, RuleError):
            return program
        key = (text, *[view.key_at(path) for path in program.paths])
        verdict = self._recent.get(key)
        if verdict is None:
            verdict = self._older.get(key)
            if verdict is None:
                verdict = evaluate(program, view)
            self._remember(key, verdict)
        return verdict

    def _remember(self, key: Key, verdict: bool | RuleError) -> None:  # noqa: FBT001 - a verdict is a value
        """Keep a verdict; when a generation is full, it becomes the older one and what it replaces is forgotten."""
        if len(self._recent) >= self._max_verdicts:
            self._older, self._recent = self._recent, {}
        self._recent[key] = verdict


def _key_at(spec: Spec, path: tuple[str, ...]) -> object:
    """What a rule can see at a path of the spec, as a hashable value."""
    value: object = spec
    for step in path:
        if isinstance(value, Model):
            value = getattr(value, _attributes(type(value)).get(step, ""), None)
        elif isinstance(value, Mapping):
            value = value.get(step)
        else:
            break
    if value is None or isinstance(value, str):
        return value if value is None or len(value) <= _LONG_KEY else _digest(value.encode())
    if isinstance(value, bool | int):
        return type(value).__name__, value
    return _digest(orjson.dumps(json_value(value)))


_ATTRIBUTES: dict[type[Model], dict[str, str]] = {}


def _attributes(model: type[Model]) -> dict[str, str]:
    """The model's attributes by their YAML names."""
    names = _ATTRIBUTES.get(model)
    if names is None:
        names = {info.alias or name: name for name, info in model.model_fields.items()}
        _ATTRIBUTES[model] = names
    return names


def _digest(data: bytes) -> bytes:
    return data if len(data) <= _LONG_KEY else blake2b(data, digest_size=20).digest()
