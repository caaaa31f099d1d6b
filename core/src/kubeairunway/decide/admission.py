"""What policies say before anything is created for a deployment, or changed: all must agree, and broken ones refuse."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from kubeairunway.decide.effective import json_value
from kubeairunway.errors import HookError, HookTimeoutError
from kubeairunway.model.problems import Problem
from kubeairunway.model.reasons import Reason
from kubeairunway.objects.digests import digest
from kubeairunway.plugin import Peer, Request
from kubeairunway.plugin.calls import PolicyCalls

REFUSALS: tuple[Reason, ...] = (Reason.POLICY_NOT_LOADED, Reason.POLICY_ERROR, Reason.POLICY_REFUSED)
"""Why a deployment is not admitted, the one that is to be mended first in front."""

GPUS = "gpus"
"""The field of `status.provider` with the GPUs that a deployment was granted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The policies to ask for one deployment, and what they may see.

    `granted` is the digest of what they let pass last, as far as this process remembers; where they look at peers, it
    counts as long as the deployment holds what it was granted.
    """

    calls: PolicyCalls
    peers: tuple[Peer, ...] = ()
    before: Peer | None = None
    granted: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What policies say of one provider's case: `reason` is empty if it may go on; `advice` has their warnings."""

    reason: str = ""
    problems: tuple[Problem, ...] = ()
    advice: tuple[Problem, ...] = ()


NO_OBJECTION = Verdict()


def ask_policies(admission: Admission | None, request: Request, provider: str) -> Verdict:
    """Ask every policy, unless they let this very case pass before."""
    if admission is None or _was_granted(admission, request, provider):
        return NO_OBJECTION
    given = replace(request, peers=admission.peers, before=admission.before)
    verdicts = [_ask_policy(admission.calls, policy, given, provider) for policy in admission.calls.asked]
    reasons = {verdict.reason for verdict in verdicts}
    return Verdict(
        next((reason for reason in REFUSALS if reason in reasons), ""),
        tuple(problem for verdict in verdicts for problem in verdict.problems),
        tuple(problem for verdict in verdicts for problem in verdict.advice),
    )


def _was_granted(admission: Admission, request: Request, provider: str) -> bool:
    if not admission.granted or (admission.calls.wants_peers and admission.before is None):
        return False
    return admission.granted == describe_grant(request, provider)


def _ask_policy(calls: PolicyCalls, policy: str, request: Request, provider: str) -> Verdict:
    obstacle = calls.obstacle(policy)
    if obstacle:
        text = f"it cannot be asked: {obstacle}; correct its package or settings and restart, or switch it off"
        return Verdict(Reason.POLICY_NOT_LOADED, (_say(policy, Problem("", Reason.POLICY_NOT_LOADED, text)),))
    try:
        found = calls.admit(policy, request, provider)
    except (HookError, HookTimeoutError) as error:
        text = f"its {error.operation} hook failed: {error.reason}; correct its package, or switch it off"
        return Verdict(Reason.POLICY_ERROR, (_say(policy, Problem("", Reason.POLICY_ERROR, text)),))
    errors = tuple(_say(policy, problem) for problem in found if not problem.warning)
    advice = tuple(_say(policy, problem) for problem in found if problem.warning)
    return Verdict(Reason.POLICY_REFUSED if errors else "", errors, advice)


def _say(policy: str, problem: Problem) -> Problem:
    return replace(problem, path=problem.path or "spec", message=f"policy {policy}: {problem.message}")


def describe_grant(request: Request, provider: str) -> str:
    """A digest of what is let pass: the spec, engine and overrides included, and who carries it out."""
    return digest([provider, json_value(request.spec)])


def describe_peer(deployment: Mapping[str, Any], chosen: Mapping[str, Any] | None = None) -> Peer:
    """A deployment as policies of others see it; `chosen` stands for its `status.provider`.

    The status says what was granted. Where policies were not in use then, an object that was created tells that it
    was admitted, with what the spec asks for.
    """
    spec = deployment.get("spec") or {}
    if chosen is None:
        chosen = (deployment.get("status") or {}).get("provider") or {}
    asked = _count_gpus(spec)
    granted = chosen.get(GPUS)
    return Peer(
        name=deployment["metadata"]["name"],
        model=str((spec.get("model") or {}).get("id") or ""),
        provider=str(chosen.get("name") or ""),
        gpus=asked if granted is None else int(granted),
        admitted=granted is not None or bool(chosen.get("resourceName")),
    )


def _count_gpus(spec: Mapping[str, Any]) -> int:
    """As `count_gpus`, of a spec as the API server keeps it: reading it as a model takes 50 times as long."""
    scaling = spec.get("scaling") or {}
    if (spec.get("serving") or {}).get("mode", "aggregated") == "aggregated":
        return _multiply(scaling.get("replicas"), (spec.get("resources") or {}).get("gpu"))
    roles = (scaling.get("prefill"), scaling.get("decode"))
    return sum(_multiply(role.get("replicas"), role.get("gpu")) for role in roles if role is not None)


def _multiply(replicas: int | None, gpu: Mapping[str, Any] | None) -> int:
    count: int = (gpu or {}).get("count") or 0
    return (1 if replicas is None else replicas) * count
