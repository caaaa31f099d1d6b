"""One controller with KAITO and a folder full of broken packages, on a real API server."""

from __future__ import annotations

import importlib.util
import itertools
import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS as KAITO_CRDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[3]
NAMESPACE = "zoo"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.cluster)


def _load_zoo() -> Any:
    spec = importlib.util.spec_from_file_location("zoo", Path(__file__).parent / "zoo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


ZOO = _load_zoo()


def install(folder: Path, name: str, source: str, distribution: str) -> None:
    """Lay a distribution into a folder as pip would."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(ZOO.HEALTHY.replace("NAME", name) + source)
    info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[kubeairunway.providers]\n{name} = {module}\n")


class Zoo:
    """The API server, the controller, and what tests ask of them."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane = plane
        self.folder = folder
        self.log = folder / "controller.log"
        self.sleep = folder / "sleep"
        self._numbers = itertools.count(1)
        self._environment = {**plane.env(), "PYTHONPATH": str(folder)}
        self._environment.pop("KUBEAIRUNWAY_DISABLE_PROVIDERS", None)
        self._program = str(Path(sys.executable).with_name("kubeairunway"))
        flags = ["--bind", "127.0.0.1:0", "--log-format", "json", "--leader-elect", "false", "--namespaces", NAMESPACE]
        with self.log.open("wb") as out:
            self._process = subprocess.Popen(  # noqa: S603 - ours
                [self._program, "controller", *flags], stdout=out, stderr=out, env=self._environment
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        if self.alive:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def ask(self, path: str) -> str:
        """A page of the controller's server; empty while there is none."""
        found = [line for line in self.lines() if line.startswith("probes and metrics on ")]
        if not found:
            return ""
        try:
            with urllib.request.urlopen(f"http://{found[-1].rpartition(' ')[2]}{path}", timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return ""

    def lines(self) -> list[str]:
        """The messages of the log, every line of which is JSON unless a package wrote it."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line)["message"] for line in lines if line.startswith("{")]

    def providers(self, *flags: str) -> subprocess.CompletedProcess[str]:
        """`kubeairunway providers` among the same packages."""
        return subprocess.run(  # noqa: S603 - ours
            [self._program, "providers", *flags], env=self._environment, capture_output=True, text=True, check=True
        )

    def deploy(self, provider: str) -> str:
        """Create a deployment that names a provider, and return the deployment's name."""
        name = f"{provider}-{next(self._numbers)}"
        gpu = {"gpu": {"count": 1}}
        spec = {"model": {"id": "Qwen/Qwen3-8B"}, "engine": {"type": "vllm"}, "resources": gpu}
        body = {
            "apiVersion": "kubeairunway.ai/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {**spec, "provider": {"name": provider}},
        }
        self.plane.kubectl("create", "-f", "-", input=json.dumps(body))
        return name

    def get(self, *words: str) -> Any:
        return json.loads(self.plane.kubectl("get", *words, "-n", NAMESPACE, "-o", "json").stdout)

    def condition(self, name: str, kind: str = "Ready") -> dict[str, str]:
        rows = (self.get("md", name).get("status") or {}).get("conditions") or ()
        return next((row for row in rows if row["type"] == kind), {"reason": "", "message": "", "status": ""})

    def until(self, holds: Callable[[], Any], what: str, seconds: float = 15.0) -> Any:
        """Wait until something holds and return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.alive, self.log.read_text()[-3000:]
            value = holds()
            if value:
                return value
            time.sleep(0.05)
        return pytest.fail(f"not within {seconds} s: {what}\n{self.log.read_text()[-3000:]}")


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    """The controller, ready, with every package installed."""
    folder = tmp_path_factory.mktemp("zoo")
    sources = {name: row[0] for name, row in {**ZOO.FAILING_HOOKS, **ZOO.BROKEN}.items()} | ZOO.OTHERS
    for name, source in {"healthy": "", **sources}.items():
        install(folder, name, source.replace("SLEEP", str(folder / "sleep")), f"zoo-{name}")
    install(folder, "twice", "", "twice-other")
    with ControlPlane(scheduler=False, crds=[ROOT / "crds", KAITO_CRDS]) as plane:
        plane.kubectl("create", "namespace", NAMESPACE)
        started = Zoo(plane, folder)
        try:
            started.until(lambda: started.ask("/readyz"), "the controller is ready", 30)
            yield started
        finally:
            started.stop()


@pytest.fixture(scope="session")
def cases() -> Any:
    """The packages and what is expected of them."""
    return ZOO
