"""A real API server, the KAITO stand-in, and controller processes that a test can start, kill and count requests of."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.errors import ApiError
from kubeairunway.kube.client import Client
from kubeairunway.kube.config import load_config
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.objects.resources import Json, Resource
from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS as KAITO_CRDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

    from kubeairunway_dev.controlplane import Cluster

ROOT = Path(__file__).parents[3]
PROGRAM = (str(Path(sys.executable).with_name("kubeairunway")),)
CONTROLLER_NAMESPACE = "kubeairunway-system"
ACCOUNT = f"system:serviceaccount:{CONTROLLER_NAMESPACE}:controller"

MD = Resource("kubeairunway.ai", "v1alpha1", "ModelDeployment", "modeldeployments")
CONFIG = Resource(
    "kubeairunway.ai", "v1alpha1", "InferenceProviderConfig", "inferenceproviderconfigs", namespaced=False
)
WORKSPACE = Resource("kaito.sh", "v1beta1", "Workspace", "workspaces")
INFERENCE_SET = Resource("kaito.sh", "v1beta1", "InferenceSet", "inferencesets")
SERVICE = Resource("", "v1", "Service", "services")
CONFIG_MAP = Resource("", "v1", "ConfigMap", "configmaps")
EVENT = Resource("", "v1", "Event", "events")
NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
LEASE = Resource("coordination.k8s.io", "v1", "Lease", "leases")

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


class Process:
    """One program of a test, with its log; ended with the test whatever happens."""

    def __init__(self, command: list[str], log: Path, kubeconfig: Path) -> None:
        self.log = log
        env = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONUNBUFFERED": "1"}
        with log.open("wb") as out:
            self._popen = subprocess.Popen(command, stdout=out, stderr=out, env=env)  # noqa: S603 - our own programs

    @property
    def alive(self) -> bool:
        return self._popen.poll() is None

    @property
    def pid(self) -> int:
        return self._popen.pid

    def kill(self) -> None:
        self._popen.kill()
        self._popen.wait()

    async def stop(self, seconds: float = 20.0) -> int:
        """Ask it to end and return its exit code."""
        if self.alive:
            self._popen.send_signal(signal.SIGTERM)
        return await asyncio.to_thread(self._popen.wait, seconds)

    def lines(self) -> list[dict[str, Any]]:
        """What it logged, one JSON object a line."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


