"""`providers try` against a real API server, alone and beside a controller that lacks the package."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.model.crd import crd_yaml
from kubeairunway_dev.controlplane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.cluster

MAIN = "import sys; from kubeairunway.cli import main; sys.exit(main())"
PROGRAM = [sys.executable, "-c", MAIN]
NAME, NAMESPACE = "7-up", "try-7-up"
EVERY = "dynamo,kaito,kuberay,vllm"


class Trial:
    """A `providers try` that runs, and what it has printed."""

    def __init__(self, server: ControlPlane, package: Path, *words: str) -> None:
        self._out = package.parent / f"try-{time.monotonic_ns()}.log"
        with self._out.open("wb") as out:
            self.process = subprocess.Popen(  # noqa: S603 - ours
                [*PROGRAM, "providers", "try", str(package), *words],
                stdout=out,
                stderr=out,
                env={"PATH": os.environ["PATH"], "HOME": str(package.parent), "KUBECONFIG": str(server.kubeconfig)},
            )

    @property
    def text(self) -> str:
        return self._out.read_text()

    def says(self, pattern: str, seconds: float = 30) -> re.Match[str]:
        """Wait until a line fits the pattern."""
        found: re.Match[str] = until(lambda: re.search(pattern, self.text, re.MULTILINE), seconds, lambda: self.text)
        return found

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(30)


def until(holds: Callable[[], Any], seconds: float, describe: Callable[[], str]) -> Any:
    """Wait until something holds and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = holds()
        if value:
            return value
        time.sleep(0.05)
    return pytest.fail(f"not within {seconds} s:\n{describe()}")


