"""`explain` and `render` against a real API server: its configs, its served versions, its deployments."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kubeairunway.model.crd import crd_yaml
from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS

pytestmark = pytest.mark.cluster

MAIN = "import sys; from kubeairunway.cli import main; sys.exit(main())"
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "kubeairunway.ai/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"name": "qwen", "namespace": "default"},
    "spec": {"model": {"id": "Qwen/Qwen3-0.6B"}, "resources": {"gpu": {"count": 1}}},
}

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def server() -> Iterator[ControlPlane]:
    """An API server of our own, so that no controller writes the configs."""
    with ControlPlane(controller_manager=False, scheduler=False) as started:
        yield started


@pytest.fixture
def run(server: ControlPlane, tmp_path: Path) -> Run:
    """Call `kubeairunway` with the server's kubeconfig."""

    def call(*arguments: str, stdin: Any = None) -> subprocess.CompletedProcess[str]:
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(server.kubeconfig)}
        return subprocess.run(  # noqa: S603 - ours
            [sys.executable, "-c", MAIN, *arguments, "--provider", "kaito"],
            input=json.dumps(stdin),
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=60,
            check=False,
        )

    return call


def write_config(server: ControlPlane, *, age: timedelta = timedelta(0), **spec: Any) -> None:
    """Write the config of kaito as a controller would have, that long ago."""
    config = {
        "apiVersion": "kubeairunway.ai/v1alpha1",
        "kind": "InferenceProviderConfig",
        "metadata": {"name": "kaito"},
        "spec": spec,
    }
    server.apply(config)
    beat = (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")
    patch = json.dumps({"status": {"ready": True, "lastHeartbeat": beat}})
    server.kubectl("patch", "ipc", "kaito", "--subresource=status", "--type=merge", "-p", patch)


def test_a_cluster_is_asked_step_by_step_until_it_can_run_the_model(server: ControlPlane, run: Run) -> None:
    """One test, since each step builds on the cluster as the one before left it."""
    missing = run("explain", "--live", "-f", "-", stdin=DEPLOYMENT)
    assert missing.returncode == 3
    assert "install the CRDs: kubeairunway crds | kubectl apply --server-side -f -" in missing.stderr

    server.install_crds([crd_yaml()])
    unloaded = run("explain", "--live", "-f", "-", stdin=DEPLOYMENT)
    assert unloaded.returncode == 1
    assert "no controller has loaded its package" in unloaded.stdout

    write_config(server)
    unserved = run("explain", "--live", "-f", "-", stdin=DEPLOYMENT)
    assert unserved.returncode == 1
    assert "the cluster does not serve" in unserved.stdout

    server.install_crds([CRDS])
    ready = run("explain", "--live", "-f", "-", stdin=DEPLOYMENT)
    assert ready.returncode == 0, ready.stdout + ready.stderr
    assert ready.stdout.startswith("default/qwen: kaito runs it on vLLM\n")

    write_config(server, age=timedelta(hours=1))
    stale = run("explain", "--live", "-f", "-", stdin=DEPLOYMENT)
    assert stale.returncode == 1
    assert "no controller has looked after provider kaito: last at" in stale.stdout

    write_config(server, disabled=True)
    disabled = run("explain", "--live", "-f", "-", stdin=DEPLOYMENT)
    assert disabled.returncode == 1
    given = {
        "apiVersion": "kubeairunway.ai/v1alpha1",
        "kind": "InferenceProviderConfig",
        "metadata": {"name": "kaito"},
        "spec": {"disabled": False},
    }
    both = run("explain", "--live", "-f", "-", stdin={"kind": "List", "items": [DEPLOYMENT, given]})
    assert both.returncode == 0, both.stdout

    write_config(server, disabled=False)
    rendered = run("render", "--live", "-f", "-", stdin=DEPLOYMENT)
    server.kubectl("apply", "--dry-run=server", "-f", "-", input=rendered.stdout)

    assert run("explain", "qwen").returncode == 3
    server.apply(DEPLOYMENT)
    named = run("explain", "qwen", "-n", "default", "-o", "json")
    assert json.loads(named.stdout)["explanation"]["provider"] == "kaito"
    owned = run("render", "qwen", "-o", "json")
    uid = server.get("md", "qwen")["metadata"]["uid"]
    owners = {item["metadata"]["ownerReferences"][0]["uid"] for item in json.loads(owned.stdout)["items"]}
    assert owners == {uid}
