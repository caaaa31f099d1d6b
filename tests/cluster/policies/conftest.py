"""A real API server, and controllers with both example policies and one of moods, laid into a folder as pip would."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.errors import ApiError
from kubeairunway.kube.client import Client
from kubeairunway.kube.config import load_config
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.objects.resources import Json, Resource
from kubeairunway_dev.controlplane import ControlPlane

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

ROOT = Path(__file__).parents[3]
MD = Resource("kubeairunway.ai", "v1alpha1", "ModelDeployment", "modeldeployments")
DEPLOYMENT = Resource("apps", "v1", "Deployment", "deployments")
EVENT = Resource("", "v1", "Event", "events")
NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
CAP = 10
SETTINGS = {"allowed-models": {"models": ["org/*"]}, "gpu-quota": {"default": CAP}}

PROVIDER = """
from kubeairunway.plugin import Engine, Kind, Manifest, Provider, Rendering, Report, State, hookimpl

DEPLOYMENT = Kind(group="apps", name="Deployment", versions=("v1",))
CARRIES = frozenset({"model.id", "resources.gpu", "scaling.replicas"})


@hookimpl
def provider():
    return Provider(
        name="plain", contract=1, kinds=(DEPLOYMENT,), engines=(Engine(name="vllm", carries=CARRIES),))


