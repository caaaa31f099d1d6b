"""The CRDs of this project, generated from the models: `crd_documents()` as objects, `crd_yaml()` as text."""

from typing import Any

import yaml
from pydantic import Field

from kubeairunway.model.base import REQUIRED, Model
from kubeairunway.model.crd_rules import (
    ENGINE_RULES,
    GATEWAY_RULES,
    MODE_RULES,
    MODEL_RULES,
    NAME,
    POD_RULES,
    QUANTITY_RULES,
    CelRule,
)
from kubeairunway.model.crd_storage_rules import CLAIM_RULE, TRANSITION_RULES, VOLUME_RULES
from kubeairunway.model.names import GROUP, MODEL_DEPLOYMENT, PROVIDER_CONFIG, VERSION
from kubeairunway.model.provider_config import ProviderConfigSpec, ProviderConfigStatus
from kubeairunway.model.schema import Schema, schema_at, structural_schema
from kubeairunway.model.spec import Spec
from kubeairunway.model.status import STATUS_DEFAULT, Status

READY = '.status.conditions[?(@.type=="Ready")]'


class ModelDeploymentDocument(Model):
    """A language model to serve, on whichever inference platform fits."""

    spec: Spec = Field(Spec(), description="What is asked for.", json_schema_extra={REQUIRED: True})
    status: Status = Field(
        Status(), description="What the controller last saw and decided.", json_schema_extra=STATUS_DEFAULT
    )


class ProviderConfigDocument(Model):
    """An inference provider: what its package can do, and what the administrator says of it."""

    spec: ProviderConfigSpec = Field(ProviderConfigSpec(), description="The administrator's word.")
    status: ProviderConfigStatus = Field(
        ProviderConfigStatus(), description="What the package says of itself and what the controller sees of it."
    )


DEPLOYMENT_RULES = (
    NAME,
    CLAIM_RULE,
    *MODE_RULES,
    *ENGINE_RULES,
    *MODEL_RULES,
    *VOLUME_RULES,
    *TRANSITION_RULES,
    *QUANTITY_RULES,
    *POD_RULES,
    *GATEWAY_RULES,
)
PROVIDER_CONFIG_RULES = (NAME,)


class _PlainDumper(yaml.SafeDumper):
    """Writes a value that occurs twice in whole, since anchors are hard to read."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - yaml's own signature
        return True


def crd_documents() -> list[dict[str, Any]]:
    """Both CustomResourceDefinitions, as objects ready to send. Deterministic."""
    return [_deployment_crd(), _provider_config_crd()]


def crd_files() -> dict[str, str]:
    """The text of each file in crds/, by file name."""
    return {f"{GROUP}_{crd['spec']['names']['plural']}.yaml": _dump(crd) for crd in crd_documents()}


def crd_yaml() -> str:
    """Both CRDs as one YAML stream, for `kubectl apply --server-side -f -`."""
    return "---\n".join(crd_files().values())


def _dump(crd: dict[str, Any]) -> str:
    return yaml.dump(crd, Dumper=_PlainDumper, sort_keys=False, width=120)


def root_schema(document: type[Model], rules: tuple[CelRule, ...]) -> Schema:
    """The whole schema of a kind: the model's, Kubernetes' own fields, and the CEL rules at their places."""
    schema = structural_schema(document)
    schema["properties"] = {
        "apiVersion": {"type": "string", "description": "Version of this kind."},
        "kind": {"type": "string", "description": "This kind."},
        "metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 253}}},
        **schema["properties"],
    }
    for rule in rules:
        schema_at(schema, rule.path).setdefault("x-kubernetes-validations", []).append(rule.as_schema())
    return schema


def _deployment_crd() -> dict[str, Any]:
    return _crd(
        names={"kind": MODEL_DEPLOYMENT, "plural": "modeldeployments", "shortNames": ["md"]},
        scope="Namespaced",
        schema=root_schema(ModelDeploymentDocument, DEPLOYMENT_RULES),
        subresources={
            "status": {},
            "scale": {
                "specReplicasPath": ".spec.scaling.replicas",
                "statusReplicasPath": ".status.replicas.available",
                "labelSelectorPath": ".status.selector",
            },
        },
        columns=[
            _column("Phase", "string", ".status.phase", "Current phase"),
            _column("Ready", "string", f"{READY}.status", "Whether the current revision serves"),
            _column("Provider", "string", ".status.provider.name", "Selected provider"),
            _column("Engine", "string", ".status.engine.type", "Inference engine"),
            _column("Replicas", "integer", ".status.replicas.ready", "Ready replicas"),
            _column("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
            _column("Model", "string", ".spec.model.id", "Model id", priority=1),
            _column("Reason", "string", f"{READY}.reason", "Why it is ready or not", priority=1),
        ],
    )


def _provider_config_crd() -> dict[str, Any]:
    return _crd(
        names={"kind": PROVIDER_CONFIG, "plural": "inferenceproviderconfigs", "shortNames": ["ipc"]},
        scope="Cluster",
        schema=root_schema(ProviderConfigDocument, PROVIDER_CONFIG_RULES),
        subresources={"status": {}},
        columns=[
            _column("Ready", "boolean", ".status.ready", "Provider ready"),
            _column("Version", "string", ".status.version", "Provider version"),
            _column("Heartbeat", "date", ".status.lastHeartbeat", "Time since the controller last looked"),
            _column("Age", "date", ".metadata.creationTimestamp", "Time since creation"),
            _column("Disabled", "boolean", ".spec.disabled", "Switched off by the administrator", priority=1),
            _column("Reason", "string", f"{READY}.reason", "Why it is ready or not", priority=1),
        ],
    )


def _column(name: str, kind: str, path: str, description: str, *, priority: int = 0) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "type": kind, "jsonPath": path, "description": description}
    return column | ({"priority": priority} if priority else {})


def _crd(
    *,
    names: dict[str, Any],
    scope: str,
    schema: Schema,
    subresources: dict[str, Any],
    columns: list[dict[str, Any]],
) -> dict[str, Any]:
    kind = names["kind"]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "names": {**names, "listKind": f"{kind}List", "singular": kind.lower(), "categories": ["ai"]},
            "scope": scope,
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "additionalPrinterColumns": columns,
                    "subresources": subresources,
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }
