"""YAML as users write it: what is taken, and what is refused with its place."""

import pytest

from kubeairunway.cli.yaml_input import MAX_VALUES, InputError, parse_yaml


def read(text: str) -> list[object]:
    return [parsed.value for parsed in parse_yaml(text, "x.yaml")]


def refuse(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read(text)
    return str(caught.value)


TAKEN = {
    "several documents": ("a: 1\n---\nb: two\n", [{"a": 1}, {"b": "two"}]),
    "an empty document is None": ("---\n---\na: 1\n", [None, {"a": 1}]),
    "a date stays a text": ("a: 2026-01-02\n", [{"a": "2026-01-02"}]),
    "a time of day stays a text": ("a: 12:30\n", [{"a": "12:30"}]),
    "zero and false survive": ("a: 0\nb: false\nc: ''\n", [{"a": 0, "b": False, "c": ""}]),
    "a boolean as a key is a text": ("on: 1\n404: 2\n", [{"on": 1, "404": 2}]),
    "JSON": ('{"a": [1, {"b": null}]}', [{"a": [1, {"b": None}]}]),
    "an alias": ("a: &x {b: 1}\nc: *x\n", [{"a": {"b": 1}, "c": {"b": 1}}]),
    "a merge, own fields winning": ("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\n", None),
    "nothing": ("", []),
}


@pytest.mark.parametrize("name", TAKEN)
def test_what_kubectl_takes_is_taken(name: str) -> None:
    text, expected = TAKEN[name]
    found = read(text)
    if expected is None:
        assert found == [{"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}}]
    else:
        assert found == expected


REFUSED = {
    "a key twice": ("a: 1\nb:\n  c: 1\n  c: 2\n", "x.yaml, document 1, line 4: b.c: this field is here twice"),
    "a key twice in a list": ("l:\n- n: 1\n  n: 2\n", "line 3: l[0].n: this field is here twice"),
    "the second document is named": ("a: 1\n---\nb: 1\nb: 2\n", "x.yaml, document 2, line 4: b"),
    "no YAML": ("a: [1\n", "x.yaml, line 2, column 1: not YAML"),
    "a tab": ("a:\n\t- 1\n", "x.yaml, line 2"),
    "a Python object": ("a: !!python/object:os.system {}\n", "a: the tag !!python/object:os.system is not supported"),
    "a tag of one's own": ("a: !secret x\n", "a: the tag !secret is not supported"),
    "a set": ("a: !!set {x}\n", "the tag !!set is not supported"),
    "binary": ("a: !!binary aGk=\n", "the tag !!binary is not supported"),
    "infinity": ("a: .inf\n", "a: .inf is no number that JSON has"),
    "a key that is a list": ("? [a]\n: 1\n", "a key must be a text"),
    "an alias of itself": ("a: &x\n  b: *x\n", "nested deeper than 64 levels, or an alias that contains itself"),
    "an unknown alias": ("a: *x\n", "line 1, column 4: not YAML"),
    "a merge of a text": ("a:\n  <<: x\n", "<< takes a map or a list of maps"),
    "a control character": ("a: \x01\n", "x.yaml: not YAML"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_nobody_means_is_refused_with_its_place(name: str) -> None:
    text, words = REFUSED[name]
    assert words in refuse(text)


def test_aliases_that_blow_up_are_refused_before_they_do() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert f"more than {MAX_VALUES} values" in refuse("\n".join(lines))


def test_merges_that_blow_up_are_refused_before_they_do() -> None:
    lines = ["a0: &a0 {k: 1}"] + [f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 40)]
    assert "more than" in refuse("\n".join(lines))


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " + "{b: " * 100_000, "- " * 100_000])
def test_deep_nesting_is_refused_and_not_a_crash(text: str) -> None:
    assert "x.yaml" in refuse(text)


def test_lines_of_every_field_are_known() -> None:
    parsed = next(iter(parse_yaml("a:\n  b:\n  - c: 1\n    d: 2\n", "x.yaml")))
    assert parsed.lines == {"": 1, "a": 1, "a.b": 2, "a.b[0]": 3, "a.b[0].c": 3, "a.b[0].d": 4}
