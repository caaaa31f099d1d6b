"""Golden manifests, one per mode; see the conftest of all providers."""

from collections.abc import Callable
from pathlib import Path

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.yaml"))


def test_renders_the_golden_objects(golden: Path, check_golden: Callable[[Path], None]) -> None:
    check_golden(golden)


def test_renders_the_same_bytes_each_time(golden: Path, check_stable: Callable[[Path], None]) -> None:
    check_stable(golden)


def test_there_is_a_golden_file_for_every_mode() -> None:
    assert len(GOLDEN) >= 8
