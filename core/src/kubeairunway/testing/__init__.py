"""For provider authors: the whole decision for a deployment, as values, with no cluster.

What is decided here is what the controller decides, since both ask `kubeairunway.decide`. `conformance` holds a
provider to the rules of its contract; `pytest_plugin` is loaded into every pytest session, so importing this package
imports nothing more until a name is asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubeairunway.testing.offline import Observation, OfflineDecision, deployment
    from kubeairunway.testing.policies import admit

__all__ = ["Observation", "OfflineDecision", "admit", "deployment"]

_HOMES = {"Observation": "offline", "OfflineDecision": "offline", "admit": "policies", "deployment": "offline"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever has that name
    """A public name, from the module that has it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
