"""What `explain --diff` reads from a cluster: a deployment, its objects, and whatever else has a name it will need."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from kubeairunway.cli.cluster import CONNECTIONS, DEPLOYMENTS, find_config, list_deployments, read_providers
from kubeairunway.decide.existing import pick_owned
from kubeairunway.decide.ownership import is_cached_whole, label_value
from kubeairunway.decide.plan import Snapshot
from kubeairunway.errors import ApiError
from kubeairunway.kube.client import Client
from kubeairunway.kube.discovery import Discovery
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.model import names

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from kubeairunway.decide.facts import ProviderFacts
    from kubeairunway.decide.preview import Served
    from kubeairunway.decide.provider_config import PackageFacts
    from kubeairunway.objects.resources import Json, Resource
    from kubeairunway.plugin import Kind


@dataclass(slots=True)
class LiveCluster:
    """A connection for as long as one decision takes; decisions are synchronous, so each read waits for its answer."""

    runner: asyncio.Runner
    client: Client
    discovery: Discovery
    namespace: str
    providers: Mapping[str, ProviderFacts]
    seen: dict[tuple[Kind, str], Json | None] = field(default_factory=dict)

    def find_deployment(self, name: str, namespace: str) -> Json | None:
        """Return a ModelDeployment, or None if there is none. Raises KubeError."""
        return self._get(DEPLOYMENTS, name, namespace)

    def list_deployments(self, namespace: str) -> tuple[Json, ...]:
        """Return every ModelDeployment of a namespace. Raises KubeError."""
        return self.runner.run(list_deployments(self.client, [namespace]))

    def take_snapshot(self, deployment: Json) -> Snapshot:
        """Return the world of a deployment as the controller has it. Raises KubeError."""
        namespace = deployment["metadata"]["namespace"]
        owned = pick_owned(deployment, self.runner.run(self._list(deployment)), self.providers)

        def find(kind: Kind, name: str) -> Json | None:
            key = kind, name
            if key not in self.seen:
                resource = self._resolve(kind)
                self.seen[key] = self._get(resource, name, namespace) if resource else None
            return self.seen[key]

        return Snapshot(deployment=deployment, providers=self.providers, now=datetime.now(UTC), owned=owned, find=find)

    def _resolve(self, kind: Kind) -> Resource | None:
        return self.discovery.resource(kind.group, kind.name, kind.versions)

    def _get(self, resource: Resource, name: str, namespace: str) -> Json | None:
        try:
            return self.runner.run(self.client.get(resource, name, namespace))
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return None

    async def _list(self, deployment: Json) -> list[Json]:
        meta = deployment["metadata"]
        label = f"{names.DEPLOYMENT}={label_value(meta['name'])}"
        found: list[Json] = []
        for resource, labels in self._list_resources(label):
            async for page in self.client.list_pages(resource, namespace=meta["namespace"], labels=labels):
                # A list does not repeat in each item what all of them are.
                found += [{"apiVersion": resource.api_version, "kind": resource.kind, **item} for item in page.items]
        return found

    def _list_resources(self, label: str) -> list[tuple[Resource, str]]:
        kinds = {kind for facts in self.providers.values() if facts.provider for kind in facts.provider.kinds}
        wanted: dict[Resource, str] = {}
        for kind in sorted(kinds, key=lambda each: (each.group, each.name)):
            resource = self._resolve(kind)
            if resource is not None:
                wanted[resource] = "" if is_cached_whole(kind) else label
        return list(wanted.items())


@contextlib.contextmanager
def open_cluster(
    options: argparse.Namespace,
    packages: Mapping[str, PackageFacts],
    given: Mapping[str, Mapping[str, Any]],
    served: Served,
) -> Iterator[LiveCluster]:
    """Connect, and read what providers there are. Raises SettingsError for the kubeconfig, else KubeError."""
    config = find_config(options)
    with asyncio.Runner() as runner:
        transport = open_transport(config, connections=CONNECTIONS)
        try:
            client = Client(transport)
            discovery = Discovery(client)
            providers = runner.run(read_providers(client, discovery, packages, given, served))
            yield LiveCluster(runner, client, discovery, config.namespace, providers)
        finally:
            runner.run(transport.close())
