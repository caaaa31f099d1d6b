"""The provider contract, version 1: all that a provider or a policy imports, and how the core finds and calls them.

Names listed here are the contract; `discovery`, `registry` and `guard` are the core's side of it.
"""

from kubeairunway.model.problems import Problem
from kubeairunway.model.spec import EngineName, ServingMode, Spec, count_gpus
from kubeairunway.plugin.contract import (
    CONFIG_MAP,
    CONTRACT,
    SERVICE,
    Bid,
    Engine,
    Kind,
    Manifest,
    Observed,
    Peer,
    Policy,
    Provider,
    Rendering,
    Report,
    Request,
    Rule,
    State,
    View,
)
from kubeairunway.plugin.hookspecs import Hooks, PolicyHooks, hookimpl, hookspec

__all__ = [
    "CONFIG_MAP",
    "CONTRACT",
    "SERVICE",
    "Bid",
    "Engine",
    "EngineName",
    "Hooks",
    "Kind",
    "Manifest",
    "Observed",
    "Peer",
    "Policy",
    "PolicyHooks",
    "Problem",
    "Provider",
    "Rendering",
    "Report",
    "Request",
    "Rule",
    "ServingMode",
    "Spec",
    "State",
    "View",
    "count_gpus",
    "hookimpl",
    "hookspec",
]
