"""What may stand in the repository, and what must."""

import re
import stat
from pathlib import Path
from typing import Any

import pytest

import kubeairunway.plugin
import kubeairunway.testing

ROOT = Path(__file__).parents[2]

PUBLIC_PLUGIN = [
    "CONFIG_MAP",
    "CONTRACT",
    "SERVICE",
    "Bid",
    "Engine",
    "EngineName",
    "Hooks",
    "Kind",
    "Manifest",
    "Observed",
    "Peer",
    "Policy",
    "PolicyHooks",
    "Problem",
    "Provider",
    "Rendering",
    "Report",
    "Request",
    "Rule",
    "ServingMode",
    "Spec",
    "State",
    "View",
    "count_gpus",
    "hookimpl",
    "hookspec",
]
"""The contract: a name may be added, but taking one away breaks every provider that uses it."""

HOSTS = {
    "acme.dev",
    "docs.nvidia.com",
    "docs.ray.io",
    "docs.vllm.ai",
    "example.com",
    "github.com",
    "kaito-project.github.io",
    "keepachangelog.com",
    "kubeairunway.ai",
    "kubernetes.default.svc",
    "kubernetes.io",
    "kwok.sigs.k8s.io",
    "semver.org",
    "www.apache.org",
    "x",
}
"""Every host that an address in the repository may name: nothing here depends on the place where it was written."""

ADDRESS = re.compile(r"https?://\[?([A-Za-z0-9.-]+)")
NOBODY = re.compile(r"localhost|[\w.-]+\.(example|invalid|test)|[\d.]+|[0-9a-f]{0,4}")
"""Names and numbers that are reserved, or those of a test."""
MACHINE_PATH = re.compile(r"(?<![\w.}])/(?:home/(?!me/)\w|Users/\w|root/|work/|tmp/)")
TEXT = {".md", ".py", ".toml", ".yaml", ".yml", ".go", ".mod", ".txt", ".json", ".cfg", ""}


def read_texts(files: list[Path]) -> dict[str, str]:
    mine = Path(__file__)
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in files
        if path.suffix in TEXT and path != mine
    }


def test_the_contract_has_these_names() -> None:
    assert kubeairunway.plugin.__all__ == PUBLIC_PLUGIN
    assert [name for name in PUBLIC_PLUGIN if not hasattr(kubeairunway.plugin, name)] == []


def test_the_kit_for_authors_has_these_names() -> None:
    assert kubeairunway.testing.__all__ == ["Observation", "OfflineDecision", "admit", "deployment"]


def test_no_file_names_a_path_of_some_machine(files: list[Path]) -> None:
    found = {name: MACHINE_PATH.findall(text) for name, text in read_texts(files).items()}
    assert {name: hits for name, hits in found.items() if hits} == {}


def test_addresses_name_known_hosts_only(files: list[Path]) -> None:
    found = {
        name: {host for host in ADDRESS.findall(text) if host not in HOSTS and not NOBODY.fullmatch(host)}
        for name, text in read_texts(files).items()
    }
    assert {name: hosts for name, hosts in found.items() if hosts} == {}


def test_nothing_built_or_cached_is_in_the_repository(files: list[Path]) -> None:
    unwanted = {"__pycache__", "dist", ".venv", "node_modules", ".mypy_cache", ".ruff_cache"}
    assert [path for path in files if unwanted & set(path.relative_to(ROOT).parts)] == []


def test_no_file_is_huge(files: list[Path]) -> None:
    limit = 256 * 1024
    assert {path.name: path.stat().st_size for path in files if path.stat().st_size > limit} == {}


def test_text_ends_with_a_newline_and_has_no_carriage_returns(files: list[Path]) -> None:
    texts = read_texts(files)
    assert [name for name, text in texts.items() if text and not text.endswith("\n")] == []
    assert [name for name, text in texts.items() if "\r" in text] == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "STYLE.md", "CHANGELOG.md", "SECURITY.md", "LICENSE"])
def test_the_files_that_every_project_has_are_there(name: str) -> None:
    assert len((ROOT / name).read_text(encoding="utf-8").split()) > 50


def test_the_changelog_has_an_unreleased_section() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert headings[0] == "Unreleased"


def test_ci_and_pre_commit_run_what_make_runs() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    text = script.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert "make test" in text
    assert "entry: make lint" in (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")


def test_make_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert phony is not None
    assert set(re.findall(r"^([a-z]+):.*## ", text, re.MULTILINE)) == set(phony[1].split())


def test_make_calls_tasks_that_hatch_has(hatch: dict[str, Any]) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    called = re.findall(r"\$\(HATCH\) run ([\w-]+):([\w-]+)", text)
    assert called
    assert [(env, task) for env, task in called if task not in hatch["envs"][env]["scripts"]] == []
