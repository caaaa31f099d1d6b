"""How the core asks one provider: the registry implements it, `decide/` and tests depend on it alone."""

from typing import Protocol

from kubeairunway.model.problems import Problem
from kubeairunway.plugin.contract import Bid, Observed, Rendering, Report, Request


class HookCalls(Protocol):
    """One typed method per hook, for one provider at a time.

    Each checks what came back and consumes lazy results; each raises HookError for an exception or a result the
    contract does not allow, HookTimeoutError for an overrun or an open circuit.
    """

    def validate(self, provider: str, request: Request) -> tuple[Problem, ...]:
        """The provider's objections; none if it does not implement the hook."""
        ...

    def select(self, provider: str, request: Request) -> Bid | None:
        """The provider's bid; None if it makes none or does not implement the hook."""
        ...

    def render(self, provider: str, request: Request) -> Rendering:
        """The objects of one deployment."""
        ...

    def status(self, provider: str, request: Request, observed: Observed) -> Report:
        """What the live objects say."""
        ...


class PolicyCalls(Protocol):
    """How the core asks policies; those that are switched off are not among them, those that are broken are."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The names of the policies to ask, sorted."""
        ...

    @property
    def wants_peers(self) -> bool:
        """Whether a loaded policy asks for peers."""
        ...

    def obstacle(self, policy: str) -> str:
        """Why a policy cannot be asked at all; empty if it is loaded."""
        ...

    def admit(self, policy: str, request: Request, provider: str) -> tuple[Problem, ...]:
        """A policy's objections. Raises as HookCalls do."""
        ...
