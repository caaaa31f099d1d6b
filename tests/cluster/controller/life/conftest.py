"""Every provider at once: one control plane with all CRDs and stand-ins, and what each provider can be asked to change.

A row of the life of a deployment is one test; it runs for all providers side by side, and says whose turn failed.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.objects.resources import Json, Resource
from kubeairunway_dev.controlplane import ControlPlane
from kubeairunway_dev.standins import CRDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

ROOT = Path(__file__).parents[4]
STANDINS = {
    "kaito": ("kaito-workspace", "kaito-workspace"),
    "dynamo": ("dynamo-system", "dynamo-platform-dynamo-operator-controller-manager"),
    "kuberay": ("ray-system", "kuberay-operator"),
}
"""The stand-ins, with namespace and name of the Deployment that each operator has."""
DELAY = 0.2
"""Seconds that a stand-in takes from one step to the next."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One provider, and changes of a deployment by what they must lead to.

    `in_place`, `anew`, `beside` and `refused` are merge patches of the spec; `in_place` comes with the place in the
    primary where it must arrive. `anew` has every one that a declared `recreate` path makes necessary.
    """

    name: str
    provider: str
    primary: Resource
    spec: Json = field(default_factory=dict)
    in_place: tuple[Json, str, str | int] | None
    anew: tuple[Json, ...] = ()
    beside: tuple[Json, ...] = ()
    refused: Json
    scales: bool = True

    def wanted(self) -> Json:
        """The spec to deploy, pinned to the provider."""
        base: Json = {"model": {"id": "Qwen/Qwen3-8B"}, "engine": {"type": "vllm"}, "resources": {"gpu": {"count": 1}}}
        return {**base, **self.spec, "provider": {"name": self.provider, **self.spec.get("provider", {})}}


WORKSPACE = Resource("kaito.sh", "v1beta1", "Workspace", "workspaces")
INFERENCE_SET = Resource("kaito.sh", "v1beta1", "InferenceSet", "inferencesets")
DEPLOYMENT = Resource("apps", "v1", "Deployment", "deployments")
GRAPH = Resource("nvidia.com", "v1beta1", "DynamoGraphDeployment", "dynamographdeployments")
RAY_SERVICE = Resource("ray.io", "v1", "RayService", "rayservices")
SECRET = Resource("", "v1", "Secret", "secrets")

CONTEXT = {"engine": {"contextLength": 4096}}
TOLERATE = {"tolerations": [{"key": "gpu", "operator": "Exists"}]}

CASES = (
    Case(
        name="kaito-set",
        provider="kaito",
        primary=INFERENCE_SET,
        in_place=({"scaling": {"replicas": 2}}, "spec.replicas", 2),
        anew=(CONTEXT, {"nodeSelector": {"pool": "gpu"}}, {"secrets": {"huggingFaceToken": "hf"}}),
        refused=TOLERATE,
    ),
    Case(
        name="kaito-one",
        provider="kaito",
        primary=WORKSPACE,
        spec={
            "engine": {"type": "llamacpp"},
            "model": {"id": "bartowski/Qwen2.5-0.5B-Instruct-GGUF"},
            "provider": {"overrides": {"resource": "Workspace"}},
        },
        in_place=None,  # KAITO changes nothing of a Workspace in place
        anew=(CONTEXT, TOLERATE, {"env": [{"name": "A", "value": "b"}]}),
        refused={"scaling": {"replicas": 2}},
        scales=False,
    ),
    Case(
        name="plain-vllm",
        provider="vllm",
        primary=DEPLOYMENT,
        in_place=({"scaling": {"replicas": 2}}, "spec.replicas", 2),
        beside=(CONTEXT, TOLERATE, {"env": [{"name": "A", "value": "b"}]}),
        refused={"podTemplate": {"metadata": {"labels": {"vllm.kubeairunway.ai/deployment": "mine"}}}},
    ),
    Case(
        name="dynamo-graph",
        provider="dynamo",
        primary=GRAPH,
        in_place=({"scaling": {"replicas": 2}}, "spec.components.1.replicas", 2),
        beside=(CONTEXT, TOLERATE, {"env": [{"name": "A", "value": "b"}]}),
        refused={"podTemplate": {"metadata": {"labels": {"nvidia.com/dynamo-component": "mine"}}}},
    ),
    Case(
        name="ray-service",
        provider="kuberay",
        primary=RAY_SERVICE,
        in_place=(CONTEXT, "spec.serveConfigV2", '"max_model_len": 4096'),
        beside=(TOLERATE, {"env": [{"name": "A", "value": "b"}]}),
        refused={"engine": {"extraArgs": ["--seed=7"]}},
    ),
)


def installed() -> tuple[Case, ...]:
    """The cases whose provider is installed; the suite runs with all of them, a half-made checkout with some."""
    names = {entry.name for entry in entry_points(group="kubeairunway.providers")}
    return tuple(case for case in CASES if case.provider in names)


def dig(obj: Json, path: str) -> Any:
    """The value at a dotted path; a dot inside a key is written with a backslash. None if it is not there."""
    value: Any = obj
    for key in path.replace("\\.", "\0").split("."):
        step = key.replace("\0", ".")
        if isinstance(value, list):
            value = value[int(step)] if int(step) < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def has(obj: Json, path: str, value: str | int) -> bool:
    """Whether the value at a path is this one, or a text with this one in it."""
    found = dig(obj, path)
    return bool(found == value) or (isinstance(found, str) and str(value) in found)


class Life:
    """The lab of one test, and all providers in it."""

    def __init__(self, lab: Any, kinds: Any, cases: tuple[Case, ...]) -> None:
        self.lab = lab
        self.kinds = kinds
        self.cases = cases

    async def each(self, check: Callable[[Case], Awaitable[None]], *, cases: tuple[Case, ...] | None = None) -> None:
        """Run a check for every case side by side; fail with the names of those that failed."""
        chosen = self.cases if cases is None else cases
        assert chosen, "nothing to check"
        results = await asyncio.gather(*(check(case) for case in chosen), return_exceptions=True)
        failed = {
            case.name: result for case, result in zip(chosen, results, strict=True) if isinstance(result, BaseException)
        }
        if failed:
            pytest.fail("\n".join(f"{name}: {type(error).__name__}: {error}" for name, error in failed.items()))

    async def deploy(self, case: Case, name: str = "", **spec: Any) -> Json:
        """Create the case's deployment, named as the case unless told otherwise."""
        wanted = {**case.wanted(), **spec}
        body = self.lab.object(self.kinds.MD, name or case.name, {"spec": wanted})
        created: Json = await self.lab.client.create(self.kinds.MD, body)
        return created

    async def running(self, case: Case, name: str = "", **spec: Any) -> Json:
        """Deploy, wait until this revision is Ready, and return the deployment."""
        await self.deploy(case, name, **spec)
        return await self.ready(name or case.name)

    async def ready(self, name: str, seconds: float = 25.0) -> Json:
        """Wait until the generation that is there now is Ready."""

        async def look() -> Json | None:
            found = await self.get(name)
            row = condition(found, "Ready")
            fresh = row.get("observedGeneration") == found["metadata"]["generation"]
            return found if fresh and row.get("status") == "True" else None

        ready: Json = await self.lab.until(look, seconds, f"{name} is Ready")
        return ready

    async def says(self, name: str, kind: str, status: str, reason: str = "", seconds: float = 10.0) -> Json:
        """Wait until a condition about the present generation has a status (and reason); return the deployment."""

        async def look() -> Json | None:
            found = await self.get(name)
            row = condition(found, kind)
            return found if row.get("status") == status and reason in {"", row.get("reason")} else None

        said: Json = await self.lab.until(look, seconds, f"{name} says {kind}={status} {reason}")
        return said

    async def get(self, name: str) -> Json:
        """The deployment, which has to be there."""
        found = await self.lab.find(self.kinds.MD, name)
        assert found is not None, f"{name} is gone"
        return dict(found)

    async def primary(self, case: Case, name: str = "") -> Json:
        """The primary object, which has to be there."""
        found = await self.lab.find(case.primary, name or case.name)
        assert found is not None, f"{case.primary.kind} {name or case.name} is gone"
        return dict(found)

    async def change(self, name: str, spec: Json) -> None:
        """Lay a merge patch over a deployment's spec."""
        await self.lab.patch(self.kinds.MD, name, {"spec": spec})

    async def annotate(self, name: str, value: str | None) -> None:
        """Pause a deployment ("true") or let it go on (None)."""
        await self.lab.patch(
            self.kinds.MD, name, {"metadata": {"annotations": {"kubeairunway.ai/reconcile-paused": value}}}
        )

    async def owned(self, name: str) -> list[tuple[Resource, Json]]:
        """Every object that a deployment's status names, the primary first."""
        status = (await self.get(name))["status"]
        rows = [{"kind": status["provider"]["resourceKind"], "name": status["provider"]["resourceName"]}]
        found = []
        for row in [*rows, *status.get("objects", ())]:
            resource = next(each for each in self.known() if each.kind == row["kind"])
            obj = await self.lab.find(resource, row["name"])
            if obj is not None:
                found.append((resource, obj))
        return found

    def known(self) -> list[Resource]:
        """Every resource that a provider renders here."""
        return [self.kinds.SERVICE, self.kinds.CONFIG_MAP, *dict.fromkeys(case.primary for case in CASES)]

    def kubectl(self, *words: str) -> str:
        """Run kubectl in the test's namespace. Raises KubectlError."""
        text: str = self.lab.plane.kubectl("-n", self.lab.namespace, *words).stdout
        return text


