"""Control planes that run in the background, by name: what is known of them, and how they are started and ended."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from kubeairunway.errors import SettingsError
from kubeairunway_dev.controlplane.processes import ProcessId, identify
from kubeairunway_dev.errors import ControlPlaneError
from kubeairunway_dev.places import find_cache, hold_lock, read_tail, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,30}[a-z0-9])?")
STOP_SECONDS = 30.0
"""How long a background process may take to end its components before it is killed (its keeper then ends them)."""


@dataclass(frozen=True)
class Instance:
    """What is written down about one control plane, or about a cluster that was only adopted."""

    name: str
    kubeconfig: str
    url: str
    kubectl: Sequence[str]
    owner: ProcessId | None = None
    """The background process; None for an adopted cluster, which is never ended."""

    directory: str = ""
    components: Mapping[str, int] = field(default_factory=dict)

    def is_alive(self) -> bool:
        """Return whether its background process runs; an adopted cluster counts as alive."""
        return self.owner is None or self.owner.is_alive()


class Registry:
    """The instances of one user, one file each in the cache."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.root = find_cache(environ) / "instances"
        self.root.mkdir(exist_ok=True)

    def path(self, name: str, suffix: str = "json") -> Path:
        """Return the path of a file about `name`. Raises SettingsError if that is no usable name."""
        if NAME.fullmatch(name) is None:
            raise SettingsError(f"--name {name!r}: want up to 32 lower-case letters, digits and dashes")
        return self.root / f"{name}.{suffix}"

    def load(self, name: str) -> Instance | None:
        """Return what is known of `name`, or None."""
        path = self.path(name)
        if not path.exists():
            return None
        raw = json.loads(path.read_text())
        owner = ProcessId(**raw.pop("owner")) if raw["owner"] else None
        return Instance(**{**raw, "owner": owner})

    def load_alive(self, name: str) -> Instance:
        """Return a running instance. Raises ControlPlaneError that says how to start it."""
        instance = self.load(name)
        if instance is None or not instance.is_alive():
            raise ControlPlaneError(f"{name} does not run; start it with: kubeairunway-dev up --name {name}")
        return instance

    def names(self) -> list[str]:
        """Return the names of all known instances, dead ones included."""
        return sorted(path.stem for path in self.root.glob("*.json"))

    def save(self, instance: Instance) -> None:
        """Write an instance down."""
        write_private(self.path(instance.name), json.dumps(asdict(instance), indent=2) + "\n")

    def forget(self, name: str) -> None:
        """Remove what is written about `name`; its log stays."""
        self.path(name).unlink(missing_ok=True)

    def launch(self, name: str, arguments: Sequence[str], seconds: float) -> Instance:
        """Start a background process for `name` and wait until it has written its instance down.

        Raises ControlPlaneError with the end of its log if it ends first or takes longer than `seconds`.
        """
        with hold_lock(self.path(name, "lock")):
            known = self.load(name)
            if known is not None and known.is_alive():
                return known
            self.forget(name)
            log = self.path(name, "log")
            command = [sys.executable, "-m", "kubeairunway_dev.serve", "--name", name, *arguments]
            with log.open("wb") as output:
                process = subprocess.Popen(  # noqa: S603 - this interpreter and our own module
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            return self._await_launch(name, process, log, seconds)

    def _await_launch(self, name: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> Instance:
        owner = identify(process.pid)
        deadline = time.monotonic() + seconds
        while True:
            instance = self.load(name)
            if instance is not None:
                process.returncode = 0  # The process stays; silence Popen's warning about an unwaited child.
                return instance
            if process.poll() is not None:
                raise ControlPlaneError(f"{name} did not start; log: {log}\n{read_tail(log)}")
            if time.monotonic() > deadline:
                end_owner(owner)
                raise ControlPlaneError(f"{name} was not ready after {seconds:.0f} s; log: {log}\n{read_tail(log)}")
            time.sleep(0.05)

    def stop(self, name: str) -> bool:
        """End `name` and forget it; return whether it ran. An adopted cluster is only forgotten."""
        with hold_lock(self.path(name, "lock")):
            instance = self.load(name)
            if instance is None:
                return False
            alive = instance.is_alive()
            if instance.owner is not None:
                end_owner(instance.owner)
                wait_until_gone(Path(instance.directory))
            self.forget(name)
            return alive


def end_owner(owner: ProcessId) -> None:
    """End a background process; if it hangs, kill it, upon which its keeper ends the components."""
    owner.send(signal.SIGTERM)
    if not owner.wait(STOP_SECONDS):
        owner.send(signal.SIGKILL)
        owner.wait(STOP_SECONDS)


def wait_until_gone(directory: Path) -> None:
    """Wait until a keeper has removed its directory, the last thing that it does."""
    deadline = time.monotonic() + STOP_SECONDS
    while directory.exists():
        if time.monotonic() > deadline:
            raise ControlPlaneError(f"{directory} is still there: components may still run")
        time.sleep(0.02)
