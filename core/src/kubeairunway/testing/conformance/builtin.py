"""Small schemas of the kinds of Kubernetes' own that providers render: what is most often wrong with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = dict[str, Any]

_TEXT: Final[Json] = {"type": "string"}
_TEXTS: Final[Json] = {"type": "array", "items": _TEXT}
_MAP: Final[Json] = {"type": "object", "additionalProperties": _TEXT}
_PORT: Final[Json] = {"type": "integer", "minimum": 1, "maximum": 65535}
_PORT_NAME: Final[Json] = {"type": "string", "pattern": "^(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$"}
_QUANTITIES: Final[Json] = {
    "type": "object",
    "additionalProperties": {"anyOf": [{"type": "integer"}, {"type": "string", "minLength": 1}]},
}
_RESOURCES: Final[Json] = {"type": "object", "properties": {"requests": _QUANTITIES, "limits": _QUANTITIES}}

_ENV: Final[Json] = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string", "minLength": 1}, "value": _TEXT, "valueFrom": {"type": "object"}},
    "additionalProperties": False,
    "not": {"required": ["value", "valueFrom"]},
}

CONTAINER: Final[Json] = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"},
        "image": {"type": "string", "minLength": 1},
        "command": _TEXTS,
        "args": _TEXTS,
        "env": {"type": "array", "items": _ENV, "x-list-keys": ["name"]},
        "ports": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["containerPort"],
                "properties": {"containerPort": _PORT, "name": _PORT_NAME},
            },
        },
        "resources": _RESOURCES,
        "volumeMounts": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "mountPath"],
                "properties": {"name": _TEXT, "mountPath": {"type": "string", "minLength": 1}},
            },
            "x-list-keys": ["mountPath"],
        },
    },
}
"""A container, wherever a pod template stands, be it in a field that a CRD keeps unread."""

_POD: Final[Json] = {
    "type": "object",
    "required": ["metadata", "spec"],
    "properties": {
        "metadata": {
            "type": "object",
            "required": ["labels"],
            "properties": {"labels": _MAP, "annotations": _MAP},
            "additionalProperties": False,
        },
        "spec": {
            "type": "object",
            "required": ["containers"],
            "properties": {
                "containers": {"type": "array", "minItems": 1, "items": {**CONTAINER, "required": ["name", "image"]}},
                "volumes": {
                    "type": "array",
                    "items": {"type": "object", "required": ["name"]},
                    "x-list-keys": ["name"],
                },
                "nodeSelector": _MAP,
                "tolerations": {"type": "array", "items": {"type": "object"}},
            },
        },
    },
    "additionalProperties": False,
}


def _make_top(spec: Json, *required: str) -> Json:
    return {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": _TEXT,
            "kind": _TEXT,
            "metadata": {"type": "object"},
            "spec": {"type": "object", "required": list(required), **spec},
        },
        "additionalProperties": False,
    }


_SERVICE: Final = _make_top(
    {
        "properties": {
            "selector": _MAP,
            "type": {"enum": ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]},
            "clusterIP": _TEXT,
            "ports": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["port"],
                    "properties": {
                        "name": {"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"},
                        "port": _PORT,
                        "targetPort": {"anyOf": [_PORT, _PORT_NAME]},
                        "protocol": {"enum": ["TCP", "UDP", "SCTP"]},
                        "appProtocol": _TEXT,
                    },
                    "additionalProperties": False,
                },
            },
        }
    },
    "ports",
)
_DATA: Final[Json] = {"type": "object", "additionalProperties": _TEXT}
_CONFIG_MAP: Final[Json] = {
    "type": "object",
    "properties": {
        "apiVersion": _TEXT,
        "kind": _TEXT,
        "metadata": {"type": "object"},
        "data": _DATA,
        "binaryData": _DATA,
        "immutable": {"type": "boolean"},
    },
    "additionalProperties": False,
}
_WORKLOAD: Final = _make_top(
    {
        "properties": {
            "replicas": {"type": "integer", "minimum": 0},
            "selector": {"type": "object", "required": ["matchLabels"], "properties": {"matchLabels": _MAP}},
            "template": _POD,
        }
    },
    "selector",
    "template",
)
_CLAIM: Final = _make_top(
    {
        "properties": {
            "accessModes": {"type": "array", "minItems": 1, "items": _TEXT},
            "resources": {**_RESOURCES, "required": ["requests"]},
            "storageClassName": _TEXT,
            "volumeMode": _TEXT,
            "volumeName": _TEXT,
        },
        "additionalProperties": False,
    },
    "accessModes",
    "resources",
)

SCHEMAS: Final[Mapping[tuple[str, str], Json]] = {
    ("", "Service"): _SERVICE,
    ("", "ConfigMap"): _CONFIG_MAP,
    ("", "PersistentVolumeClaim"): _CLAIM,
    ("apps", "Deployment"): _WORKLOAD,
    ("apps", "StatefulSet"): _WORKLOAD,
}
"""JSON schemas by group and kind."""

GROUPS: Final = frozenset(
    {"", "apps", "batch", "autoscaling", "networking.k8s.io", "policy", "rbac.authorization.k8s.io"}
)
"""Groups that no CRD defines."""