def condition(obj: Json, kind: str) -> Json:
    """A condition; empty while there is none."""
    rows = (obj.get("status") or {}).get("conditions") or ()
    return next((dict(row) for row in rows if row["type"] == kind), {})


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    """A control plane with every CRD and stand-in operator, and nodes with GPUs for pods that nobody plays."""
    with ControlPlane(nodes=4, gpus=64, audit=True, crds=[ROOT / "crds", CRDS]) as started:
        start_standins(started)
        yield started
        started.check()


def start_standins(plane: ControlPlane) -> None:
    """Start the stand-ins of all upstream operators; they write defaults into specs, as upstream's admission does."""
    for name in STANDINS:
        module = f"kubeairunway_dev.standins.{name}"
        plane.start_beside(name, [sys.executable, "-m", module, "--delay", str(DELAY), "--defaults"])


async def start_program(lab: Any, source: str) -> Any:
    """Start a controller from a program of the test's, with the flags that every controller of a lab has."""
    return await lab.controller(program=[sys.executable, "-c", source])


@pytest.fixture(scope="session")
def account(plane: ControlPlane, kinds: Any) -> Path:
    """The controller's account on this control plane."""
    path: Path = kinds.make_account(plane)
    return path


@pytest.fixture
def life(lab: Any, kinds: Any) -> Life:
    """All providers in a namespace of its own; the test starts the controller."""
    lab.without = ""
    return Life(lab, kinds, installed())


@pytest.fixture
async def alive(life: Life) -> Life:
    """The same, with a controller that runs."""
    await life.lab.controller()
    return life


@pytest.fixture(scope="session")
def words() -> Any:
    """The functions of this module, for tests."""
    return sys.modules[__name__]
