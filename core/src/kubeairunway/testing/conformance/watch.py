"""What a hook does besides thinking: calls of clocks, chance, files, sockets, environment, threads and processes.

A profile function sees every call that Python makes, into C as well, and an audit hook what C code does by itself.
Both are for a process that ends soon (`child.py`): an audit hook cannot be taken away.
"""

from __future__ import annotations

import os
import sys
import threading
from types import FrameType, MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCK: Final = "reads the clock"
CHANCE: Final = "uses chance"
FILE: Final = "touches a file"
SOCKET: Final = "uses a socket"
ENVIRONMENT: Final = "reads the environment"
THREAD: Final = "starts a thread"
PROCESS: Final = "asks or starts a process"
WAIT: Final = "waits"
OUTPUT: Final = "prints"

_TIME: Final = frozenset(
    f"{name}{end}"
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
    for end in ("", "_ns")
) | {"localtime", "gmtime", "ctime"}
_FILES: Final = frozenset(
    {
        "open",
        "stat",
        "lstat",
        "listdir",
        "scandir",
        "access",
        "mkdir",
        "remove",
        "unlink",
        "rename",
        "readlink",
        "getcwd",
    }
)
_BY_MODULE: Final[MappingProxyType[str, str]] = MappingProxyType(
    {"_socket": SOCKET, "_ssl": SOCKET, "select": SOCKET, "_posixsubprocess": PROCESS}
)
_AUDITED: Final = (
    ("socket.", SOCKET),
    ("subprocess.", PROCESS),
    ("os.system", PROCESS),
    ("os.exec", PROCESS),
    ("os.fork", PROCESS),
    ("os.posix_spawn", PROCESS),
    ("os.putenv", ENVIRONMENT),
    ("_thread.start", THREAD),
    ("time.sleep", WAIT),
    ("open", FILE),
    ("os.", FILE),
    ("ctypes.", PROCESS),
)


class Watch:
    """Runs functions and remembers what they did that a hook may not do: what, and where in the package."""

    def __init__(self, folders: tuple[str, ...]) -> None:
        """`folders` begin the paths of the package's own files."""
        self._folders = folders
        self._thread = threading.get_ident()
        self._active = False
        self._imports = 0
        self._seen: dict[tuple[str, str], None] = {}
        self._python = {
            code: what
            for function, what in _python_functions()
            if (code := getattr(function, "__code__", None)) is not None
        }
        sys.addaudithook(self._audit)

    def run(self, function: Callable[[], Any]) -> tuple[Any, list[tuple[str, str]]]:
        """The function's result, and what it did: pairs of what and where."""
        self._seen.clear()
        self._imports = 0
        self._active = True
        sys.setprofile(self._profile)
        try:
            result = function()
        finally:
            sys.setprofile(None)
            self._active = False
        return result, list(self._seen)

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:  # noqa: ANN401 - the interpreter's
        if event in ("call", "return") and frame.f_code.co_name == "_find_and_load":
            self._imports += 1 if event == "call" else -1
        if self._imports:  # what an import does is judged when the package is loaded
            return
        what = self._python.get(frame.f_code) if event == "call" else None
        if event == "c_call":
            what = _judge_call(argument)
        if what is not None:
            self._note(what, frame)

    def _audit(self, event: str, _arguments: tuple[Any, ...]) -> None:
        if not self._active or self._imports or threading.get_ident() != self._thread:
            return
        what = next((what for prefix, what in _AUDITED if event.startswith(prefix)), None)
        if what is not None:
            self._note(what, sys._getframe(1))  # noqa: SLF001 - inspect.currentframe would be our own

    def _note(self, what: str, frame: FrameType | None) -> None:
        while frame is not None and not frame.f_code.co_filename.startswith(self._folders):
            frame = frame.f_back
        if frame is not None:
            place = f"{'/'.join(frame.f_code.co_filename.split('/')[-2:])}:{frame.f_lineno}"
            self._seen[what, place] = None


def _python_functions() -> tuple[tuple[Any, str], ...]:
    environment = type(os.environ)
    return (
        (environment.__getitem__, ENVIRONMENT),
        (environment.__setitem__, ENVIRONMENT),
        (environment.__iter__, ENVIRONMENT),
        (threading.Thread.start, THREAD),
    )


def _judge_call(function: Any) -> str | None:  # noqa: ANN401, PLR0911 - any callable of C; a table in code
    name, module = getattr(function, "__name__", ""), getattr(function, "__module__", None)
    owner = getattr(function, "__self__", None)
    if module == "time":
        return WAIT if name == "sleep" else CLOCK if name in _TIME else None
    if name in ("now", "utcnow", "today") and getattr(owner, "__module__", "") == "datetime":
        return CLOCK
    if name in ("random", "getrandbits", "urandom", "getrandom") or (module is None and _is_random(owner)):
        return CHANCE
    if module == "_thread" and name.startswith("start"):
        return THREAD
    if module in ("posix", "nt", "io", "_io"):
        return FILE if name in _FILES else None
    if module == "builtins" and name in ("open", "print", "input"):
        return FILE if name == "open" else OUTPUT
    return _BY_MODULE.get(module or "") or (SOCKET if getattr(type(owner), "__module__", "") == "_socket" else None)


def _is_random(owner: object) -> bool:
    return type(owner).__module__ in ("random", "_random")
