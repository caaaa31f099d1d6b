from typing import Any

import pytest

from kubeairunway.objects.managed_fields import find_writer


def entry(manager: str, time: str, fields: dict[str, Any]) -> dict[str, Any]:
    return {"manager": manager, "time": time, "fieldsType": "FieldsV1", "fieldsV1": fields}


OBJECT = {
    "metadata": {
        "managedFields": [
            entry("kubeairunway", "2026-01-03", {"f:spec": {"f:replicas": {}, "f:image": {}}}),
            entry("autoscaler", "2026-01-01", {"f:spec": {".": {}, "f:replicas": {}}}),
            entry("kubectl-edit", "2026-01-02", {"f:spec": {"f:replicas": {}}}),
            entry("labeller", "2026-01-01", {"f:metadata": {"f:labels": {"f:kubeairunway.ai/provider": {}}}}),
            entry("injector", "2026-01-01", {"f:spec": {"f:env": {'k:{"name":"A"}': {".": {}, "f:value": {}}}}}),
            entry("templater", "2026-01-01", {"f:spec": {"f:template": {}}}),
        ]
    }
}


@pytest.mark.parametrize(
    ("path", "writer"),
    [
        pytest.param("spec.replicas", "kubectl-edit", id="the last one"),
        pytest.param("spec.image", "", id="nobody else"),
        pytest.param("spec.replicasMax", "", id="a name that only begins the same"),
        pytest.param("metadata.labels.kubeairunway.ai/provider", "labeller", id="a name with dots"),
        pytest.param("spec.env[A].value", "injector", id="an item by its key"),
        pytest.param("spec.env[B].value", "", id="another item"),
        pytest.param("spec.template.spec.x", "templater", id="a value that was written whole"),
    ],
)
def test_the_writer_of(path: str, writer: str) -> None:
    assert find_writer(OBJECT, path, but="kubeairunway") == writer


def test_an_object_without_managed_fields_has_no_writer() -> None:
    assert find_writer({"metadata": {}}, "spec.replicas", but="x") == ""
