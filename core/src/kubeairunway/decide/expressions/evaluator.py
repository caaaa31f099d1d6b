"""The only module that knows the CEL library (`cel-python`, imported as `celpy`); it loads in about 0.2 s.

The library's grammar wraps every literal in nine nodes. They are folded away once, so that an evaluation visits what
a person would count. Its own limits (recursion, none on cost) are replaced by ours, its operators that are Python's
rather than CEL's (`%` on texts formats, for one) by typed ones, and its extensions are refused.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import re2
from celpy import celtypes
from celpy.celparser import CELParseError, CELParser
from celpy.evaluation import Activation, CELEvalError, Evaluator, base_functions
from lark import Token, Tree

from kubeairunway.decide.expressions.limits import MAX_DEPTH, MAX_STEPS

VARIABLE = "spec"
TYPES = frozenset({"bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"})
FUNCTIONS = frozenset({"bool", "double", "dyn", "has", "int", "size", "string", "type", "uint"})
METHODS = frozenset({"contains", "endsWith", "matches", "size", "startsWith"})
LOOPS = frozenset({"all", "exists", "exists_one", "filter", "map"})

OPEN_MAPS = (
    ("provider", "overrides"),
    ("engine", "args"),
    ("podTemplate", "metadata", "labels"),
    ("podTemplate", "metadata", "annotations"),
    ("nodeSelector",),
)
"""The maps whose keys are the user's own: a key is there because it was written, whatever its value."""

_LOOP_STEPS = 5
_TEXT_PER_STEP = 16
_LONGEST_ERROR = 300

_FOLDED = frozenset(
    {
        "expr",
        "conditionalor",
        "conditionaland",
        "relation",
        "addition",
        "multiplication",
        "unary",
        "member",
        "paren_expr",
    }
)
_UNSUPPORTED = {
    "member_object": "messages cannot be built",
    "dot_ident": "a name cannot begin with a dot",
    "dot_ident_arg": "a name cannot begin with a dot",
}
_OPERATORS = {
    "relation_lt": "<",
    "relation_le": "<=",
    "relation_gt": ">",
    "relation_ge": ">=",
    "relation_eq": "==",
    "relation_ne": "!=",
    "relation_in": "in",
    "addition_add": "+",
    "addition_sub": "-",
    "multiplication_mul": "*",
    "multiplication_div": "/",
    "multiplication_mod": "%",
    "unary_not": "!",
    "unary_neg": "-",
}


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A rule's folded syntax tree, and the paths of the spec that it reads."""

    tree: Tree[Token]
    paths: tuple[tuple[str, ...], ...]


class _RefusedError(Exception):
    """The rule does not compile, or its evaluation went over its bound."""


class OpenMap(celtypes.MapType):
    """A map whose keys are the user's own."""


def compile_text(text: str) -> Compiled | str:
    """Parse and check a rule's text; returns the objection if there is one."""
    try:
        tree = _fold(CELParser().parse(text), 0)
        return Compiled(tree, tuple(sorted(set(_check(tree, frozenset({VARIABLE}))))))
    except CELParseError as error:
        return _shorten(f"it cannot be read: {_where(error)}")
    except _RefusedError as error:
        return _shorten(str(error))


def _where(error: CELParseError) -> str:
    if error.line is None or error.line < 1 or error.column is None:
        return "it ends too early"
    return f"unexpected text at line {error.line}, column {error.column}"


def _fold(tree: Tree[Token], depth: int) -> Tree[Token]:
    """The tree without the nodes that only pass on their one child; raises _RefusedError if it is still too deep."""
    if depth > MAX_DEPTH:
        raise _RefusedError(f"it is nested deeper than {MAX_DEPTH} levels; split it into several rules")
    child = _only_child(tree)
    while child is not None and (tree.data in _FOLDED or child.data == "paren_expr"):
        tree, child = child, _only_child(child)
    children = [_fold(child, depth + 1) if isinstance(child, Tree) else child for child in tree.children]
    return Tree(tree.data, children, tree.meta)


