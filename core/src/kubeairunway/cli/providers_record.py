"""`kubeairunway providers record`: a live upstream object, saved as a fixture for tests."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeairunway.cli.cluster import connect
from kubeairunway.cli.exit_codes import ExitCode
from kubeairunway.cli.output import note, write
from kubeairunway.errors import ApiError, KubeError, SettingsError
from kubeairunway.kube.config import ClusterConfig, load_config
from kubeairunway.kube.discovery import Discovery
from kubeairunway.testing.fixtures import format_fixture

if TYPE_CHECKING:
    import argparse

    from kubeairunway.objects.resources import Resource


def run(options: argparse.Namespace) -> int:
    """Read one object and write its fixture."""
    kind, slash, name = options.object.partition("/")
    if not slash or not kind or not name or "/" in name:
        raise SettingsError(f"{options.object!r} is no KIND/NAME; write for example Workspace/qwen")
    config = load_config(Path(options.kubeconfig).expanduser() if options.kubeconfig else None, options.context)
    live = asyncio.run(read_object(config, kind, name, options.namespace or config.namespace))
    text = format_fixture(live)
    if options.output is None:
        write(text)
        return ExitCode.OK
    path = Path(options.output).expanduser()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from error
    note(f"recorded {options.object} in {path}")
    return ExitCode.OK


async def read_object(config: ClusterConfig, kind: str, name: str, namespace: str) -> dict[str, Any]:
    """Return the live object. Raises SettingsError for a kind that is not served or ambiguous, KubeError."""
    async with connect(config) as client:
        discovery = Discovery(client)
        await discovery.refresh()
        resource = pick_resource(discovery, kind)
        try:
            return await client.get(resource, name, namespace if resource.namespaced else None)
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            where = f" in namespace {namespace}" if resource.namespaced else ""
            raise KubeError(f"there is no {resource.kind} {name}{where}") from error


def pick_resource(discovery: Discovery, kind: str) -> Resource:
    """Return the resource of `Kind` or `Kind.group`, in the version that the server prefers. Raises SettingsError."""
    name, _, group = kind.partition(".")
    found = [resource for resource in discovery.find(name) if not group or resource.group == group]
    if not found:
        raise SettingsError(f"the cluster serves no kind {kind}; write it as in YAML, such as Workspace or Service")
    if len({resource.group for resource in found}) > 1:
        names = ", ".join(f"{resource.kind}.{resource.group}".rstrip(".") for resource in found)
        raise SettingsError(f"several groups have a kind {kind}: {names}; name one of them")
    return found[0]
