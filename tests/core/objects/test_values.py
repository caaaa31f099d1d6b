from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType

import pytest

from kubeairunway.objects.conditions import Condition, find_condition, merge_conditions
from kubeairunway.objects.digests import digest
from kubeairunway.objects.quantities import parse_quantity
from kubeairunway.objects.times import format_time, parse_time

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = datetime(2026, 1, 2, 4, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", "1"),
        ("500m", "0.5"),
        ("1Gi", "1073741824"),
        ("1.5k", "1500"),
        ("1e3", "1000"),
        ("12E", "12e18"),
        (".5", "0.5"),
        ("-1", "-1"),
        ("100n", "1e-7"),
    ],
)
def test_quantities_are_numbers(text: str, number: str) -> None:
    assert parse_quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "Gi", "1 Gi", "1GB", "x", "1e", "0x1", "1e999"])
def test_other_texts_are_not(text: str) -> None:
    assert parse_quantity(text) is None


def test_a_transition_time_moves_only_when_the_status_does() -> None:
    first = merge_conditions([Condition("Ready", "False", "A", "x")], [], generation=1, now=NOW)
    same = merge_conditions([Condition("Ready", "False", "B", "y")], first, generation=2, now=LATER)
    assert same[0]["lastTransitionTime"] == format_time(NOW)
    assert (same[0]["reason"], same[0]["observedGeneration"]) == ("B", 2)
    moved = merge_conditions([Condition("Ready", "True", "C")], same, generation=2, now=LATER)
    assert moved[0]["lastTransitionTime"] == format_time(LATER)


def test_conditions_are_found_in_whatever_stands_there() -> None:
    assert find_condition([{"type": "A"}, "junk", {"type": "B", "x": 1}], "B") == {"type": "B", "x": 1}
    assert find_condition(None, "B") is None
    assert find_condition("AB", "A") is None


def test_a_digest_is_of_the_value_not_of_its_order() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest(MappingProxyType({"b": (1, 2), "a": 1}))
    assert digest({"a": 1}) != digest({"a": "1"})
    assert digest([1, 2]) != digest([2, 1])


def test_times_round_trip_and_junk_is_none() -> None:
    assert parse_time(format_time(NOW)) == NOW
    assert parse_time("2026-01-02T03:04:05") == NOW
    assert parse_time("soon") is None
    assert parse_time(5) is None