@hookimpl
def render(request):
    labels = {"plain": request.name}
    scaling, gpu = request.spec.scaling, request.spec.resources.gpu
    env = [{"name": "REPLICAS", "value": str(scaling.replicas)}, {"name": "GPUS", "value": str(gpu.count)}]
    pod = {"containers": [{"name": "engine", "image": "engine:1", "env": env}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return Rendering(Manifest(DEPLOYMENT, {
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}}))


@hookimpl
def status(request, observed):
    generation = observed.primary.get("status.observedGeneration", 0)
    return Report(state=State.RUNNING, generation=generation, ready=request.spec.scaling.replicas)
"""

MOODS = """
import time
from pathlib import Path

from kubeairunway.plugin import Policy, hookimpl

MOOD = Path("MOOD_FILE")


@hookimpl
def policy():
    return Policy(name="moods", contract=1)


@hookimpl
def admit(request):
    mood = MOOD.read_text() if request.namespace.endswith("-moody") else ""
    if mood == "raise":
        raise RuntimeError("in a bad mood")
    while mood == "hang" and MOOD.read_text() == "hang":
        time.sleep(0.02)
    return None if mood == "nonsense" else ()
"""

_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def install(folder: Path, name: str, source: str, group: str = "policies") -> None:
    """Lay a distribution into a folder as pip would."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(source)
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[kubeairunway.{group}]\n{name} = {module}\n")


PROGRAM = str(Path(sys.executable).with_name("kubeairunway"))


def make_environment(plane: ControlPlane, folder: Path) -> dict[str, str]:
    """The packages of a folder, and of ours none but those."""
    env = {**os.environ, **plane.env(), "PYTHONPATH": str(folder)}
    env["KUBEAIRUNWAY_POLICY_SETTINGS"] = str(folder / "settings.yaml")
    env["KUBEAIRUNWAY_DISABLE_PROVIDERS"] = "dynamo,kaito,kuberay,vllm"
    return env


class Controller:
    """One controller process among the packages of a folder."""

    def __init__(self, plane: ControlPlane, folder: Path, *flags: str) -> None:
        self.log = folder / f"controller-{next(_numbers)}.log"
        env = make_environment(plane, folder)
        base = ["controller", "--bind", "127.0.0.1:0", "--log-format", "json", "--leader-elect", "false"]
        with self.log.open("wb") as out:
            self._popen = subprocess.Popen([PROGRAM, *base, *flags], stdout=out, stderr=out, env=env)  # noqa: S603 - ours

    def stop(self, *, kill: bool = False) -> None:
        if self._popen.poll() is None:
            self._popen.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            self._popen.wait(20)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()

    def ask(self, path: str) -> str:
        """A page of its server; empty while there is none."""
        lines = [json.loads(line)["message"] for line in self.log.read_text().splitlines() if line.startswith("{")]
        found = [line for line in lines if line.startswith("probes and metrics on ")]
        if not found:
            return ""
        try:
            with urllib.request.urlopen(f"http://{found[-1].rpartition(' ')[2]}{path}", timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    def metric(self, name: str, *labels: str) -> float:
        rows = [row for row in self.ask("/metrics").splitlines() if row.startswith(f"{name}{{")]
        return sum(float(row.rpartition(" ")[2]) for row in rows if all(label in row for label in labels))


class House:
    """The control plane, the folder of packages, and the controller that runs now."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane = plane
        self.folder = folder
        self.mood = folder / "mood"
        self.mood.write_text("")
        self.controller = Controller(plane, folder)

    def restart(self, *flags: str, settings: Json | None = None, kill: bool = False) -> None:
        self.controller.stop(kill=kill)
        (self.folder / "settings.yaml").write_text(json.dumps(SETTINGS if settings is None else settings))
        self.controller = Controller(self.plane, self.folder, *flags)


class Court:
    """One namespace, and what a test does in it."""

    def __init__(self, house: House, client: Client, suffix: str = "") -> None:
        self.house = house
        self.client = client
        self.namespace = f"court-{next(_numbers)}{suffix}"

    async def open(self) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        await self.client.create(NAMESPACE, body)
        await self.ready()

    async def ready(self) -> None:
        await self.until(lambda: self.house.controller.ask("/readyz"), "the controller is ready", 30)

    def make(self, name: str, gpus: int, **spec: Any) -> Json:
        return {
            "apiVersion": "kubeairunway.ai/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {"model": {"id": "org/model"}, "resources": {"gpu": {"count": gpus}}, **spec},
        }

    async def deploy(self, name: str, gpus: int = 1, **spec: Any) -> None:
        await self.client.create(MD, self.make(name, gpus, **spec))

    def explain(self, name: str, gpus: int, *flags: str) -> tuple[int, str]:
        """Exit code and text of `kubeairunway explain` for a deployment, with what the cluster has."""
        command = [PROGRAM, "explain", "-f", "-", *(flags or ("--live",))]
        env = make_environment(self.house.plane, self.house.folder)
        text = json.dumps(self.make(name, gpus))
        done = subprocess.run(command, env=env, input=text, capture_output=True, text=True, check=False)  # noqa: S603 - ours
        return done.returncode, " ".join((done.stdout + done.stderr).split())

    async def find(self, resource: Resource, name: str) -> Json | None:
        try:
            return await self.client.get(resource, name, self.namespace)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    async def list_all(self, resource: Resource) -> list[Json]:
        found: list[Json] = []
        async for page in self.client.list_pages(resource, namespace=self.namespace):
            found += page.items
        return found

    async def patch(self, name: str, **spec: Any) -> None:
        await self.client.merge_patch(MD, name, self.namespace, {"spec": spec})

    async def delete(self, name: str) -> None:
        obj = await self.find(MD, name)
        assert obj is not None
        await self.client.delete(MD, name, self.namespace, uid=obj["metadata"]["uid"])

    async def rendered(self, name: str) -> str | None:
        """REPLICAS of the rendered object."""
        obj = await self.find(DEPLOYMENT, name)
        if obj is None:
            return None
        value: str = obj["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"]
        return value

    async def until(self, holds: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
        """Wait until something holds and return it; fail with the controller's last words."""
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            value = holds()
            if asyncio.iscoroutine(value):
                value = await value
            if value:
                return value
            await asyncio.sleep(0.02)
        return pytest.fail(f"not within {seconds} s: {what}\n{self.house.controller.log.read_text()[-3000:]}")

    async def condition(self, name: str, kind: str, reason: str, seconds: float = 10.0) -> Json:
        """Wait for a condition's reason and return the whole status, with that condition as `row`."""

        async def look() -> Json | None:
            status = ((await self.find(MD, name)) or {}).get("status") or {}
            rows = [row for row in status.get("conditions") or () if (row["type"], row["reason"]) == (kind, reason)]
            return {**status, "row": rows[0]} if rows else None

        found: Json = await self.until(look, f"{name}: {kind} {reason}", seconds)
        return found

    async def settled(self, number: int = 1, seconds: float = 15.0) -> dict[str, str]:
        """Wait until so many deployments, and all there are, run or are refused; the reason of Ready by name."""

        async def look() -> dict[str, str] | None:
            reasons = {}
            for obj in await self.list_all(MD):
                rows = {row["type"]: row["reason"] for row in (obj.get("status") or {}).get("conditions") or ()}
                reasons[obj["metadata"]["name"]] = rows.get("Ready", "")
            done = all(reason in {"DeploymentReady", "PolicyRefused"} for reason in reasons.values())
            return reasons if done and len(reasons) >= number else None

        found: dict[str, str] = await self.until(look, "everything is settled", seconds)
        return found

    async def events(self, reason: str) -> list[str]:
        return [event["message"] for event in await self.list_all(EVENT) if event["reason"] == reason]


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("policies")
    install(folder, "plain", PROVIDER, "providers")
    for name in ("allowed-models", "gpu-quota"):
        source = ROOT / "examples" / f"policy-{name}" / "src" / f"{name.replace('-', '_')}.py"
        install(folder, name, source.read_text())
    install(folder, "moods", MOODS.replace("MOOD_FILE", str(folder / "mood")))
    (folder / "settings.yaml").write_text(json.dumps(SETTINGS))
    with ControlPlane(scheduler=False, crds=[ROOT / "crds"]) as plane:
        house = House(plane, folder)
        try:
            yield house
        finally:
            house.controller.stop()


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    transport = open_transport(load_config(house.plane.kubeconfig))
    yield Client(transport, field_manager="test")
    await transport.close()


@pytest.fixture
async def court(house: House, client: Client) -> Court:
    court = Court(house, client)
    await court.open()
    return court


@pytest.fixture
async def moody(house: House, client: Client) -> AsyncIterator[Court]:
    """A namespace about which the policy of moods has moods."""
    court = Court(house, client, "-moody")
    await court.open()
    yield court
    house.mood.write_text("")


@pytest.fixture
def lay(house: House) -> Iterator[Callable[..., None]]:
    """Install one more policy; the house gets a controller without it when the test is over."""

    def lay(name: str, source: str) -> None:
        install(house.folder, name, source)
        laid.append(name)

    laid: list[str] = []
    yield lay
    for name in laid:
        module = name.replace("-", "_")
        (house.folder / f"{module}.py").unlink()
        for path in (house.folder / f"{module}-1.0.dist-info").iterdir():
            path.unlink()
        (house.folder / f"{module}-1.0.dist-info").rmdir()
    house.restart()
