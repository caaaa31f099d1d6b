"""The embedded control plane: components started, watched, restarted and ended by one object."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TextIO

from kubeairunway.errors import SettingsError
from kubeairunway_dev.controlplane import components, nodes
from kubeairunway_dev.controlplane.binaries import (
    APISERVER,
    CONTROLLER_MANAGER,
    ETCD,
    KUBECTL,
    KWOK,
    SCHEDULER,
    Binaries,
    find_binaries,
)
from kubeairunway_dev.controlplane.cluster import Cluster
from kubeairunway_dev.controlplane.components import Layout
from kubeairunway_dev.controlplane.credentials import ensure_credentials, make_cluster_entry, make_kubeconfig
from kubeairunway_dev.controlplane.processes import STOP_SECONDS, Family
from kubeairunway_dev.controlplane.rest import Answer, RestClient
from kubeairunway_dev.errors import ControlPlaneError
from kubeairunway_dev.places import write_private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import TracebackType

READY_SECONDS = 90.0
"""How long a component may take to become ready: 3 s on an idle machine with 2 cores, much more on a busy one."""

POLL_SECONDS = 0.05
PORT_ATTEMPTS = 3
"""A free port can be taken by another process before the API server listens on it; then another one is tried."""


class ControlPlane(Cluster):
    """A cluster of our own on 127.0.0.1, started by `with` and gone after it.

    `nodes` simulated nodes with `gpus` GPUs each need the scheduler. Without controller manager and scheduler it is
    ready sooner and small, but nothing makes default service accounts, so it takes no pods. With `data_dir` its
    objects, port and certificates outlive it. `crds` are there before the controllers: the garbage collector looks for
    new kinds only every 30 s. The whole ends with the process that owns it, however that ends.
    """

    def __init__(
        self,
        *,
        nodes: int = 0,
        gpus: int = 0,
        controller_manager: bool = True,
        scheduler: bool = True,
        data_dir: Path | None = None,
        audit: bool = False,
        crds: Sequence[Path | str] = (),
    ) -> None:
        if nodes and not (controller_manager and scheduler):
            raise SettingsError("nodes need the controller manager (which makes them schedulable) and the scheduler")
        self._nodes = nodes
        self._gpus = gpus
        self._extras = [CONTROLLER_MANAGER] * controller_manager + [SCHEDULER] * scheduler + [KWOK] * (nodes > 0)
        self._data_dir = data_dir.resolve() if data_dir else None
        self._audit = audit
        self._crds = tuple(crds)
        self._data_lock: TextIO | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def token(self) -> str:
        """The administrator's token (group system:masters)."""
        return self._token

    @property
    def url(self) -> str:
        """The API server's address."""
        return self.layout.url

    @property
    def pids(self) -> dict[str, int]:
        """The components' process ids, by name."""
        return {name: process.pid for name, process in self._family.processes.items()}

    def start(self) -> None:
        """Start everything and wait until it is usable. Raises BuildError or ControlPlaneError, leaving nothing."""
        self._binaries = self.find_binaries()
        self.directory = Path(tempfile.mkdtemp(prefix="kubeairunway-"))
        self._family = Family(self.directory, remove=[self.directory], grace=STOP_SECONDS if self._data_dir else 0.0)
        try:
            self._prepare()
            self._launch(ETCD, components.list_etcd_flags(self.layout))
            self._start_first_apiserver()
            self._start_extras()
        except BaseException:
            self.stop()
            raise

    def find_binaries(self) -> Binaries:
        """Return the programs that `start` will use, building them first if there are none (minutes)."""
        return find_binaries([ETCD, APISERVER, KUBECTL, *self._extras], os.environ)

    def stop(self) -> None:
        """End all components and remove what is temporary. May be called twice."""
        kept = self._data_dir is not None
        for name in reversed(list(self._family.processes)):
            # Only etcd has something to lose, and only where its data is kept.
            if kept and name == ETCD:
                self._family.stop(name)
            else:
                self._family.kill(name)
        self._family.close()
        if self._data_lock is not None:
            self._data_lock.close()
            self._data_lock = None

    def check(self) -> None:
        """Raise ControlPlaneError with the end of its log if a component has died by itself."""
        self._family.check()

    def request(self, method: str, path: str, body: object = None) -> Answer:
        """Send one request as the administrator. Raises OSError if no answer came."""
        return self._rest.request(method, path, body)

    def watch(self, path: str, version: str, seconds: int) -> Iterator[Any]:
        """Yield a collection's watch events after `version`, for `seconds`. Raises OSError if the connection fails."""
        return self._rest.watch(path, version, seconds)

    def kill_apiserver(self) -> None:
        """End the API server with SIGKILL; `restart_apiserver` brings it back."""
        self._family.kill(APISERVER)

    def restart_apiserver(self) -> None:
        """Start the API server again on its port, killing it first if it runs, and wait until it is ready."""
        self._family.kill(APISERVER)
        self._launch_apiserver()
        self._wait("the API server", self._is_ready)

    def start_beside(self, name: str, command: Sequence[str]) -> Path:
        """Start a program that ends with the control plane and return its log; it finds the cluster by KUBECONFIG.

        From then on `check` reports its death like a component's. Its temporary files go with the control plane's.
        """
        self._family.start(name, command, self.env() | {"TMPDIR": str(self.directory)})
        return self._family.log(name)

    def add_nodes(self, count: int, gpus: int, *, prefix: str = "node") -> None:
        """Add nodes `PREFIX-0`, `PREFIX-1`, ... with `gpus` GPUs each and wait until pods can be scheduled on them."""
        names = [f"{prefix}-{index}" for index in range(count)]
        for name in names:
            answer = self.request("POST", "/api/v1/nodes", nodes.make_node(name, gpus))
            if answer.status not in {201, 409}:
                raise ControlPlaneError(f"node {name}: {answer.body.decode()}")
        self._wait("nodes", lambda: all(self._is_node_usable(name) for name in names))

    def _prepare(self) -> None:
        """Make directories and credentials, and take the data directory for ourselves."""
        data = self._data_dir or self.directory / "data"
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._data_dir is not None:
            self._data_lock = take_data_lock(data / "lock")
        self._token = ensure_credentials(data)
        self.layout = Layout(self.directory, data, choose_port(data / "port"))
        self.kubeconfig = self.layout.kubeconfig
        wrapper = self.directory / "kubectl"
        command = " ".join(f"'{word}'" for word in self._binaries.commands[KUBECTL])
        wrapper.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        wrapper.chmod(stat.S_IRWXU)
        self._kubectl = (str(wrapper),)

    def _launch(self, part: str, flags: list[str]) -> None:
        self._family.start(part, [*self._binaries.commands[part], *flags], os.environ)

    def _launch_apiserver(self) -> None:
        (self.directory / "audit-policy.yaml").write_text(components.AUDIT_POLICY)
        self._launch(APISERVER, components.list_apiserver_flags(self.layout, audit=self._audit))

    def _start_first_apiserver(self) -> None:
        """Start the API server, on another port if the chosen one was taken meanwhile, and write the kubeconfig."""
        for attempt in range(PORT_ATTEMPTS):
            self._launch_apiserver()
            try:
                self._wait("the API server", self._is_ready)
                break
            except ControlPlaneError as error:
                last = attempt == PORT_ATTEMPTS - 1 or self._data_dir is not None
                if last or "address already in use" not in str(error):
                    raise
                self._family.kill(APISERVER)
                self.layout = Layout(self.directory, self.layout.data, find_free_port())
        (self.layout.data / "port").write_text(str(self.layout.port))
        cluster = make_cluster_entry(self.layout.url, self.layout.certificate.read_bytes())
        write_private(self.kubeconfig, make_kubeconfig(cluster, "admin", self._token))

    def _start_extras(self) -> None:
        """Start what was asked for beside the API server and wait until it has done its first work."""
        if self._crds:
            self.install_crds(self._crds)
        if CONTROLLER_MANAGER in self._extras:
            self._launch(CONTROLLER_MANAGER, components.list_controller_manager_flags(self.layout))
        if SCHEDULER in self._extras:
            self._launch(SCHEDULER, components.list_scheduler_flags(self.layout))
        if KWOK in self._extras:
            self._start_kwok()
        if CONTROLLER_MANAGER in self._extras:
            account = "/api/v1/namespaces/default/serviceaccounts/default"
            self._wait("the default service account", lambda: self.request("GET", account).status == 200)  # noqa: PLR2004 - HTTP
        if self._nodes:
            self.add_nodes(self._nodes, self._gpus)

    def _start_kwok(self) -> None:
        if self._binaries.stages is None:
            raise ControlPlaneError(f"{self._binaries.origin} has no kwok stages")
        log = self.directory / "pod.log"
        log.write_text(nodes.POD_LOG)
        config = self.directory / "kwok.yaml"
        config.write_text(nodes.make_kwok_config(self._binaries.stages.read_text(), str(log)))
        port = choose_port(self.layout.data / "kubelet-port")
        (self.layout.data / "kubelet-port").write_text(str(port))
        self._launch(KWOK, components.list_kwok_flags(self.layout, port, config))

    def _is_ready(self) -> bool:
        """Return whether the API server says that it is ready; False as well while it does not answer."""
        if not self.layout.certificate.exists():
            return False
        try:
            self._rest = RestClient(self.layout.url, self.layout.certificate, self._token)
            return self.request("GET", "/readyz").status == 200  # noqa: PLR2004 - HTTP
        except OSError:
            return False

    def _is_node_usable(self, name: str) -> bool:
        return nodes.is_usable(self.request("GET", f"/api/v1/nodes/{name}").json)

    def _wait(self, what: str, is_done: Callable[[], bool]) -> None:
        """Wait for a condition; raise ControlPlaneError if a component dies or the time is up."""
        deadline = time.monotonic() + READY_SECONDS
        while not is_done():
            self.check()
            if time.monotonic() > deadline:
                raise ControlPlaneError(f"{what}: not ready after {READY_SECONDS:.0f} s; logs: {self.directory}")
            time.sleep(POLL_SECONDS)

    def _make_directory(self) -> Path:
        return self.directory


def find_free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def choose_port(kept: Path) -> int:
    """Return the port noted in a data directory: kubeconfigs and nodes name it. Otherwise a free one."""
    return int(kept.read_text()) if kept.exists() else find_free_port()


def take_data_lock(path: Path) -> TextIO:
    """Take a data directory until the returned file is closed. Raises ControlPlaneError if another one has it."""
    handle = path.open("a")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.close()
        raise ControlPlaneError(f"{path.parent} is in use by another control plane") from error
    return handle
