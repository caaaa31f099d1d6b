"""How results are printed: aligned tables for people, YAML and JSON for programs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


WIDTH = 100
"""Columns of text for people."""


def write(text: str) -> None:
    """Write to standard output, ending with a newline; what a terminal cannot show is escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    shown = text.encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(shown if shown.endswith("\n") else f"{shown}\n")


def note(text: str) -> None:
    """Write a remark to standard error, so that it is not in the way of a pipe."""
    sys.stderr.write(f"kubeairunway: {text}\n")


def format_json(value: Any) -> str:  # noqa: ANN401 - JSON of any shape
    """Return indented JSON, keys in the order given."""
    import json  # noqa: PLC0415 - only who prints JSON pays

    return json.dumps(value, indent=2, ensure_ascii=False)


def format_yaml(values: Sequence[Any]) -> str:
    """Return a stream of YAML documents, keys in the order given."""
    import yaml  # noqa: PLC0415 - only who prints YAML pays

    class Plain(yaml.SafeDumper):
        """Writes a value that occurs twice in whole: anchors are hard to read."""

        def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - yaml's own signature
            return True

    texts = [yaml.dump(value, Dumper=Plain, sort_keys=False, allow_unicode=True, width=120) for value in values]
    return "---\n".join(texts)


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return aligned columns, two spaces apart; the last one is not padded."""
    lines = [tuple(header), *(tuple(_one_line(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def format_values(values: Sequence[Any], style: str) -> str:
    """Return values as YAML documents, or as JSON: one value as it is, several as a list."""
    if style == "yaml":
        return format_yaml(values)
    return format_json(values[0] if len(values) == 1 else list(values))


def wrap_line(line: str) -> list[str]:
    """Return the line in pieces of at most `WIDTH`, the later ones indented below it; words are never broken."""
    if len(line) <= WIDTH:
        return [line]
    import textwrap  # noqa: PLC0415 - only who prints long lines pays

    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())
