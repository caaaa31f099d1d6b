"""Golden manifests, one per mode and more; see the conftest of all providers."""

from collections.abc import Callable
from pathlib import Path

import yaml

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.yaml"))


def test_renders_the_golden_objects(golden: Path, check_golden: Callable[[Path], None]) -> None:
    check_golden(golden)


def test_renders_the_same_bytes_each_time(golden: Path, check_stable: Callable[[Path], None]) -> None:
    check_stable(golden)


def test_both_modes_have_golden_files() -> None:
    modes = {
        yaml.safe_load(path.read_text())["given"]["spec"].get("serving", {}).get("mode", "aggregated")
        for path in GOLDEN
    }
    assert modes == {"aggregated", "disaggregated"}
    assert len(GOLDEN) >= 5
