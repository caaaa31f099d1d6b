"""The background process behind `kubeairunway-dev up`: owns one control plane until it is told to end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from kubeairunway.errors import KubeAIRunwayError
from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.controlplane.processes import identify
from kubeairunway_dev.instances import Instance, Registry

if TYPE_CHECKING:
    from types import FrameType

CHECK_SECONDS = 5.0
"""How often the components are looked at: a control plane with a dead one is ended, and its log says why."""


class Ended(BaseException):
    """A signal asked for the end; a BaseException, so that no `except Exception` on the way swallows it."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what a control plane consists of."""
    parser.add_argument("--nodes", type=int, default=0, metavar="N", help="simulated nodes (kwok); default 0")
    parser.add_argument("--gpus", type=int, default=0, metavar="G", help="GPUs of each node; default 0")
    parser.add_argument("--data-dir", type=Path, metavar="DIR", help="keep objects, port and certificates here")
    parser.add_argument("--no-controller-manager", action="store_true", help="smaller and faster, takes no pods")
    parser.add_argument("--no-scheduler", action="store_true", help="pods stay Pending")
    parser.add_argument("--crds", type=Path, action="append", default=[], metavar="PATH", help="CRDs to start with")
    parser.add_argument("--audit", action="store_true", help="log every request, as JSON")


def make_control_plane(options: argparse.Namespace) -> ControlPlane:
    """Return the control plane that the options describe, not yet started."""
    return ControlPlane(
        nodes=options.nodes,
        gpus=options.gpus,
        controller_manager=not options.no_controller_manager,
        scheduler=not options.no_scheduler,
        data_dir=options.data_dir,
        audit=options.audit,
        crds=options.crds,
    )


def end(_signum: int, _frame: FrameType | None) -> None:
    """Turn a signal into an exception, once: a second one must not interrupt the clean-up."""
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    raise Ended


def serve(name: str, options: argparse.Namespace) -> NoReturn:
    """Run a control plane, write it down once it is usable, and end it on a signal or when a component dies."""
    registry = Registry(os.environ)
    with make_control_plane(options) as control_plane:
        registry.save(
            Instance(
                name=name,
                kubeconfig=str(control_plane.kubeconfig),
                url=control_plane.url,
                kubectl=control_plane.kubectl_command,
                owner=identify(os.getpid()),
                directory=str(control_plane.directory),
                components=control_plane.pids,
            )
        )
        while True:
            time.sleep(CHECK_SECONDS)
            control_plane.check()


def main() -> int:
    """Return the exit code of the background process: 0 if it was asked to end, 1 if something broke."""
    parser = argparse.ArgumentParser(prog="kubeairunway_dev.serve")
    parser.add_argument("--name", required=True)
    add_options(parser)
    options = parser.parse_args()
    for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, end)
    try:
        serve(options.name, options)
    except Ended:
        return 0
    except KubeAIRunwayError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
