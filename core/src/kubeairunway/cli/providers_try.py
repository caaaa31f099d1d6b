"""`kubeairunway providers try`: a provider package in development, run against a cluster from its author's folder."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.cli.cluster import DEPLOYMENTS, connect, find_config, list_deployments, read_configs
from kubeairunway.cli.exit_codes import ExitCode
from kubeairunway.cli.output import note, write
from kubeairunway.cli.trial import claim_config, find_missing, make_identity, make_namespace, release_config
from kubeairunway.errors import KubeError, SettingsError, TransportError
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.objects.conditions import find_condition
from kubeairunway.plugin.development import Development, find_development
from kubeairunway.plugin.registry import LoadState, Package, Registry, load_registry
from kubeairunway.runtime.logs import set_up_logging
from kubeairunway.runtime.operator import Operator
from kubeairunway.runtime.settings import Settings, read_settings
from kubeairunway.runtime.watches import Watch
from kubeairunway.testing.conformance import RULES, Subject, check_rule

if TYPE_CHECKING:
    import argparse
    from collections.abc import AsyncIterator, Mapping

    from kubeairunway.kube.client import Client
    from kubeairunway.kube.config import ClusterConfig
    from kubeairunway.objects.resources import Json, Resource
    from kubeairunway.plugin import Kind, Provider

SLOW: Final = ("pure", "quick")
"""Beginnings of the rules that take most of the time of a whole check, and need no second look at each try."""

NO_CLUSTER: Final = "a cluster to play with: make demo in a checkout, or kubeairunway-dev up, and export KUBECONFIG"

SAMPLE: Final = """\
kubectl apply -f - <<'EOF'
apiVersion: kubeairunway.ai/v1alpha1
kind: ModelDeployment
metadata: {{name: sample, namespace: {namespace}}}
spec:
  provider: {{name: {name}}}
  engine: {{type: {engine}}}
  model: {{id: Qwen/Qwen3-0.6B}}
  resources: {{gpu: {{count: {gpus}}}}}
EOF"""


def run(options: argparse.Namespace) -> int:
    """Load and check the package, then run a controller with it alone; the exit code is the controller's."""
    package = find_development(Path(options.directory).expanduser())
    sys.path.insert(0, str(package.source.resolve()))
    registry = load_registry(candidates=(package.candidate,))
    try:
        provider = describe_loading(registry.packages[0], package)
        if provider is None:
            return ExitCode.REFUSED
        check_briefly(package)
        try:
            config = find_config(options)
        except SettingsError as error:
            raise SettingsError(f"{error}; {NO_CLUSTER}") from error
        settings = make_settings(provider.name, options.namespace)
        set_up_logging(settings)
        return asyncio.run(_try(config, registry, package, provider, settings))
    finally:
        registry.close()


def say(text: str) -> None:
    """Write a line at once, be it into a pipe: this command goes on for long."""
    write(text)
    sys.stdout.flush()


def describe_loading(package: Package, development: Development) -> Provider | None:
    """Say what became of the package; None if it is not loaded, with the reason on standard error."""
    if package.state is not LoadState.LOADED:
        note(f"provider {package.name} in {development.source}: {package.state}: {package.reason}")
        return None
    say(f"provider {package.name} {package.version} from {development.module_file}: Loaded")
    if package.reason:
        note(package.reason)
    return package.provider


def check_briefly(package: Development) -> None:
    """Hold the package to the rules that are quickly checked, and say which it breaks; it is tried all the same."""
    subject = Subject(target=sys.modules[package.candidate.module])
    rules = [rule for rule in RULES if not rule.id.startswith(SLOW)]
    broken = [verdict for verdict in (check_rule(rule, subject) for rule in rules) if not verdict.passed]
    subject.registry.close()
    for verdict in broken:
        say(f"FAIL  {verdict.describe()}")
    say(f"{len(rules) - len(broken)} of {len(rules)} rules that are quickly checked are kept")


def make_settings(name: str, namespace: str | None) -> Settings:
    """Return the settings of a controller for one provider in one namespace. Raises SettingsError."""
    place = namespace or f"try-{name}"[:63].rstrip("-")
    flags = {
        "namespaces": place,
        "only": f"provider:{name}",
        "lease-namespace": place,
        "lease-name": f"try.{name}",
        "lease-duration": "5",  # who kills a trial and begins again waits for so long
        "lease-renew": "2",
        "bind": "127.0.0.1:0",
        "log-format": "human",
        "log-level": "warning",
    }
    kept = {key: text for key, text in os.environ.items() if key.startswith("KUBEAIRUNWAY_HEARTBEAT")}
    if "," in place:
        raise SettingsError(f"--namespace {place}: name one namespace")
    return replace(read_settings(flags, kept), identity=make_identity())