@pytest.fixture(scope="module")
def server() -> Iterator[ControlPlane]:
    """An API server of our own, with nothing of ours installed."""
    with ControlPlane(controller_manager=False, scheduler=False) as started:
        yield started


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package as `providers new` writes it; it is never installed."""
    folder = tmp_path_factory.mktemp("author") / "package"
    kind = ("--kind", "serving.example.com/v1/ModelServer")
    subprocess.run([*PROGRAM, "providers", "new", NAME, *kind, "--directory", str(folder)], check=True)  # noqa: S603 - ours
    return folder


@pytest.fixture
def begin(server: ControlPlane, package: Path) -> Iterator[Callable[..., Trial]]:
    """Starts trials, and ends those that are left."""
    made: list[Trial] = []

    def start(*words: str) -> Trial:
        made.append(Trial(server, package, *words))
        return made[-1]

    yield start
    for trial in made:
        trial.end()


@pytest.fixture
def ready(server: ControlPlane) -> ControlPlane:
    """The server with our CRDs."""
    server.install_crds([crd_yaml()])
    return server


def read_ready(server: ControlPlane) -> dict[str, Any]:
    rows = (server.get("md", "sample", "-n", NAMESPACE).get("status") or {}).get("conditions") or ()
    return next((row for row in rows if row["type"] == "Ready"), {"status": "", "reason": "", "message": ""})


def read_configs(server: ControlPlane) -> dict[str, Any]:
    return {item["metadata"]["name"]: item for item in server.get("ipc")["items"]}


def deploy_sample(server: ControlPlane, trial: Trial) -> None:
    """Do what the trial tells its reader to do."""
    found = trial.says(r"^kubectl apply -f - <<'EOF'\n((?:.*\n)*?)EOF$")
    server.kubectl("apply", "-f", "-", input=found[1])


def serve(server: ControlPlane, **status: Any) -> None:
    """Write upstream's status, as an operator would."""
    until(lambda: server.get("modelserver", "-n", NAMESPACE)["items"], 20, lambda: str(read_ready(server)))
    generation = server.get("modelserver", "sample", "-n", NAMESPACE)["metadata"]["generation"]
    whole = {"phase": "Serving", "observedGeneration": generation, "readyReplicas": 1, **status}
    words = ("patch", "modelserver", "sample", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p")
    server.kubectl(*words, json.dumps({"status": whole}))


def test_a_package_is_tried_from_its_folder_until_ctrl_c(
    server: ControlPlane, package: Path, begin: Callable[..., Trial], tmp_path: Path
) -> None:
    """One test, since each step builds on the cluster as the one before left it."""
    refused = begin()
    refused.says(re.escape("install the CRDs: kubeairunway crds | kubectl apply --server-side -f -"))
    assert refused.process.wait(30) == 3

    server.install_crds([crd_yaml()])
    server.kubectl("create", "namespace", "kubeairunway-system")
    flags = ("--bind", "127.0.0.1:0", "--disable-providers", EVERY, "--kubeconfig", str(server.kubeconfig))
    with (tmp_path / "whole.log").open("wb") as log:
        whole = subprocess.Popen([*PROGRAM, "controller", *flags], stdout=log, stderr=log)  # noqa: S603 - ours
    try:
        follow_a_trial(server, package, begin)
    finally:
        whole.terminate()
        whole.wait(30)


def follow_a_trial(server: ControlPlane, package: Path, begin: Callable[..., Trial]) -> None:
    trial = begin()
    trial.says(rf"^provider {NAME} 0.1.0 from .*__init__.py: Loaded$")
    assert trial.says(r"^(\d+) of (\d+) rules that are quickly checked are kept$")[1] not in {"0", "1"}
    trial.says(f"^made namespace {NAMESPACE}$")
    hint = trial.says(r"does not serve ModelServer \(serving.example.com/v1\).*: kubectl apply --server-side -f (.+)$")
    assert Path(hint[1]).is_relative_to(package)
    deploy_sample(server, trial)
    trial.says("^[0-9:]+ sample: Pending, .*ModelServer")

    server.kubectl("apply", "--server-side", "-f", hint[1])
    serve(server, phase="Starting", readyReplicas=0)
    trial.says("^[0-9:]+ sample: .*0/1 ready, as ModelServer sample, ")
    serve(server)
    trial.says("^[0-9:]+ sample: Running, 1/1 ready, as ModelServer sample, ")
    assert read_ready(server)["status"] == "True"
    assert "PackageMissing" not in trial.text
    assert server.get("lease", f"try.{NAME}", "-n", NAMESPACE)["spec"]["holderIdentity"]
    config = read_configs(server)[NAME]
    assert config["spec"]["autoSelect"] is False
    assert config["status"]["ready"] is True

    second = begin()
    second.says(rf"provider {NAME} is not free to be tried: .* tries it already \(heartbeat \d+ s ago\)")
    assert second.process.wait(30) == 3

    version = server.get("md", "sample", "-n", NAMESPACE)["metadata"]["resourceVersion"]
    assert trial.end() == 0
    assert f"deployments left in namespace {NAMESPACE}: 1" in trial.text
    assert NAME not in read_configs(server)
    until(lambda: read_ready(server)["reason"] != "Available" and changed(server, version), 20, lambda: trial.text)
    assert server.get("modelserver", "sample", "-n", NAMESPACE)["spec"]["replicas"] == 1, "it serves on"


def changed(server: ControlPlane, version: str) -> bool:
    return bool(server.get("md", "sample", "-n", NAMESPACE)["metadata"]["resourceVersion"] != version)


def test_a_trial_that_was_killed_is_no_obstacle_to_the_next(ready: ControlPlane, begin: Callable[..., Trial]) -> None:
    killed = begin("--namespace", "elsewhere")
    killed.says(f"^trying {NAME} in namespace elsewhere until Ctrl-C")
    until(lambda: (read_configs(ready).get(NAME) or {}).get("status"), 30, lambda: killed.text)
    killed.end(signal.SIGKILL)
    again = begin("--namespace", "elsewhere")
    again.says(f"^trying {NAME} in namespace elsewhere until Ctrl-C")
    assert again.end() == 0
    assert "kubectl delete namespace elsewhere" in again.text
    assert NAME not in read_configs(ready), "the first trial made it"


@pytest.mark.parametrize("spec", [{}, {"autoSelect": True, "disabled": True}, {"autoSelect": False}])
def test_a_config_that_was_there_is_left_as_it_was_found(
    ready: ControlPlane, begin: Callable[..., Trial], spec: dict[str, Any]
) -> None:
    body = {"apiVersion": "kubeairunway.ai/v1alpha1", "kind": "InferenceProviderConfig", "metadata": {"name": NAME}}
    ready.kubectl("create", "-f", "-", input=json.dumps({**body, "spec": spec}))
    killed = begin()
    until(lambda: (read_configs(ready).get(NAME) or {}).get("status"), 30, lambda: killed.text)
    assert read_configs(ready)[NAME]["spec"]["autoSelect"] is False
    killed.end(signal.SIGKILL)
    again = begin()
    again.says(f"^trying {NAME} in namespace {NAMESPACE} until Ctrl-C")
    assert again.end() == 0
    config = read_configs(ready)[NAME]
    assert config["spec"] == {"disabled": False, **spec}
    assert "annotations" not in config["metadata"]
    ready.kubectl("delete", "ipc", NAME)


def test_a_provider_that_a_controller_looks_after_is_not_taken_away(
    ready: ControlPlane, begin: Callable[..., Trial]
) -> None:
    beat = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    if NAME not in read_configs(ready):
        body = {"apiVersion": "kubeairunway.ai/v1alpha1", "kind": "InferenceProviderConfig", "metadata": {"name": NAME}}
        ready.apply({**body, "spec": {}})
    rows = [{"type": "Ready", "status": "True", "reason": "ProviderReady", "message": "", "lastTransitionTime": beat}]
    status = json.dumps({"status": {"ready": True, "lastHeartbeat": beat, "conditions": rows}})
    ready.kubectl("patch", "ipc", NAME, "--subresource=status", "--type=merge", "-p", status)
    trial = begin()
    trial.says(rf"a controller that has its package looks after it .*--disable-providers {NAME}")
    assert trial.process.wait(30) == 3


def test_a_cluster_that_does_not_answer_is_said_with_a_way_to_one(package: Path, tmp_path: Path) -> None:
    cluster = {"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "a", "context": {"cluster": "a", "user": "a"}}
    users = [{"name": "a", "user": {"token": "t"}}]
    file = tmp_path / "kubeconfig"
    whole = {"clusters": [cluster], "contexts": [context], "users": users, "current-context": "a"}
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", **whole}))
    for words, code in ((("--kubeconfig", str(file)), 3), ((), 2)):
        done = subprocess.run(  # noqa: S603 - ours
            [*PROGRAM, "providers", "try", str(package), *words],
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "make demo in a checkout, or kubeairunway-dev up" in done.stderr
