"""Which kinds the cluster serves, in which versions."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from kubeairunway.errors import ApiError
from kubeairunway.kube.transport import JSON_TYPE, is_missing
from kubeairunway.objects.resources import Json, Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kubeairunway.kube.client import Client

AGGREGATED: Final = f"{JSON_TYPE};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,{JSON_TYPE}"

Kinds = dict[str, dict[str, Resource]]
"""By version, in the server's order of preference, then by kind."""


class Discovery:
    """What was served at the last `refresh`. A group that was never refreshed counts as not served."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._groups: dict[str, Kinds] = {}

    async def refresh(self, group: str | None = None) -> None:
        """Read all groups (two requests: the core group has a path of its own), or one group after a CRD event.

        Raises ApiError or TransportError and keeps what was known.
        """
        if group is not None:
            kinds = await self._read_group(group)
            if kinds:
                self._groups[group] = kinds
            else:
                self._groups.pop(group, None)
            return
        core, named = await asyncio.gather(self._read_all("/api"), self._read_all("/apis"))
        self._groups = core | named

    def resource(self, group: str, kind: str, versions: Sequence[str]) -> Resource | None:
        """Return the kind in the first of these versions that serves it, or None."""
        kinds = self._groups.get(group, {})
        for version in versions:
            found = kinds.get(version, {}).get(kind)
            if found is not None:
                return found
        return None

    def find(self, kind: str) -> tuple[Resource, ...]:
        """Return every group's resource of that kind, each in the first version that has it."""
        versions = (
            [kinds[kind] for kinds in group.values() if kind in kinds] for _, group in sorted(self._groups.items())
        )
        return tuple(found[0] for found in versions if found)

    def served(self, group: str) -> tuple[str, ...]:
        """Return the group's versions, the server's preferred one first."""
        return tuple(self._groups.get(group, ()))

    async def _read_all(self, path: str) -> dict[str, Kinds]:
        answer = await self._client.get_path(path, accept=AGGREGATED)
        if answer.get("kind") == "APIGroupDiscoveryList":
            return {item["metadata"].get("name", ""): _read_aggregated(item) for item in answer.get("items") or ()}
        if "groups" not in answer:
            return {"": await self._read_group("")}
        names = [item["name"] for item in answer["groups"]]
        return dict(zip(names, await asyncio.gather(*map(self._read_group, names)), strict=True))

    async def _read_group(self, group: str) -> Kinds:
        """Read one group by the plain documents, which show a change of a CRD sooner than the aggregated one."""
        try:
            answer = await self._client.get_path(f"/apis/{group}" if group else "/api")
        except ApiError as error:
            if is_missing(error):
                return {}
            raise
        versions = _order_versions(answer)
        lists = await asyncio.gather(*(self._read_version(group, version) for version in versions))
        return {version: kinds for version, kinds in zip(versions, lists, strict=True) if kinds}

    async def _read_version(self, group: str, version: str) -> dict[str, Resource]:
        try:
            answer = await self._client.get_path(f"/apis/{group}/{version}" if group else f"/api/{version}")
        except ApiError as error:
            if (
                is_missing(error) or error.status == HTTPStatus.SERVICE_UNAVAILABLE
            ):  # just removed, or an aggregated API server that is down
                return {}
            raise
        return _index_kinds(
            Resource(group, version, item["kind"], item["name"], item["namespaced"])
            for item in answer.get("resources") or ()
            if "/" not in item["name"]
        )


def _order_versions(answer: Json) -> list[str]:
    if answer.get("kind") == "APIVersions":
        return list(answer.get("versions") or ())
    versions = [item["version"] for item in answer.get("versions") or ()]
    preferred = (answer.get("preferredVersion") or {}).get("version")
    return sorted(versions, key=lambda version: version != preferred)


def _read_aggregated(item: Json) -> Kinds:
    group = item["metadata"].get("name", "")
    return {
        entry["version"]: _index_kinds(
            Resource(
                group, entry["version"], kind["responseKind"]["kind"], kind["resource"], kind["scope"] == "Namespaced"
            )
            for kind in entry.get("resources") or ()
            if (kind.get("responseKind") or {}).get("kind")
        )
        for entry in item.get("versions") or ()
    }


def _index_kinds(resources: Iterable[Resource]) -> dict[str, Resource]:
    return {resource.kind: resource for resource in resources}
