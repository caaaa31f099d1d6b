"""docs/providers.md: its examples and tables are current, and each cell of the table of fields is true."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from kubeairunway.errors import SettingsError
from kubeairunway.testing.conformance import Subject
from kubeairunway.testing.conformance.subject import Case, Varied
from kubeairunway.testing.provider_tables import CARRIED, REFUSED, list_fields, rewrite_page
from kubeairunway_dev.page_examples import SHIPPED, count_examples, rewrite_examples

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "providers.md").read_text(encoding="utf-8")
CLI = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
ENGINES = {"vLLM": "vllm", "SGLang": "sglang", "TensorRT-LLM": "trtllm", "llama.cpp": "llamacpp"}


def read_cells() -> dict[tuple[str, str], str]:
    """The table of fields as the page has it, by column and field."""
    section = PAGE.partition("### Fields\n")[2].partition("\n### ")[0]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")
    ]
    return {(column, row[0].strip("`")): cell for row in rows for column, cell in zip(head[1:], row[1:], strict=True)}


IMAGES = ("registry.example/engine:1.4.0", "registry.example/engine:2.55.0")
"""Images whose tags are versions of Dynamo and of Ray."""
CELLS = read_cells()
COLUMNS = sorted({column for column, _ in CELLS})


@cache
def subject_of(name: str) -> Subject:
    return Subject(target=name)


@pytest.fixture(scope="module", autouse=True)
def _end_threads() -> Iterator[None]:
    yield
    for name in SHIPPED:
        subject_of(name).registry.close()


def cases_of(column: str) -> tuple[Subject, list[Case]]:
    """A column's engine and mode, in every world in which it renders something else."""
    provider, _, rest = column.partition(" ")
    mode = "disaggregated" if rest.endswith(" apart") else "aggregated"
    engine = ENGINES[rest.removesuffix(" apart")]
    subject = subject_of(provider)
    found = [case for case, _ in subject.rendered if (case.engine.name, case.mode) == (engine, mode)]
    return subject, found


def rows_of(column: str) -> Iterator[tuple[Case, Mapping[str, list[Varied]]]]:
    """Each field varied, by field, for each case of a column."""
    subject, cases = cases_of(column)
    for case in cases:
        found: dict[str, list[Varied]] = {}
        for row in subject.varied[case.title]:
            found.setdefault(row.change.path, []).append(row)
        yield case, found


def with_image(case: Case, row: Varied) -> Iterator[Varied]:
    """The same change on a spec that names an image, which some fields need beside them."""
    for image in IMAGES:
        base = case.base.change(image=image) if case.base else None
        if base is not None:
            yield Varied(row.change, base.change(**row.change.before), base.change(**row.change.after))


def shows(row: Varied) -> bool:
    """Whether a change is seen in what is rendered."""
    clean = not row.before.errors and not row.after.errors and bool(row.after.objects)
    return clean and row.before.objects != row.after.objects


def is_refused(row: Varied, field: str) -> bool:
    """Whether a problem names the field, or what it is a part of."""
    path = f"spec.{field}"
    return any(problem.path.startswith(path) or path.startswith(f"{problem.path}.") for problem in row.after.errors)


def test_the_tables_are_current() -> None:
    assert rewrite_page(PAGE) == PAGE


@pytest.mark.parametrize(("page", "least"), [(PAGE, 7), (CLI, 1)], ids=["providers", "cli"])
def test_what_the_examples_print_is_what_the_program_prints(page: str, least: int) -> None:
    assert count_examples(page) >= least
    assert rewrite_examples(page) == page


def test_every_shipped_provider_is_on_the_page() -> None:
    assert {folder.name for folder in (ROOT / "plugins").iterdir() if folder.is_dir()} == set(SHIPPED)
    assert {column.partition(" ")[0] for column in COLUMNS} == set(SHIPPED)
    headings = re.findall(r"^### (.+)$", PAGE, re.MULTILINE)
    assert set(SHIPPED) <= set(headings)


def test_every_field_has_a_row_and_no_cell_says_anything_else() -> None:
    assert {field for _, field in CELLS} == set(list_fields())
    assert set(CELLS.values()) == {CARRIED, REFUSED}


def fields_with(column: str, cell: str) -> list[str]:
    return [field for (where, field), text in CELLS.items() if (where, text) == (column, cell)]


@pytest.mark.parametrize("column", COLUMNS)
def test_a_carried_field_is_seen_in_what_is_rendered_or_objected_to(column: str) -> None:
    seen = 0
    for case, found in rows_of(column):
        for field in fields_with(column, CARRIED):
            rows = found[field]
            shown = any(map(shows, rows)) or any(shows(other) for row in rows for other in with_image(case, row))
            assert shown or all(is_refused(row, field) for row in rows), f"{case.title}: {field}"
            seen += shown
    assert seen > 0


@pytest.mark.parametrize("column", COLUMNS)
def test_a_refused_field_is_refused_at_its_path(column: str) -> None:
    seen = 0
    for case, found in rows_of(column):
        for field in fields_with(column, REFUSED):
            assert [row.change.after for row in found[field] if not is_refused(row, field)] == [], (case.title, field)
            seen += 1
    assert seen > 0


def test_a_page_without_markers_or_with_an_unknown_name_says_so() -> None:
    with pytest.raises(SettingsError, match="has no line <!-- tables of"):
        rewrite_page("# A page\n")
    with pytest.raises(SettingsError, match="provider nobody cannot be described: no package of that name"):
        rewrite_page("<!-- tables of kaito, nobody -->\n<!-- end of tables -->\n")


def test_what_stands_around_the_tables_stays() -> None:
    page = "before\n<!-- tables of vllm -->\nold\n<!-- end of tables -->\nafter\n"
    written = rewrite_page(page)
    assert written.startswith("before\n<!-- tables of vllm -->\n\n### Fields\n")
    assert written.endswith("\n<!-- end of tables -->\nafter\n")
    assert "old" not in written
    assert rewrite_page(written) == written
