"""Directories of the user's cache, and the locks and small files that live there."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from kubeairunway_dev.errors import DevError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


def find_home(environ: Mapping[str, str]) -> Path | None:
    """Return the first home directory that exists and can be written: `HOME`, else the password database's."""
    candidates = [environ.get("HOME", "")]
    with contextlib.suppress(KeyError):
        candidates.append(pwd.getpwuid(os.getuid()).pw_dir)
    usable = (Path(path) for path in candidates if path and os.access(path, os.W_OK | os.X_OK))
    return next(usable, None)


def find_cache(environ: Mapping[str, str]) -> Path:
    """Return our cache directory (made if missing): under `XDG_CACHE_HOME`, else `~/.cache`.

    A user without a usable home gets one below the temporary directory. Raises DevError if that belongs to another
    user, since binaries are run from it.
    """
    xdg = environ.get("XDG_CACHE_HOME", "")
    home = find_home(environ)
    if Path(xdg).is_absolute():
        root = Path(xdg) / "kubeairunway"
    elif home is not None:
        root = home / ".cache" / "kubeairunway"
    else:
        root = Path(tempfile.gettempdir()) / f"kubeairunway-{os.getuid()}"
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    if root.stat().st_uid != os.getuid():
        raise DevError(f"{root} belongs to another user; set XDG_CACHE_HOME to a directory of your own")
    return root


@contextlib.contextmanager
def hold_lock(path: Path, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold an exclusive lock on `path`; call `on_wait` once if another process holds it first.

    The kernel frees it when the holder dies, so there are no stale locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if on_wait is not None:
                on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_private(path: Path, text: str) -> None:
    """Write `text` so that only the user can read it, and never half of it."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.touch(mode=0o600)
    partial.write_text(text)
    partial.replace(path)


def read_tail(path: Path, lines: int = 20) -> str:
    """Return the last `lines` lines of a log, or an empty string if there is none."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
