"""Which program plays which part of the control plane, and where it comes from."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kubeairunway.errors import SettingsError
from kubeairunway_dev.controlplane import build

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

ETCD = "etcd"
APISERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KUBECTL = "kubectl"
KWOK = "kwok"


@dataclass(frozen=True)
class Binaries:
    """The command line that starts each part, and the kwok stages that go with them."""

    origin: str
    commands: Mapping[str, tuple[str, ...]]
    stages: Path | None = None


def list_build(directory: Path) -> Binaries:
    """Return the parts of a finished build of ours."""
    multi = str(directory / build.CONTROL_PLANE)
    parts = (ETCD, APISERVER, CONTROLLER_MANAGER, SCHEDULER, KUBECTL)
    commands = {part: (multi, part) for part in parts} | {KWOK: (str(directory / build.KWOK),)}
    return Binaries(str(directory), commands, directory / build.STAGES)


def list_assets(directory: Path, needed: Collection[str]) -> Binaries:
    """Return the parts found in `KUBEBUILDER_ASSETS`; raise SettingsError naming those that are needed and missing."""
    found = {
        part: (str(directory / part),)
        for part in (ETCD, APISERVER, CONTROLLER_MANAGER, SCHEDULER, KUBECTL, KWOK)
        if os.access(directory / part, os.X_OK)
    }
    missing = sorted(set(needed) - set(found))
    stages = directory / build.STAGES
    if KWOK in needed and not stages.is_file():
        missing.append(build.STAGES)
    if missing:
        raise SettingsError(
            f"KUBEBUILDER_ASSETS={directory} lacks {', '.join(missing)}: "
            "add them, ask for fewer components, or unset the variable to use our own build"
        )
    return Binaries(f"KUBEBUILDER_ASSETS={directory}", found, stages if stages.is_file() else None)


def find_binaries(needed: Collection[str], environ: Mapping[str, str]) -> Binaries:
    """Return programs for all `needed` parts: `KUBEBUILDER_ASSETS`, else our cached build, else a new build.

    A build takes minutes and reports its progress on stderr. Raises SettingsError or BuildError.
    """
    assets = environ.get("KUBEBUILDER_ASSETS", "")
    if assets:
        return list_assets(Path(assets), needed)
    return list_build(build.ensure_build(environ))


def find_kubectl(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the command of the kubectl on PATH, else of ours (built first if it must be)."""
    on_path = shutil.which("kubectl", path=environ.get("PATH"))
    return (on_path,) if on_path is not None else find_binaries([KUBECTL], environ).commands[KUBECTL]
