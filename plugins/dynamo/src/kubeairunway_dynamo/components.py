"""The components of a graph, whatever the API version: workers by role, their image, and what options say of them."""

import re
from dataclasses import dataclass

from kubeairunway.plugin import Request, Spec
from kubeairunway_dynamo.catalog import BETA, ENGINES, GRAPH, RUNTIMES, Flags, Overrides, Settings

VERSION_TAG = re.compile(
    r"[vV]?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[A-Za-z-][\dA-Za-z-]*)(\.(0|[1-9]\d*|\d*[A-Za-z-][\dA-Za-z-]*))*)?(\+[\dA-Za-z.-]+)?",
    re.ASCII,
)
"""A semantic version, which upstream's webhook wants an image's tag to be."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One component that serves the model; `role` is empty in aggregated mode, else prefill or decode."""

    role: str
    replicas: int
    gpus: int
    gpu_type: str
    memory: str | None
    cpu: str | None = None

    @property
    def name(self) -> str:
        """Its name in the graph."""
        return (self.role or "worker").capitalize()


def read_overrides(request: Request) -> Overrides:
    """The deployment's options; the defaults if it has none."""
    return request.overrides if isinstance(request.overrides, Overrides) else Overrides()


def find_flags(request: Request) -> Flags:
    """The spelling of the deployment's engine."""
    return ENGINES[request.spec.engine.type or "vllm"]


def choose_version(request: Request) -> str:
    """The API version to render."""
    return request.versions.get(GRAPH, BETA)


def choose_image(request: Request) -> str:
    """The workers' image: the user's, else upstream's for the engine."""
    settings = request.settings if isinstance(request.settings, Settings) else Settings()
    tag = settings.runtime_version or RUNTIMES[choose_version(request)]
    default = f"{settings.registry.rstrip('/')}/{find_flags(request).image}:{tag}"
    return request.spec.engine.image or request.spec.image or default


def has_version(image: str) -> bool:
    """Whether an image's tag says which Dynamo it holds; a digest beside the tag does not matter."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    return VERSION_TAG.fullmatch(tag) is not None


def list_workers(spec: Spec) -> tuple[Worker, ...]:
    """The workers that a spec asks for: one component, or one for each role."""
    scaling, whole = spec.scaling, spec.resources
    if spec.serving.mode == "aggregated":
        return (Worker("", scaling.replicas, whole.gpu.count, whole.gpu.type, whole.memory, whole.cpu),)
    return tuple(
        Worker(role, wanted.replicas, wanted.gpu.count, wanted.gpu.type, wanted.memory)
        for role, wanted in (("prefill", scaling.prefill), ("decode", scaling.decode))
        if wanted is not None
    )