class Controller(Process):
    """One `kubeairunway controller`, and its probes."""

    def __init__(self, program: list[str], flags: list[str], log: Path, kubeconfig: Path) -> None:
        base = ["controller", "--bind", "127.0.0.1:0", "--log-format", "json"]
        super().__init__([*program, *base, *flags], log, kubeconfig)

    @property
    def url(self) -> str:
        found = [line["message"] for line in self.lines() if line["message"].startswith("probes and metrics on ")]
        return f"http://{found[-1].rpartition(' ')[2]}" if found else ""

    def ask(self, path: str) -> tuple[int, str]:
        """Status and text of one of its pages; 0 while nobody answers."""
        if not self.url:
            return 0, ""
        try:
            with urllib.request.urlopen(self.url + path, timeout=5) as answer:  # noqa: S310 - our own server
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = self.ask("/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].partition(" ")[0] == name)


class Lab:
    """A namespace of a control plane, a client, and the programs that were started for one test.

    `without` names provider packages that its controllers do not load: tests of the controller need one, KAITO.
    """

    without: str = "dynamo,kuberay,vllm"

    def __init__(self, plane: Cluster, kubeconfig: Path, client: Client, directory: Path) -> None:
        self.plane = plane
        self.client = client
        self.namespace = f"lab-{os.getpid()}-{next(_numbers)}"
        self.kubeconfig = kubeconfig
        self._directory = directory
        self.processes: list[Process] = []

    async def open(self) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        await self.client.create(NAMESPACE, body)

    async def close(self) -> None:
        self.end_processes()
        await self.delete_all(MD)

    def end_processes(self) -> None:
        for process in self.processes:
            process.kill()

    async def delete_all(self, resource: Resource) -> None:
        """Delete what a test left, finalizers and all."""
        async for page in self.client.list_pages(resource, namespace=self.namespace):
            for item in page.items:
                meta = item["metadata"]
                try:
                    await self.patch(resource, meta["name"], {"metadata": {"finalizers": None}})
                    await self.client.delete(resource, meta["name"], self.namespace, uid=meta["uid"])
                except ApiError as error:
                    if error.status != 404:
                        raise

    async def controller(self, *flags: str, ready: bool = True, program: Sequence[str] = PROGRAM) -> Controller:
        """Start a controller for this test's namespace, with a Lease of its own; of another program, if need be."""
        number = len(self.processes)
        lease = ["--lease-name", self.namespace]
        off = ["--disable-providers", self.without] if self.without else []
        words = ["--namespaces", self.namespace, *lease, *off, *flags]
        process = Controller([*program], words, self._directory / f"{number}.log", self.kubeconfig)
        self.processes.append(process)
        if ready:
            await self.until(lambda: process.ask("/readyz")[0] == 200, 20, "the controller is ready")
        return process

    async def kaito(self, *, delay: float = 0.2) -> Process:
        """Start the stand-in for KAITO's operator."""
        number = len(self.processes)
        command = [sys.executable, "-m", "kubeairunway_dev.standins.kaito", "--delay", str(delay)]
        process = Process(command, self._directory / f"{number}.log", self.plane.kubeconfig)
        self.processes.append(process)
        return process

    async def until(self, holds: Callable[[], Any], seconds: float, what: str) -> Any:
        """Wait until something holds and return it; fail with the programs' last words after so many seconds."""
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            value = holds()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.02)
        words = "\n".join(process.log.read_text()[-6000:] for process in self.processes)
        pytest.fail(f"not within {seconds} s: {what}\n{words}")

    # ---- objects ----

    async def deploy(self, name: str, **spec: Any) -> Json:
        """Create a ModelDeployment: two GPUs unless the spec says otherwise."""
        spec.setdefault("model", {"id": "Qwen/Qwen3-8B"})
        spec.setdefault("resources", {"gpu": {"count": 1}})
        return await self.client.create(MD, self.object(MD, name, {"spec": spec}))

    def object(self, resource: Resource, name: str, body: Json) -> Json:
        return self.object_of(resource.api_version, resource.kind, name, body)

    def object_of(self, api_version: str, kind: str, name: str, body: Json) -> Json:
        meta = {"name": name, "namespace": self.namespace}
        return {"apiVersion": api_version, "kind": kind, "metadata": meta, **body}

    async def find(self, resource: Resource, name: str) -> Json | None:
        try:
            return await self.client.get(resource, name, self.namespace if resource.namespaced else None)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    async def patch(self, resource: Resource, name: str, patch: Json) -> Json:
        namespace = self.namespace if resource.namespaced else None
        return await self.client.merge_patch(resource, name, namespace, patch)

    async def delete(self, resource: Resource, name: str) -> None:
        obj = await self.find(resource, name)
        assert obj is not None
        namespace = self.namespace if resource.namespaced else None
        await self.client.delete(resource, name, namespace, uid=obj["metadata"]["uid"])

    async def phase(self, name: str, phase: str, seconds: float = 15.0) -> Json:
        """Wait for a deployment's phase and return the deployment."""

        async def look() -> Json | None:
            obj = await self.find(MD, name)
            return obj if obj is not None and (obj.get("status") or {}).get("phase") == phase else None

        found: Json = await self.until(look, seconds, f"{name} is {phase}")
        return found

    async def condition(self, name: str, kind: str, reason: str, seconds: float = 10.0) -> Json:
        """Wait for a condition's reason and return the condition."""

        async def look() -> Json | None:
            obj = await self.find(MD, name)
            rows = ((obj or {}).get("status") or {}).get("conditions") or ()
            return next((row for row in rows if row["type"] == kind and row["reason"] == reason), None)

        found: Json = await self.until(look, seconds, f"{name}: {kind} {reason}")
        return found

    async def gone(self, resource: Resource, name: str, seconds: float) -> None:
        async def look() -> bool:
            return await self.find(resource, name) is None

        await self.until(look, seconds, f"{resource.kind} {name} is gone")

    async def events(self, reason: str) -> list[Json]:
        found = []
        async for page in self.client.list_pages(EVENT, namespace=self.namespace):
            found += [event for event in page.items if event["reason"] == reason]
        return found

    # ---- the audit log ----

    def requests(self, since: datetime, *, writes: bool = False, user: str = ACCOUNT) -> list[tuple[str, str]]:
        """Requests of this test's controllers since a moment, as (verb, resource), watches left out.

        Those that concern the lease, heartbeats and events are left out too with `writes`, and all reads.
        """
        plane = self.plane
        assert isinstance(plane, ControlPlane)
        found = []
        for line in plane.layout.audit_log.read_text().splitlines():
            entry = json.loads(line)
            if entry["user"]["username"] != user or entry["verb"] == "watch":
                continue
            if datetime.fromisoformat(entry["requestReceivedTimestamp"]) < since:
                continue
            ref = entry.get("objectRef") or {}
            place = "/".join(filter(None, (ref.get("resource", entry["requestURI"]), ref.get("subresource"))))
            if writes and (entry["verb"] in {"get", "list"} or place in {"leases", "events"}):
                continue
            found.append((entry["verb"], place))
        return found


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """A control plane with our CRDs and KAITO's, without scheduler and nodes: nothing here needs a pod."""
    with ControlPlane(scheduler=False, audit=True, crds=[ROOT / "crds", KAITO_CRDS]) as started:
        yield started


