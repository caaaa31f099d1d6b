"""One policy, asked as the core would ask it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeairunway.decide.effective import effective_spec
from kubeairunway.model import names
from kubeairunway.model.documents import read_deployment
from kubeairunway.plugin import Request
from kubeairunway.plugin.policies import load_policies
from kubeairunway.plugin.registry import LoadState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

    from kubeairunway.plugin import Peer, Problem


def admit(
    policy: ModuleType,
    /,
    *,
    provider: str = "acme",
    name: str = "model",
    namespace: str = "default",
    settings: Mapping[str, Any] | None = None,
    peers: Iterable[Peer] = (),
    before: Peer | None = None,
    **spec: Any,  # noqa: ANN401 - fields of the spec, as in YAML
) -> tuple[Problem, ...]:
    """Ask a policy's module about a deployment of this spec: its objections, warnings included, as the core takes them.

    `spec` has the fields of ModelDeployment.spec, spelled as in YAML, `settings` the administrator's. The engine is
    vLLM unless `spec` names another. Raises LookupError, with the reason, if the policy cannot be loaded or the spec
    not be read, and HookError for what the contract does not allow.
    """
    document = {
        "apiVersion": names.API_VERSION,
        "kind": names.MODEL_DEPLOYMENT,
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }
    found, problems = read_deployment(document)
    if found is None:
        raise LookupError("; ".join(f"{problem.path}: {problem.message}" for problem in problems))
    entry = str(policy.policy().name)
    policies = load_policies(modules={entry: policy}, settings={entry: settings or {}})
    try:
        (package,) = policies.packages
        if package.state is not LoadState.LOADED:
            raise LookupError(f"policy {entry} is not loaded: {package.state}: {package.reason}")
        request = Request(
            name=name,
            namespace=namespace,
            spec=effective_spec(found.spec, found.spec.engine.type or "vllm", name=name),
            versions={},
            peers=tuple(sorted(peers)),
            before=before,
        )
        return policies.admit(entry, request, provider)
    finally:
        policies.close()
