"""The stand-in CRDs as data; one of them also as an older upstream served it."""

from __future__ import annotations

from typing import Any, Final

import yaml

from kubeairunway_dev.standins import CRDS

DYNAMO: Final = "nvidia.com_dynamographdeployments.yaml"

ONLY_NEWER: Final = frozenset(
    {
        "experimental",
        "failover",
        "gpuMemoryService",
        "minAvailable",
        "placement",
        "priorityClassName",
        "providerOverride",
        "runtimeNamespace",
        "runtimeVersionOverride",
        "scheduledReplicas",
    }
)
"""What v1alpha1 got after Dynamo 1.1."""


def make_dynamo_1_1() -> str:
    """Return the CRD of Dynamo 1.1, which serves v1alpha1 alone, as YAML for `Cluster.install_crds`."""
    crd = yaml.safe_load((CRDS / DYNAMO).read_text())
    version = next(item for item in crd["spec"]["versions"] if item["name"] == "v1alpha1")
    kept = {key: value for key, value in version.items() if not key.startswith("deprecat")}
    older = {**kept, "storage": True, "schema": drop_newer(version["schema"])}
    return yaml.safe_dump({**crd, "spec": {**crd["spec"], "versions": [older]}})


def drop_newer(schema: Any) -> Any:  # noqa: ANN401 - JSON
    """Return a schema without the properties that are newer."""
    if isinstance(schema, list):
        return [drop_newer(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    properties = schema.get("properties")
    if isinstance(properties, dict):
        schema = {**schema, "properties": {key: properties[key] for key in properties.keys() - ONLY_NEWER}}
    return {key: drop_newer(value) for key, value in schema.items()}
