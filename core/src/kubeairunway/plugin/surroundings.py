"""What belongs to the whole process, kept as it was while a package is imported.

A package shares the interpreter with the core, and an import may quietly set up logging, change warnings or the
recursion limit, or replace functions of modules that everything depends on. What it changes here is put back at once
and named, so that it harms no other provider. It is no wall: code that wants to get through it can.
"""

import gc
import logging
import os
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

_WATCHED = ("json", "orjson", "os", "threading", "time", "asyncio", "socket", "ssl", "logging", "warnings", "yaml")
"""Modules the core stands on, beside its own; only those that are loaded are looked at."""

_CALLABLE = (type, type(len), type(lambda: None))


@dataclass(frozen=True, slots=True)
class _Setting:
    """One value of the process: its name in messages, how to read it, how to put it back."""

    name: str
    read: Callable[[], Any]
    restore: Callable[[Any], object]


class Surroundings:
    """The state of the process at one moment; `restore` brings it back and names what was different."""

    def __init__(self) -> None:
        self._settings = [(setting, setting.read()) for setting in _SETTINGS]
        self._modules = {name: (module, _functions_of(module)) for name, module in _watched_modules().items()}

    def restore(self) -> tuple[str, ...]:
        """Put back what has changed since, and return the names of it in order."""
        changed = []
        for setting, before in self._settings:
            if not _same(setting.read(), before):
                setting.restore(before)
                changed.append(setting.name)
        for name, (module, before) in self._modules.items():
            if sys.modules.get(name) is not module:
                sys.modules[name] = module
                changed.append(name)
            changed += _restore_functions(name, module, before)
        return tuple(changed)


def _watched_modules() -> dict[str, ModuleType]:
    """The loaded modules that are looked after, the core's own among them."""
    return {
        name: module
        for name, module in sys.modules.copy().items()
        if name in _WATCHED or name == "kubeairunway" or name.startswith("kubeairunway.")
    }


def _functions_of(module: ModuleType) -> dict[str, Any]:
    return {name: value for name, value in vars(module).copy().items() if isinstance(value, _CALLABLE)}


def _restore_functions(name: str, module: ModuleType, before: Mapping[str, Any]) -> list[str]:
    now = vars(module)
    replaced = [attribute for attribute, value in before.items() if now.get(attribute) is not value]
    for attribute in replaced:
        setattr(module, attribute, before[attribute])
    return [f"{name}.{attribute}" for attribute in sorted(replaced)]


def _same(now: Any, before: Any) -> bool:  # noqa: ANN401 - values of any type, compared without running a package's code
    if isinstance(before, tuple) and isinstance(now, tuple):
        return len(now) == len(before) and all(map(_same, now, before))
    return now is before or (type(now) is type(before) and type(now) in (int, float, str, bool, dict) and now == before)


def _read_root() -> tuple[Any, ...]:
    root = logging.getLogger()
    return (root.level, logging.root.manager.disable, tuple(root.handlers), tuple(root.filters))


def _restore_root(before: tuple[Any, ...]) -> None:
    root = logging.getLogger()
    root.setLevel(before[0])
    logging.disable(before[1])
    root.handlers[:] = before[2]
    root.filters[:] = before[3]


def _restore_filters(before: tuple[Any, ...]) -> None:
    """Put the list back; `resetwarnings` first, since it makes the compiled half forget its verdicts."""
    warnings.resetwarnings()
    warnings.filters[:] = list(before)  # type: ignore[index]  # typeshed calls the list a Sequence


def _read_folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a string to compare, and no path is built from it
    except OSError:
        return ""


def _restore_folder(before: str) -> None:
    if before:
        os.chdir(before)


def _restore_environment(before: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


def _read_timeout() -> float | None:
    socket: Any = sys.modules.get("socket")
    timeout: float | None = socket.getdefaulttimeout() if socket else None
    return timeout


def _restore_timeout(before: float | None) -> None:
    sys.modules["socket"].setdefaulttimeout(before)


def _stream(name: str) -> _Setting:
    return _Setting(f"sys.{name}", lambda: getattr(sys, name), lambda before: setattr(sys, name, before))


_SETTINGS = (
    *(_stream(name) for name in ("stdout", "stderr", "excepthook", "displayhook", "unraisablehook")),
    _Setting("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    _Setting("the switch interval", sys.getswitchinterval, sys.setswitchinterval),
    _Setting("garbage collection", gc.isenabled, lambda before: gc.enable() if before else gc.disable()),
    _Setting("logging", _read_root, _restore_root),
    _Setting("warning filters", lambda: tuple(warnings.filters), _restore_filters),
    _Setting("the environment", lambda: dict(os.environ), _restore_environment),
    _Setting("the working directory", _read_folder, _restore_folder),
    _Setting("the socket timeout", _read_timeout, _restore_timeout),
)
