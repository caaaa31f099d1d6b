"""Every rule that needs nothing but a spec: one implementation for files, the webhook and the reconcile.

The CRD's CEL rules say the same to clusters without our webhook; tests/bad_specs.yaml holds both to one table.
"""

import re
from collections.abc import Iterator, Mapping

from kubeairunway.decide.arguments import check_owned, check_twice
from kubeairunway.decide.pod_values import check_pod_values, is_label_key
from kubeairunway.decide.volumes import check_volumes
from kubeairunway.model.problems import Problem
from kubeairunway.model.spec import DEFAULT_GPU, MAX_CPU, MAX_MEMORY, EnvSource, Role, Spec, Toleration
from kubeairunway.objects.quantities import parse_quantity

_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_ARGUMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_VARIABLE = re.compile(r"[ -<>-~]+")

_SOURCES = ("configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef", "fileKeyRef")


def check_spec(name: str, spec: Spec) -> tuple[Problem, ...]:
    """All objections to a written spec under that name, in the order of its fields; warnings are among them."""
    return tuple(
        problem
        for check in (
            _check_name(name),
            _check_model(spec),
            check_volumes(name, spec),
            _check_engine(spec),
            _check_mode(spec),
            _check_gpu(spec),
            _check_limits(spec),
            _check_env(spec),
            _check_labels(spec),
            _check_tolerations(spec),
            check_pod_values(spec),
            _check_gateway(spec),
        )
        for problem in check
    )


