"""Texts that get lost between a spec and an object: YAML's words, scripts, marks that nobody sees, quotes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TRICKY: Final[Mapping[str, str]] = MappingProxyType(
    {
        "right to left": "\u05e9\u05dc\u05d5\u05dd",
        "an override of direction": "ab\u202edc\u202c",
        "composed letters": "caf\u00e9",
        "combining marks": "cafe\u0301",
        "an emoji": "\U0001f680",
        "a joined emoji": "\U0001f469\u200d\U0001f4bb",
        "a space of no width": "a\u200bb",
        "without that space": "ab",
        "a space that does not break": "a\u00a0b",
        "a plain space": "a b",
        "a line separator": "a\u2028b",
        "a next-line mark": "a\u0085b",
        "a byte order mark": "\ufeffab",
        "capital sharp s": "STRA\u1e9eE",
        "full-width digits": "\uff11\uff12",
        "digits": "12",
        "YAML's yes": "yes",
        "YAML's no": "no",
        "YAML's null": "null",
        "YAML's other null": "~",
        "true": "true",
        "a number with an exponent": "1e3",
        "the number it stands for": "1000",
        "an octal number": "012",
        "a hexadecimal number": "0x1F",
        "a number with underscores": "1_000",
        "a time": "12:30:45",
        "a date": "2001-01-01",
        "a colon and a space": "key: value",
        "a comment": "a # b",
        "a dash": "- a",
        "a brace": "{a: b}",
        "an anchor": "&a *b !!int 1",
        "a double quote": 'say "hi"',
        "a single quote": "it's",
        "a backslash": "a\\nb",
        "a newline": "a\nb",
        "a newline at the end": "ab\n",
        "a blank at the end": "ab ",
        "a blank in front": " ab",
        "a tab": "a\tb",
        "a carriage return": "a\rb",
        "a variable": "$HOME ${HOME}",
        "a command": "`id` $(id); id && id",
        "a percent sign": "100%s %(a)s",
        "a template": "{{ .Values.a }}",
        "a comma and an equals sign": "a=b,c=d",
    }
)
"""By what is special about each. No two of them mean the same, so no two may end in the same object."""

TRICKY_LABELS: Final = (
    "yes",
    "no",
    "null",
    "true",
    "True",
    "1e3",
    "1000",
    "012",
    "12",
    "0x1F",
    "1_000",
    "1.0",
    "1",
    "A.b-C",
)
"""The same, of the letters that the value of a label may have."""