def _only_child(tree: Tree[Token]) -> Tree[Token] | None:
    child = tree.children[0] if len(tree.children) == 1 else None
    return child if isinstance(child, Tree) else None


# ---- what can be said of a rule before it is evaluated ----


def _check(tree: Tree[Token], names: frozenset[str]) -> Iterator[tuple[str, ...]]:
    """The paths of the spec that a tree reads; raises _RefusedError for what no rule may hold."""
    if tree.data in _UNSUPPORTED:
        raise _RefusedError(_UNSUPPORTED[tree.data])
    path = _spec_path(tree)
    if path is not None:
        yield path
    elif tree.data == "ident":
        _check_name(_text(tree), names)
    elif tree.data == "ident_arg":
        yield from _check_call(tree, names)
    elif tree.data == "member_dot_arg":
        yield from _check_method(tree, names)
    else:
        yield from _check_children(tree, names)


def _check_children(tree: Tree[Token], names: frozenset[str]) -> Iterator[tuple[str, ...]]:
    for child in tree.children:
        if isinstance(child, Tree):
            yield from _check(child, names)


def _check_name(name: str, names: frozenset[str]) -> None:
    if name not in names and name not in TYPES:
        raise _RefusedError(f"unknown name {name}; a rule sees {VARIABLE} and nothing else")


def _check_call(tree: Tree[Token], names: frozenset[str]) -> Iterator[tuple[str, ...]]:
    name, arguments = _text(tree), _arguments(tree)
    if name not in FUNCTIONS:
        raise _RefusedError(f"unknown function {name}; there are {', '.join(sorted(FUNCTIONS))}")
    if len(arguments) != 1:
        raise _RefusedError(f"{name}() takes one argument")
    if name == "has" and arguments[0].data != "member_dot":
        raise _RefusedError("has() takes a field, for example has(spec.engine.contextLength)")
    yield from _check_children(tree, names)


def _check_method(tree: Tree[Token], names: frozenset[str]) -> Iterator[tuple[str, ...]]:
    name, arguments = str(tree.children[1]), _arguments(tree)
    if name in METHODS:
        if len(arguments) != (0 if name == "size" else 1):
            raise _RefusedError(f"{name}() takes {'no' if name == 'size' else 'one'} argument")
        yield from _check_children(tree, names)
    elif name in LOOPS:
        yield from _check_loop(tree, names)
    else:
        raise _RefusedError(f"unknown function {name}; there are {', '.join(sorted(METHODS | LOOPS))}")


def _check_loop(tree: Tree[Token], names: frozenset[str]) -> Iterator[tuple[str, ...]]:
    name, arguments = str(tree.children[1]), _arguments(tree)
    variable = arguments[0].children[0] if arguments and arguments[0].data == "primary" else None
    if len(arguments) != 2 or not isinstance(variable, Tree) or variable.data != "ident":  # noqa: PLR2004 - name, test
        raise _RefusedError(
            f"{name}() takes a variable and an expression, for example spec.env.{name}(e, e.name == 'A')"
        )
    bound = _text(variable)
    if bound in names or bound in TYPES:
        raise _RefusedError(f"{name}(): the variable cannot be called {bound}; that name is taken")
    source = tree.children[0]
    if isinstance(source, Tree):
        yield from _check(source, names)
    yield from _check(arguments[1], names | {bound})


def _spec_path(tree: Tree[Token]) -> tuple[str, ...] | None:
    """The path below `spec` that a tree of nothing but field accesses reads."""
    steps: list[str] = []
    while tree.data == "member_dot":
        source, field = tree.children
        if not isinstance(source, Tree):
            return None
        steps.append(str(field))
        tree = source
    name = _only_child(tree) if tree.data == "primary" else None
    is_spec = name is not None and name.data == "ident" and _text(name) == VARIABLE
    return tuple(reversed(steps)) if is_spec else None


def _text(tree: Tree[Token]) -> str:
    return str(tree.children[0])


