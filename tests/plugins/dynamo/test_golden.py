"""Golden manifests per engine, mode and API version; see the conftest of all providers."""

from collections.abc import Callable
from pathlib import Path

import yaml

from kubeairunway_dynamo.catalog import GRAPH, PROVIDER

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.yaml"))


def test_renders_the_golden_objects(golden: Path, check_golden: Callable[[Path], None]) -> None:
    check_golden(golden)


def test_renders_the_same_bytes_each_time(golden: Path, check_stable: Callable[[Path], None]) -> None:
    check_stable(golden)


def test_there_is_a_golden_file_for_every_engine_mode_and_version() -> None:
    found = set()
    for path in GOLDEN:
        raw = yaml.safe_load(path.read_text())["given"]
        mode = raw["spec"].get("serving", {}).get("mode", "aggregated")
        found.add((raw["spec"]["engine"]["type"], mode, raw["version"]))
    modes = [(engine.name, mode) for engine in PROVIDER.engines for mode in engine.modes]
    assert found == {(*row, version) for row in modes for version in GRAPH.versions}
