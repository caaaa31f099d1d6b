"""Golden manifests, one per mode and more. KUBEAIRUNWAY_REGENERATE_GOLDEN=1 writes their objects anew."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeairunway.plugin import Request

GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.yaml"))
RENDERS = 20


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_renders_the_golden_objects(
    path: Path, given: Callable[[Mapping[str, Any]], Request], objects_of: Callable[[Request], list[dict[str, Any]]]
) -> None:
    golden = yaml.safe_load(path.read_text())
    objects = objects_of(given(golden["given"]))
    if os.environ.get("KUBEAIRUNWAY_REGENERATE_GOLDEN"):
        path.write_text(_dump({"given": golden["given"], "objects": objects}))
    else:
        assert objects == golden["objects"]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_renders_the_same_bytes_each_time(
    path: Path, given: Callable[[Mapping[str, Any]], Request], objects_of: Callable[[Request], list[dict[str, Any]]]
) -> None:
    raw = yaml.safe_load(path.read_text())["given"]
    texts = {
        json.dumps(objects_of(given(spec)), sort_keys=True)
        for spec in (raw, _reverse_maps(raw))
        for _ in range(RENDERS)
    }
    assert len(texts) == 1


def test_both_modes_have_golden_files() -> None:
    modes = {
        yaml.safe_load(path.read_text())["given"]["spec"].get("serving", {}).get("mode", "aggregated")
        for path in GOLDEN
    }
    assert modes == {"aggregated", "disaggregated"}
    assert len(GOLDEN) >= 5


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
