"""Whether a text reaches whoever reads an object."""

from typing import Any

import pytest

from kubeairunway.testing.conformance.leaves import holds_text, remove_at, replace_at, set_path, spell_path

HOLDS: dict[str, tuple[Any, str, bool]] = {
    "as it is": ({"args": ["--note=a b"]}, "a b", True),
    "nowhere": ({"args": ["--note=ab"]}, "a b", False),
    "quoted for a shell": ({"command": ["sh", "-c", "serve --note='it'\"'\"'s'"]}, "it's", True),
    "with a doubled dollar": ({"args": ["--note=$$HOME"]}, "$HOME", True),
    "quoted in YAML": ({"data": {"a.yaml": 'note: "key: value"\n'}}, "key: value", True),
    "unquoted in YAML": ({"data": {"a.yaml": "- note=key: value\n"}}, "note=key: value", False),
    "a word that YAML takes for another": ({"data": {"a.yaml": "note: 012\n"}}, "012", False),
    "in a file that is no YAML": ({"data": {"a.yaml": "note: [a\n"}}, "a", False),
    "escaped in JSON": ({"data": {"a.json": '["\\ud83d\\ude80"]'}}, "\U0001f680", True),
    "a number": ({"data": {"a.json": '{"note": 1000.0}'}}, "1e3", True),
    "another number": ({"data": {"a.json": '{"note": 1001.0}'}}, "1e3", False),
    "a document in a field": ({"spec": {"config": '{"note": "caf\\u00e9"}'}}, "caf\u00e9", True),
}


@pytest.mark.parametrize("name", HOLDS)
def test_a_text_is_found_where_it_is_read(name: str) -> None:
    value, text, there = HOLDS[name]
    assert holds_text(value, text) is there


def test_paths_are_spelled_set_and_left_out_in_copies() -> None:
    value = {"a": [{"b": 1}, {"b": 2}]}
    assert spell_path(("a", 1, "b")) == "a[1].b"
    assert replace_at(value, ("a", 1, "b"), None) == {"a": [{"b": 1}, {"b": None}]}
    assert remove_at(value, ("a", 0)) == {"a": [{"b": 2}]}
    assert remove_at(value, ("a", 0, "b")) == {"a": [{}, {"b": 2}]}
    assert set_path({"a": 1}, "a.b.c", 2) == {"a": {"b": {"c": 2}}}
    assert value == {"a": [{"b": 1}, {"b": 2}]}
