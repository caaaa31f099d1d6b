"""The values of the provider contract, version 1: what a provider declares, gets and returns.

The contract grows by fields with defaults, never by arguments of hooks. `docs/provider-contract.md` has its rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from kubeairunway.model.spec import EngineName, ServingMode, Spec

CONTRACT = 1
"""The contract version this core speaks; a package that declares another is shown as incompatible."""

T = TypeVar("T")


def _nothing() -> Mapping[Any, Any]:
    return MappingProxyType({})


# ---- what a provider declares, once, as data ----


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind the provider renders; the core watches, applies and deletes its objects.

    `versions` is best first: the first one served is used; offline, the first. `recreate`, `surge` and `restart` are
    dotted paths of the rendered object ("spec.model", "spec.workers[].image") whose change upstream refuses (or takes
    and does not roll out), answers by running old and new side by side, or by ending replicas one after the other, each
    before its successor starts. `surge_replicas` is how many replicas more than asked for run during a surge, 0 for a
    whole second set.
    """

    group: str  # "" is Kubernetes' core group
    name: str  # "Workspace"; plural and scope come from discovery
    versions: tuple[str, ...]
    recreate: tuple[str, ...] = ()
    surge: tuple[str, ...] = ()
    surge_replicas: int = 0
    restart: tuple[str, ...] = ()
    max_name: int = 63  # longest object name upstream bears; the core refuses longer ones
    optional: bool = False  # the provider is ready without it


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine in some modes, and the spec fields that reach what the provider renders for it.

    A field the user set (its value differs from its default) whose path is neither in `carries` nor below one of
    them is refused by the core. An engine may be listed once per mode, with what that mode carries.
    """

    name: EngineName
    carries: frozenset[str]
    modes: tuple[ServingMode, ...] = ("aggregated",)
    gpu: bool = True
    cpu: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A CEL rule over `spec` as hooks see it; an administrator replaces it by giving one of the same name."""

    name: str
    condition: str
    priority: int  # 0..100


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """Everything the core knows of a provider without calling another hook.

    `name` is a DNS label, and also the entry point's and the InferenceProviderConfig's. `children` are kinds that
    upstream makes below ours: watched and shown to `status`, never written. `operator` has the labels of upstream's
    operator Deployment, for readiness: label values are alternatives where separated by commas.
    """

    name: str
    contract: int
    kinds: tuple[Kind, ...]
    children: tuple[Kind, ...] = ()
    engines: tuple[Engine, ...]
    rules: tuple[Rule, ...] = ()
    auto_select: bool = True
    overrides: type | None = None  # frozen dataclass: spec.provider.overrides (YAML in camelCase)
    settings: type | None = None  # frozen dataclass: InferenceProviderConfig spec.settings
    operator: Mapping[str, str] = field(default_factory=_nothing)
    docs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Everything the core knows of a policy without calling `admit`.

    `name` is a DNS label, and also the entry point's. A policy that asks for `peers` is shown what else is in the
    namespace, which costs the core some work for every deployment.
    """

    name: str
    contract: int
    settings: type | None = None  # frozen dataclass: what the administrator writes into the file of policy settings
    peers: bool = False
    docs: str = ""


# ---- what hooks get ----


class Peer(NamedTuple):
    """A deployment as the policies of another one in its namespace see it.

    `model` is its model's id. `admitted` says that policies let it pass: it holds `gpus` from then on, whether its
    objects exist yet or not. Those of one that is not admitted are what it asks for. While a change is refused, a
    deployment holds what it held before.
    """

    name: str
    model: str
    provider: str  # empty while none is chosen
    gpus: int  # of all its replicas
    admitted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One deployment as every hook and every CEL rule sees it: complete and immutable to its leaves.

    `versions` has the version to render for each declared kind that is served (offline: for all).
    `primary` is the kind of the primary that exists: keep it while the spec fits it.
    `overrides` and `settings` are instances of the types the provider declared; a policy gets settings of its own.
    `peers` and `before` are for policies that ask for peers: the other deployments of the namespace, sorted by name,
    and this one as it was admitted last (None: it never was). Providers always find them empty.
    """

    name: str
    namespace: str
    spec: Spec
    versions: Mapping[Kind, str]
    primary: Kind | None = None
    overrides: Any = None
    settings: Any = None
    peers: tuple[Peer, ...] = ()
    before: Peer | None = None


@dataclass(frozen=True, slots=True)
class View:
    """A live object, read-only. What is missing, null or of another type reads as the default."""

    raw: Mapping[str, Any] = field(default_factory=_nothing)

    def get(self, path: str, default: T) -> T:
        """The value at a dotted path if it has the default's type."""
        value: Any = self.raw
        for step in path.split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
        return value if type(value) is type(default) else default

    def condition(self, name: str) -> "View":
        """The status condition of that type; empty if there is none."""
        rows: list[Any] = self.get("status.conditions", [])
        return next((View(row) for row in rows if isinstance(row, Mapping) and row.get("type") == name), View())


@dataclass(frozen=True, slots=True)
class Observed:
    """Live state of what this provider rendered for one deployment.

    `others` is keyed by kind and suffix (what is absent is not there), `children` by kind, sorted by name.
    """

    primary: View
    others: Mapping[tuple[Kind, str], View] = field(default_factory=_nothing)
    children: Mapping[Kind, tuple[View, ...]] = field(default_factory=_nothing)


# ---- what hooks return ----


@dataclass(frozen=True, slots=True)
class Bid:
    """How much the provider wants a deployment it can run; weighs as a rule of that priority (0..100)."""

    priority: int
    reason: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object. apiVersion, kind, name, namespace, owner and our labels are the core's to write.

    `body` has the top-level fields but metadata and status: {"spec": ...}. The object's name is the deployment's,
    or the deployment's + "-" + suffix. `labels` and `annotations` may not use the kubeairunway.ai/ prefix.
    """

    kind: Kind
    body: Mapping[str, Any]
    suffix: str = ""
    labels: Mapping[str, str] = field(default_factory=_nothing)
    annotations: Mapping[str, str] = field(default_factory=_nothing)


@dataclass(frozen=True, slots=True)
class Rendering:
    """All objects of one deployment; what an earlier rendering had and this lacks is deleted.

    `primary` carries readiness, and on deletion the core waits for it alone. `before` must exist before it does.
    `claims` names objects, by kind and suffix, that upstream will make below the primary: where one of somebody else's
    has that name already, upstream would take it for its own, so nothing is created and the conflict is reported.
    """

    primary: Manifest
    before: tuple[Manifest, ...] = ()
    after: tuple[Manifest, ...] = ()
    claims: tuple[tuple[Kind, str], ...] = ()


class State(StrEnum):
    """What upstream says; phase and conditions are the core's to derive."""

    WAITING = "Waiting"
    PROGRESSING = "Progressing"
    RUNNING = "Running"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Facts from upstream; the core says Ready only if they prove the current revision.

    `generation` is the metadata.generation upstream has acted on (0: not yet; None: it never says). `ready` counts
    replicas of that generation that serve, `roles` the same per role when disaggregated, `available` replicas of
    any generation (None: as `ready`). `pods` is the label selector of the model's pods, `service` and `port` what
    to call (empty until there is one), `message` upstream's own words.
    """

    state: State
    generation: int | None
    ready: int = 0
    roles: Mapping[str, int] = field(default_factory=_nothing)
    available: int | None = None
    pods: str = ""
    service: str = ""
    port: int = 0
    message: str = ""


SERVICE = Kind(group="", name="Service", versions=("v1",))
CONFIG_MAP = Kind(group="", name="ConfigMap", versions=("v1",), max_name=253)
