"""`kubeairunway-dev`: a real Kubernetes control plane on this machine.

Exit codes: 0 done (status: it runs and is ready); 1 something broke (status: it runs, but is not ready);
2 wrong usage; 3 status of a control plane that does not run; 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from kubeairunway.errors import KubeAIRunwayError, SettingsError
from kubeairunway_dev import serve
from kubeairunway_dev.instances import Instance, Registry

OK, BROKEN, USAGE, NOT_RUNNING, INTERRUPTED = 0, 1, 2, 3, 130
START_SECONDS = 120.0


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = make_parser().parse_args(arguments)
    try:
        code: int = options.run(options)
    except SettingsError as error:
        sys.stderr.write(f"kubeairunway-dev: {error}\n")
        return USAGE
    except KubeAIRunwayError as error:
        sys.stderr.write(f"kubeairunway-dev: {error}\n")
        return BROKEN
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="kubeairunway-dev", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    build = commands.add_parser("build", help="build the control plane into the cache, unless it is there")
    build.set_defaults(run=run_build)

    up = commands.add_parser("up", help="start a control plane in the background and print how to reach it")
    add_name(up)
    up.add_argument("--kubeconfig", type=Path, metavar="FILE", help="adopt an existing cluster, start none")
    up.add_argument(
        "--wait",
        type=float,
        nargs="?",
        const=START_SECONDS,
        default=START_SECONDS,
        metavar="SECONDS",
        help="how long it may take until API server, default service account and nodes are ready; default 120",
    )
    serve.add_options(up)
    up.set_defaults(run=run_up)

    down = commands.add_parser("down", help="end a control plane and remove its temporary data")
    add_name(down)
    down.add_argument("--all", action="store_true", help="all of this user's control planes")
    down.set_defaults(run=run_down)

    status = commands.add_parser("status", help="say what runs; exit code 0 ready, 1 not ready, 3 not running")
    add_name(status)
    status.set_defaults(run=run_status)

    kubeconfig = commands.add_parser("kubeconfig", help="print the kubeconfig's path")
    add_name(kubeconfig)
    kubeconfig.add_argument("--print", action="store_true", help="print the kubeconfig itself")
    kubeconfig.set_defaults(run=run_kubeconfig)

    demo = commands.add_parser("demo", help="deploy a model with each provider on a fresh control plane")
    add_demo_options(demo)
    demo.set_defaults(run=run_demo)
    return parser


def add_name(parser: argparse.ArgumentParser) -> None:
    """Add the option that tells instances apart."""
    parser.add_argument("--name", default="default", help="which control plane; default: default")


def add_demo_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the demo."""
    parser.add_argument("--once", action="store_true", help="end once everything is shown, leaving nothing behind")
    parser.add_argument("--nodes", type=int, default=3, metavar="N", help="simulated nodes; default 3")
    parser.add_argument("--gpus", type=int, default=1, metavar="G", help="GPUs of each node; default 1")
    parser.add_argument(
        "--timeout", type=float, default=120.0, metavar="SECONDS", help="until everything is shown; default 120"
    )


def run_build(_options: argparse.Namespace) -> int:
    """Build, and print where the binaries are."""
    from kubeairunway_dev.controlplane.build import ensure_build  # noqa: PLC0415 - keeps --help fast

    say(str(ensure_build(os.environ)))
    return OK


def run_up(options: argparse.Namespace) -> int:
    """Start or adopt a cluster."""
    registry = Registry(os.environ)
    if options.kubeconfig is not None:
        instance = adopt(options)
        registry.save(instance)
    else:
        control_plane = serve.make_control_plane(options)
        # In the foreground, so that a first build shows its progress here.
        control_plane.find_binaries()
        instance = registry.launch(options.name, list_serve_arguments(options), options.wait)
    say(describe(instance))
    return OK


def adopt(options: argparse.Namespace) -> Instance:
    """Return an instance for a cluster that exists already. Raises if it does not answer."""
    from kubeairunway_dev.controlplane import Cluster  # noqa: PLC0415 - keeps --help fast

    cluster = Cluster(options.kubeconfig.resolve())
    cluster.kubectl("get", "--raw", "/readyz")
    return Instance(options.name, str(cluster.kubeconfig), cluster.url, cluster.kubectl_command)


def list_serve_arguments(options: argparse.Namespace) -> list[str]:
    """Return `up`'s options as the background process takes them."""
    arguments = [f"--nodes={options.nodes}", f"--gpus={options.gpus}"]
    if options.data_dir is not None:
        arguments.append(f"--data-dir={options.data_dir.resolve()}")
    arguments += [f"--crds={path.resolve()}" for path in options.crds]
    flags = ("no_controller_manager", "no_scheduler", "audit")
    return arguments + [f"--{flag.replace('_', '-')}" for flag in flags if getattr(options, flag)]


def describe(instance: Instance) -> str:
    """Return the lines that tell a user how to reach an instance."""
    lines = [
        f"{instance.name}: {instance.url}",
        f"  export KUBECONFIG={shlex.quote(instance.kubeconfig)}",
        f"  {shlex.join(instance.kubectl)} get all -A",
        f"  kubeairunway-dev down --name {instance.name}",
    ]
    return "\n".join(lines)


def run_down(options: argparse.Namespace) -> int:
    """End one instance, or all."""
    registry = Registry(os.environ)
    for name in registry.names() if options.all else [options.name]:
        say(f"{name}: ended" if registry.stop(name) else f"{name}: did not run")
    return OK


def run_status(options: argparse.Namespace) -> int:
    """Say whether an instance runs and is ready."""
    from kubeairunway_dev.controlplane import Cluster  # noqa: PLC0415 - keeps --help fast

    instance = Registry(os.environ).load(options.name)
    if instance is None or not instance.is_alive():
        say(f"{options.name}: not running")
        return NOT_RUNNING
    cluster = Cluster(Path(instance.kubeconfig), instance.kubectl)
    answer = cluster.kubectl("get", "--raw", "/readyz", "--request-timeout=5s", check=False)
    ready = answer.returncode == 0
    say(f"{instance.name}: {'ready' if ready else f'not ready: {answer.stderr.strip()}'}, {instance.url}")
    for component, pid in instance.components.items():
        say(f"  {component}: pid {pid}, log {Path(instance.directory) / component}.log")
    return OK if ready else BROKEN


def run_kubeconfig(options: argparse.Namespace) -> int:
    """Print the path of a running instance's kubeconfig, or the kubeconfig."""
    instance = Registry(os.environ).load_alive(options.name)
    say(Path(instance.kubeconfig).read_text() if options.print else instance.kubeconfig)
    return OK


def run_demo(options: argparse.Namespace) -> int:
    """Show a deployment per provider, and one that waits for GPUs."""
    from kubeairunway_dev.demo import run  # noqa: PLC0415 - keeps --help fast

    return run(options)


def say(line: str) -> None:
    """Print to standard output."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
