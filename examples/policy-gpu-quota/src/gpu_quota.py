"""The deployments of a namespace hold no more GPUs together than the administrator says."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from kubeairunway.plugin import Policy, Problem, Request, count_gpus, hookimpl

Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class Settings:
    """How many GPUs a namespace may hold."""

    default: Count | None = field(default=None, metadata={"description": "GPUs of each namespace; null: no cap."})
    namespaces: Mapping[str, Count | None] = field(
        default_factory=dict, metadata={"description": "GPUs of single namespaces, by name; null: no cap."}
    )


@hookimpl
def policy() -> Policy:
    """Say that it looks at peers: a cap is for all of them together."""
    return Policy(name="gpu-quota", contract=1, settings=Settings, peers=True)


@hookimpl
def admit(request: Request) -> Iterator[Problem]:
    """Refuse what does not fit beside what the others hold; to ask for less is right even above the cap."""
    cap = request.settings.namespaces.get(request.namespace, request.settings.default)
    wanted = count_gpus(request.spec)
    held = request.before.gpus if request.before else 0
    others = sum(peer.gpus for peer in request.peers if peer.admitted)
    if cap is None or wanted <= held or others + wanted <= cap:
        return
    role = "scaling" if request.spec.serving.mode == "disaggregated" else "resources.gpu.count"
    left = max(cap - others, 0)
    text = f"{wanted} GPUs are too many: namespace {request.namespace} may hold {cap}, and {left} of them are left"
    yield Problem(f"spec.{role}", "QuotaExceeded", text)
