"""What no pod can have, and the mirror image of each: what pods can."""

from typing import Any

import pytest

from kubeairunway.decide.validation import check_spec
from kubeairunway.model import Spec

MODEL = {"model": {"id": "a/b"}}
FILE = {"volumeName": "v", "path": "p", "key": "k"}
TOKEN = {"secrets": {"huggingFaceToken": "hf"}}


def source(**ref: Any) -> dict[str, Any]:
    return {"env": [{"name": "A", "value": "x"}, {"name": "B", "valueFrom": ref}]}


def annotations(*sizes: int) -> dict[str, Any]:
    return {"podTemplate": {"metadata": {"annotations": {f"a{row}": "é" * size for row, size in enumerate(sizes)}}}}


def taint(**fields: Any) -> dict[str, Any]:
    return {"tolerations": [{"key": "a.b/c", "operator": "Exists"}, {"key": "d", **fields}]}


def volume(**fields: Any) -> dict[str, Any]:
    return {"model": {"id": "a/b", "storage": {"volumes": [{"name": "v", "mountPath": "/v", **fields}]}}}


VOLUME = "spec.model.storage.volumes[0]"
VALUE = "spec.env[1].valueFrom"
REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "the token twice": ({**TOKEN, "env": [{"name": "HF_TOKEN", "value": "x"}]}, "spec.env[0]", "keep one of the two"),
    "a key of a file": (source(fileKeyRef=FILE), f"{VALUE}.fileKeyRef", "emptyDir"),
    "a Secret's key with a space": (source(secretKeyRef={"name": "s", "key": "a b"}), f"{VALUE}.secretKeyRef.key", "_"),
    "a ConfigMap's with a slash": (
        source(configMapKeyRef={"name": "c", "key": "a/b"}),
        f"{VALUE}.configMapKeyRef.key",
        '"a/b"',
    ),
    "an unknown field": (
        source(fieldRef={"fieldPath": "metadata.nope"}),
        f"{VALUE}.fieldRef.fieldPath",
        "status.podIP",
    ),
    "all labels": (source(fieldRef={"fieldPath": "metadata.labels"}), f"{VALUE}.fieldRef.fieldPath", "['KEY']"),
    "an unknown resource": (
        source(resourceFieldRef={"resource": "limits.nvidia.com/gpu"}),
        f"{VALUE}.resourceFieldRef.resource",
        "ephemeral-storage",
    ),
    "long annotations": (
        annotations(*[16384] * 8),
        "spec.podTemplate.metadata.annotations",
        "at most 262144 bytes together, and these 262160",
    ),
    "a taint's key with a space": (taint(key="a b"), "spec.tolerations[1].key", '"a b"'),
    "a comparison with a text": (taint(operator="Gt", value="x"), "spec.tolerations[1].value", "like 5"),
    "a comparison with nothing": (taint(operator="Lt"), "spec.tolerations[1].value", "like 5"),
    "a comparison with zeros in front": (taint(operator="Lt", value="05"), "spec.tolerations[1].value", "like 5"),
    "a Secret's name with two dots": (
        {"secrets": {"huggingFaceToken": "a..b"}},
        "spec.secrets.huggingFaceToken",
        '"a..b" is no name',
    ),
    "a ConfigMap's name with two dots": (
        source(configMapKeyRef={"name": "a..b", "key": "k"}),
        f"{VALUE}.configMapKeyRef.name",
        '"a..b" is no name',
    ),
    "a claim's name with a hyphen beside a dot": (
        volume(claimName="a-.b"),
        f"{VOLUME}.claimName",
        "around each .",
    ),
    "a class in upper case": (volume(size="1Gi", storageClassName="Fast"), f"{VOLUME}.storageClassName", '"Fast"'),
    "a volume over everything": (volume(claimName="c", mountPath="/a/.."), f"{VOLUME}.mountPath", "such as /data"),
}
TAKEN: dict[str, dict[str, Any]] = {
    "the token alone": TOKEN,
    "the variable alone": {"env": [{"name": "HF_TOKEN", "value": "x"}]},
    "the token and another variable": {**TOKEN, "env": [{"name": "HF_HOME", "value": "x"}]},
    "a key of a Secret": source(secretKeyRef={"name": "s", "key": "..a-B_1.pem"}),
    "the pod's name": source(fieldRef={"fieldPath": "metadata.name"}),
    "one label": source(fieldRef={"fieldPath": "metadata.labels['a/b']"}),
    "addresses": source(fieldRef={"fieldPath": "status.podIPs"}),
    "memory": source(resourceFieldRef={"resource": "requests.memory"}),
    "large pages": source(resourceFieldRef={"resource": "limits.hugepages-2Mi"}),
    "annotations": annotations(*[16383] * 8),
    "names with dots": {
        **volume(size="1Gi", storageClassName="a.b-c"),
        "secrets": {"huggingFaceToken": "a-1.b"},
        **source(secretKeyRef={"name": "a.b", "key": "k"}),
    },
    "no class": volume(size="1Gi", storageClassName=""),
    "every taint": {"tolerations": [{"operator": "Exists"}]},
    "a comparison": taint(operator="Gt", value="5"),
}


def errors(spec: dict[str, Any]) -> list[tuple[str, str]]:
    found = check_spec("model", Spec.model_validate({**MODEL, **spec}))
    return [(problem.path, problem.message) for problem in found if not problem.warning]


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_pod_can_have_is_refused_with_what_is_right(case: str) -> None:
    spec, path, words = REFUSED[case]
    ((where, message),) = errors(spec)
    assert where == path
    assert words in message


@pytest.mark.parametrize("case", TAKEN)
def test_what_pods_can_have_is_taken(case: str) -> None:
    assert errors(TAKEN[case]) == []
