"""Selection rules in CEL (design point 8)."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubeairunway.decide.effective import cel_view, effective_spec
from kubeairunway.decide.expressions import (
    MAX_BRACKETS,
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_STEPS,
    Expressions,
    Program,
    RuleError,
    SpecView,
    compile_rule,
    evaluate,
    evaluator,
    rules,
)
from kubeairunway.model import Spec
from kubeairunway.model.base import Model

TWENTY = str(list(range(20)))


def effective(**blocks: Any) -> Spec:
    return effective_spec(Spec.model_validate({"model": {"id": "org/model"}, **blocks}), "vllm", name="model")


def outcome(text: str, spec: Spec | None = None) -> bool | str:
    program = compile_rule(text)
    value = evaluate(program, SpecView(spec or effective())) if isinstance(program, Program) else program
    return value.text if isinstance(value, RuleError) else value


GPU = effective(
    resources={"gpu": {"count": 2}},
    engine={"args": {"bare": ""}, "contextLength": 4096},
    env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
    nodeSelector={"zone": "a"},
)

VERDICTS = {
    "an integer": ("spec.resources.gpu.count == 2", True),
    "an integer in a list": ("spec.resources.gpu.count in [1, 2]", True),
    "integer arithmetic": ("spec.resources.gpu.count % 2 == 0", True),
    "a comparison": ("spec.resources.gpu.count > 2", False),
    "a text": ("spec.model.id.startsWith('org/')", True),
    "a pattern": ("spec.model.id.matches('^org/')", True),
    "the resolved engine": ("spec.engine.type == 'vllm'", True),
    "replicas that nobody wrote": ("spec.scaling.replicas == 1", True),
    "a false that nobody wrote": ("!spec.engine.trustRemoteCode", True),
    "an empty text that nobody wrote": ("spec.image == ''", True),
    "has() of a block": ("has(spec.resources.gpu)", True),
    "has() of a number": ("has(spec.engine.contextLength)", True),
    "has() of a field that was not given": ("has(spec.image)", False),
    "has() of an empty list": ("has(spec.tolerations)", False),
    "has() of a list": ("has(spec.env)", True),
    "has() of a part that is missing": ("has(spec.scaling.prefill)", False),
    "has() below a part that is missing": ("has(spec.scaling.prefill.gpu.count)", False),
    "has() of what does not exist": ("has(spec.nothing.at.all)", False),
    "has() of a bare flag": ("has(spec.engine.args.bare)", True),
    "has() of an argument that was not given": ("has(spec.engine.args.other)", False),
    "a loop": ("spec.env.exists(e, e.name == 'B')", True),
    "a loop over all": ("spec.env.all(e, e.name == 'B')", False),
    "a loop for one": ("spec.env.exists_one(e, e.name == 'B')", True),
    "a filter": ("spec.env.filter(e, e.name == 'B').size() == 1", True),
    "a map": ("spec.env.map(e, e.name) == ['A', 'B']", True),
    "a key": ("spec.nodeSelector['zone'] == 'a'", True),
    "a choice": ("spec.resources.gpu.count > 1 ? true : false", True),
    "an error beside what decides": ("true || spec.nothing == 1", True),
    "an error beside what decides, the other way": ("spec.nothing == 1 || true", True),
    "a comment": ("true // for now", True),
}


@pytest.mark.parametrize(("text", "expected"), VERDICTS.values(), ids=VERDICTS.keys())
def test_a_rule_sees(text: str, expected: object) -> None:
    assert outcome(text, GPU) is expected


def test_a_rule_of_providers_holds_without_resources() -> None:
    assert outcome("!has(spec.resources.gpu) || spec.resources.gpu.count == 0") is True


BROKEN = {
    "no condition at all": ("  ", "it is empty"),
    "half a condition": ("spec.image ==", "cannot be read"),
    "two conditions": ("true false", "cannot be read"),
    "the metadata": ("metadata.name == 'a'", "unknown name metadata"),
    "an unknown function": ("now() > 1", "unknown function now"),
    "a function of the library's own": ("[1, 2].min() == 1", "unknown function min"),
    "another of them": ("[1].reduce(r, i, 0, r + i) == 1", "unknown function reduce"),
    "a time": ("timestamp('2026-01-01T00:00:00Z').getFullYear('Europe/Paris') == 2026", "unknown function"),
    "has() of a sum": ("has(1 + 1)", "has() takes a field"),
    "has() of nothing": ("has()", "has() takes one argument"),
    "a loop without a variable": ("spec.env.all(true, true)", "takes a variable and an expression"),
    "a loop without an expression": ("spec.env.all(e)", "takes a variable and an expression"),
    "a loop that hides spec": ("spec.env.all(spec, true)", "that name is taken"),
    "a method with too much": ("spec.image.startsWith('a', 'b')", "takes one argument"),
    "a message": ("spec{a: 1} == 1", "messages cannot be built"),
    "a name with a dot in front": (".spec.image == ''", "cannot begin with a dot"),
    "a text": ("spec.engine.type", "its value is string, not true or false"),
    "a number": ("1", "its value is int, not true or false"),
    "a null": ("null", "its value is null, not true or false"),
    "a block": ("spec.gateway", "its value is map, not true or false"),
    "a number that counts as true": ("true && 5", "its value is int, not true or false"),
    "a field that is missing": ("spec.engine.contextLength > 1", "no such member in mapping: 'contextLength'"),
    "a number and a text": ("spec.image > 1", "no matching overload for > applied to '(string, int)'"),
    "a number and a fraction": ("spec.scaling.replicas > 0.5", "no matching overload for > applied to '(int, double)'"),
    "a negated number": ("!spec.scaling.replicas", "no matching overload for !"),
    "a division by zero": ("1 / 0 == 1", "divide by zero"),
    "too large a number": ("9223372036854775807 + 1 > 0", "a number is too large"),
    "a format": ("'%9d' % 3 == ''", "no matching overload for % applied to '(string, int)'"),
    "a bad pattern": ("spec.image.matches('(')", "bad pattern: missing )"),
    "a field of a text": ("spec.model.id.length == 3", "string has no fields"),
    "a loop over a number": ("spec.scaling.replicas.all(r, r > 0)", "a loop goes over a list or a map"),
    "a key twice": ("{'a': 1, 'a': 2}.a == 1", "the same key twice"),
    "a text that is no number": ("int(spec.model.id) == 1", "what should become one is none"),
    "the size of a number": ("size(spec.scaling.replicas) == 1", "of a type that it does not take"),
    "a missing element": ("spec.env[5].name == 'A'", "invalid_argument"),
}


@pytest.mark.parametrize(("text", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_rule_never_matches_that_has(text: str, message: str) -> None:
    result = outcome(text)
    assert isinstance(result, str)
    assert message in result


def chain(count: int, operator: str) -> str:
    return f" {operator} ".join(["true"] * count)


OVER = {
    "sixty parentheses": (f"{'(' * 60}true{')' * 60}", "brackets are nested deeper"),
    "deep lists": (f"size({'[' * 60}{']' * 60}) > 0", "brackets are nested deeper"),
    "a long text": (f"'{'a' * MAX_LENGTH}' == ''", "characters; at most"),
    "a long chain": (chain(200, "||"), "nested deeper than"),
    "many negations": ("!" * 200 + "true", "nested deeper than"),
    "a long choice": ("true ? true : " * 100 + "false", "nested deeper than"),
    "three nested loops": (
        f"{TWENTY}.all(a, {TWENTY}.all(b, {TWENTY}.all(c, a + b + c >= 0)))",
        f"more than {MAX_STEPS} steps",
    ),
    "lists that double": (f"[[1]]{'.map(a, [a, a])' * 40} == []", f"more than {MAX_STEPS} steps"),
    "texts that double": (f"['{'a' * 20}']{'.map(a, a + a)' * 40} == []", f"more than {MAX_STEPS} steps"),
    "maps that double": ("[1]" + ".map(a, {'x': a, 'y': a})" * 40 + " == []", f"more than {MAX_STEPS} steps"),
    "lists that are added up": (f"[[1]]{'.map(a, a + a)' * 40} == []", f"more than {MAX_STEPS} steps"),
}


@pytest.mark.parametrize(("text", "message"), OVER.values(), ids=OVER.keys())
def test_a_rule_is_bounded_that_has(text: str, message: str) -> None:
    result = outcome(text)
    assert isinstance(result, str)
    assert message in result


UNDER = {
    "as many brackets as allowed": f"{'(' * MAX_BRACKETS}true{')' * MAX_BRACKETS}",
    "as long a chain as allowed": chain(MAX_DEPTH - 2, "||"),
    "two nested loops": "[1, 2, 3, 4, 5].all(a, [1, 2, 3, 4, 5].all(b, a + b > 0))",
}


@pytest.mark.parametrize("text", UNDER.values(), ids=UNDER.keys())
def test_a_rule_within_its_bounds_has_a_verdict(text: str) -> None:
    assert outcome(text) is True


def test_the_verdict_does_not_depend_on_how_deep_the_caller_is() -> None:
    texts = [*UNDER.values(), *(text for text, _ in OVER.values())]
    flat = [outcome(text) for text in texts]

    def deeper(levels: int) -> list[bool | str]:
        return deeper(levels - 1) if levels else [outcome(text) for text in texts]

    assert deeper(300) == flat


SECRETIVE = (
    "spec.env.all(e, e.value.foo == 1)",
    "spec.env[0].value.foo",
    "spec.env[0].value > 1",
    "int(spec.env[0].value) == 1",
    "double(spec.env[0].value) == 1.0",
    "bool(spec.env[0].value)",
    "{spec.env[0].value: 1, spec.env[0].value: 2}.x == 1",
    "spec.env[0].value in 5",
    "spec.nodeSelector[spec.env[0].value] == 'x'",
    "spec.env[spec.env[0].value].name == 'x'",
    "spec.env[0].value.contains(1)",
    "-spec.env[0].value == 1",
    "spec.env[0].value",
    "spec.env[0]",
    "'a'.matches(spec.env[0].value + '(')",
    "spec.env[0].value ? true : false",
    "!spec.env[0].value",
)


@pytest.mark.parametrize("text", SECRETIVE)
def test_an_error_tells_no_value_of_the_spec(text: str) -> None:
    result = outcome(text, effective(env=[{"name": "TOKEN", "value": "hunter2"}]))
    assert isinstance(result, str)
    assert "hunter2" not in result


def test_rules_of_providers_take_a_fraction_of_the_steps(kit: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spent: list[int] = []

    class Meter(evaluator._Meter):
        def spend(self, steps: int) -> None:
            spent.append(steps)
            super().spend(steps)

    monkeypatch.setattr(evaluator, "_Meter", Meter)
    for active in (rule for facts in kit.shipped() for rule in facts.rules):
        spent.clear()
        assert isinstance(outcome(active.rule.condition, GPU), bool)
        assert sum(spent) <= 25


def test_the_recursion_limit_stays_what_it_was() -> None:
    before = sys.getrecursionlimit()
    outcome("true")
    assert sys.getrecursionlimit() == before


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="spec.env()[]{}&|!=<>+-*/%?:,'\"0123456789 hasl", max_size=60))
def test_whatever_the_text_there_is_a_verdict_or_a_reason(text: str) -> None:
    assert isinstance(outcome(text), bool | str)


def test_a_program_knows_what_it_reads() -> None:
    program = compile_rule(
        "has(spec.image) && spec.env.exists(e, e.name == spec.model.id) || spec.resources.gpu.count > 1"
    )
    assert isinstance(program, Program)
    assert program.paths == (("env",), ("image",), ("model", "id"), ("resources", "gpu", "count"))


def test_a_program_that_reads_the_whole_spec_says_so() -> None:
    program = compile_rule("'image' in spec")
    assert isinstance(program, Program)
    assert program.paths == ((),)


@pytest.fixture
def evaluations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []

    def counted(program: Program, view: SpecView) -> bool | RuleError:
        made.append(program.text)
        return evaluate(program, view)

    monkeypatch.setattr(rules, "evaluate", counted)
    return made


def test_a_burst_of_models_evaluates_a_rule_once(evaluations: list[str]) -> None:
    expressions = Expressions()
    specs = [effective(model={"id": f"org/{number}"}, resources={"gpu": {"count": 1}}) for number in range(1_000)]
    verdicts = {expressions.verdict("spec.resources.gpu.count > 0", SpecView(spec)) for spec in specs}
    assert (verdicts, evaluations) == ({True}, ["spec.resources.gpu.count > 0"])


def test_a_rule_is_evaluated_again_when_what_it_reads_differs(evaluations: list[str]) -> None:
    expressions = Expressions()
    verdicts = [
        expressions.verdict("spec.resources.gpu.count > 1", SpecView(effective(resources={"gpu": {"count": count}})))
        for count in (1, 2, 1, 2)
    ]
    assert (verdicts, len(evaluations)) == ([False, True, False, True], 2)


DIFFERENT = {
    "true and one": ("type(spec.provider.overrides.x) == int", {"x": 1}, {"x": True}),
    "a text and a number": ("spec.provider.overrides.x == '1'", {"x": "1"}, {"x": 1}),
    "a list and its text": ("spec.provider.overrides.x == '[1]'", {"x": "[1]"}, {"x": [1]}),
    "one key and another": ("has(spec.provider.overrides.x)", {"x": 1}, {"y": 1}),
}


@pytest.mark.parametrize(("text", "one", "other"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_verdicts_are_not_mixed_up_between(text: str, one: dict[str, Any], other: dict[str, Any]) -> None:
    expressions = Expressions()
    specs = [effective(provider={"overrides": overrides}) for overrides in (one, other)]
    remembered = [expressions.verdict(text, SpecView(spec)) for spec in specs]
    assert remembered == [Expressions().verdict(text, SpecView(spec)) for spec in specs]


def test_what_is_remembered_is_bounded(evaluations: list[str]) -> None:
    expressions = Expressions(verdicts=10, programs=5)
    for number in range(100):
        expressions.verdict(f"spec.model.id == 'org/{number}'", SpecView(effective()))
    assert len(evaluations) == 100
    assert len(expressions._recent) + len(expressions._older) <= 20
    assert len(expressions._programs) <= 5


def test_what_is_used_stays_remembered_when_others_come(evaluations: list[str]) -> None:
    expressions = Expressions(verdicts=10)
    for number in range(100):
        expressions.verdict("true", SpecView(effective()))
        expressions.verdict("spec.model.id == 'x'", SpecView(effective(model={"id": f"org/{number}"})))
    assert evaluations.count("true") == 1


def test_threads_agree() -> None:
    expressions = Expressions(verdicts=50)
    texts = [f"spec.resources.gpu.count % {number} == 0" for number in range(1, 30)]
    specs = [effective(resources={"gpu": {"count": count}}) for count in range(30)]
    alone = [Expressions().verdict(text, SpecView(spec)) for text in texts for spec in specs]
    found: list[list[bool | RuleError]] = []

    def run() -> None:
        found.append([expressions.verdict(text, SpecView(spec)) for text in texts for spec in specs])

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 4


def test_the_users_own_maps_are_all_known() -> None:
    assert set(evaluator.OPEN_MAPS) == set(open_maps(Spec()))


def open_maps(model: Model, prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, info in type(model).model_fields.items():
        path = (*prefix, info.alias or name)
        value = getattr(model, name)
        if isinstance(value, Model):
            yield from open_maps(value, path)
        elif "Mapping" in str(info.annotation):
            yield path


def test_the_cel_library_is_not_loaded_before_the_first_rule() -> None:
    script = (
        "import sys, kubeairunway.decide.selection;"
        "assert not {'celpy', 'lark', 're2'} & set(sys.modules), 'by import';"
        "from kubeairunway.decide.expressions import compile_rule;"
        "compile_rule('true');"
        "assert 'celpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True, timeout=60)  # noqa: S603 - our own words


def test_a_view_can_be_plain_json() -> None:
    program = compile_rule("spec.model.id == 'org/model'")
    assert isinstance(program, Program)
    assert evaluate(program, cel_view(effective())) is True
