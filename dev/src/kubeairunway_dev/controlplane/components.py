"""The command lines of the components: flags verified against the pinned versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ETCD_CLIENT = "unix://etcd.sock:0"
ETCD_PEER = "unix://peer.sock:0"
"""etcd has no authentication here, so it listens on sockets in a private directory (names relative to it)."""

CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "resourcequota-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "statefulset-controller",
    "taint-eviction-controller",
)
"""Those whose work is seen by deployments; node-lifecycle takes the not-ready taint off new nodes."""

SERVICE_RANGE = "10.96.0.0/12"
POD_RANGE = "10.244.0.1/16"
"""Roomy: a bench with 10,000 deployments wants as many services and pods. Nothing routes to these addresses."""

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
"""


@dataclass(frozen=True)
class Layout:
    """Files and port of one control plane; `run` is the working directory of all components."""

    run: Path
    data: Path
    port: int

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def certificate(self) -> Path:
        """The API server's own certificate, followed by the authority that signed it."""
        return self.data / "certificates" / "apiserver.crt"

    @property
    def signing_key(self) -> Path:
        """The key that service account tokens are signed with."""
        return self.data / "service-account.key"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.run / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """One JSON object a request, where auditing was asked for."""
        return self.run / "audit.log"


def list_etcd_flags(layout: Layout) -> list[str]:
    """Return etcd's flags; without fsync, since the data is not worth a disk's latency."""
    return [
        f"--data-dir={layout.data / 'etcd'}",
        f"--listen-client-urls={ETCD_CLIENT}",
        f"--advertise-client-urls={ETCD_CLIENT}",
        f"--listen-peer-urls={ETCD_PEER}",
        f"--initial-advertise-peer-urls={ETCD_PEER}",
        f"--initial-cluster=default={ETCD_PEER}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def list_apiserver_flags(layout: Layout, *, audit: bool) -> list[str]:
    """Return the API server's flags: RBAC, one administrator, its own certificate, 127.0.0.1 only."""
    flags = [
        f"--etcd-servers={ETCD_CLIENT}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={layout.port}",
        f"--cert-dir={layout.certificate.parent}",
        f"--service-account-key-file={layout.signing_key}",
        f"--service-account-signing-key-file={layout.signing_key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--authorization-mode=RBAC",
        f"--token-auth-file={layout.data / 'tokens.csv'}",
        f"--service-cluster-ip-range={SERVICE_RANGE}",
        "--endpoint-reconciler-type=none",
        "--allow-privileged=true",
        "--profiling=false",
    ]
    if audit:
        flags += [f"--audit-policy-file={layout.run / 'audit-policy.yaml'}", f"--audit-log-path={layout.audit_log}"]
    return flags


def list_controller_manager_flags(layout: Layout) -> list[str]:
    """Return the controller manager's flags; no port, no leader election: there is one."""
    return [
        f"--kubeconfig={layout.kubeconfig}",
        "--leader-elect=false",
        "--secure-port=0",
        "--use-service-account-credentials=false",
        f"--service-account-private-key-file={layout.signing_key}",
        f"--root-ca-file={layout.certificate}",
        f"--controllers={','.join(CONTROLLERS)}",
        "--profiling=false",
    ]


def list_scheduler_flags(layout: Layout) -> list[str]:
    """Return the scheduler's flags."""
    return [f"--kubeconfig={layout.kubeconfig}", "--leader-elect=false", "--secure-port=0", "--profiling=false"]


def list_kwok_flags(layout: Layout, port: int, config: Path) -> list[str]:
    """Return kwok's flags; `port` is where it answers the API server as the nodes' kubelet."""
    return [
        f"--kubeconfig={layout.kubeconfig}",
        "--manage-all-nodes",
        # Without leases the node-lifecycle controller takes nodes for dead after 50 s, and their pods for not ready.
        "--node-lease-duration-seconds=40",
        "--node-ip=127.0.0.1",
        f"--node-port={port}",
        f"--server-address=127.0.0.1:{port}",
        f"--cidr={POD_RANGE}",
        f"--config={config}",
    ]
