"""A control plane with a controller and KAITO's stand-in, and edits that are foretold, made and compared."""

from __future__ import annotations

import io
import itertools
import json
import sys
import time
from contextlib import redirect_stdout
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import yaml

from kubeairunway.cli import main
from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS as KAITO_CRDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Json = dict[str, Any]
Name = tuple[str, str]

ROOT = Path(__file__).parents[3]
SYSTEM = "kubeairunway-system"
ACCOUNT = "controller"
PROGRAM = Path(sys.executable).with_name("kubeairunway")
KINDS = {
    "inferencesets": ("InferenceSet", "kaito.sh/v1beta1"),
    "workspaces": ("Workspace", "kaito.sh/v1beta1"),
    "deployments": ("Deployment", "apps/v1"),
    "services": ("Service", "v1"),
    "configmaps": ("ConfigMap", "v1"),
}
OTHERS = ("dynamo", "kuberay")
"""Providers that have no part in this."""
API_VERSION = "kubeairunway.ai/v1alpha1"
LABEL = "kubeairunway.ai/deployment"
PAUSED = "kubeairunway.ai/reconcile-paused"
SECONDS = 15.0

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


class Bench:
    """A namespace in which one deployment is edited."""

    def __init__(self, plane: ControlPlane, directory: Path) -> None:
        self.plane = plane
        self.directory = directory
        self.namespace = f"diff-{next(_numbers)}"
        self._document: Json = {}

    def kubectl(self, *words: str, text: str = "") -> str:
        """Run kubectl in this namespace and return what it prints. Raises KubectlError."""
        return self.plane.kubectl("--namespace", self.namespace, *words, input=text).stdout

    def start(self, spec: Json, **annotations: str) -> None:
        """Make the namespace and apply the deployment; nothing is waited for."""
        self.plane.kubectl("create", "namespace", self.namespace)
        self.apply(self.document(spec, **annotations))

    def document(self, spec: Json, **annotations: str) -> Json:
        meta: Json = {"name": "one", "namespace": self.namespace}
        if annotations:
            meta["annotations"] = annotations
        return {"apiVersion": API_VERSION, "kind": "ModelDeployment", "metadata": meta, "spec": spec}

    def apply(self, document: Json) -> None:
        self.kubectl("apply", "-f", "-", text=json.dumps(document))

    def read(self, group: str, plural: str, name: str = "", query: str = "") -> Json:
        """One object, or a list; asked for directly, since kubectl takes its time. Empty if there is none."""
        root = f"/apis/{group}" if "/" in group else f"/api/{group}"
        answer = self.plane.request("GET", f"{root}/namespaces/{self.namespace}/{plural}/{name}{query}")
        found: Json = answer.json if answer.status == HTTPStatus.OK else {}
        return found

    def deployment(self) -> Json:
        return self.read(API_VERSION, "modeldeployments", "one")

    def foretell(self, document: Json, *options: str) -> Json:
        """What `explain --diff` says of applying the document."""
        path = self.directory / f"{self.namespace}.yaml"
        path.write_text(yaml.safe_dump(document))
        out = io.StringIO()
        words = ("explain", "--diff", "-f", str(path), "-o", "json", "--kubeconfig", str(self.plane.kubeconfig))
        with redirect_stdout(out):
            main([*words, *(word for name in OTHERS for word in ("--disable-provider", name)), *options])
        said: Json = json.loads(out.getvalue())
        return said

    def objects(self) -> dict[Name, Json]:
        """What the controller made here, by kind and name."""
        found = {}
        for plural, (kind, group) in KINDS.items():
            for obj in self.read(group, plural, query=f"?labelSelector={quote(LABEL)}").get("items", ()):
                found[kind, obj["metadata"]["name"]] = obj
        return found

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Wait until something holds and return it."""
        end = time.monotonic() + SECONDS
        while True:
            value = holds()
            if value:
                return value
            if time.monotonic() > end:
                shown = self.kubectl("get", "modeldeployment", "one", "-o", "yaml")
                pytest.fail(f"not within {SECONDS} s: {what}\n{shown}")
            time.sleep(0.05)

    def settle(self, kind: str = "Ready", status: str = "True") -> Json:
        """Wait until the newest generation is judged, with a condition as given, and return the deployment."""

        def look() -> Json:
            found = self.deployment()
            shown = found.get("status") or {}
            rows = {row["type"]: row["status"] for row in shown.get("conditions") or ()}
            seen = shown.get("observedGeneration") == found["metadata"]["generation"]
            return found if seen and rows.get(kind) == status else {}

        found: Json = self.until(look, f"{kind} is {status}")
        return found

    def mark(self) -> int:
        """This moment in the audit log."""
        return self.plane.layout.audit_log.stat().st_size

    def writes(self, since: int) -> set[tuple[str, str]]:
        """What the controller wrote to provider objects here since a moment, as (verb, resource)."""
        found = set()
        with self.plane.layout.audit_log.open("rb") as log:
            log.seek(since)
            entries = [json.loads(line) for line in log]
        for entry in entries:
            ref = entry.get("objectRef") or {}
            if ref.get("namespace") != self.namespace or not entry["user"]["username"].endswith(f":{ACCOUNT}"):
                continue
            if ref.get("resource") in KINDS and entry["verb"] not in {"get", "list", "watch"}:
                found.add((entry["verb"], ref["resource"]))
        return found


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """A control plane with a controller; without scheduler and nodes, since no pod has to run."""
    with ControlPlane(scheduler=False, audit=True, crds=[ROOT / "crds", KAITO_CRDS]) as started:
        started.kubectl("create", "namespace", SYSTEM)
        account = started.service_account_kubeconfig(SYSTEM, ACCOUNT)
        user = f"--serviceaccount={SYSTEM}:{ACCOUNT}"
        started.kubectl("create", "clusterrolebinding", ACCOUNT, "--clusterrole=cluster-admin", user)
        started.start_beside("kaito", [sys.executable, "-m", "kubeairunway_dev.standins.kaito", "--delay", "0.05"])
        command = [str(PROGRAM), "controller", "--kubeconfig", str(account), "--bind", "127.0.0.1:0"]
        command += ["--disable-providers", ",".join(OTHERS)]
        started.start_beside("controller", command)
        for name in ("kaito", "vllm"):
            started.kubectl("wait", f"ipc/{name}", "--for=create", "--timeout=30s")
            started.kubectl("wait", f"ipc/{name}", "--for=condition=Ready", "--timeout=30s")
        yield started
        started.check()


@pytest.fixture
def bench(plane: ControlPlane, tmp_path: Path) -> Bench:
    return Bench(plane, tmp_path)


@pytest.fixture(scope="session")
def make_bench(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Bench]:
    """Makes benches ahead of the tests that use them, so that their deployments start side by side."""
    return lambda: Bench(plane, tmp_path_factory.mktemp("bench"))
