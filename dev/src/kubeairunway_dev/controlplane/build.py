"""Our own build of the control plane from the Kubernetes Go modules: keyed, locked, logged, never half there."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from kubeairunway_dev.controlplane.steps import Steps
from kubeairunway_dev.controlplane.toolchain import ensure_go, make_go_environment
from kubeairunway_dev.errors import BuildError
from kubeairunway_dev.places import find_cache, hold_lock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SOURCES = Path(__file__).parent
CONTROL_PLANE = "control-plane"
KWOK = "kwok"
STAGES = "kwok-stages.yaml"
BUILD_FLAGS = ("-v", "-trimpath", "-buildvcs=false")
"""No VCS stamp: the sources may lie in a git checkout on a machine without git."""

STAGE_FILES = ("node/fast/*.yaml", "node/heartbeat-with-lease/*.yaml", "pod/fast/*.yaml")
"""The stages of kwok's module that make nodes and pods ready at once, below kustomize/stage."""


def compute_key(sources: Path = SOURCES) -> str:
    """Return the digest of all that a build depends on: modules, program, build flags, platform."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum", "main.go", "kwok/go.mod", "kwok/go.sum"):
        digest.update(f"{name}\0".encode() + (sources / name).read_bytes())
    digest.update(repr((BUILD_FLAGS, STAGE_FILES, platform.system(), platform.machine())).encode())
    return digest.hexdigest()[:16]


def read_version(go_mod: str) -> str:
    """Return the Kubernetes version that a go.mod requires ("v1.37.2")."""
    match = re.search(r"^\s*k8s\.io/kubernetes (v\S+)$", go_mod, re.MULTILINE)
    if match is None:
        raise BuildError("go.mod requires no k8s.io/kubernetes")
    return match[1]


def make_version_flags(version: str) -> str:
    """Return the linker flags that make the binaries report `version` ("v1.37.2"), without debug tables."""
    prefix = "-X k8s.io/component-base/version."
    major, minor, _patch = version.removeprefix("v").split(".", 2)
    stamps = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"{prefix}{name}={value}" for name, value in stamps.items())])


def ensure_build(environ: Mapping[str, str]) -> Path:
    """Return the directory of the finished build, building it first if the cache has none. Raises BuildError."""
    root = find_cache(environ) / "control-plane"
    target = root / compute_key()
    if target.is_dir():
        return target
    root.mkdir(exist_ok=True)
    steps = Steps(root / f"{target.name}.log")
    with hold_lock(root / "lock", lambda: steps.say("another process builds the control plane: waiting for it")):
        if not target.is_dir():
            build_into(target, steps, environ)
    return target


def build_into(target: Path, steps: Steps, environ: Mapping[str, str]) -> None:
    """Build all programs beside `target`, then move them there in one step. Hold the lock."""
    steps.say(f"building the control plane once (minutes; kept in {target}); log: {steps.log}")
    steps.log.write_text("")
    for leftover in target.parent.glob("*.partial"):
        shutil.rmtree(leftover)
    # A name of its own: a Go that outlived its killed builder may still write to the last one.
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    partial.mkdir()
    version = read_version((SOURCES / "go.mod").read_text())
    go = ensure_go(target.parent, environ, steps)
    env = make_go_environment(environ, target.parent)
    build = [go, "build", *BUILD_FLAGS]
    kwok = [*build, "-ldflags", "-s -w", "-o", str(partial / KWOK), "sigs.k8s.io/kwok/cmd/kwok"]
    steps.run("building kwok", kwok, env=env, cwd=SOURCES / "kwok")
    flags = ["-ldflags", make_version_flags(version), "-o", str(partial / CONTROL_PLANE)]
    steps.run(f"building Kubernetes {version}", [*build, *flags, "."], env=env, cwd=SOURCES)
    (partial / STAGES).write_text(collect_stages(go, env))
    partial.replace(target)
    # Only where the user has no home are Go's caches (6 GB) here; a later build rarely finds use in them.
    shutil.rmtree(target.parent / "go", ignore_errors=True)


def collect_stages(go: str, env: Mapping[str, str]) -> str:
    """Return kwok's stages from the module that kwok was just built from (checked by our go.sum)."""
    module = Path(read_output([go, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"], env, SOURCES / "kwok"))
    stages = module / "kustomize" / "stage"
    files = [
        path for pattern in STAGE_FILES for path in sorted(stages.glob(pattern)) if path.name != "kustomization.yaml"
    ]
    if not files:
        raise BuildError(f"{stages} holds no stages: kwok's module has another layout than expected")
    return "\n---\n".join(path.read_text() for path in files)


def read_output(command: Sequence[str], env: Mapping[str, str], cwd: Path) -> str:
    """Return what a short command prints; raise BuildError if it fails."""
    answer = subprocess.run(  # noqa: S603 - our own commands
        command, env=dict(env), cwd=cwd, capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise BuildError(f"{' '.join(command)} failed:{os.linesep}{answer.stderr.strip()}")
    return answer.stdout.strip()
