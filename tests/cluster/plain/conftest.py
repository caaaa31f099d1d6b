"""A whole cluster with simulated GPU nodes, and a controller with the provider of plain vLLM pods alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway_dev.controlplane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
NAMESPACE = "plain"
GPUS = 8
"""On the one node there is."""
PROGRAM = str(Path(sys.executable).with_name("kubeairunway"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


class Desk:
    """Kubectl in the namespace of these tests, and waiting."""

    def __init__(self, plane: ControlPlane, log: Path) -> None:
        self.plane = plane
        self._log = log

    def kubectl(self, *args: str, check: bool = True) -> str:
        done = self.plane.kubectl("-n", NAMESPACE, *args, check=check)
        return done.stdout + done.stderr

    def cli(self, *args: str) -> str:
        """What `kubeairunway` prints, with the cluster given by flag."""
        command = [PROGRAM, *args, "-n", NAMESPACE, "--provider", "vllm", f"--kubeconfig={self.plane.kubeconfig}"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603 - ours

    def deploy(self, name: str, **spec: Any) -> None:
        base: dict[str, Any] = {"model": {"id": "org/model"}, "resources": {"gpu": {"count": 1}}}
        meta = {"name": name, "namespace": NAMESPACE}
        body = {"apiVersion": "kubeairunway.ai/v1alpha1", "kind": "ModelDeployment", "metadata": meta}
        self.plane.apply({**body, "spec": {**base, **spec}})

    def get(self, kind: str, name: str) -> Any:
        return self.plane.get(kind, name, "-n", NAMESPACE)

    def patch(self, kind: str, name: str, patch: dict[str, Any]) -> None:
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(patch))

    def find(self, kind: str, labels: str = "") -> list[Any]:
        found: list[Any] = self.plane.get(kind, "-n", NAMESPACE, "-l", labels)["items"]
        return found

    def pods(self, name: str) -> list[Any]:
        """The pods of a deployment that are not on their way out, by the selector that its status gives."""
        selector = self.get("md", name)["status"]["selector"]
        assert selector.startswith(f"vllm.kubeairunway.ai/deployment={name},")
        return [pod for pod in self.find("pods", selector) if "deletionTimestamp" not in pod["metadata"]]

    def ready(self, name: str, reason: str = "DeploymentReady", seconds: float = 30) -> dict[str, Any]:
        """Wait until a deployment's present spec is Ready for that reason, and return its status."""

        def look() -> dict[str, Any] | None:
            obj = self.get("md", name)
            status: dict[str, Any] = obj.get("status") or {}
            rows = [row for row in status.get("conditions") or () if row["type"] == "Ready"]
            current = status.get("observedGeneration") == obj["metadata"]["generation"]
            return (
                status if current and [(row["status"], row["reason"]) for row in rows] == [("True", reason)] else None
            )

        found: dict[str, Any] = self.until(look, f"{name} is ready ({reason})", seconds)
        return found

    def until(self, holds: Callable[[], Any], what: str, seconds: float = 15) -> Any:
        """Wait until something holds and return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := holds():
                return value
            time.sleep(0.1)
        seen = self.kubectl("get", "md,deployments,pods,pvc,events")
        pytest.fail(f"not within {seconds} s: {what}\n{seen}\n{self._log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane(nodes=1, gpus=GPUS, crds=[ROOT / "crds"]) as started:
        started.kubectl("create", "namespace", NAMESPACE)
        started.kubectl("wait", "--for=create", "--timeout=30s", "-n", NAMESPACE, "serviceaccount/default")
        yield started


@pytest.fixture(scope="session")
def desk(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A running controller with exactly the rights that the package's README asks for."""
    log = tmp_path_factory.mktemp("controller") / "log"
    flags = ["--bind", "127.0.0.1:0", "--namespaces", NAMESPACE, "--lease-namespace", NAMESPACE]
    others = "dynamo,kaito,kuberay"
    env = {**os.environ, "KUBECONFIG": str(plane.kubeconfig), "KUBEAIRUNWAY_DISABLE_PROVIDERS": others}
    with (
        log.open("wb") as out,
        subprocess.Popen([PROGRAM, "controller", *flags], stdout=out, stderr=out, env=env) as process,  # noqa: S603 - ours
    ):
        yield Desk(plane, log)
        process.terminate()
        assert process.wait(20) == 0
