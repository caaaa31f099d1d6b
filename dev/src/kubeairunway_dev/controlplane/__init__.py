"""A real etcd, API server, controller manager and scheduler as child processes, with kwok's nodes, on 127.0.0.1.

The Go modules beside this file are what the binaries are built from; their go.sum is what the build is checked against.
"""

from kubeairunway_dev.controlplane.cluster import Cluster
from kubeairunway_dev.controlplane.embedded import ControlPlane

__all__ = ["Cluster", "ControlPlane"]
