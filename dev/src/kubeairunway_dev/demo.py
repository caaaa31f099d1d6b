"""`kubeairunway-dev demo`: a model with each provider on a fresh control plane, from nothing to Running."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import yaml

from kubeairunway.errors import SettingsError
from kubeairunway.plugin.discovery import find_candidates, read_disabled
from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.demo_samples import (
    NODES_PER_SIZE,
    OPERATORS,
    PROVIDERS,
    SIZES,
    Sample,
    list_samples,
    make_deployment,
)
from kubeairunway_dev.errors import DevError
from kubeairunway_dev.places import read_tail
from kubeairunway_dev.serve import Ended, end
from kubeairunway_dev.standins import CRDS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from pathlib import Path

OK, BROKEN, INTERRUPTED = 0, 1, 130

DEPLOYMENTS = "/apis/kubeairunway.ai/v1alpha1/modeldeployments"
CONTROLLER_NAMESPACE = "kubeairunway-system"
CONTROLLER = "controller"
OPERATOR_DELAY = 2.0
"""Seconds from an upstream object to ready: short, and long enough to be seen."""

WATCH_SECONDS = 1
LOG_LINES = 30
LONGEST_MESSAGE = 100

WAITING = "WaitingForGPU"
"""The reason of Ready=False for which there are not enough GPUs."""

COLUMNS = ("NAME", "PROVIDER", "KIND", "PHASE", "READY", "GPUS", "REASON")


def run(options: argparse.Namespace) -> int:
    """Run the demo and return its exit code: 0 Running was reached, 1 it was not, 130 interrupted before that."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, end)
    if options.nodes < 1 or options.gpus < 1:
        raise SettingsError("the samples want at least --nodes 1 --gpus 1")
    installed = list_installed()
    samples = list_samples(installed, nodes=options.nodes, gpus=options.gpus)
    if not samples:
        raise SettingsError(f"none of the providers {', '.join(PROVIDERS)} is installed")
    demo = Demo(samples, nodes=options.nodes, gpus=options.gpus, seconds=options.timeout)
    try:
        demo.show(once=options.once)
    except Ended:
        say("\nEnding everything.")
        return OK if demo.reached else INTERRUPTED
    except OSError as error:
        raise DevError(f"the control plane does not answer any more: {error}") from error
    return OK


