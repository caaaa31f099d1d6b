"""The five hooks of providers and the two of policies: synchronous and pure (no I/O, clock, environment, chance)."""

from collections.abc import Iterable

import pluggy

from kubeairunway.model.problems import Problem
from kubeairunway.plugin.contract import Bid, Observed, Policy, Provider, Rendering, Report, Request

PROJECT = "kubeairunway"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """What a provider module may implement, with `@hookimpl` before each function."""

    @hookspec(firstresult=True)
    def provider(self) -> Provider:
        """Say who you are. Mandatory; called once, when the plugin is loaded."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def validate(self, request: Request) -> Iterable[Problem]:
        """Object to what `engines` and `carries` cannot say. Optional; an error also means "not me"."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def select(self, request: Request) -> Bid | None:
        """Bid where CEL cannot say it. Optional; called only when capable and without errors."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def render(self, request: Request) -> Rendering:
        """Turn a request without errors into objects. Mandatory; same request, same bytes."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def status(self, request: Request, observed: Observed) -> Report:
        """Read the live objects. Mandatory; not called before the primary exists."""
        raise NotImplementedError


class PolicyHooks:
    """What a policy module implements, with `@hookimpl` before each function."""

    @hookspec(firstresult=True)
    def policy(self) -> Policy:
        """Say who you are. Mandatory; called once, when the plugin is loaded."""
        raise NotImplementedError

    @hookspec(firstresult=True)
    def admit(self, request: Request, provider: str) -> Iterable[Problem]:
        """Object to a deployment or a change of one that `provider` would carry out. Mandatory."""
        raise NotImplementedError
