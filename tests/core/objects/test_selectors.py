"""Label selectors by Kubernetes' rules."""

from __future__ import annotations

import pytest

from kubeairunway.objects.selectors import find_key, parse_selector, selects

LABELS = {"app": "llm", "role": "head", "empty": ""}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("app=llm", True),
        ("app==llm", True),
        ("app = llm", True),
        ("app=other", False),
        ("empty=", True),
        ("app=", False),
        ("app=llm,role=head", True),
        ("app=llm,role=tail", False),
        ("app!=other", True),
        ("app!=llm", False),
        ("absent!=x", True),
        ("role in (head, worker)", True),
        ("role in (worker)", False),
        ("absent in (x)", False),
        ("role notin (worker,tail)", True),
        ("role notin (head)", False),
        ("absent notin (x)", True),
        ("app", True),
        ("absent", False),
        ("!absent", True),
        ("!app", False),
        ("role in (head,worker), app=llm , !absent", True),
        ("acme.dev/server=x", False),
        ("", False),
    ],
)
def test_a_selector_matches_as_in_kubernetes(text: str, matches: bool) -> None:  # noqa: FBT001 - the expected verdict
    assert selects(parse_selector(text), LABELS) is matches


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("app=llm,role=head", "app"),
        ("!old,x!=1,y notin (2),acme.dev/server in (a,b),app", "acme.dev/server"),
        ("app", "app"),
        ("!app", ""),
        ("", ""),
    ],
)
def test_pods_are_watched_by_the_first_label_that_each_match_has(text: str, key: str) -> None:
    assert find_key(parse_selector(text)) == key
