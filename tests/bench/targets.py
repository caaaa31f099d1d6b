"""What is measured of each provider: the deployment that users create, and the object that it becomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.model import names
from kubeairunway_dev.standins import dynamo_objects, kaito_objects, kuberay_objects
from kubeairunway_dev.standins.resources import DEPLOYMENT

if TYPE_CHECKING:
    from kubeairunway.objects.resources import Json, Resource
    from kubeairunway_dev.standins.installation import Installation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Target:
    """One provider as it is measured; equal to itself alone."""

    provider: str
    primary: Resource
    crds: tuple[str, ...] = ()
    """Stand-in CRDs, by what their files' names end in."""
    operator: Installation | None = None
    """Upstream's operator, without which the provider is not ready."""
    standin: str
    """The module that plays upstream."""
    objects: int = 1
    """Objects that the controller makes for one deployment."""
    model: str = "org/model-{:05d}"
    """The model's id with a place for a number, so that nothing can be shared between two deployments."""
    spec: dict[str, Any] = field(default_factory=dict)

    @property
    def namespace(self) -> str:
        """Where this provider's deployments are, when several providers are measured at once."""
        return f"bench-{self.provider}"

    def make_deployment(self, namespace: str, index: int) -> Json:
        """The user's object."""
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.MODEL_DEPLOYMENT,
            "metadata": {"name": f"m-{index:05d}", "namespace": namespace},
            "spec": {"model": {"id": self.model.format(index)}, **self.spec},
        }


def _choose(provider: str) -> Json:
    """On one GPU with vLLM, which all providers have, pinned to one of them."""
    return {"engine": {"type": "vllm"}, "resources": {"gpu": {"count": 1}}, "provider": {"name": provider}}


STANDINS: Final = "kubeairunway_dev.standins"

WORKSPACE: Final = Target(
    provider="kaito",
    primary=kaito_objects.WORKSPACE,
    crds=("workspaces.yaml",),
    operator=kaito_objects.OPERATOR,
    standin=f"{STANDINS}.kaito",
    model="org/model-{:05d}-GGUF",
)
"""The target of a burst: chosen by rules, on CPU, one object each, so that the writes can be repeated without us."""

TARGETS: Final = {
    target.provider: target
    for target in (
        Target(
            provider="kaito",
            primary=kaito_objects.INFERENCE_SET,
            crds=("workspaces.yaml", "inferencesets.yaml"),
            operator=kaito_objects.OPERATOR,
            standin=f"{STANDINS}.kaito",
            objects=3,
            spec=_choose("kaito"),
        ),
        Target(
            provider="dynamo",
            primary=dynamo_objects.BETA,
            crds=("dynamographdeployments.yaml",),
            operator=dynamo_objects.OPERATOR,
            standin=f"{STANDINS}.dynamo",
            spec=_choose("dynamo"),
        ),
        Target(
            provider="kuberay",
            primary=kuberay_objects.RAY_SERVICE,
            crds=("rayservices.yaml", "rayclusters.yaml"),
            operator=kuberay_objects.OPERATOR,
            standin=f"{STANDINS}.kuberay",
            spec=_choose("kuberay"),
        ),
        Target(
            provider="vllm",
            primary=DEPLOYMENT,
            standin="tests.bench.rollouts",
            objects=2,
            spec=_choose("vllm"),
        ),
    )
}
