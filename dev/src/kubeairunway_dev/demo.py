"""`kubeairunway-dev demo`: a sample model on a fresh control plane, from nothing to Running, while you watch."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from kubeairunway.errors import SettingsError
from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.errors import DevError
from kubeairunway_dev.places import read_tail
from kubeairunway_dev.serve import Ended, end
from kubeairunway_dev.standins import CRDS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

OK, BROKEN, INTERRUPTED = 0, 1, 130

DEPLOYMENTS = "/apis/kubeairunway.ai/v1alpha1/modeldeployments"
CONTROLLER_NAMESPACE = "kubeairunway-system"
CONTROLLER = "controller"
OPERATOR = "kaito-stand-in"
OPERATOR_DELAY = 3.0
"""Seconds from a Workspace to ready: short, and long enough to be seen."""

WATCH_SECONDS = 1
LOG_LINES = 30

MORE_GPUS = (1, 2, 4, 8)
MORE_NODES = 2
"""Beside the sample's nodes, so many of each size, for whatever you deploy yourself: KAITO wants nodes with exactly as
many GPUs as a replica asks for."""

NAME = "qwen"
SAMPLE = """\
apiVersion: kubeairunway.ai/v1alpha1
kind: ModelDeployment
metadata:
  name: {name}
  namespace: default
spec:
  model:
    id: Qwen/Qwen3-8B
  resources:
    gpu:
      count: {gpus}
  scaling:
    replicas: {replicas}
"""
"""One replica takes a whole node: KAITO gives a model all GPUs of the nodes that it runs on."""


def run(options: argparse.Namespace) -> int:
    """Run the demo and return its exit code: 0 Running was reached, 1 it was not, 130 interrupted before that."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, end)
    if options.nodes < 1 or options.gpus < 1:
        raise SettingsError("the sample wants at least --nodes 1 --gpus 1")
    demo = Demo(options.nodes, options.gpus, options.timeout)
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

    def __init__(self, nodes: int, gpus: int, timeout: float) -> None:
        self.reached = False
        self._nodes = nodes
        self._gpus = gpus
        self._timeout = timeout
        self._applied = 0.0
        self._shown: dict[str, str] = {}

    def show(self, *, once: bool) -> None:
        """Start everything, deploy the sample and follow it; without `once`, until interrupted. Raises DevError."""
        started = time.monotonic()
        crds = read_crds()
        with ControlPlane(nodes=self._nodes, gpus=self._gpus, crds=[crds, CRDS]) as cluster:
            say(f"Control plane ready in {time.monotonic() - started:.1f} s: {cluster.url}, {self._describe_nodes()}")
            for gpus in (size for size in MORE_GPUS if size != self._gpus):
                cluster.add_nodes(MORE_NODES, gpus, prefix=f"gpus-{gpus}")
            log = start_controller(cluster)
            say(f"Controller started; log: {log}")
            sample = SAMPLE.format(name=NAME, gpus=self._gpus, replicas=min(2, self._nodes))
            say(f"\nkubectl apply -f - <<EOF\n{sample}EOF\n")
            cluster.kubectl("apply", "--server-side", "-f", "-", input=sample)
            self._applied = time.monotonic()
            self._await_phase(cluster, log, "Pending")
            say("\nThere is no KAITO operator. Starting a stand-in: it writes what KAITO would; no model is loaded.\n")
            start_operator(cluster)
            self._await_phase(cluster, log, "Running")
            self.reached = True
            say(f"\n{NAME} is Running, {time.monotonic() - self._applied:.1f} s after it was applied.")
            if not once:
                say(describe_access(cluster, log))
                for _ in self._follow(cluster):
                    pass

    def _describe_nodes(self) -> str:
        gpus = "one GPU" if self._gpus == 1 else f"{self._gpus} GPUs"
        more = ", ".join(str(size) for size in MORE_GPUS if size != self._gpus)
        return f"{self._nodes} simulated nodes with {gpus} each, and {MORE_NODES} each with {more}"

    def _await_phase(self, cluster: ControlPlane, log: Path, phase: str) -> None:
        """Show changes until the sample is in `phase`; raise DevError with the controller's log if it is too late."""
        for deployments in self._follow(cluster):
            if deployments.get(f"default/{NAME}", {}).get("status", {}).get("phase") == phase:
                return
            if time.monotonic() > self._applied + self._timeout:
                status = cluster.kubectl("get", "modeldeployment", NAME, "-o", "yaml", check=False).stdout
                raise DevError(
                    f"{NAME} is not {phase} after {self._timeout:.0f} s. It says:\n{status}\n"
                    f"The controller's log ends with:\n{read_tail(log, LOG_LINES)}"
                )

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


def start_operator(cluster: ControlPlane) -> None:
    """Start KAITO's stand-in, with pods."""
    delay = f"--delay={OPERATOR_DELAY}"
    cluster.start_beside(OPERATOR, [sys.executable, "-m", "kubeairunway_dev.standins.kaito", delay, "--pods"])


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
        item["metadata"]["name"],
        f"{status.get('phase') or '(no status yet)':<12}",
        f"{replicas.get('ready', 0)}/{replicas.get('desired', 0)} ready" if replicas else "",
        f"on {provider['name']} as {provider.get('resourceKind', '')}" if provider.get("name") else "",
        status.get("message", ""),
    ]
    return "  ".join(part for part in parts if part)


def describe_access(cluster: ControlPlane, log: Path) -> str:
    """Return the lines that reach the demo from another terminal."""
    kubectl = "kubectl" if shutil.which("kubectl") else shlex.join(cluster.kubectl_command)
    return f"""
In another terminal:

  export KUBECONFIG={shlex.quote(str(cluster.kubeconfig))}
  {kubectl} get modeldeployments -A
  {kubectl} describe modeldeployment {NAME}
  {kubectl} scale modeldeployment {NAME} --replicas=3
  {kubectl} get inferencesets,workspaces,pods,services
  {kubectl} delete modeldeployment {NAME}
  tail -f {shlex.quote(str(log))}

Changes are shown here as they happen. Ctrl-C ends everything."""


def say(line: str) -> None:
    """Print to standard output at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
