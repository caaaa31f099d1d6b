"""What the tests of every provider share: golden manifests, each a spec and the objects that it is rendered as.

KUBEAIRUNWAY_REGENERATE_GOLDEN=1 writes the objects anew. A provider's conftest gives `given` (from what a file has
under "given" to a request) and `objects_of` (from a request to its objects).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubeairunway.plugin import Request

    Given = Callable[[Mapping[str, Any]], Request]
    ObjectsOf = Callable[[Request], list[dict[str, Any]]]

RENDERS = 20


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `golden` once for each golden file of its provider."""
    if "golden" in metafunc.fixturenames:
        paths = sorted((Path(metafunc.module.__file__).parent / "golden").glob("*.yaml"))
        metafunc.parametrize("golden", paths, ids=lambda path: path.stem)


@pytest.fixture
def check_golden(given: Given, objects_of: ObjectsOf) -> Callable[[Path], None]:
    """Compare what is rendered with what a golden file has, or write it."""

    def check(path: Path) -> None:
        golden = yaml.safe_load(path.read_text())
        objects = objects_of(given(golden["given"]))
        if os.environ.get("KUBEAIRUNWAY_REGENERATE_GOLDEN"):
            path.write_text(_dump({"given": golden["given"], "objects": objects}))
        else:
            assert objects == golden["objects"]

    return check


@pytest.fixture
def check_stable(given: Given, objects_of: ObjectsOf) -> Callable[[Path], None]:
    """Render a golden file's spec many times, its maps in both orders, and compare the bytes."""

    def check(path: Path) -> None:
        raw = yaml.safe_load(path.read_text())["given"]
        texts = {
            json.dumps(objects_of(given(spec)), sort_keys=True)
            for spec in (raw, _reverse_maps(raw))
            for _ in range(RENDERS)
        }
        assert len(texts) == 1

    return check


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they read."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None),
)


def _dump(value: Any) -> str:
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _reverse_maps(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reverse_maps(value[key]) for key in reversed(value)}
    return [_reverse_maps(item) for item in value] if isinstance(value, list) else value
