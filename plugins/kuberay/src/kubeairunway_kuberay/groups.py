"""What a deployment asks Ray for: its worker groups, image and versions."""

import re
from dataclasses import dataclass

from kubeairunway.plugin import Request, Spec
from kubeairunway_kuberay.catalog import Overrides, Settings

NVIDIA = "nvidia.com/gpu"
TAG_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+")


@dataclass(frozen=True, slots=True)
class Group:
    """One worker group: each pod of it holds one replica of the model; `role` is empty in aggregated mode."""

    role: str
    replicas: int
    gpus: int
    gpu_type: str
    memory: str | None = None
    cpu: str | None = None

    @property
    def name(self) -> str:
        """The group's name in the RayCluster."""
        return f"{self.role or 'gpu'}-workers"


def list_groups(spec: Spec) -> tuple[Group, ...]:
    """The worker groups: one, or one per role."""
    scaling, rest = spec.scaling, spec.resources
    if spec.serving.mode == "aggregated":
        return (Group("", scaling.replicas, rest.gpu.count, rest.gpu.type, rest.memory, rest.cpu),)
    roles = {"prefill": scaling.prefill, "decode": scaling.decode}
    return tuple(
        Group(role, row.replicas, row.gpu.count, row.gpu.type, row.memory) for role, row in roles.items() if row
    )


def is_stopped(spec: Spec) -> bool:
    """Whether no replica of anything is wanted."""
    return not any(group.replicas for group in list_groups(spec))


def read_overrides(request: Request) -> Overrides:
    """The deployment's options; the defaults if it has none."""
    return request.overrides if isinstance(request.overrides, Overrides) else Overrides()


def _read_settings(request: Request) -> Settings:
    return request.settings if isinstance(request.settings, Settings) else Settings()


def choose_image(request: Request) -> str:
    """The image of head and workers: the deployment's, else the settings' for NVIDIA GPUs; empty if there is none."""
    spec = request.spec
    if image := spec.engine.image or spec.image:
        return image
    ours = all(group.gpu_type == NVIDIA for group in list_groups(spec))
    return _read_settings(request).image if ours else ""


def choose_ray_version(request: Request) -> str:
    """Ray's version in the image; empty if nobody says it, and KubeRay then uses what every version understands."""
    image, settings = choose_image(request), _read_settings(request)
    if said := read_overrides(request).ray_version or (settings.ray_version if image == settings.image else ""):
        return said
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    found = TAG_VERSION.match(tag)
    return found.group() if found else ""