def make_account(plane: Cluster) -> Path:
    """A kubeconfig that acts as the controller's service account, so that its requests can be told from others'."""
    plane.kubectl("create", "namespace", CONTROLLER_NAMESPACE)
    path = plane.service_account_kubeconfig(CONTROLLER_NAMESPACE, "controller")
    account = f"{CONTROLLER_NAMESPACE}:controller"
    plane.kubectl(
        "create", "clusterrolebinding", "controller", "--clusterrole=cluster-admin", f"--serviceaccount={account}"
    )
    return path


@pytest.fixture(scope="session")
def account(plane: ControlPlane) -> Path:
    return make_account(plane)


@pytest.fixture
async def open_client(plane: ControlPlane) -> AsyncIterator[Client]:
    transport = open_transport(load_config(plane.kubeconfig))
    yield Client(transport, field_manager="test")
    await transport.close()


@pytest.fixture
async def lab(plane: ControlPlane, account: Path, open_client: Client, tmp_path: Path) -> AsyncIterator[Lab]:
    lab = Lab(plane, account, open_client, tmp_path)
    await lab.open()
    yield lab
    await lab.close()


@pytest.fixture
async def kaito_lab(lab: Lab) -> Lab:
    """A lab with a running controller and KAITO's stand-in."""
    await lab.kaito()
    await lab.controller()
    return lab


@pytest.fixture
async def own_lab(tmp_path: Path) -> AsyncIterator[Callable[[ControlPlane], Awaitable[Lab]]]:
    """Makes labs on control planes that the test may break."""
    labs: list[Lab] = []

    async def make(plane: ControlPlane) -> Lab:
        client = Client(open_transport(load_config(plane.kubeconfig)), field_manager="test")
        lab = Lab(plane, make_account(plane), client, tmp_path)
        labs.append(lab)
        await lab.open()
        return lab

    yield make
    for lab in labs:
        lab.end_processes()
        await lab.client.transport.close()


@pytest.fixture(scope="session")
def kinds() -> Any:
    """The resources that tests name."""
    return sys.modules[__name__]
