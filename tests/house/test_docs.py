"""The pages that describe commands name all of them, and links lead somewhere."""

import argparse
import re
from pathlib import Path

import pytest

from kubeairunway.cli.arguments import make_parser
from kubeairunway.cli.exit_codes import ExitCode
from kubeairunway.runtime.settings import OPTIONS

ROOT = Path(__file__).parents[2]
CLI = ROOT / "docs" / "cli.md"
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / part / "README.md" for part in ("core", "dev"))]
)


def list_commands() -> dict[str, argparse.ArgumentParser]:
    for action in make_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = {f"{name} {word}": made for name, one in action.choices.items() for word, made in one.below.items()}
            return {**action.choices, **below}
    raise AssertionError("the parser has no commands")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("command", list_commands())
def test_the_page_on_the_command_line_has_every_command_and_option(command: str) -> None:
    text = CLI.read_text(encoding="utf-8")
    section = re.search(rf"^## `kubeairunway {command}.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section is not None
    flags = [flag for action in list_commands()[command]._actions for flag in action.option_strings]
    assert [flag for flag in flags if f"`{flag}" not in section[0] and flag not in {"-h", "--help"}] == []


def test_the_page_on_the_command_line_has_no_option_that_is_gone() -> None:
    known = {
        flag for parser in list_commands().values() for action in parser._actions for flag in action.option_strings
    }
    text = CLI.read_text(encoding="utf-8")
    assert set(re.findall(r"`(--[a-z-]+)", text)) - known == set()


def test_the_page_on_the_command_line_has_every_variable() -> None:
    text = CLI.read_text(encoding="utf-8")
    assert [option.variable for option in OPTIONS if f"`{option.variable}`" not in text] == []


def test_the_page_on_the_command_line_has_every_exit_code() -> None:
    text = CLI.read_text(encoding="utf-8")
    assert [code for code in ExitCode if not re.search(rf"^\| {code.value} +\|", text, re.MULTILINE)] == []


def test_the_front_page_names_every_command() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [command for command in list_commands() if command.partition(" ")[0] not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", page.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", text)
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_that_pages_name_exist(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"^ *(?:\$ )?make ([a-z]+)\b", page.read_text(encoding="utf-8"), re.MULTILINE))
    named |= set(re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8")))
    assert [target for target in named if f"\n{target}:" not in makefile] == []
