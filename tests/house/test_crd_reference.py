"""docs/crd-reference.md is generated, and tells every field, rule and column."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeairunway.model.crd import DEPLOYMENT_RULES, PROVIDER_CONFIG_RULES, crd_documents
from kubeairunway.model.crd_reference import crd_reference

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs" / "crd-reference.md"


def test_the_page_is_what_the_schema_generates() -> None:
    assert PAGE.read_text(encoding="utf-8") == crd_reference(), "run python -m kubeairunway.model"


def test_the_page_has_a_row_for_every_field() -> None:
    rows = [line.split("`")[1] for line in crd_reference().splitlines() if line.startswith("| `")]
    for crd in crd_documents():
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        for part in ("spec", "status"):
            assert set(field_paths(schema["properties"][part], part)) <= set(rows)


def field_paths(schema: dict[str, Any], path: str) -> Iterator[str]:
    yield path
    below = schema.get("items", schema)
    prefix = f"{path}[]" if "items" in schema else path
    for name, field in below.get("properties", {}).items():
        yield from field_paths(field, f"{prefix}.{name}")


def test_the_page_has_the_message_of_every_rule() -> None:
    page = crd_reference()
    for rule in (*DEPLOYMENT_RULES, *PROVIDER_CONFIG_RULES):
        assert rule.message.replace("|", "\\|") in page


def test_every_table_row_has_the_cells_of_its_head() -> None:
    width = 0
    for line in crd_reference().splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        cells = line.replace("\\|", "").count("|") - 1
        width = width or cells
        assert cells == width, line
