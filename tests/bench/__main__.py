"""`make bench`: run the measurements and print them with the goals beside them."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

from tests.bench.burst_figures import SIZES, print_bursts
from tests.bench.provider_figures import (
    MEMORY_SIZES,
    print_conformance,
    print_latency,
    print_lines,
    print_memory,
    print_requests,
)
from tests.bench.report import Report
from tests.bench.targets import TARGETS

from kubeairunway.model import names

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

PARTS = {
    "lines": print_lines,
    "conformance": print_conformance,
    "burst": print_bursts,
    "latency": print_latency,
    "requests": print_requests,
    "memory": print_memory,
}


def main() -> int:
    """Measure and print; exit code 1 if a goal that is a ratio or a count is missed."""
    options = _parse()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        asyncio.run(_measure(report, options, Path(folder) / "controller.log"))
    if options.json:
        options.json.write_text(json.dumps(report.figures, indent=2) + "\n")
    return report.finish()


async def _measure(report: Report, options: argparse.Namespace, log: Path) -> None:
    for name in options.only:
        await PARTS[name](report, options, log)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=main.__doc__)
    parser.add_argument(
        "--only", type=_names_of(PARTS), default=list(PARTS), metavar="PARTS", help=_list("parts", PARTS)
    )
    parser.add_argument(
        "--providers", type=_names_of(TARGETS), default=list(TARGETS), metavar="NAMES", help=_list("providers", TARGETS)
    )
    bursts, memory = (",".join(map(str, sizes)) for sizes in (SIZES, MEMORY_SIZES))
    parser.add_argument(
        "--sizes",
        type=_read_sizes,
        help=f"deployments, of a burst and in memory, comma-separated (bursts {bursts}; memory {memory})",
    )
    parser.add_argument("--each", type=int, help="deployments of each provider (latency 100, requests 20)")
    parser.add_argument("--rounds", type=int, default=2, help="pairs of burst and raw writes (%(default)s)")
    parser.add_argument("--idle", type=float, default=60.0, help="seconds of idleness to count (%(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    if missing := sorted(set(options.providers) - entry_points(group=names.PROVIDER_GROUP).names):
        parser.error(f"not installed: {', '.join(missing)}")
    return options


def _list(what: str, known: Collection[str]) -> str:
    return f"{what} to measure, comma-separated (all: {','.join(known)})"


def _read_sizes(text: str) -> list[int]:
    return [int(size) for size in text.split(",")]


def _names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    def read(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := sorted(set(chosen) - set(known)):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
        return [name for name in known if name in chosen]

    return read


if __name__ == "__main__":
    sys.exit(main())
