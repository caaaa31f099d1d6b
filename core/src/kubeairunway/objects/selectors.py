"""Label selectors as texts ("app=model,role in (head, worker),!old"): reading one, and matching labels with it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache


class Operator(StrEnum):
    """How a requirement compares a label."""

    IN = "in"
    NOT_IN = "notin"
    EXISTS = "exists"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a selector; equality is membership in one value."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    @property
    def needs_key(self) -> bool:
        """Whether only objects that have the label can match."""
        return self.operator in {Operator.IN, Operator.EXISTS}

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether labels meet this requirement, by Kubernetes' rules: an absent label is not in any set."""
        value = labels.get(self.key)
        if self.operator is Operator.IN:
            return value in self.values
        if self.operator is Operator.NOT_IN:
            return value not in self.values
        return (value is not None) is (self.operator is Operator.EXISTS)


Selector = tuple[Requirement, ...]

_TERM = re.compile(r"(?:[^,(]|\([^)]*\))+")
_SET = re.compile(r"(\S+)\s+(in|notin)\s+\(([^)]*)\)")
_EQUAL = re.compile(r"([^=!\s]+)\s*(!=|==?)\s*(\S*)")


@lru_cache(maxsize=4096)
def parse_selector(text: str) -> Selector:
    """The requirements of a selector, in its order. Terms that are none are left out: the text was checked before."""
    return tuple(_read_terms(text))


def _read_terms(text: str) -> Iterator[Requirement]:
    for found in _TERM.finditer(text):
        term = found[0].strip()
        if match := _SET.fullmatch(term):
            operator = Operator.IN if match[2] == "in" else Operator.NOT_IN
            yield Requirement(match[1], operator, frozenset(value.strip() for value in match[3].split(",")))
        elif match := _EQUAL.fullmatch(term):
            yield Requirement(match[1], Operator.NOT_IN if match[2] == "!=" else Operator.IN, frozenset({match[3]}))
        elif term.startswith("!") and term[1:].strip():
            yield Requirement(term[1:].strip(), Operator.ABSENT)
        elif term and " " not in term:
            yield Requirement(term, Operator.EXISTS)


def find_key(selector: Selector) -> str:
    """The first label that every match has; empty if the selector asks for none."""
    return next((requirement.key for requirement in selector if requirement.needs_key), "")


def selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether labels meet every requirement; a selector without one selects nothing here."""
    return bool(selector) and all(requirement.matches(labels) for requirement in selector)
