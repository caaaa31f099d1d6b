"""What discovery says of installed packages before anything is imported."""

import subprocess
import sys

import pytest

from kubeairunway.plugin.discovery import find_candidates, read_disabled, split_names, wrap_modules

LISTS = {"": set(), "a": {"a"}, " a , b ,": {"a", "b"}, ",,": set(), "a,a": {"a"}}


@pytest.mark.parametrize("text", LISTS)
def test_names_are_separated_by_commas_and_blanks_do_not_count(text: str) -> None:
    assert split_names(text) == LISTS[text]


def test_the_environment_switches_providers_off() -> None:
    assert read_disabled({"KUBEAIRUNWAY_DISABLE_PROVIDERS": "kaito, dynamo"}) == {"kaito", "dynamo"}
    assert read_disabled({}) == frozenset()


def test_candidates_are_sorted_whatever_the_order_of_the_path() -> None:
    names = [candidate.name for candidate in find_candidates("console_scripts")]
    assert names == sorted(set(names))
    assert len(names) > 5


def test_a_candidate_knows_its_distribution_and_version() -> None:
    found = {candidate.name: candidate for candidate in find_candidates("pytest11")}
    assert found["asyncio"].distribution == "pytest-asyncio"
    assert found["asyncio"].version.count(".") == 2


def test_objects_at_hand_are_candidates_too() -> None:
    found = wrap_modules({"b": sys, "a": object()})
    assert [(candidate.name, candidate.module) for candidate in found] == [("a", "object"), ("b", "sys")]
    assert found[1].load() is sys


def test_what_a_provider_imports_does_not_pull_in_the_machinery_of_the_core() -> None:
    code = (
        "import sys, kubeairunway.plugin, kubeairunway.plugin.typed, kubeairunway.plugin.calls;"
        "print(*[name for name in ('asyncio', 'stevedore', 'kubeairunway.plugin.guard',"
        "'kubeairunway.plugin.registry', 'kubeairunway.plugin.discovery') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)  # noqa: S603 - our own code
    assert out.stdout.split() == []
