"""Whole journeys as people make them: kubectl, against a controller with the rights that docs/rbac.md lists."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS as KAITO_CRDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]

ROOT = Path(__file__).parents[3]
SYSTEM = "kubeairunway-system"
ACCOUNT = "kubeairunway-controller"
OTHERS = "dynamo,kuberay,vllm"
"""Providers that neither the controller nor the command line has here: the page on rights is KAITO's."""

PROGRAM = Path(sys.executable).with_name("kubeairunway")
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


class Desk:
    """A namespace and a kubectl: what a model owner has."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._env = {
            **os.environ,
            "KUBECONFIG": str(plane.kubeconfig),
            "KUBEAIRUNWAY_DISABLE_PROVIDERS": OTHERS,
        }
        self.namespace = f"desk-{next(_numbers)}"
        self.kubectl("create", "namespace", self.namespace)

    def kubectl(self, *words: str, text: str = "") -> str:
        """Run kubectl in this namespace and return what it prints. Raises KubectlError."""
        return self._plane.kubectl("--namespace", self.namespace, *words, input=text).stdout

    def program(self, *words: str, text: str = "") -> str:
        """Run our own command line against the same cluster and return what it prints."""
        done = subprocess.run(  # noqa: S603 - our own program
            [str(PROGRAM), *words], input=text, env=self._env, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    def deploy(self, name: str, **spec: Any) -> None:
        """Apply a ModelDeployment: one GPU unless the spec says otherwise."""
        whole = {"model": {"id": "Qwen/Qwen3-8B"}, "resources": {"gpu": {"count": 1}}, **spec}
        self.apply({"apiVersion": "kubeairunway.ai/v1alpha1", "kind": "ModelDeployment", "spec": whole}, name)

    def apply(self, manifest: Json, name: str) -> None:
        body = {**manifest, "metadata": {"name": name, **manifest.get("metadata", {})}}
        self.kubectl("apply", "-f", "-", text=json.dumps(body))

    def patch(self, kind: str, name: str, change: Json) -> None:
        self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(change))

    def get(self, kind: str, name: str) -> Json:
        """One object; empty if there is none."""
        text = self.kubectl("get", kind, name, "--ignore-not-found", "-o", "json")
        found: Json = json.loads(text) if text else {}
        return found

    def find_all(self, kind: str) -> list[Json]:
        items: list[Json] = json.loads(self.kubectl("get", kind, "-o", "json"))["items"]
        return items

    def wait(self, name: str, condition: str = "Ready", seconds: int = 15) -> None:
        """`kubectl wait`, which minds the generation that a condition is about."""
        self.kubectl("wait", f"md/{name}", f"--for=condition={condition}", f"--timeout={seconds}s")

    def running(self, name: str, **spec: Any) -> Json:
        """Deploy, wait until it is Ready, and return it."""
        self.deploy(name, **spec)
        self.wait(name)
        return self.get("md", name)

    def until(self, holds: Callable[[], Any], seconds: float, what: str) -> Any:
        """Wait until something holds and return it; fail after so many seconds."""
        end = time.monotonic() + seconds
        while True:
            value = holds()
            if value:
                return value
            if time.monotonic() > end:
                pytest.fail(f"not within {seconds} s: {what}\n{self.kubectl('get', 'md', '-o', 'yaml')[-4000:]}")
            time.sleep(0.05)

    def reads(self, name: str, result: str, *, reason: str = "", seconds: float = 8) -> Json:
        """Wait until a deployment reads as `result` by the rules of kstatus, with a reason of Ready; return it."""

        def look() -> Json:
            found = self.get("md", name)
            fits = read_kstatus(found) == result and reason in {"", ready_of(found)["reason"]}
            return found if fits else {}

        found: Json = self.until(look, seconds, f"{name} reads as {result} {reason}")
        check_status(found)
        return found

    def requests(self, since: datetime) -> Counter[tuple[str, str]]:
        """What the controller wrote or read in this namespace since then, as (verb, resource); watches left out."""
        found = Counter[tuple[str, str]]()
        for line in self._plane.layout.audit_log.read_text().splitlines():
            entry = json.loads(line)
            ref = entry.get("objectRef") or {}
            if not entry["user"]["username"].endswith(f":{ACCOUNT}") or ref.get("namespace") != self.namespace:
                continue
            if entry["verb"] == "watch" or datetime.fromisoformat(entry["requestReceivedTimestamp"]) < since:
                continue
            found[entry["verb"], "/".join(filter(None, (ref["resource"], ref.get("subresource"))))] += 1
        return found

    def events(self, reason: str) -> list[str]:
        return [event["message"] for event in self.find_all("events") if event["reason"] == reason]


def ready_of(deployment: Json) -> Json:
    """The Ready condition; its reason is empty while there is none."""
    rows = (deployment.get("status") or {}).get("conditions") or ()
    return next((row for row in rows if row["type"] == "Ready"), {"status": "", "reason": "", "message": ""})


def read_kstatus(obj: Json) -> str:
    """What tools that follow kstatus conclude: the generation first, then Reconciling and Stalled, then Ready."""
    meta, status = obj.get("metadata") or {}, obj.get("status") or {}
    if meta.get("deletionTimestamp"):
        return "Terminating"
    if "observedGeneration" in status and status["observedGeneration"] != meta["generation"]:
        return "InProgress"
    found = {row["type"]: row["status"] for row in status.get("conditions") or ()}
    if found.get("Reconciling") == "True":
        return "InProgress"
    if found.get("Stalled") == "True":
        return "Failed"
    return "Current" if found.get("Ready", "True") == "True" else "InProgress"


def check_status(deployment: Json) -> None:
    """What holds in every state: conditions agree with each other, and the root cause is in Ready and the message."""
    status = deployment["status"]
    found = {row["type"]: row for row in status["conditions"]}
    assert {row["observedGeneration"] for row in found.values()} == {status["observedGeneration"]}
    assert all(row["reason"] for row in found.values())
    busy = [name for name in ("Reconciling", "Stalled") if found[name]["status"] == "True"]
    assert len(busy) <= 1
    assert not (busy and found["Ready"]["status"] == "True")
    for name in busy:
        assert (found[name]["reason"], found[name]["message"]) == (found["Ready"]["reason"], found["Ready"]["message"])
    assert status["message"] == found["Ready"]["message"]


def read_rules() -> str:
    """The manifests of docs/rbac.md."""
    found = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / "rbac.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="session")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane with a controller and KAITO's stand-in; without nodes, since nothing here needs a pod."""
    with ControlPlane(scheduler=False, audit=True, crds=[ROOT / "crds", KAITO_CRDS]) as started:
        rules = tmp_path_factory.mktemp("rbac") / "rbac.yaml"
        rules.write_text(read_rules())
        started.kubectl("apply", "-f", str(rules))
        account = started.service_account_kubeconfig(SYSTEM, ACCOUNT)
        flags = ["--deletion-limit", "4", "--bind", "127.0.0.1:0", "--disable-providers", OTHERS]
        started.start_beside("kaito", [sys.executable, "-m", "kubeairunway_dev.standins.kaito", "--delay", "0.2"])
        started.start_beside("controller", [str(PROGRAM), "controller", "--kubeconfig", str(account), *flags])
        yield started
        started.check()


@pytest.fixture
def desk(plane: ControlPlane) -> Desk:
    """A namespace of its own for each test, with the controller leading and the provider ready."""
    desk = Desk(plane)
    desk.kubectl("wait", "ipc/kaito", "--for=create", "--timeout=30s")
    desk.kubectl("wait", "ipc/kaito", "--for=condition=Ready", "--timeout=30s")
    return desk


@pytest.fixture
def now() -> Callable[[], datetime]:
    """The present moment, as the audit log has it."""
    return lambda: datetime.now(UTC)
