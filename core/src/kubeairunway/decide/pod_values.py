"""What no pod and no claim can have, whoever makes it.

The CRDs of most operators take such values unseen, and then the pods never come. Kubernetes checks pods itself, so
the CRD of ours leaves these out; files, the webhook and the reconcile are told.
"""

import posixpath
import re
from collections.abc import Iterator

from pydantic.alias_generators import to_camel

from kubeairunway.model.problems import Problem
from kubeairunway.model.spec import EnvVar, Spec

HF_TOKEN = "HF_TOKEN"  # noqa: S105 - the name of a variable, no secret
MAX_ANNOTATIONS = 256 * 1024
"""Bytes of all annotations of one object together, names and values."""

_KEY_PREFIX = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_KEY_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_MAX_PREFIX = 253
_KEY = re.compile(r"[-._a-zA-Z0-9]+")
_FIELD = re.compile(
    r"metadata\.(name|namespace|uid|(labels|annotations)\['[^']+'\])"
    r"|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?)"
)
_RESOURCE = re.compile(r"(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-.+)")


def is_label_key(key: str) -> bool:
    """Whether labels, annotations and taints can have this key: an optional DNS prefix and /, then a name."""
    prefix, slash, name = key.rpartition("/")
    if slash and (len(prefix) > _MAX_PREFIX or _KEY_PREFIX.fullmatch(prefix) is None):
        return False
    return _KEY_NAME.fullmatch(name) is not None


def check_pod_values(spec: Spec) -> Iterator[Problem]:
    """Values of a written spec that Kubernetes refuses in every pod or claim, or with which no container starts."""
    yield from _check_names(spec)
    for index, variable in enumerate(spec.env):
        path = f"spec.env[{index}]"
        if variable.name == HF_TOKEN and spec.secrets.hugging_face_token:
            text = f"secrets.huggingFaceToken sets {HF_TOKEN} already; keep one of the two"
            yield Problem(path, "DuplicateToken", text)
        yield from _check_source(f"{path}.valueFrom", variable)
    annotations = spec.pod_template.metadata.annotations
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > MAX_ANNOTATIONS:
        text = f"a pod's annotations have at most {MAX_ANNOTATIONS} bytes together, and these {size}; leave some out"
        yield Problem("spec.podTemplate.metadata.annotations", "TooLong", text)
    for index, row in enumerate(spec.tolerations):
        path = f"spec.tolerations[{index}]"
        if row.key and not is_label_key(row.key):
            text = f'"{row.key}" is no key of a taint: an optional DNS prefix and /, then letters, digits, -, _ and .'
            yield Problem(f"{path}.key", "InvalidKey", text)
        if row.operator in {"Lt", "Gt"} and not re.fullmatch(r"0|-?[1-9][0-9]*", row.value or ""):
            text = f"operator {row.operator} compares whole numbers; write value like 5"
            yield Problem(f"{path}.value", "Invalid", text)


def _check_names(spec: Spec) -> Iterator[Problem]:
    names = {"spec.secrets.huggingFaceToken": spec.secrets.hugging_face_token}
    for index, row in enumerate(spec.env):
        for kind in ("config_map_key_ref", "secret_key_ref"):
            if ref := getattr(row.value_from, kind, None):
                names[f"spec.env[{index}].valueFrom.{to_camel(kind)}.name"] = ref.name
    for index, volume in enumerate(spec.model.storage.volumes):
        path = f"spec.model.storage.volumes[{index}]"
        names[f"{path}.claimName"] = volume.claim_name
        names[f"{path}.storageClassName"] = volume.storage_class_name or ""
        if volume.mount_path and posixpath.normpath(volume.mount_path) in {"/", "//"}:
            text = "a volume at / hides the engine; choose another path, such as /data"
            yield Problem(f"{path}.mountPath", "SystemPath", text)
    for path, name in names.items():
        if name and _KEY_PREFIX.fullmatch(name) is None:
            text = f'"{name}" is no name: lower case letters, digits, - and ., with a letter or digit around each .'
            yield Problem(path, "InvalidName", text)


def _check_source(path: str, variable: EnvVar) -> Iterator[Problem]:
    source = variable.value_from
    if source is None:
        return
    for name, ref in (("configMapKeyRef", source.config_map_key_ref), ("secretKeyRef", source.secret_key_ref)):
        if ref and not _KEY.fullmatch(ref.key):
            yield Problem(f"{path}.{name}.key", "InvalidKey", f'"{ref.key}" has to be letters, digits, -, _ and .')
    if source.field_ref and not _FIELD.fullmatch(source.field_ref.field_path):
        text = (
            f'a variable cannot have "{source.field_ref.field_path}"; use metadata.name, metadata.namespace, '
            "metadata.uid, metadata.labels['KEY'], metadata.annotations['KEY'], spec.nodeName, "
            "spec.serviceAccountName, status.hostIP or status.podIP"
        )
        yield Problem(f"{path}.fieldRef.fieldPath", "Invalid", text)
    if source.resource_field_ref and not _RESOURCE.fullmatch(source.resource_field_ref.resource):
        text = (
            f'a variable cannot have "{source.resource_field_ref.resource}"; '
            "use limits. or requests. with cpu, memory or ephemeral-storage"
        )
        yield Problem(f"{path}.resourceFieldRef.resource", "Invalid", text)
    if source.file_key_ref:
        text = "the file would be in an emptyDir that another container writes to, and a deployment has none; remove it"
        yield Problem(f"{path}.fileKeyRef", "NoSuchVolume", text)