class Demo:
    """One run: the control plane, what runs beside it, and the clock that the shown times count from."""

    def __init__(self, samples: list[Sample], *, nodes: int, gpus: int, seconds: float) -> None:
        self.reached = False
        self._samples = samples
        self._nodes = nodes
        self._gpus = gpus
        self._seconds = seconds
        self._applied = 0.0
        self._shown: dict[str, str] = {}

    def show(self, *, once: bool) -> None:
        """Start everything, deploy the samples and follow them; without `once`, until interrupted. Raises DevError."""
        started = time.monotonic()
        crds = read_crds()
        with ControlPlane(nodes=self._nodes, gpus=self._gpus, crds=[crds, CRDS]) as cluster:
            say(f"Control plane ready in {time.monotonic() - started:.1f} s: {cluster.url}, {self._describe_nodes()}")
            for gpus in (size for size in SIZES if size != self._gpus):
                cluster.add_nodes(NODES_PER_SIZE, gpus, prefix=f"gpus-{gpus}")
            log = start_controller(cluster)
            say(f"Controller started; log: {log}")
            self._deploy(cluster)
            self._await(cluster, log, "Pending or further", has_phase)
            self._start_operators(cluster)
            self._await(cluster, log, "where it should be", is_shown)
            self.reached = True
            say(f"\nAll are where they should be, {time.monotonic() - self._applied:.1f} s after they were applied.\n")
            say(make_table(self._samples, self._read_all(cluster)))
            if not once:
                say(describe_access(cluster, log, self._samples[0].name))
                for _ in self._follow(cluster):
                    pass

    def _describe_nodes(self) -> str:
        gpus = "one GPU" if self._gpus == 1 else f"{self._gpus} GPUs"
        more = ", ".join(str(size) for size in SIZES if size != self._gpus)
        return f"{self._nodes} simulated nodes with {gpus} each, and {NODES_PER_SIZE} each with {more}"

    def _deploy(self, cluster: ControlPlane) -> None:
        """Apply all samples, showing the first whole and of the others what is different."""
        missing = [name for name in PROVIDERS if name not in {sample.provider for sample in self._samples}]
        if missing:
            say(f"Not installed, so left out: {', '.join(missing)}")
        first, *rest = self._samples
        text = yaml.safe_dump(make_deployment(first), sort_keys=False)
        say(f"\nkubectl apply -f - <<EOF\n{text}EOF\n\nand likewise:\n")
        for sample in rest:
            words = "; no node has so many" if sample.waits else ""
            say(f"  {sample.name:<14} provider {sample.provider}, {sample.gpus} GPUs a replica{words}")
        say("")
        cluster.apply(*(make_deployment(sample) for sample in self._samples))
        self._applied = time.monotonic()

    def _start_operators(self, cluster: ControlPlane) -> None:
        """Start the stand-ins of the installed providers' operators, with pods."""
        names = [name for name in OPERATORS if name in {sample.provider for sample in self._samples}]
        if not names:
            return
        say(
            f"\nNo upstream operator is here. Starting stand-ins for {', '.join(names)}: each writes what the real one "
            "would; no model is loaded.\n"
        )
        for name in names:
            program = [sys.executable, "-m", f"kubeairunway_dev.standins.{name}"]
            cluster.start_beside(f"{name}-stand-in", [*program, f"--delay={OPERATOR_DELAY}", "--pods"])

    def _await(
        self, cluster: ControlPlane, log: Path, goal: str, is_done: Callable[[Sample, dict[str, Any]], bool]
    ) -> None:
        """Show changes until all samples are done; raise DevError with the controller's log if it is too late."""
        for deployments in self._follow(cluster):
            late = [item for item in self._samples if not is_done(item, deployments.get(f"default/{item.name}", {}))]
            if not late:
                return
            if time.monotonic() > self._applied + self._seconds:
                name = late[0].name
                status = cluster.kubectl("get", "modeldeployment", name, "-o", "yaml", check=False).stdout
                raise DevError(
                    f"{name} is not {goal} after {self._seconds:.0f} s. It says:\n{status}\n"
                    f"The controller's log ends with:\n{read_tail(log, LOG_LINES)}"
                )

    def _read_all(self, cluster: ControlPlane) -> dict[str, Any]:
        listing = cluster.request("GET", DEPLOYMENTS).json
        return {name_of(item): item for item in listing.get("items", [])}

    def _follow(self, cluster: ControlPlane) -> Iterator[dict[str, Any]]:
        """Print each change of any deployment; yield all after each change and about once a second, for ever."""
        while True:
            cluster.check()
            listing = cluster.request("GET", DEPLOYMENTS).json
            deployments = {name_of(item): item for item in listing.get("items", [])}
            self._print_all(deployments)
            yield deployments
            version = listing["metadata"]["resourceVersion"]
            for event in cluster.watch(DEPLOYMENTS, version, WATCH_SECONDS):
                if event["type"] == "DELETED":
                    deployments.pop(name_of(event["object"]), None)
                elif event["type"] in {"ADDED", "MODIFIED"}:
                    deployments[name_of(event["object"])] = event["object"]
                self._print_all(deployments)
                yield deployments

    def _print_all(self, deployments: dict[str, Any]) -> None:
        lines = {name: describe_deployment(item) for name, item in deployments.items()}
        for name in self._shown.keys() - deployments.keys():
            lines[name] = f"{name.partition('/')[2]}  gone"
        for name, line in lines.items():
            if self._shown.get(name) != line:
                say(f"{time.strftime('%H:%M:%S')} {time.monotonic() - self._applied:6.1f} s  {line}")
        self._shown = lines


def list_installed() -> frozenset[str]:
    """Return the names of the provider packages that are installed and not switched off."""
    return frozenset(candidate.name for candidate in find_candidates()) - read_disabled(os.environ)


def has_phase(_sample: Sample, deployment: dict[str, Any]) -> bool:
    """Return whether the controller has looked at a deployment."""
    return bool(deployment.get("status", {}).get("phase"))


