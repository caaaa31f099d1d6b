"""docs/write-a-provider.md, followed to the letter: its commands run, its edits fit, its output is what is printed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from kubeairunway_dev.controlplane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PAGE = Path(__file__).parents[2] / "docs" / "write-a-provider.md"
KINDS = {"sh", "sh setup", "sh exit 1", "sh cluster", "sh later", "diff", "yaml", "text"}
SHIM = """\
#!{python}
import pathlib, sys, tomllib
assert sys.argv[1:] == ["install", "-e", ".[test]"], sys.argv
project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
info = pathlib.Path({site!r}) / f"{{project['name'].replace('-', '_')}}-{{project['version']}}.dist-info"
info.mkdir(parents=True)
head = f"Metadata-Version: 2.1\\nName: {{project['name']}}\\nVersion: {{project['version']}}\\n"
(info / "METADATA").write_text(head)
rows = project["entry-points"]["kubeairunway.providers"].items()
(info / "entry_points.txt").write_text("[kubeairunway.providers]\\n" + "".join(f"{{a}} = {{b}}\\n" for a, b in rows))
"""
"""Stands for `pip install -e`, with nothing fetched; the module is found by PYTHONPATH."""

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: what stands behind the fence, and what is in it."""

    kind: str
    text: str


def read_blocks() -> list[Block]:
    found = re.findall(r"^```(.+)\n((?:.*\n)*?)```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [Block(kind, text) for kind, text in found]


def apply_diff(folder: Path, text: str) -> None:
    """Make the edits of a block; each has to fit one place."""
    head, _, rest = text.partition("\n")
    file = folder / head.removeprefix("--- ")
    source = file.read_text()
    for hunk in rest.split("@@\n"):
        lines = [line if line.strip() else " \n" for line in hunk.splitlines(keepends=True)]
        old = "".join(line[1:] for line in lines if line[0] in " -")
        added = "".join(line[1:] for line in lines if line[0] in " +")
        assert source.count(old) == 1, f"{file.name} has {source.count(old)} times:\n{old}"
        source = source.replace(old, added)
    file.write_text(source)


class Reader:
    """Somebody who does what the page says, in a folder of his own."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        (home / "bin").mkdir()
        shim = home / "bin" / "pip"
        shim.write_text(SHIM.format(python=sys.executable, site=str(home / "site")))
        shim.chmod(0o755)
        self.folder = home
        self.printed = ""
        self._marker = home / "where"
        self.environment = {
            "PATH": f"{home / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(home),
            "PYTHONPATH": f"{home / 'site'}:{home / 'kubeairunway-acme' / 'src'}",
            "PYTEST_ADDOPTS": "-p no:asyncio -p no:cacheprovider",
            **environment,
        }

    def run(self, text: str, code: int = 0) -> None:
        """Run a block of commands where the last one ended, and remember what was printed."""
        script = f"set -e\ntrap 'pwd > {self._marker}' EXIT\n{text}"
        done = subprocess.run(  # noqa: S603 - the page's own
            ["/bin/bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )
        assert done.returncode == code, f"{text}{done.stdout}{done.stderr}"
        self.folder = Path(self._marker.read_text().strip())
        self.printed = done.stdout

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        if block.kind == "diff":
            apply_diff(self.folder, block.text)
        elif block.kind == "yaml":
            name, _, text = block.text.partition("\n")
            (self.folder / name.removeprefix("# ")).write_text(text)
        elif block.kind == "text":
            missing = [line for line in block.text.splitlines() if line not in self.printed]
            assert missing == [], self.printed
        elif block.kind in {"sh", "sh exit 1"}:
            self.run(block.text, int(block.kind == "sh exit 1"))


def test_every_block_is_of_a_kind_that_is_followed() -> None:
    blocks = read_blocks()
    assert {block.kind for block in blocks} == KINDS
    assert PAGE.read_text().count("\n```") == 2 * len(blocks)


def test_the_page_can_be_followed_without_a_cluster(tmp_path: Path) -> None:
    reader = Reader(tmp_path, {})
    for block in read_blocks():
        if "fixtures" not in block.text:
            reader.follow(block)
    assert reader.folder == tmp_path / "kubeairunway-acme"
    role, binding = yaml.safe_load_all((reader.folder / "rbac.yaml").read_text())
    assert binding["roleRef"]["name"] == role["metadata"]["name"]


@pytest.fixture
def cluster() -> Iterator[ControlPlane]:
    """An API server with nothing of ours in it."""
    with ControlPlane(controller_manager=False, scheduler=False) as started:
        yield started


@pytest.mark.cluster
def test_the_page_can_be_followed_on_a_cluster(cluster: ControlPlane, tmp_path: Path) -> None:
    reader = Reader(tmp_path, {"KUBECONFIG": str(cluster.kubeconfig)})
    kubectl = tmp_path / "bin" / "kubectl"
    kubectl.write_text(f'#!/bin/sh\nexec {" ".join(cluster.kubectl_command)} "$@"\n')
    kubectl.chmod(0o755)
    trial = None
    try:
        for block in read_blocks():
            if block.text.startswith("kubeairunway providers try"):
                trial = begin_trial(reader, block.text, tmp_path / "trial.log")
            elif block.kind == "sh cluster":
                reader.run(block.text)
            elif not needs_no_second_look(block):
                reader.follow(block)
        reader.run("kubectl apply -f rbac.yaml")
    finally:
        if trial is not None:
            trial.send_signal(signal.SIGINT)
            assert trial.wait(30) == 0
    text = (tmp_path / "trial.log").read_text()
    assert re.search("^[0-9:]+ qwen: Running, 1/1 ready, as ModelServer qwen", text, re.MULTILINE), text
    assert "qwen: gone" in text


def needs_no_second_look(block: Block) -> bool:
    """Commands that change nothing, and what they print."""
    return block.kind == "text" or (block.kind.startswith("sh") and "providers new" not in block.text)


def begin_trial(reader: Reader, command: str, log: Path) -> subprocess.Popen[bytes]:
    """Run the page's command in a terminal of its own, and wait until it works."""
    program = str(Path(sys.executable).with_name("kubeairunway"))
    words = [program, *command.split()[1:]]
    with log.open("wb") as out:
        trial = subprocess.Popen(words, cwd=reader.folder, env=reader.environment, stdout=out, stderr=out)  # noqa: S603 - ours
    end = time.monotonic() + 30
    while "until Ctrl-C" not in log.read_text():
        assert trial.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)
    return trial
