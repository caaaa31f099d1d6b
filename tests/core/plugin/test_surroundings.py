"""What a package's import changes in the process is put back at once, and named."""

import asyncio
import gc
import json
import logging
import os
import socket
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kubeairunway.decide import selection
from kubeairunway.plugin.registry import LoadState, load_registry
from kubeairunway.plugin.surroundings import Surroundings


def refuse(*_: Any, **__: Any) -> Any:
    raise AssertionError("replaced")


def quiet_logging() -> None:
    logging.getLogger().handlers.clear()
    logging.getLogger().setLevel(logging.CRITICAL)
    logging.disable(logging.CRITICAL)


CHANGES: dict[str, tuple[Callable[[], object], Callable[[], Any], list[str]]] = {
    "output": (lambda: setattr(sys, "stdout", None), lambda: sys.stdout, ["sys.stdout"]),
    "exception hook": (lambda: setattr(sys, "excepthook", refuse), lambda: sys.excepthook, ["sys.excepthook"]),
    "recursion": (lambda: sys.setrecursionlimit(500), sys.getrecursionlimit, ["the recursion limit"]),
    "threads": (lambda: sys.setswitchinterval(100), sys.getswitchinterval, ["the switch interval"]),
    "garbage": (gc.disable, gc.isenabled, ["garbage collection"]),
    "logging": (quiet_logging, lambda: (list(logging.root.handlers), logging.root.level), ["logging"]),
    "warnings": (lambda: warnings.simplefilter("ignore"), lambda: list(warnings.filters), ["warning filters"]),
    "environment": (os.environ.clear, lambda: dict(os.environ), ["the environment"]),
    "folder": (lambda: os.chdir("/"), Path.cwd, ["the working directory"]),
    "sockets": (lambda: socket.setdefaulttimeout(0.01), socket.getdefaulttimeout, ["the socket timeout"]),
    "json": (lambda: setattr(json, "dumps", refuse), lambda: json.dumps, ["json.dumps"]),
    "clock": (lambda: setattr(time, "monotonic", refuse), lambda: time.monotonic, ["time.monotonic"]),
    "asyncio": (lambda: setattr(asyncio, "sleep", refuse), lambda: asyncio.sleep, ["asyncio.sleep"]),
    "the core": (
        lambda: setattr(selection, "Decision", refuse),
        lambda: selection.Decision,
        ["kubeairunway.decide.selection.Decision"],
    ),
    "a module": (lambda: sys.modules.pop("json"), lambda: sys.modules.get("json"), ["json"]),
    "nothing": (lambda: None, lambda: None, []),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_is_undone_and_named(name: str) -> None:
    change, read, names = CHANGES[name]
    before, surroundings = read(), Surroundings()
    change()
    assert list(surroundings.restore()) == names
    assert read() == before
    assert surroundings.restore() == ()


PACKAGE = """
import logging
import sys
from kubeairunway.plugin import CONFIG_MAP, Engine, Manifest, Provider, Rendering, Report, State, hookimpl

print("what a module prints")
sys.setrecursionlimit(60)
logging.disable(logging.CRITICAL)


@hookimpl
def provider():
    engines = (Engine(name="vllm", carries=frozenset({"model.id"})),)
    return Provider(name="meddler", contract=1, kinds=(CONFIG_MAP,), engines=engines)


@hookimpl
def render(request):
    return Rendering(Manifest(CONFIG_MAP, {"data": {}}))


@hookimpl
def status(request, observed):
    return Report(state=State.WAITING, generation=0)
"""


def test_an_installed_package_that_meddles_is_loaded_and_its_reason_says_what_was_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "meddler.py").write_text(PACKAGE)
    info = tmp_path / "meddler-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: meddler\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kubeairunway.providers]\nmeddler = meddler\n")
    monkeypatch.syspath_prepend(tmp_path)
    limit = sys.getrecursionlimit()
    registry = load_registry(only={"meddler"})
    registry.close()
    (package,) = registry.packages
    assert package.state is LoadState.LOADED
    assert package.reason == (
        "its import changed what belongs to the whole process, undone: the recursion limit, logging"
    )
    assert sys.getrecursionlimit() == limit
    assert logging.root.manager.disable == 0
    assert capsys.readouterr().out == ""