def is_shown(sample: Sample, deployment: dict[str, Any]) -> bool:
    """Return whether a deployment runs or, if it cannot, says that it is GPUs that it waits for."""
    status = deployment.get("status", {})
    if not sample.waits:
        return bool(status.get("phase") == "Running")
    return status.get("phase") != "Running" and read_ready(deployment)[0] == WAITING


def read_ready(deployment: dict[str, Any]) -> tuple[str, str]:
    """Return reason and message of a deployment's Ready condition; its own message where that has none."""
    status = deployment.get("status", {})
    rows = (row for row in status.get("conditions", []) if row["type"] == "Ready")
    row = next(rows, {"reason": "", "message": ""})
    return row["reason"], row["message"] or status.get("message", "")


def read_crds() -> str:
    """Return our own CRDs, from the command that users install them with. Raises DevError if it fails."""
    answer = subprocess.run(  # noqa: S603 - our own command
        [*list_kubeairunway(), "crds"], capture_output=True, text=True, check=False
    )
    if answer.returncode != 0:
        raise DevError(f"kubeairunway crds failed: {answer.stderr.strip()}")
    return answer.stdout


def list_kubeairunway() -> list[str]:
    """Return the command that runs `kubeairunway` with this interpreter, whatever PATH says."""
    return [sys.executable, "-c", "import sys; from kubeairunway.cli import main; sys.exit(main())"]


def start_controller(cluster: ControlPlane) -> Path:
    """Start the controller as its users do and return its log."""
    cluster.kubectl("create", "namespace", CONTROLLER_NAMESPACE)
    flags = ["--kubeconfig", str(cluster.kubeconfig), "--bind", "127.0.0.1:0", "--log-format", "human"]
    return cluster.start_beside(CONTROLLER, [*list_kubeairunway(), "controller", *flags])


def name_of(item: Any) -> str:  # noqa: ANN401 - Kubernetes objects travel as Any
    """Return "namespace/name"."""
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def describe_deployment(item: Any) -> str:  # noqa: ANN401 - Kubernetes objects travel as Any
    """Return one line: name, phase, replicas, provider, message."""
    status = item.get("status", {})
    replicas, provider = status.get("replicas", {}), status.get("provider", {})
    parts = [
        f"{item['metadata']['name']:<12}",
        f"{status.get('phase') or '(no status yet)':<10}",
        f"{replicas.get('ready', 0)}/{replicas.get('desired', 0)} ready" if replicas else "",
        f"on {provider['name']} as {provider.get('resourceKind', '')}" if provider.get("name") else "",
        shorten(status.get("message", "")),
    ]
    return "  ".join(part for part in parts if part)


def shorten(text: str) -> str:
    """Return a text that fits a line."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[: LONGEST_MESSAGE - 3]}..."


def make_table(samples: list[Sample], deployments: dict[str, Any]) -> str:
    """Return the samples as they are, a line each, and below them what those say that do not run."""
    rows = [COLUMNS]
    for sample in samples:
        item = deployments[f"default/{sample.name}"]
        status = item["status"]
        replicas = status.get("replicas", {})
        rows.append(
            (
                sample.name,
                sample.provider,
                status.get("provider", {}).get("resourceKind", ""),
                status["phase"],
                f"{replicas.get('ready', 0)}/{replicas.get('desired', 0)}",
                str(sample.gpus * sample.replicas),
                read_ready(item)[0],
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    waiting = (sample.name for sample in samples if sample.waits)
    words = [f"\n{name}: {read_ready(deployments[f'default/{name}'])[1]}" for name in waiting]
    return "\n".join([*lines, *words])


def describe_access(cluster: ControlPlane, log: Path, name: str) -> str:
    """Return the lines that reach the demo from another terminal."""
    kubectl = "kubectl" if shutil.which("kubectl") else shlex.join(cluster.kubectl_command)
    return f"""
In another terminal:

  export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}
  {kubectl} get modeldeployments -A
  {kubectl} describe modeldeployment {name}
  {kubectl} scale modeldeployment {name} --replicas=3
  {kubectl} get inferencesets,workspaces,dynamographdeployments,rayservices,deployments,pods,services
  {kubectl} delete modeldeployment {name}
  tail -f {shlex.quote(str(log))}

Changes are shown here as they happen. Ctrl-C ends everything."""


def say(line: str) -> None:
    """Print to standard output at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
