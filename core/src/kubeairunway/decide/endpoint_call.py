"""A call to paste: how somebody with kubectl reaches a model that is ready."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from kubeairunway.decide.effective import effective_spec
from kubeairunway.decide.facts import ProviderFacts
from kubeairunway.model.documents import read_deployment
from kubeairunway.model.paths import covers
from kubeairunway.model.reasons import ConditionType, Reason
from kubeairunway.objects.conditions import find_condition

LOCAL_PORT = 8080
"""Where the forwarded port listens on the caller's machine."""
QUESTION = "What is Kubernetes?"


@dataclass(frozen=True, slots=True)
class Call:
    """Two shell commands: the first one keeps a connection open, the second one asks; `curl` is cut at good places."""

    port_forward: str
    curl: tuple[str, ...]

    def to_json(self) -> dict[str, str]:
        """Both commands, each on one line."""
        return {"portForward": self.port_forward, "curl": " ".join(self.curl)}


def make_call(
    deployment: Mapping[str, Any], providers: Mapping[str, ProviderFacts], kubectl: Sequence[str] = ("kubectl",)
) -> Call | None:
    """The call of a deployment whose status says that its present spec serves; None while there is nothing to call.

    `kubectl` is the command with the options that lead it to the cluster. Where it is not known under which name the
    model is served, the call asks for the names there are.
    """
    meta, status = deployment["metadata"], deployment.get("status") or {}
    ready = find_condition(status.get("conditions"), ConditionType.READY) or {}
    endpoint = status.get("endpoint") or {}
    current = status.get("observedGeneration") == meta.get("generation")
    serves = ready.get("status") == "True" and ready.get("reason") != Reason.SCALED_TO_ZERO
    if not (serves and current and endpoint.get("service") and endpoint.get("port")):
        return None
    target = ["-n", meta["namespace"], f"service/{endpoint['service']}", f"{LOCAL_PORT}:{endpoint['port']}"]
    return Call(shlex.join([*kubectl, "port-forward", *target]), _ask(_find_name(deployment, status, providers)))


def _find_name(deployment: Mapping[str, Any], status: Mapping[str, Any], providers: Mapping[str, ProviderFacts]) -> str:
    """The name that clients ask for; empty where the provider does not hand ours to the engine."""
    written, _ = read_deployment(deployment)
    facts = providers.get((status.get("provider") or {}).get("name", ""))
    if written is None or facts is None or facts.provider is None:
        return ""
    spec = effective_spec(written.spec, None, name=written.name)
    chosen = (status.get("engine") or {}).get("type"), spec.serving.mode
    takes = any(
        (row.name, mode) == chosen and covers(row.carries, "model.servedName")
        for row in facts.provider.engines
        for mode in row.modes
    )
    return spec.model.served_name if takes else ""


def _ask(model: str) -> tuple[str, ...]:
    base = f"curl http://127.0.0.1:{LOCAL_PORT}/v1"
    if not model:
        return (f"{base}/models",)
    body = orjson.dumps({"model": model, "messages": [{"role": "user", "content": QUESTION}]}).decode()
    return f"{base}/chat/completions", "-H 'Content-Type: application/json'", f"-d {shlex.quote(body)}"