def _arguments(tree: Tree[Token]) -> list[Tree[Token]]:
    last = tree.children[-1]
    if isinstance(last, Tree) and last.data == "exprlist":
        return [child for child in last.children if isinstance(child, Tree)]
    return []


# ---- evaluation ----


class _Meter:
    """Counts the steps of one evaluation."""

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Take steps off what is left; raises _RefusedError when nothing is."""
        self.left -= steps
        if self.left < 0:
            raise _RefusedError(f"it takes more than {MAX_STEPS} steps; make it simpler")

    def weigh(self, value: object) -> None:
        """Pay for a value that was built, to its leaves: shared parts make it larger than the steps that built it."""
        pending = [value]
        while pending:
            part = pending.pop()
            if isinstance(part, str | bytes):
                self.spend(1 + len(part) // _TEXT_PER_STEP)
            elif isinstance(part, list):
                self.spend(1 + len(part))
                pending.extend(part)
            elif isinstance(part, dict):
                self.spend(1 + len(part))
                pending.extend(part.values())


class _BoundedEvaluator(Evaluator):
    """The library's evaluator, with every visit counted and `has()` total."""

    def __init__(self, ast: Tree[Token], activation: Activation, meter: _Meter) -> None:
        super().__init__(ast, activation)
        self.meter = meter

    def sub_evaluator(self, ast: Tree[Token]) -> "_BoundedEvaluator":
        return _BoundedEvaluator(ast, self.activation, self.meter)

    def evaluate(self, context: Any = None) -> Any:  # noqa: ANN401 - the library's signature
        """Evaluate; the library comes here once per turn of a loop, too, and copies its names each time."""
        self.meter.spend(_LOOP_STEPS)
        return super().evaluate(context)

    def visit(self, tree: Tree[Token]) -> Any:  # noqa: ANN401 - a CEL value
        self.meter.spend(1)
        return getattr(self, tree.data)(tree)

    def visit_children(self, tree: Tree[Token]) -> list[Any]:
        return [self.visit(child) if isinstance(child, Tree) else child for child in tree.children]

    def exprlist(self, tree: Tree[Token]) -> Any:  # noqa: ANN401 - a CEL value
        return self._paid(super().exprlist(tree))

    def mapinits(self, tree: Tree[Token]) -> Any:  # noqa: ANN401 - a CEL value
        values = self.visit_children(tree)
        error = next((value for value in values if isinstance(value, CELEvalError)), None)
        if error is not None:
            return error
        result = celtypes.MapType()
        for key, value in zip(values[0::2], values[1::2], strict=True):
            if key in result:
                return CELEvalError("a map has the same key twice")
            result[key] = value
        return self._paid(result)

    def addition(self, tree: Tree[Token]) -> Any:  # noqa: ANN401 - a CEL value
        return self._paid(super().addition(tree))

    def member_dot_arg(self, tree: Tree[Token]) -> Any:  # noqa: ANN401 - a CEL value
        try:
            value = super().member_dot_arg(tree)
        except TypeError:
            return CELEvalError("a loop goes over a list or a map, and nothing else")
        return self._paid(value) if isinstance(value, celtypes.ListType) else value

    def macro_has_eval(self, exprlist: Any) -> Any:  # noqa: ANN401 - a CEL value
        """Whether a field is there; empty texts, lists and maps outside the user's own maps are not."""
        parent_tree, name = exprlist.children[0].children
        parent = self.visit(parent_tree)
        if not isinstance(parent, celtypes.MapType) or name.value not in parent:
            return celtypes.BoolType(False)  # noqa: FBT003 - a CEL literal
        value = parent[name.value]
        given = isinstance(parent, OpenMap) or not isinstance(value, str | list | dict) or len(value) > 0
        return celtypes.BoolType(given)

    def _paid(self, value: Any) -> Any:  # noqa: ANN401 - a CEL value
        self.meter.weigh(value)
        return value


