"""Total reads of objects that others wrote: what is missing, null or of another type reads as empty."""

from collections.abc import Iterator, Mapping
from typing import Any

from kubeairunway.objects.quantities import parse_quantity
from kubeairunway.plugin import View

MAX_WORDS = 500
"""Characters that one message quotes from somebody else."""


def read_rows(obj: Mapping[str, Any], path: str) -> Iterator[Mapping[str, Any]]:
    """The mappings in the list at a dotted path."""
    rows: list[Any] = View(obj).get(path, [])
    return (row for row in rows if isinstance(row, Mapping))


def read_text(obj: Mapping[str, Any], path: str) -> str:
    """The text at a dotted path."""
    return View(obj).get(path, "")


def read_number(obj: Mapping[str, Any], path: str) -> int:
    """The integer at a dotted path; 0 if there is none."""
    return View(obj).get(path, 0)


def read_map(obj: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """The mapping at a dotted path."""
    return View(obj).get(path, {})


def read_count(value: object) -> int:
    """A quantity as a whole number, such as of GPUs; 0 if it is none."""
    found = parse_quantity(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    return int(found) if found is not None else 0


def quote(text: str, limit: int = MAX_WORDS) -> str:
    """Somebody else's words in one line, cut, without control characters."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def quote_end(text: str, limit: int = MAX_WORDS) -> str:
    """The last words of a longer text, in one line: what a program said before it ended."""
    line = quote(text[-4 * limit :], 4 * limit)
    return line if len(line) <= limit else f"…{line[-limit + 1 :]}"