def errors_of(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """The problems that stop a deployment."""
    return tuple(problem for problem in problems if not problem.warning)


def _check_name(name: str) -> Iterator[Problem]:
    if _DNS_LABEL.fullmatch(name) is None:
        dots = "must not contain dots and " if "." in name else ""
        message = (
            f"name {dots}must be a DNS label: at most 63 lower case letters, digits and hyphens,"
            " with a letter or digit at both ends"
        )
        yield Problem("metadata.name", "InvalidName", message)


def _check_model(spec: Spec) -> Iterator[Problem]:
    model = spec.model
    if model.source == "huggingface" and not model.id:
        message = "model.id is required when source is huggingface; give a model id such as Qwen/Qwen3-0.6B"
        yield Problem("spec.model.id", "Required", message)


def _check_gpu(spec: Spec) -> Iterator[Problem]:
    gpu = spec.resources.gpu
    if gpu.count == 0 and gpu.type != DEFAULT_GPU:
        message = f"gpu.type {gpu.type} has no effect without GPUs; set gpu.count to 1 or more, or remove it"
        yield Problem("spec.resources.gpu.type", "Ignored", message, warning=True)


def _check_engine(spec: Spec) -> Iterator[Problem]:
    engine = spec.engine
    if spec.image and engine.image and spec.image != engine.image:
        message = (
            f'spec.image "{spec.image}" conflicts with spec.engine.image "{engine.image}"; remove spec.image or set'
            " both fields to the same value (spec.engine.image is preferred)"
        )
        yield Problem("spec.engine.image", "ConflictingImageFields", message)
    bad = sorted(name for name in engine.args if _ARGUMENT.fullmatch(name) is None)
    if bad:
        message = (
            f"the names in engine.args must be letters, digits, _ and -, without the leading dashes"
            f" (max-model-len, not --max-model-len); not {_quoted(bad)}"
        )
        yield Problem("spec.engine.args", "InvalidArgument", message)
    yield from check_owned(spec, engine.type)
    yield from check_twice(spec)
    if engine.trust_remote_code:
        message = "trustRemoteCode=true allows execution of arbitrary code from HuggingFace"
        yield Problem("spec.engine.trustRemoteCode", "RemoteCode", message, warning=True)


def _check_mode(spec: Spec) -> Iterator[Problem]:
    roles = {"prefill": spec.scaling.prefill, "decode": spec.scaling.decode}
    if spec.serving.mode == "aggregated":
        for role in (name for name, value in roles.items() if value is not None):
            message = f"scaling.{role} is for disaggregated mode only; set serving.mode to disaggregated or remove it"
            yield Problem(f"spec.scaling.{role}", "Forbidden", message)
        return
    for role, value in roles.items():
        yield from _check_role(role, value)
    if spec.resources.gpu.count > 0:
        message = (
            "cannot specify both resources.gpu and scaling.prefill/decode in disaggregated mode;"
            " set the gpu of each role and remove resources.gpu"
        )
        yield Problem("spec.resources.gpu.count", "Forbidden", message)
    if spec.scaling.replicas != 1:
        message = (
            "scaling.replicas must stay 1 in disaggregated mode;"
            " scale with scaling.prefill.replicas and scaling.decode.replicas"
        )
        yield Problem("spec.scaling.replicas", "Forbidden", message)


def _check_role(name: str, role: Role | None) -> Iterator[Problem]:
    if role is None:
        message = (
            f"disaggregated mode requires scaling.prefill and scaling.decode; add scaling.{name} with gpu.count > 0"
        )
        yield Problem(f"spec.scaling.{name}", "Required", message)
    elif role.gpu.count == 0:
        message = f"disaggregated mode requires scaling.{name}.gpu.count > 0"
        yield Problem(f"spec.scaling.{name}.gpu.count", "Required", message)


def _check_limits(spec: Spec) -> Iterator[Problem]:
    """Counts are bounded by the schema already."""
    yield from _check_quantity("resources.cpu", spec.resources.cpu, MAX_CPU)
    yield from _check_quantity("resources.memory", spec.resources.memory, MAX_MEMORY)
    for name, role in (("prefill", spec.scaling.prefill), ("decode", spec.scaling.decode)):
        yield from _check_quantity(f"scaling.{name}.memory", role.memory if role else None, MAX_MEMORY)


def _check_quantity(field: str, text: str | None, largest: str) -> Iterator[Problem]:
    if text is None:
        return
    value, limit = parse_quantity(text), parse_quantity(largest)
    if value is None:
        message = f"invalid resource quantity; write {field} like 500m, 4 or 16Gi"
        yield Problem(f"spec.{field}", "InvalidQuantity", message)
    elif value < 0:
        yield Problem(f"spec.{field}", "InvalidQuantity", f"{field} must be 0 or more")
    elif limit is not None and value > limit:
        message = f"{field} exceeds maximum allowed ({largest}); ask for {largest} or less"
        yield Problem(f"spec.{field}", "LimitExceeded", message)


def _check_env(spec: Spec) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, variable in enumerate(spec.env):
        path = f"spec.env[{index}]"
        if variable.name in seen:
            message = f'environment variable "{variable.name}" is set twice; keep one of them'
            yield Problem(path, "Duplicate", message)
        seen.add(variable.name)
        if _VARIABLE.fullmatch(variable.name) is None:
            message = "the name of an environment variable must be printable ASCII without ="
            yield Problem(f"{path}.name", "InvalidName", message)
        if (variable.value is None) == (variable.value_from is None):
            message = "an environment variable needs exactly one of value and valueFrom"
            yield Problem(path, "Invalid", message)
        if variable.value_from is not None and _count_sources(variable.value_from) != 1:
            message = f"valueFrom needs exactly one of {', '.join(_SOURCES[:-1])} and {_SOURCES[-1]}"
            yield Problem(f"{path}.valueFrom", "Invalid", message)


def _count_sources(source: EnvSource) -> int:
    refs = (
        source.config_map_key_ref,
        source.secret_key_ref,
        source.field_ref,
        source.resource_field_ref,
        source.file_key_ref,
    )
    return sum(ref is not None for ref in refs)


def _check_labels(spec: Spec) -> Iterator[Problem]:
    for field, keys in (
        ("nodeSelector", spec.node_selector),
        ("podTemplate.metadata.labels", spec.pod_template.metadata.labels),
        ("podTemplate.metadata.annotations", spec.pod_template.metadata.annotations),
    ):
        yield from _check_keys(field, keys)


def _check_keys(field: str, keys: Mapping[str, str]) -> Iterator[Problem]:
    bad = sorted(key for key in keys if not is_label_key(key))
    if bad:
        message = (
            f"the keys of {field} must be label keys: an optional DNS prefix and /, then at most 63 letters, digits,"
            f" -, _ and ., with a letter or digit at both ends; not {_quoted(bad)}"
        )
        yield Problem(f"spec.{field}", "InvalidKey", message)


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _check_tolerations(spec: Spec) -> Iterator[Problem]:
    for index, toleration in enumerate(spec.tolerations):
        yield from _check_toleration(f"spec.tolerations[{index}]", toleration)


def _check_toleration(path: str, toleration: Toleration) -> Iterator[Problem]:
    if not toleration.key and toleration.operator != "Exists":
        yield Problem(f"{path}.operator", "Invalid", "a toleration without key needs operator Exists")
    if toleration.operator == "Exists" and toleration.value:
        message = "a toleration with operator Exists takes no value; remove it or use operator Equal"
        yield Problem(f"{path}.value", "Invalid", message)
    if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
        yield Problem(f"{path}.effect", "Invalid", "tolerationSeconds needs effect NoExecute")


def _check_gateway(spec: Spec) -> Iterator[Problem]:
    if spec.gateway.enabled is False and spec.gateway.http_route_ref:
        message = "gateway.httpRouteRef has no effect while gateway.enabled is false; remove one of them"
        yield Problem("spec.gateway.httpRouteRef", "Invalid", message)
