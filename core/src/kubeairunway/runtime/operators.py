"""Upstream operators, as their Deployments show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kubeairunway.decide.provider_config import OperatorState
from kubeairunway.objects.resources import Json, Resource
from kubeairunway.runtime.watches import Watch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Mapping

    from kubeairunway.kube.client import Client
    from kubeairunway.plugin import Provider

WORKLOADS: Final = Resource("apps", "v1", "Deployment", "deployments")
VERSION_LABEL: Final = "app.kubernetes.io/version"


class Operators:
    """The Deployments that carry the labels each provider names, across namespaces."""

    def __init__(self, client: Client, providers: Iterable[Provider], *, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._watches = {
            provider.name: Watch(
                client, WORKLOADS, labels=label_selector(provider.operator), trim=_trim, on_event=self._handle
            )
            for provider in providers
            if provider.operator
        }

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start watching."""
        for watch in self._watches.values():
            watch.start(tasks)

    def waiting(self) -> list[str]:
        """Providers whose operator is not known yet."""
        return sorted(name for name, watch in self._watches.items() if not (watch.has_synced or watch.forbidden))

    def state(self, provider: str) -> tuple[OperatorState, str, str]:
        """The state of a provider's operator, the Deployment's namespace/name, and the version it says it has."""
        watch = self._watches.get(provider)
        if watch is None:
            return OperatorState.NOT_NEEDED, "", ""
        if watch.forbidden or not watch.has_synced:
            return OperatorState.UNKNOWN, "", ""
        found = sorted(watch.values(), key=lambda obj: (-obj["ready"], obj["metadata"]["name"]))
        if not found:
            return OperatorState.MISSING, "", ""
        best = found[0]
        name = f"{best['metadata']['namespace']}/{best['metadata']['name']}"
        return OperatorState.READY if best["ready"] else OperatorState.NOT_READY, name, best["version"]

    def _handle(self, resource: Resource, old: Json | None, new: Json | None) -> None:
        del resource
        if old is None or new is None or (old["ready"], old["version"]) != (new["ready"], new["version"]):
            self._on_change()


def label_selector(labels: Mapping[str, str]) -> str:
    """The selector for labels whose values are alternatives where commas separate them."""
    return ",".join(
        f"{key} in ({value})" if "," in value else f"{key}={value}" for key, value in sorted(labels.items())
    )


def _trim(obj: Json) -> Json:
    meta = obj["metadata"]
    kept = {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion")}
    return {
        "metadata": kept,
        "ready": int((obj.get("status") or {}).get("readyReplicas") or 0) > 0,
        "version": (meta.get("labels") or {}).get(VERSION_LABEL, "") or _image_tag(obj),
    }


def _image_tag(obj: Json) -> str:
    containers = (((obj.get("spec") or {}).get("template") or {}).get("spec") or {}).get("containers") or [{}]
    image = str(containers[0].get("image", "")).partition("@")[0]
    return image.rpartition(":")[2][:63] if ":" in image.rpartition("/")[2] else ""
