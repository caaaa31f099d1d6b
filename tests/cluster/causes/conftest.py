"""A whole cluster with simulated GPU nodes, and a controller for plain vLLM pods with the rights of docs/rbac.md."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway_dev.controlplane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
SYSTEM = "kubeairunway-system"
ACCOUNT = "kubeairunway-controller"
PROGRAM = str(Path(sys.executable).with_name("kubeairunway"))
OTHERS = "dynamo,kaito,kuberay"
VLLM_RULES = [
    "--verb=get,list,watch,create,patch,delete",
    "--resource=deployments.apps,services,persistentvolumeclaims",
]
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


class Desk:
    """A namespace of its own, and what is asked of it."""

    def __init__(self, plane: ControlPlane, log: Path) -> None:
        self.plane = plane
        self.namespace = f"causes-{next(_numbers)}"
        self._log = log
        self.kubectl("create", "namespace", self.namespace)
        self.kubectl("wait", "--for=create", "--timeout=30s", "-n", self.namespace, "serviceaccount/default")

    def kubectl(self, *args: str, text: str = "") -> str:
        return self.plane.kubectl(*args, input=text).stdout

    def apply(self, api_version: str, kind: str, name: str, **body: Any) -> None:
        meta = {"name": name, "namespace": self.namespace}
        self.plane.apply({"apiVersion": api_version, "kind": kind, "metadata": meta, **body})

    def deploy(self, name: str, **spec: Any) -> None:
        whole = {"model": {"id": "org/model"}, "resources": {"gpu": {"count": 1}}, "provider": {"name": "vllm"}, **spec}
        self.apply("kubeairunway.ai/v1alpha1", "ModelDeployment", name, spec=whole)

    def get(self, name: str) -> Any:
        path = f"/apis/kubeairunway.ai/v1alpha1/namespaces/{self.namespace}/modeldeployments/{name}"
        return self.plane.request("GET", path).json

    def ready(self, name: str) -> tuple[str, str, str]:
        """Status, reason and message of Ready."""
        rows = (self.get(name).get("status") or {}).get("conditions") or ()
        found = next((row for row in rows if row["type"] == "Ready"), {"status": "", "reason": "", "message": ""})
        return found["status"], found["reason"], found["message"]

    def reads(self, name: str, reason: str, words: str = "", seconds: float = 20) -> str:
        """Wait until a deployment is not Ready for a reason, with these words; return the message."""

        def look() -> str:
            status, said, message = self.ready(name)
            return message if (status, said) == ("False", reason) and words in message else ""

        found: str = self.until(look, f"{name} reads {reason}: {words}", seconds)
        assert self.get(name)["status"]["message"] == found
        return found

    def runs(self, name: str, seconds: float = 20) -> None:
        """Wait until a deployment is Ready."""
        self.until(lambda: self.ready(name)[0] == "True", f"{name} is Ready", seconds)

    def turns(self, name: str, state: Any, reason: str, words: str, **more: Any) -> None:
        """Let a deployment that is Ready lose its pod to some state, read why, and let it recover."""
        self.play_kubelet(name, state, **more)
        self.reads(name, reason, words)
        self.play_kubelet(name, {"running": {"startedAt": "2026-01-01T00:00:00Z"}}, ready=True)
        self.runs(name)
        assert self.ready(name) == ("True", "DeploymentReady", "All replicas are ready")

    def pod(self, name: str) -> str:
        """The name of a deployment's one pod."""
        words = ("get", "pods", "-n", self.namespace, "-l", f"vllm.kubeairunway.ai/deployment={name}", "-o", "json")
        pods = json.loads(self.kubectl(*words))["items"]
        (found,) = [pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return str(found)

    def play_kubelet(self, name: str, state: Any, *, last: Any = None, ready: bool = False, restarts: int = 0) -> None:
        """Stand in for kubelet, which simulated nodes have not: write what it would of the engine's container."""
        flag = "True" if ready else "False"
        conditions = [{"type": kind, "status": flag} for kind in ("Ready", "ContainersReady")]
        conditions += [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized")]
        row = {"name": "vllm", "image": "engine", "imageID": "", "ready": ready, "restartCount": restarts}
        row |= {"state": state, "lastState": last or {}}
        patch = json.dumps({"status": {"conditions": conditions, "containerStatuses": [row]}})
        words = ("-n", self.namespace, "pod", self.pod(name), "--subresource=status", "--type=merge", "-p", patch)
        self.kubectl("patch", *words)

    def delete(self, *names: str) -> None:
        """Delete deployments and wait until no pod here holds anything any more."""
        self.kubectl("delete", "md", *names, "-n", self.namespace, "--timeout=20s")
        words = ("get", "pods", "-n", self.namespace, "-o", "name")
        self.until(lambda: not self.kubectl(*words), "its pods are gone", 20)

    def until(self, holds: Callable[[], Any], what: str, seconds: float = 20) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if value := holds():
                return value
            time.sleep(0.05)
        seen = self.kubectl("get", "md,pods,events", "-n", self.namespace, "-o", "wide")
        return pytest.fail(f"not within {seconds} s: {what}\n{seen}\n{self._log.read_text()[-2000:]}")

    def requests(self, since: datetime) -> Counter[tuple[str, str]]:
        """What the controller asked since then, as (verb, resource); watches left out."""
        found = Counter[tuple[str, str]]()
        for line in self.plane.layout.audit_log.read_text().splitlines():
            entry = json.loads(line)
            if not entry["user"]["username"].endswith(f":{ACCOUNT}") or entry["verb"] == "watch":
                continue
            if datetime.fromisoformat(entry["requestReceivedTimestamp"]) >= since:
                ref = entry.get("objectRef") or {}
                place = filter(None, (ref.get("resource", entry["requestURI"]), ref.get("subresource")))
                found[entry["verb"], "/".join(place)] += 1
        return found


@pytest.fixture(scope="session")
def plane() -> Iterator[tuple[ControlPlane, Path]]:
    """Two nodes with four GPUs each, and the controller's log."""
    with ControlPlane(nodes=2, gpus=4, audit=True, crds=[ROOT / "crds"]) as started:
        found = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / "rbac.md").read_text(), re.DOTALL)
        assert found is not None
        started.kubectl("apply", "-f", "-", input=found[1])
        started.kubectl("create", "clusterrole", "vllm", *VLLM_RULES)
        started.kubectl(
            "create", "clusterrolebinding", "vllm", "--clusterrole=vllm", f"--serviceaccount={SYSTEM}:{ACCOUNT}"
        )
        account = started.service_account_kubeconfig(SYSTEM, ACCOUNT)
        flags = ["--kubeconfig", str(account), "--bind", "127.0.0.1:0", "--disable-providers", OTHERS]
        yield started, started.start_beside("controller", [PROGRAM, "controller", *flags])
        started.check()


@pytest.fixture
def desk(plane: tuple[ControlPlane, Path]) -> Desk:
    desk = Desk(*plane)
    desk.kubectl("wait", "ipc/vllm", "--for=create", "--timeout=30s")
    desk.kubectl("wait", "ipc/vllm", "--for=condition=Ready", "--timeout=30s")
    return desk


@pytest.fixture
def now() -> Callable[[], datetime]:
    """The present moment, as the audit log has it."""
    assert "KUBECONFIG" not in os.environ
    return lambda: datetime.now(UTC)
