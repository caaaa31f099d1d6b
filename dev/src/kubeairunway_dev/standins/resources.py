"""Kubernetes' own kinds that stand-ins make or read."""

from __future__ import annotations

from kubeairunway.objects.resources import Resource

DEPLOYMENT = Resource("apps", "v1", "Deployment", "deployments")
NAMESPACE = Resource("", "v1", "Namespace", "namespaces", namespaced=False)
NODE = Resource("", "v1", "Node", "nodes", namespaced=False)
POD = Resource("", "v1", "Pod", "pods")
SERVICE = Resource("", "v1", "Service", "services")
STATEFUL_SET = Resource("apps", "v1", "StatefulSet", "statefulsets")
