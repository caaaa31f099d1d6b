"""What is known around a deployment that is not Ready, and what its cause is called."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from kubeairunway.model.reasons import Reason
from kubeairunway.objects.resources import Json

CAUSES: tuple[Reason, ...] = (
    Reason.SECRET_MISSING,
    Reason.DEPENDENCY_MISSING,
    Reason.IMAGE_PULL,
    Reason.OUT_OF_MEMORY,
    Reason.CRASH_LOOP,
    Reason.ADMISSION_DENIED,
    Reason.QUOTA_EXCEEDED,
    Reason.UNSCHEDULABLE,
    Reason.WAITING_FOR_GPU,
    Reason.UPSTREAM_ERROR,
    Reason.MODEL_DOWNLOAD,
)
"""Every cause, in the order in which one hides another.

First what a container was refused or did, since it is nearest to the model; then what kept pods from being made; then
what keeps them from a node. These hide what upstream says of a failure, which is at best a summary of them. A pod that
is loading the model explains nothing once upstream has given up, so that comes last.
"""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a deployment is not Ready: reason and message of the condition."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class SecretRef:
    """A Secret that a spec names, with the key that is needed and the field that names it."""

    name: str
    key: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeGpus:
    """What a node that takes pods has of one extended resource, and whom it takes."""

    node: str
    total: int
    free: int
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    taints: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Capacity:
    """What nodes have of each extended resource, as counted at a moment."""

    at: datetime
    nodes: Mapping[str, tuple[NodeGpus, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What the process knows of the pods and events below one deployment at one moment.

    `pods` are those that the selector matches, `pod_events` warnings about them by the pod's uid, `owner_events`
    warnings about the objects between the deployment and its pods; all as trimmed by trim.py. `missing_secrets` are
    names known not to exist in the namespace. `pending`: some of this is being looked up for the first time.
    """

    pods: tuple[Json, ...] = ()
    pod_events: Mapping[str, tuple[Json, ...]] = field(default_factory=lambda: MappingProxyType({}))
    owner_events: tuple[Json, ...] = ()
    capacity: Capacity | None = None
    missing_secrets: frozenset[str] = frozenset()
    pending: bool = False


NO_EVIDENCE = Evidence()


@dataclass(frozen=True, slots=True)
class Around:
    """What a pod is judged against: the GPUs its deployment asks for (by resource, a pod), what is free, the time."""

    gpus: Mapping[str, int]
    capacity: Capacity | None
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What would help to find the cause next time: pods of a selector, Secrets by name, and what nodes have free."""

    selector: str = ""
    secrets: frozenset[str] = frozenset()
    capacity: bool = False
