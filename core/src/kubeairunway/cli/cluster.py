"""What `--live` reads from a cluster: provider configs, served versions, and a deployment by name."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.decide.provider_config import OperatorState, PackageFacts, Upstream, read_facts
from kubeairunway.errors import ApiError, KubeError
from kubeairunway.kube.client import Client
from kubeairunway.kube.config import ClusterConfig, load_config
from kubeairunway.kube.discovery import Discovery
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.model.names import GROUP, MODEL_DEPLOYMENT, PROVIDER_CONFIG, VERSION
from kubeairunway.model.reasons import ConfigCondition, ConfigReason
from kubeairunway.objects.conditions import find_condition
from kubeairunway.objects.resources import Resource

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Iterable, Mapping

    from kubeairunway.decide.facts import ProviderFacts
    from kubeairunway.decide.preview import Served
    from kubeairunway.plugin import Kind, Provider

DEPLOYMENTS: Final = Resource(GROUP, VERSION, MODEL_DEPLOYMENT, "modeldeployments")
CONFIGS: Final = Resource(GROUP, VERSION, PROVIDER_CONFIG, "inferenceproviderconfigs", namespaced=False)
CONNECTIONS: Final = 4


@dataclass(frozen=True, slots=True)
class ClusterView:
    """The cluster's facts, the namespace of the kubeconfig, and the deployment asked for."""

    providers: Mapping[str, ProviderFacts]
    namespace: str
    deployment: Mapping[str, Any] | None = None


def read_cluster(
    options: argparse.Namespace,
    packages: Mapping[str, PackageFacts],
    given: Mapping[str, Mapping[str, Any]],
    served: Served,
) -> ClusterView:
    """Ask the cluster once. `given` configs and `served` versions take the place of what it says.

    Raises SettingsError for the kubeconfig, KubeError for the cluster.
    """
    return asyncio.run(_read(find_config(options), options, packages, given, served))


def find_config(options: argparse.Namespace) -> ClusterConfig:
    """Return how the cluster is reached. Raises SettingsError."""
    return load_config(Path(options.kubeconfig).expanduser() if options.kubeconfig else None, options.context)


async def _read(
    config: ClusterConfig,
    options: argparse.Namespace,
    packages: Mapping[str, PackageFacts],
    given: Mapping[str, Mapping[str, Any]],
    served: Served,
) -> ClusterView:
    async with connect(config) as client:
        deployment = None
        if options.name:
            deployment = await _read_deployment(client, options.name, options.namespace or config.namespace)
        facts = await read_providers(client, Discovery(client), packages, given, served)
    return ClusterView(facts, config.namespace, deployment)


async def read_providers(
    client: Client,
    discovery: Discovery,
    packages: Mapping[str, PackageFacts],
    given: Mapping[str, Mapping[str, Any]],
    served: Served,
) -> dict[str, ProviderFacts]:
    """Return each provider as the cluster has it now. Raises KubeError."""
    configs = await read_configs(client)
    await discovery.refresh()
    now = datetime.now(UTC)
    facts = {}
    for name in sorted({*packages, *configs, *given}):
        package = packages.get(name, PackageFacts(provider=None))
        facts[name] = _judge(name, package, _merge(configs.get(name), given.get(name)), discovery, served, now)
    return facts


@asynccontextmanager
async def connect(config: ClusterConfig) -> AsyncIterator[Client]:
    """Yield a client of the cluster for one command."""
    transport = open_transport(config, connections=CONNECTIONS)
    try:
        yield Client(transport)
    finally:
        await transport.close()


async def _read_deployment(client: Client, name: str, namespace: str) -> dict[str, Any]:
    try:
        return await client.get(DEPLOYMENTS, name, namespace)
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        raise KubeError(f"there is no ModelDeployment {name} in namespace {namespace}") from error


def read_deployments(options: argparse.Namespace, namespaces: Iterable[str]) -> tuple[dict[str, Any], ...]:
    """Return every ModelDeployment of these namespaces. Raises SettingsError and KubeError."""
    return asyncio.run(_read_deployments(find_config(options), sorted(namespaces)))


async def _read_deployments(config: ClusterConfig, namespaces: Iterable[str]) -> tuple[dict[str, Any], ...]:
    async with connect(config) as client:
        return await list_deployments(client, namespaces)


async def list_deployments(client: Client, namespaces: Iterable[str]) -> tuple[dict[str, Any], ...]:
    """Return every ModelDeployment of these namespaces. Raises KubeError."""
    found: list[dict[str, Any]] = []
    for namespace in namespaces:
        async for page in client.list_pages(DEPLOYMENTS, namespace=namespace):
            found += page.items
    return tuple(found)


async def read_configs(client: Client) -> dict[str, dict[str, Any]]:
    """Return every provider's config by name. Raises KubeError, with what to do where our CRDs are missing."""
    configs: dict[str, dict[str, Any]] = {}
    try:
        async for page in client.list_pages(CONFIGS):
            configs |= {item["metadata"]["name"]: item for item in page.items}
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        hint = "kubeairunway crds | kubectl apply --server-side -f -"
        raise KubeError(f"the cluster has no InferenceProviderConfig kind; install the CRDs: {hint}") from error
    return configs


def _merge(live: Mapping[str, Any] | None, given: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """A config of the input has its own spec, and the status of the cluster's."""
    if live is None or given is None:
        return given or live
    return {**live, "spec": given.get("spec") or {}}


def _judge(
    name: str,
    package: PackageFacts,
    config: Mapping[str, Any] | None,
    discovery: Discovery,
    served: Served,
    now: datetime,
) -> ProviderFacts:
    provider = package.provider
    if provider is None:
        reason = package.reason or f"its package is not installed here, so it cannot be asked{_name_package(config)}"
        return read_facts(name, replace(package, reason=reason), config, Upstream(served={}), now)
    versions = find_versions(provider, discovery, served)
    facts = read_facts(name, package, config, Upstream(served=versions, operator=_operator(config)), now)
    if config is None:
        message = "the cluster has no InferenceProviderConfig of that name: no controller has loaded its package"
        return replace(facts, ready=False, reason=ConfigReason.PACKAGE_MISSING, message=message)
    return facts


def _name_package(config: Mapping[str, Any] | None) -> str:
    declared = ((config or {}).get("status") or {}).get("declared") or {}
    package = declared.get("package") or {}
    if not package.get("distribution"):
        return ""
    return f"; pip install {package['distribution']}=={package.get('version', '')}"


def find_versions(provider: Provider, discovery: Discovery, served: Served) -> dict[Kind, str]:
    """Return the version to render for each declared kind that the cluster serves; `served` overrides what it says."""
    versions: dict[Kind, str] = {}
    for kind in (*provider.kinds, *provider.children):
        if (kind.group, kind.name) in served:
            version = served[kind.group, kind.name]
            if version in kind.versions:
                versions[kind] = version
            continue
        found = discovery.resource(kind.group, kind.name, kind.versions)
        if found is not None:
            versions[kind] = found.version
    return versions


def _operator(config: Mapping[str, Any] | None) -> OperatorState:
    """What the controller saw of the upstream operator when it last looked."""
    rows = ((config or {}).get("status") or {}).get("conditions")
    row = find_condition(rows, ConfigCondition.OPERATOR_READY)
    if row is None:
        return OperatorState.NOT_NEEDED
    if row["status"] == "Unknown":
        return OperatorState.UNKNOWN
    if row["status"] == "True":
        return OperatorState.READY
    return OperatorState.MISSING if row["reason"] == ConfigReason.OPERATOR_MISSING else OperatorState.NOT_READY
