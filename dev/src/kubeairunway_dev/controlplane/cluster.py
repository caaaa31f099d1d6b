"""A cluster as tests and the demo use it: through its kubeconfig and kubectl."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeairunway.errors import SettingsError
from kubeairunway_dev.controlplane.binaries import find_kubectl
from kubeairunway_dev.controlplane.credentials import make_kubeconfig
from kubeairunway_dev.errors import KubectlError
from kubeairunway_dev.places import write_private

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TOKEN_LIFETIME = "24h"  # noqa: S105 - a duration
CRD_SECONDS = 30
"""How long a CRD may take to be served."""


class Cluster:
    """Any cluster that a kubeconfig reaches; nothing is started and nothing is stopped."""

    def __init__(self, kubeconfig: Path, kubectl: Sequence[str] | None = None) -> None:
        if not kubeconfig.is_file():
            raise SettingsError(f"{kubeconfig}: no such kubeconfig")
        self.kubeconfig = kubeconfig
        self._kubectl = tuple(kubectl) if kubectl is not None else find_kubectl(os.environ)

    @property
    def kubectl_command(self) -> tuple[str, ...]:
        """The command that runs kubectl, for programs that need it themselves."""
        return self._kubectl

    @property
    def url(self) -> str:
        """The API server's address."""
        return str(self._read_config()["clusters"][0]["cluster"]["server"])

    @property
    def token(self) -> str:
        """The user's token; empty if the kubeconfig proves its user in another way."""
        return str(self._read_config()["users"][0]["user"].get("token", ""))

    def env(self) -> dict[str, str]:
        """Return this process's environment with `KUBECONFIG` set to this cluster."""
        return {**os.environ, "KUBECONFIG": str(self.kubeconfig)}

    def kubectl(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002 - named as in subprocess.run
        check: bool = True,
        kubeconfig: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as the administrator, or as the user of `kubeconfig`.

        Raises KubectlError with what kubectl wrote to stderr if it fails and `check` is true.
        """
        env = {**self.env(), "KUBECONFIG": str(kubeconfig or self.kubeconfig)}
        done = subprocess.run(  # noqa: S603 - kubectl
            [*self._kubectl, *args], env=env, input=input or "", capture_output=True, text=True, check=False
        )
        if check and done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return done

    def get(self, *args: str) -> Any:  # noqa: ANN401 - Kubernetes objects travel as Any
        """Return `kubectl get ARGS -o json`, decoded. Raises KubectlError if it fails."""
        return json.loads(self.kubectl("get", *args, "-o", "json").stdout)

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Apply objects server-side. Raises KubectlError if one is refused."""
        listing = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(listing))

    def install_crds(self, sources: Iterable[Path | str]) -> None:
        """Apply CRDs, from files or directories (paths) or as YAML (text), and wait until they are served."""
        apply = ("apply", "--server-side", "--force-conflicts", "-o", "name")
        applied: list[str] = []
        for source in sources:
            place, text = (str(source), None) if isinstance(source, Path) else ("-", source)
            applied += self.kubectl(*apply, "-f", place, input=text).stdout.split()
        crds = [name for name in applied if name.startswith("customresourcedefinition")]
        if crds:
            self._await_established(crds)
            self._await_discovery(crds)

    def _await_established(self, crds: Sequence[str]) -> None:
        wait = ("wait", "--for=condition=Established", f"--timeout={CRD_SECONDS}s", *crds)
        deadline = time.monotonic() + CRD_SECONDS
        # Until the server has looked at a new CRD its conditions are null, at which kubectl gives up.
        while "accessor error" in self.kubectl(*wait, check=False).stderr and time.monotonic() < deadline:
            time.sleep(0.05)
        self.kubectl(*wait)

    def _await_discovery(self, crds: Sequence[str]) -> None:
        """Wait until discovery lists every version, which on a busy machine is later than "established"."""
        listing = self.get(*crds)
        wanted = {
            f"{crd['spec']['group']}/{version['name']}"
            for crd in listing.get("items", [listing])
            for version in crd["spec"]["versions"]
            if version["served"]
        }
        deadline = time.monotonic() + CRD_SECONDS
        while missing := wanted - set(self.kubectl("api-versions").stdout.split()):
            if time.monotonic() > deadline:
                raise KubectlError(f"not served after {CRD_SECONDS} s: {', '.join(sorted(missing))}")
            time.sleep(0.05)

    def service_account_kubeconfig(self, namespace: str, name: str) -> Path:
        """Return a kubeconfig that acts as a service account, made if missing, with a freshly minted token."""
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": name}}
        self.apply(account)
        token = self.kubectl("create", "token", name, "-n", namespace, "--duration", TOKEN_LIFETIME).stdout.strip()
        cluster = self._read_config()["clusters"][0]["cluster"]
        text = make_kubeconfig(cluster, f"{namespace}/{name}", token, namespace=namespace)
        path = self._make_directory() / f"kubeconfig-{namespace}-{name}"
        write_private(path, text)
        return path

    def _make_directory(self) -> Path:
        """Return a new directory for a further kubeconfig, removed when this process ends."""
        directory = tempfile.mkdtemp(prefix="kubeairunway-")
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
        return Path(directory)

    def _read_config(self) -> Any:  # noqa: ANN401 - JSON
        """Return the current context's part of the kubeconfig, with its files read in."""
        return json.loads(self.kubectl("config", "view", "--minify", "--flatten", "--raw", "-o", "json").stdout)
