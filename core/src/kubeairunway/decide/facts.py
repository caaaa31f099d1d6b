"""What a decision is made from, besides the deployment itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from kubeairunway.model.problems import Problem
from kubeairunway.plugin import Kind, Provider, Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class ActiveRule:
    """A selection rule in force: the package's, or the administrator's of the same name in its place."""

    rule: Rule
    administrator: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderFacts:
    """One provider as the cluster knows it: package and InferenceProviderConfig together.

    `provider` is None when the config exists but its package is not loaded. `ready` says that it can run what it
    renders (heartbeat fresh, kinds served, upstream operator up); otherwise `reason` (a CamelCase word) and
    `message` say what is missing. `versions` has the served version of each declared kind; offline, of all.
    """

    name: str
    provider: Provider | None
    ready: bool = True
    reason: str = ""
    message: str = ""
    disabled: bool = False
    auto_select: bool = True
    rules: tuple[ActiveRule, ...] = ()
    settings: Any = None
    problems: tuple[Problem, ...] = ()  # in the administrator's settings: makes it unusable, not absent
    versions: Mapping[Kind, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def usable(self) -> bool:
        """Whether new deployments may go to it."""
        return self.provider is not None and self.ready and not self.disabled and not self.problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What an earlier decision fixed: the primary exists, or existed, for this identity."""

    provider: str
    engine: str
    primary: Kind | None = None  # the kind that exists; None when it vanished
