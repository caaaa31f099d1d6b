"""The command line as a subprocess, among provider packages that lie in a folder of their own."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml

INSTALLED = sorted(entry.name for entry in entry_points(group="kubeairunway.providers"))
ACME = Path(__file__).parents[2] / "contract" / "acme" / "src" / "acme.py"

PLAIN = """
from kubeairunway.plugin import Engine, Kind, Manifest, Provider, Rendering, Report, Rule, State, hookimpl

SERVER = Kind(group="plain.dev", name="Plain", versions=("v2", "v1"))


@hookimpl
def provider():
    carries = frozenset({"model.id", "resources.gpu", "scaling.replicas"})
    return Provider(
        name="plain", contract=1, kinds=(SERVER,),
        engines=(Engine(name="vllm", carries=carries), Engine(name="llamacpp", carries=carries, gpu=False, cpu=True)),
        rules=(Rule(name="small", condition="spec.resources.gpu.count <= 1", priority=30),))


@hookimpl
def render(request):
    return Rendering(Manifest(SERVER, {"spec": {"model": request.spec.model.id}}))


@hookimpl
def status(request, observed):
    return Report(state=State.WAITING, generation=0)
"""

FAILS = (
    PLAIN.replace('name="plain"', 'name="fails"').replace("@hookimpl\ndef render", "def healthy")
    + """

@hookimpl
def validate(request):
    print("validate says hello")
    return ()


@hookimpl
def render(request):
    print("render says hello")
    raise RuntimeError("nothing to show")
"""
)

BROKEN = "raise RuntimeError('no such luck')\n"


@dataclass(frozen=True, slots=True)
class Result:
    """What one call printed and returned."""

    code: int
    out: str
    err: str

    @property
    def documents(self) -> list[Any]:
        """Standard output as YAML documents; JSON is one."""
        return list(yaml.safe_load_all(self.out))


Run = Callable[..., Result]


def install(folder: Path, name: str, source: str, version: str = "1.2.3") -> None:
    """Lay a provider package into a folder as pip would."""
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-package\nVersion: {version}\n")
    (info / "entry_points.txt").write_text(f"[kubeairunway.providers]\n{name} = {name}\n")


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two providers that work and one that does not."""
    folder = tmp_path_factory.mktemp("packages")
    install(folder, "acme", ACME.read_text())
    install(folder, "plain", PLAIN)
    install(folder, "broken", BROKEN)
    return folder


@pytest.fixture(scope="session")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a provider whose hooks print and whose `render` fails."""
    folder = tmp_path_factory.mktemp("failing")
    install(folder, "fails", FAILS)
    return folder


@pytest.fixture
def run(packages: Path, tmp_path: Path) -> Run:
    """Call `kubeairunway` with arguments, in an empty folder and home; our own providers are switched off."""

    def call(*arguments: str, stdin: str | bytes = "", env: Mapping[str, str] | None = None) -> Result:
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(packages),
            "HOME": str(tmp_path),
            "PYTHONWARNINGS": "error",
            "KUBEAIRUNWAY_DISABLE_PROVIDERS": ",".join(INSTALLED),
            **(env or {}),
        }
        done = subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", "import sys; from kubeairunway.cli import main; sys.exit(main())", *arguments],
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            cwd=tmp_path,
            env=environment,
            timeout=60,
            check=False,
        )
        result = Result(done.returncode, done.stdout.decode(), done.stderr.decode())
        assert "Traceback" not in result.err
        return result

    return call


def make(name: str = "one", **spec: Any) -> dict[str, Any]:
    """Return a ModelDeployment document."""
    return {
        "apiVersion": "kubeairunway.ai/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name},
        "spec": {"model": {"id": "org/model"}, **spec},
    }


@pytest.fixture
def make_deployment() -> Callable[..., dict[str, Any]]:
    """Build a ModelDeployment document from fields of its spec."""
    return make
