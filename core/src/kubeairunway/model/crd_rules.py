"""The CEL rules of the CRDs: what a schema cannot say and the API server enforces without any webhook of ours.

They are Kubernetes' CEL and share no text with selection rules, whose `has()` and defaults differ. The same rules
for offline use are in `decide/`; tests/bad_specs.yaml holds both to the same table.
"""

from dataclasses import dataclass
from typing import Any, Literal

from kubeairunway.model.spec import MAX_CPU, MAX_MEMORY

Reason = Literal["FieldValueInvalid", "FieldValueRequired", "FieldValueForbidden"]
"""What the API server may say of a field. FieldValueDuplicate is left out: it swallows the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CelRule:
    """One rule at one place of the schema.

    `path` is dotted from the object's root, `[]` being a list's item. `field` is the part below it that an error
    names. `expression` makes a message with values in it; `message` stands in for it in documentation.
    """

    path: str
    rule: str
    message: str
    expression: str = ""
    field: str = ""
    reason: Reason = "FieldValueInvalid"

    def as_schema(self) -> dict[str, Any]:
        """The rule as an item of x-kubernetes-validations."""
        text = {"rule": self.rule, "message": self.message, "messageExpression": self.expression}
        return {
            **{key: value for key, value in text.items() if value},
            **({"fieldPath": self.field} if self.field else {}),
            "reason": self.reason,
        }


NAME = CelRule(
    path="",
    rule="self.metadata.name.matches('^[a-z0-9]([a-z0-9-]*[a-z0-9])?$') && self.metadata.name.size() <= 63",
    message="name must not contain dots and must be a DNS label: at most 63 lower case letters, digits and hyphens,"
    " with a letter or digit at both ends",
    field=".metadata.name",
)

_DISAGGREGATED = "(has(self.serving) && self.serving.mode == 'disaggregated')"


def _role(name: str) -> tuple[CelRule, ...]:
    """The rules of one role: there exactly in disaggregated mode, and then on GPUs."""
    present = f"(has(self.scaling) && has(self.scaling.{name}))"
    return (
        CelRule(
            path="spec",
            rule=f"!{_DISAGGREGATED} || {present}",
            message="disaggregated mode requires scaling.prefill and scaling.decode;"
            f" add scaling.{name} with gpu.count > 0",
            field=f".scaling.{name}",
            reason="FieldValueRequired",
        ),
        CelRule(
            path="spec",
            rule=f"!{_DISAGGREGATED} || !{present}"
            f" || (has(self.scaling.{name}.gpu) && self.scaling.{name}.gpu.count > 0)",
            message=f"disaggregated mode requires scaling.{name}.gpu.count > 0",
            field=f".scaling.{name}.gpu.count",
            reason="FieldValueRequired",
        ),
        CelRule(
            path="spec",
            rule=f"{_DISAGGREGATED} || !{present}",
            message=f"scaling.{name} is for disaggregated mode only; set serving.mode to disaggregated or remove it",
            field=f".scaling.{name}",
            reason="FieldValueForbidden",
        ),
    )


MODE_RULES = (
    *_role("prefill"),
    *_role("decode"),
    CelRule(
        path="spec",
        rule=f"!{_DISAGGREGATED} || !has(self.resources) || !has(self.resources.gpu) || self.resources.gpu.count == 0",
        message="cannot specify both resources.gpu and scaling.prefill/decode in disaggregated mode;"
        " set the gpu of each role and remove resources.gpu",
        field=".resources.gpu.count",
    ),
    CelRule(
        path="spec",
        rule=f"!{_DISAGGREGATED} || !has(self.scaling) || self.scaling.replicas == 1",
        message="scaling.replicas must stay 1 in disaggregated mode;"
        " scale with scaling.prefill.replicas and scaling.decode.replicas",
        field=".scaling.replicas",
    ),
)

_BOTH_IMAGES = (
    "has(self.image) && self.image != '' && has(self.engine) && has(self.engine.image) && self.engine.image != ''"
)
_FLAG = "e.startsWith('--') && e.split('=', 2)[0].substring(2) in self.args"

ENGINE_RULES = (
    CelRule(
        path="spec",
        rule=f"!({_BOTH_IMAGES}) || self.image == self.engine.image",
        message="spec.image conflicts with spec.engine.image; remove spec.image or set both fields to the same value"
        " (spec.engine.image is preferred)",
        expression="'spec.image \"' + self.image + '\" conflicts with spec.engine.image \"' + self.engine.image"
        " + '\"; remove spec.image or set both fields to the same value (spec.engine.image is preferred)'",
        field=".engine.image",
    ),
    CelRule(
        path="spec.engine.args",
        rule="self.all(k, k.matches('^[A-Za-z0-9_][A-Za-z0-9_-]*$'))",
        message="the names in engine.args must be letters, digits, _ and -, without the leading dashes"
        " (max-model-len, not --max-model-len)",
    ),
    CelRule(
        path="spec.engine",
        rule=f"!has(self.args) || !has(self.extraArgs) || !self.extraArgs.exists(e, {_FLAG})",
        message="a launch flag is set in both spec.engine.args and spec.engine.extraArgs;"
        " set it in exactly one place so the engine does not receive conflicting values",
        expression=f"'launch flag \"' + self.extraArgs.filter(e, {_FLAG})[0].split('=', 2)[0].substring(2)"
        " + '\" is set in both spec.engine.args and spec.engine.extraArgs;"
        " set it in exactly one place so the engine does not receive conflicting values'",
        field=".extraArgs",
    ),
)

MODEL_RULES = (
    CelRule(
        path="spec.model",
        rule="self.source != 'huggingface' || (has(self.id) && self.id != '')",
        message="model.id is required when source is huggingface; give a model id such as Qwen/Qwen3-0.6B",
        field=".id",
        reason="FieldValueRequired",
    ),
)


def _quantity(path: str, *, largest: str = "", positive: bool = False) -> tuple[CelRule, ...]:
    """The rules of a quantity: one that can be read, not negative, and at most the largest."""
    name = path.removeprefix("spec.").replace("model.storage.volumes[].", "")
    sign, words = ("> 0", "greater than 0") if positive else (">= 0", "0 or more")
    rules = (
        CelRule(
            path=path,
            rule="isQuantity(string(self))",
            message=f"invalid resource quantity; write {name} like 500m, 4 or 16Gi",
        ),
        CelRule(
            path=path,
            rule=f"!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity('0')) {sign}",
            message=f"{name} must be {words}",
        ),
    )
    if not largest:
        return rules
    limit = CelRule(
        path=path,
        rule=f"!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity('{largest}')) <= 0",
        message=f"{name} exceeds maximum allowed ({largest})",
    )
    return (*rules, limit)


QUANTITY_RULES = (
    *_quantity("spec.resources.cpu", largest=MAX_CPU),
    *_quantity("spec.resources.memory", largest=MAX_MEMORY),
    *_quantity("spec.scaling.prefill.memory", largest=MAX_MEMORY),
    *_quantity("spec.scaling.decode.memory", largest=MAX_MEMORY),
    *_quantity("spec.model.storage.volumes[].size", positive=True),
)

_SOURCES = ("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef", "fileKeyRef")

POD_RULES = (
    CelRule(
        path="spec.env[]",
        rule="self.name.matches('^[ -<>-~]+$')",
        message="the name of an environment variable must be printable ASCII without =",
        field=".name",
    ),
    CelRule(
        path="spec.env[]",
        rule="has(self.value) != has(self.valueFrom)",
        message="an environment variable needs exactly one of value and valueFrom",
    ),
    CelRule(
        path="spec.env[].valueFrom",
        rule=f"[{', '.join(f'has(self.{name})' for name in _SOURCES)}].filter(x, x).size() == 1",
        message=f"valueFrom needs exactly one of {', '.join(_SOURCES[:-1])} and {_SOURCES[-1]}",
    ),
    CelRule(
        path="spec.tolerations[]",
        rule="(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
        message="a toleration without key needs operator Exists",
        field=".operator",
    ),
    CelRule(
        path="spec.tolerations[]",
        rule="!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
        message="a toleration with operator Exists takes no value; remove it or use operator Equal",
        field=".value",
    ),
    CelRule(
        path="spec.tolerations[]",
        rule="!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
        message="tolerationSeconds needs effect NoExecute",
        field=".effect",
    ),
    *(
        CelRule(
            path=path,
            rule="self.all(k, !format.qualifiedName().validate(k).hasValue())",
            message=f"the keys of {path.removeprefix('spec.')} must be label keys: an optional DNS prefix and /, then"
            " at most 63 letters, digits, -, _ and ., with a letter or digit at both ends",
        )
        for path in ("spec.nodeSelector", "spec.podTemplate.metadata.labels", "spec.podTemplate.metadata.annotations")
    ),
)

GATEWAY_RULES = (
    CelRule(
        path="spec.gateway",
        rule="!has(self.enabled) || self.enabled || !has(self.httpRouteRef) || self.httpRouteRef == ''",
        message="gateway.httpRouteRef has no effect while gateway.enabled is false; remove one of them",
        field=".httpRouteRef",
    ),
)