def run(compiled: Compiled, view: Any) -> bool | str:  # noqa: ANN401 - a CEL value
    """Evaluate over a spec that `to_cel` converted; returns the objection if the rule has no truth value."""
    activation = Activation(functions=_TYPED)
    try:
        value = _BoundedEvaluator(compiled.tree, activation, _Meter()).evaluate({VARIABLE: view})
    except _RefusedError as error:
        return str(error)
    except CELEvalError as error:
        return _explain(error)
    except Exception as error:  # noqa: BLE001 - whatever the library trips over, the rule is to blame and named
        return f"it has no value: {type(error).__name__}"
    if isinstance(value, celtypes.BoolType):
        return bool(value)
    return f"its value is {_type_name(value)}, not true or false"


def to_cel(value: Any, path: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 - JSON in, a CEL value out
    """A JSON value as the library's own type."""
    if isinstance(value, Mapping):
        kind = OpenMap if any(path[: len(own)] == own for own in OPEN_MAPS) else celtypes.MapType
        return kind({celtypes.StringType(key): to_cel(item, (*path, key)) for key, item in value.items()})
    if isinstance(value, list | tuple):
        return celtypes.ListType([to_cel(item, (*path, "[]")) for item in value])
    return value if value is None else _SCALARS[type(value)](value)


_SCALARS: Mapping[type, Callable[[Any], Any]] = {
    bool: celtypes.BoolType,
    str: celtypes.StringType,
    int: celtypes.IntType,
    float: celtypes.DoubleType,
}


# ---- operators and functions that the library takes from Python as they are ----


def _numbers_only(function: Callable[..., Any]) -> Callable[..., Any]:
    def checked(left: Any, right: Any) -> Any:  # noqa: ANN401 - CEL values
        for value in (left, right):
            if isinstance(value, CELEvalError):
                return value
            if not isinstance(value, int | float) or isinstance(value, celtypes.BoolType):
                raise TypeError("numbers only")
        return function(left, right)

    return checked


def _matches(text: Any, pattern: Any) -> Any:  # noqa: ANN401 - CEL values
    """Search a text for a pattern; like the library's, but without its line on stderr for a bad one."""
    if not isinstance(text, str) or not isinstance(pattern, str):
        raise TypeError("texts only")
    options = re2.Options()
    options.log_errors = False
    try:
        return celtypes.BoolType(re2.compile(pattern, options).search(text) is not None)
    except re2.error as error:
        detail = error.args[0] if error.args else ""
        words = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
        return CELEvalError(f"bad pattern: {words.partition(':')[0]}")


_TYPED: dict[str, Any] = {name: _numbers_only(base_functions[name]) for name in ("_-_", "_*_", "_/_", "_%_")}
_TYPED["matches"] = _matches


# ---- errors in words ----


def _explain(error: CELEvalError) -> str:
    """What went wrong, in CEL's words and without values of the spec: every administrator reads it."""
    text = str(error.args[0]) if error.args else ""
    cause = error.args[1] if len(error.args) > 1 else None
    if "does not support field selection" in text:
        kind = re.search(r"with type: '<class '[\w.]*?(\w+)'>'", text)
        return f"{_plain_type(kind[1]) if kind else 'it'} has no fields"
    if text == "return error for overflow":
        return "a number is too large, or what should become one is none"
    if text == "no such overload" and cause is not None:
        return "a function was given a value of a type that it does not take"
    text = re.sub(r"Token\('RULE', '(\w+)'\)|'(\w+_\w+)'", _operator, text)
    text = re.sub(r"<class '[\w.]*?\.?(\w+)'>", lambda match: _plain_type(match[1]), text)
    return _shorten(text)


def _operator(match: "re.Match[str]") -> str:
    return _OPERATORS.get(match[1] or match[2], match[0])


def _type_name(value: object) -> str:
    return _plain_type(type(value).__name__)


def _plain_type(name: str) -> str:
    return {"OpenMap": "map", "CELEvalError": "error", "NoneType": "null"}.get(name, name.removesuffix("Type").lower())


def _shorten(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_ERROR else line[: _LONGEST_ERROR - 1] + "…"
