"""docs/observability.md lists every metric and event there is, and no other."""

import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from kubeairunway.model.reasons import EventReason
from kubeairunway.runtime.telemetry import Telemetry

PAGE = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
DEPLOYMENT = {"metadata": {"name": "m", "namespace": "n"}, "status": {"phase": "Running"}}


def rows(title: str) -> list[list[str]]:
    section = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.fixture(scope="module")
def exposed() -> dict[str, str]:
    telemetry = Telemetry(lambda: [DEPLOYMENT])
    telemetry.selected("acme", "auto")
    text = telemetry.render().decode()
    found = {}
    for family in text_string_to_metric_families(text):
        counted = family.type == "counter" and f"{family.name}_total" in text
        found[family.name + "_total" * counted] = family.type
    return {name: kind for name, kind in found.items() if name.startswith("kubeairunway_")}


def test_every_metric_is_on_the_page_with_its_type(exposed: dict[str, str]) -> None:
    listed = {row[0].strip("`"): row[1] for row in rows("Metrics")}
    assert listed == exposed


def test_every_event_is_on_the_page() -> None:
    assert [row[0].strip("`") for row in rows("Events")] == [reason.value for reason in EventReason]
