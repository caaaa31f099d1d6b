"""Where the cluster is and who we are there: kubeconfig files and the pod's own service account."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.errors import SettingsError, TransportError

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
RENEW_SECONDS: Final = 60.0
"""How often rotating credentials are looked at; the kubelet renews a pod's token with at least 12 minutes left."""


LOAD_SECONDS: Final = 60.0
"""How long a credential plugin may take, a person's answer to its question included; every request waits for it."""


class ClusterConfig:
    """One cluster's address, TLS settings and credentials, kept fresh by the official client's loaders.

    Nothing is read from a credential plugin before the first `authorization` call, so building one is synchronous.
    """

    def __init__(self, source: str, namespace: str, loader: Any, *, renew_seconds: float | None) -> None:  # noqa: ANN401 - the loaders of kubernetes.aio ship no types
        self.source = source
        """What was read, for people: "kubeconfig /home/me/.kube/config, context dev"."""
        self.namespace = namespace
        """The context's or pod's namespace, "default" where neither says one."""
        self.renew_seconds = renew_seconds
        """Seconds after which `authorization` should be asked again; None: only when the server says 401."""
        self._loader = loader
        self._settings: Any = None

    async def settings(self) -> Any:  # noqa: ANN401 - kubernetes.aio ships no types
        """Return the `kubernetes.aio` Configuration (host, TLS, proxy), loaded once."""
        if self._settings is None:
            await self.authorization()
        return self._settings

    async def authorization(self, *, rejected: bool = False) -> str | None:
        """Return the Authorization header as it is now, reading files or running the credential plugin again.

        `rejected` says that the server refused the last one, so a plugin's token is not kept until its expiry.
        Raises TransportError when the credentials cannot be had (they may be there a moment later).
        """
        settings = self._settings if self._settings is not None else _new_settings()
        plugin = _user_has(self._loader, "exec")
        if rejected:
            vars(self._loader).pop("exec_plugin_expiry", None)
        try:
            loaded = self._loader.load_and_set(settings)
            if loaded is not None:
                async with asyncio.timeout(LOAD_SECONDS):
                    await loaded
            auth = await settings.auth_settings()
        except TimeoutError as error:
            text = f"credentials from {self.source}: the exec plugin gave no answer within {LOAD_SECONDS:.0f} s"
            raise TransportError(text) from error
        except Exception as error:  # the loaders raise whatever a file or a plugin makes them raise
            raise TransportError(f"credentials from {self.source}: {error}") from error
        header = auth["BearerToken"]["value"].strip() if "BearerToken" in auth else None
        if plugin and header is None and not settings.cert_file:
            raise TransportError(f"credentials from {self.source}: the exec plugin gave neither token nor certificate")
        if plugin and hasattr(self._loader, "exec_plugin_expiry"):
            self.renew_seconds = RENEW_SECONDS
        self._settings = settings
        return header


def load_config(kubeconfig: Path | None, context: str | None = None) -> ClusterConfig:
    """Find the cluster: the given file, KUBECONFIG, the pod's service account, then ~/.kube/config.

    A source that is named but unusable is an error, never skipped. Raises SettingsError naming what was tried.
    """
    variable = os.environ.get("KUBECONFIG", "")
    if kubeconfig is not None:
        return _read_kubeconfig(str(kubeconfig), context, named_by="--kubeconfig")
    if variable:
        return _read_kubeconfig(variable, context, named_by="KUBECONFIG")
    if context is None and os.environ.get("KUBERNETES_SERVICE_HOST") and (SERVICE_ACCOUNT / "token").is_file():
        return _read_service_account()
    home = Path.home() / ".kube" / "config"
    if home.is_file():
        return _read_kubeconfig(str(home), context, named_by="the default place")
    raise SettingsError(
        f"no Kubernetes cluster: no kubeconfig was given, KUBECONFIG is not set, {SERVICE_ACCOUNT}/token is not there "
        f"(not in a pod) and {home} does not exist"
    )


def _new_settings() -> Any:  # noqa: ANN401 - kubernetes.aio ships no types
    from kubernetes.aio.client.configuration import Configuration  # noqa: PLC0415 - costs 0.3 s; paid on first use

    settings = Configuration()
    # Python 3.13 refuses CAs without the extensions that RFC 5280 wants; kubectl accepts them, and clusters have them.
    settings.disable_strict_ssl_verification = True
    return settings


def _read_service_account() -> ClusterConfig:
    from kubernetes.aio.config.incluster_config import InClusterConfigLoader  # noqa: PLC0415 - see _new_settings

    make_loader: Any = InClusterConfigLoader
    loader = make_loader(str(SERVICE_ACCOUNT / "token"), str(SERVICE_ACCOUNT / "ca.crt"))
    namespace = SERVICE_ACCOUNT / "namespace"
    return ClusterConfig(
        source=f"service account {SERVICE_ACCOUNT}",
        namespace=namespace.read_text().strip() if namespace.is_file() else "default",
        loader=loader,
        renew_seconds=RENEW_SECONDS,
    )


def _read_kubeconfig(paths: str, context: str | None, *, named_by: str) -> ClusterConfig:
    import yaml  # noqa: PLC0415 - see _new_settings
    from kubernetes.aio.config.config_exception import ConfigException  # noqa: PLC0415 - see _new_settings
    from kubernetes.aio.config.kube_config import KubeConfigLoader, KubeConfigMerger  # noqa: PLC0415 - same

    source = f"kubeconfig {paths}"
    if not any(Path(path).expanduser().is_file() for path in paths.split(os.pathsep) if path):
        raise SettingsError(f"{source} ({named_by}): no such file")
    make_merger: Any = KubeConfigMerger
    make_loader: Any = KubeConfigLoader
    try:
        loader = make_loader(make_merger(paths).config, active_context=context)
        chosen: Mapping[str, Any] = loader.current_context
    except (ConfigException, yaml.YAMLError, OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        wanted = f", context {context}" if context else ""
        raise SettingsError(f"{source}{wanted} ({named_by}): {str(error) or type(error).__name__}") from error
    return ClusterConfig(
        source=f"{source}, context {chosen['name']}",
        namespace=(chosen["context"] or {}).get("namespace") or "default",
        loader=loader,
        renew_seconds=RENEW_SECONDS if _user_has(loader, "tokenFile", "auth-provider") else None,
    )


def _user_has(loader: Any, *keys: str) -> bool:  # noqa: ANN401 - kubernetes.aio ships no types
    user = getattr(loader, "_user", None) or {}
    return any(key in user for key in keys)
