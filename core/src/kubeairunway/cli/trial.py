"""What trying a provider package needs in the cluster: a namespace, and the provider's config to itself."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.cli.cluster import CONFIGS, find_versions, read_configs
from kubeairunway.decide.provider_config import HEARTBEAT_EXPIRY, missing_kinds
from kubeairunway.errors import ApiError, KubeError
from kubeairunway.kube.discovery import Discovery
from kubeairunway.kube.transport import is_missing
from kubeairunway.model.names import API_VERSION, BEFORE_TRIAL, PROVIDER_CONFIG, TRIED_BY
from kubeairunway.model.reasons import ConfigCondition, ConfigReason
from kubeairunway.objects.conditions import find_condition
from kubeairunway.objects.resources import Resource
from kubeairunway.objects.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubeairunway.kube.client import Client
    from kubeairunway.objects.resources import Json
    from kubeairunway.plugin import Kind, Provider

NAMESPACES: Final = Resource("", "v1", "Namespace", "namespaces", namespaced=False)

ABSENT: Final = "absent"
"""What stands for a config that was not there."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A provider's config that is ours for a while; `before` is what BEFORE_TRIAL says of it."""

    name: str
    uid: str
    before: str


def make_identity() -> str:
    """Name this process so that another one on this machine can tell whether it still lives."""
    return f"{socket.gethostname()}-{os.getpid()}"


async def make_namespace(client: Client, name: str) -> bool:
    """Make a namespace where there is none of that name; false if there was one. Raises KubeError."""
    try:
        await client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    except ApiError as error:
        if error.reason == "AlreadyExists":
            return False
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        await client.get(NAMESPACES, name)
        return False
    return True


async def find_missing(client: Client, provider: Provider) -> tuple[Kind, ...]:
    """Return the kinds that a provider needs and the cluster does not serve. Raises KubeError."""
    discovery = Discovery(client)
    await discovery.refresh()
    return missing_kinds(provider, find_versions(provider, discovery, {}))


async def claim_config(client: Client, name: str, identity: str) -> Claim:
    """Mark a provider's config as ours, so that other controllers leave the provider and its deployments alone.

    It is not chosen for deployments that do not name it meanwhile: those are other controllers' to place. Raises
    KubeError if somebody else looks after it.
    """
    config = (await read_configs(client)).get(name)
    if config is None:
        meta: Json = {"name": name, "annotations": {TRIED_BY: identity, BEFORE_TRIAL: ABSENT}}
        body = {"apiVersion": API_VERSION, "kind": PROVIDER_CONFIG, "metadata": meta, "spec": {"autoSelect": False}}
        made = await client.create(CONFIGS, body)
        return Claim(name, made["metadata"]["uid"], ABSENT)
    holder = find_holder(config, datetime.now(UTC))
    if holder:
        raise KubeError(f"provider {name} is not free to be tried: {holder}")
    before = describe_before(config)
    meta = {
        "annotations": {TRIED_BY: identity, BEFORE_TRIAL: before},
        "resourceVersion": config["metadata"]["resourceVersion"],
    }
    await client.merge_patch(CONFIGS, name, None, {"metadata": meta, "spec": {"autoSelect": False}})
    return Claim(name, config["metadata"]["uid"], before)


def describe_before(config: Mapping[str, Any]) -> str:
    """Say how a config was before it was tried; a trial that was killed has left that with it."""
    left = (config["metadata"].get("annotations") or {}).get(BEFORE_TRIAL)
    return str(left) if left else json.dumps((config.get("spec") or {}).get("autoSelect"))


def find_holder(config: Mapping[str, Any], now: datetime) -> str:
    """Say who looks after a provider, and how to make him stop; empty if nobody does."""
    name = config["metadata"]["name"]
    beat = parse_time((config.get("status") or {}).get("lastHeartbeat"))
    ready = find_condition((config.get("status") or {}).get("conditions"), ConfigCondition.READY) or {}
    if beat is None or now - beat > HEARTBEAT_EXPIRY or ready.get("reason") == ConfigReason.PACKAGE_MISSING:
        return ""
    seconds = f"{max(0.0, (now - beat).total_seconds()):.0f} s ago"
    tried = (config["metadata"].get("annotations") or {}).get(TRIED_BY, "")
    if tried:
        return "" if is_dead(tried) else f"{tried} tries it already (heartbeat {seconds}); stop that first"
    return (
        f"a controller that has its package looks after it (heartbeat {seconds}); run that one with "
        f"--disable-providers {name}, or name the package otherwise while you try it"
    )


def is_dead(identity: str) -> bool:
    """Whether a process is one of this machine that has ended; of other machines nothing is known."""
    host, _, number = identity.rpartition("-")
    if host != socket.gethostname() or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


async def release_config(client: Client, claim: Claim) -> None:
    """Leave the config as it was found, if it is there still. Raises KubeError."""
    if claim.before == ABSENT:
        await client.delete(CONFIGS, claim.name, uid=claim.uid)
        return
    meta = {"uid": claim.uid, "annotations": {TRIED_BY: None, BEFORE_TRIAL: None}}
    patch = {"metadata": meta, "spec": {"autoSelect": json.loads(claim.before)}}
    try:
        await client.merge_patch(CONFIGS, claim.name, None, patch)
    except ApiError as error:
        if not is_missing(error):
            raise
