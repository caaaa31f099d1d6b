"""Provider packages as they lie in the checkout: how long they are, and how long the contract's rules take."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kubeairunway_dev.standins import CRDS

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).parents[2]
FIXTURES: Final = ROOT / "tests" / "contract" / "fixtures"
TEMPLATE: Final = ROOT / "examples" / "provider-template"


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of Python."""

    physical: int
    code: int
    """Neither blank nor comment; docstrings count."""


def count_lines(files: Iterable[Path]) -> Lines:
    """Count the lines of some files."""
    lines = [line.strip() for path in files for line in path.read_text().splitlines()]
    return Lines(len(lines), sum(bool(line) and not line.startswith("#") for line in lines))


def list_sources(provider: str) -> list[Path]:
    """The Python files of a shipped provider that are no tests."""
    return sorted((ROOT / "plugins" / provider / "src").rglob("*.py"))


def list_template() -> list[Path]:
    """The Python files of the provider template, its test among them; none where there is no template."""
    return sorted(TEMPLATE.rglob("*.py"))


@dataclass(frozen=True, slots=True)
class Check:
    """One run of `kubeairunway providers check`."""

    seconds: float
    remarks: list[str]
    """What it says of broken rules, notes, and the summary."""


def choose_crds() -> Path:
    """The CRDs to check against: upstream's own where they are at hand, which are longer, else the stand-ins'."""
    given = os.environ.get("KUBEAIRUNWAY_UPSTREAM_CRDS")
    return (ROOT / given).resolve() if given else CRDS


async def check_provider(provider: str) -> Check:
    """Hold a provider to the contract as its author would: a process of its own, from start to exit."""
    program = Path(sys.executable).with_name("kubeairunway")
    fixtures = FIXTURES / provider
    recorded = ["--fixtures", str(fixtures)] if fixtures.is_dir() else []
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        program,
        "providers",
        "check",
        provider,
        "--crds",
        str(choose_crds()),
        *recorded,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    lines = [line.strip() for line in output.decode().splitlines()]
    remarks = [line for line in lines[:-1] if line.startswith(("FAIL", "note:"))]
    return Check(time.monotonic() - began, [*remarks, *lines[-1:]])