async def _try(
    config: ClusterConfig, registry: Registry, package: Development, provider: Provider, settings: Settings
) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    namespace = settings.lease_namespace
    async with _prepare(config, provider, settings) as client:
        for kind in await find_missing(client, provider):
            note(describe_missing(kind, package))
        say(describe_trial(provider, namespace, config.source))
        async with _follow(client, namespace):
            code = await _operate(config, registry, settings, stop)
        left = await list_deployments(client, [namespace])
    say(describe_rest(namespace, len(left)))
    return code


@asynccontextmanager
async def _prepare(config: ClusterConfig, provider: Provider, settings: Settings) -> AsyncIterator[Client]:
    """Yield a client, with the namespace made and the provider's config claimed until the end."""
    async with connect(config) as client:
        try:
            await read_configs(client)
        except TransportError as error:
            raise KubeError(f"{error}; {NO_CLUSTER}") from error
        if await make_namespace(client, settings.lease_namespace):
            say(f"made namespace {settings.lease_namespace}")
        claim = await claim_config(client, provider.name, settings.identity)
        try:
            yield client
        finally:
            await release_config(client, claim)


async def _operate(config: ClusterConfig, registry: Registry, settings: Settings, stop: asyncio.Event) -> int:
    transport = open_transport(config)
    try:
        return await Operator(settings, registry, transport).run(stop)
    finally:
        await transport.close()


@asynccontextmanager
async def _follow(client: Client, namespace: str) -> AsyncIterator[None]:
    """Print each change of a deployment's state while it lasts."""
    shown: dict[str, str] = {}

    def show(_resource: Resource, old: Json | None, new: Json | None) -> None:
        name = (new or old or {})["metadata"]["name"]
        line = describe_deployment(new) if new is not None else f"{name}: gone"
        if shown.get(name) != line:
            shown[name] = line
            say(f"{time.strftime('%H:%M:%S')} {line}")

    async with asyncio.TaskGroup() as tasks:
        watch = Watch(client, DEPLOYMENTS, (namespace,), on_event=show)
        watch.start(tasks)
        try:
            yield
        finally:
            await watch.stop()


def describe_deployment(deployment: Mapping[str, Any]) -> str:
    """Return one line: name, phase, replicas, what it became, and why it is not Ready."""
    status = deployment.get("status") or {}
    replicas, chosen = status.get("replicas") or {}, status.get("provider") or {}
    ready = find_condition(status.get("conditions"), "Ready") or {}
    meta = deployment["metadata"]
    state = "being deleted" if meta.get("deletionTimestamp") else status.get("phase") or "new"
    parts = [
        f"{meta['name']}: {state}",
        f"{replicas.get('ready', 0)}/{replicas.get('desired', 0)} ready" if replicas else "",
        f"as {chosen['resourceKind']} {chosen.get('resourceName', '')}" if chosen.get("resourceKind") else "",
        f"{ready.get('reason', '')}: {ready.get('message', '')}" if ready else "",
    ]
    return ", ".join(part for part in parts if part)


def describe_missing(kind: Kind, package: Development) -> str:
    """Say how a kind that is not served comes into the cluster."""
    own = package.module_file.parent / "crds"
    hint = f"kubectl apply --server-side -f {own}" if own.is_dir() else "install upstream's operator, or its CRDs alone"
    versions = " or ".join(kind.versions)
    return f"the cluster does not serve {kind.name} ({kind.group}/{versions}) yet, and it is waited for: {hint}"


def describe_trial(provider: Provider, namespace: str, source: str) -> str:
    """Say where it runs, and how something is deployed."""
    engine = provider.engines[0]
    sample = SAMPLE.format(name=provider.name, namespace=namespace, engine=engine.name, gpus=int(engine.gpu))
    return (
        f"{source}\ntrying {provider.name} in namespace {namespace} until Ctrl-C, for deployments that name it:\n\n"
        f"{sample}\n"
    )


def describe_rest(namespace: str, count: int) -> str:
    """Say what is left in the cluster."""
    if not count:
        return f"stopped; namespace {namespace} has no deployments: kubectl delete namespace {namespace}"
    return (
        f"stopped; deployments left in namespace {namespace}: {count}. Try again to go on, or to delete them: what is "
        "deleted waits until somebody looks after its provider"
    )
