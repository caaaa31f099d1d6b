"""What is rendered, what is refused, and when a deployment is Ready."""

import kubeairunway_template
import pytest

from kubeairunway.testing import deployment

PLAIN = deployment(kubeairunway_template, model={"id": "org/model"}, resources={"gpu": {"count": 1}})


def test_a_deployment_becomes_the_kind_and_a_service() -> None:
    primary, service = PLAIN.change(scaling={"replicas": 2}, engine={"contextLength": 4096}).objects
    assert (primary["apiVersion"], primary["kind"]) == ("serving.example.com/v1", "ModelServer")
    assert (primary["spec"]["replicas"], primary["spec"]["contextLength"]) == (2, 4096)
    assert service["spec"]["selector"] == primary["spec"]["podLabels"]


def test_a_field_that_is_not_carried_is_refused() -> None:
    assert [problem.path for problem in PLAIN.change(nodeSelector={"pool": "a"}).errors] == ["spec.nodeSelector"]


@pytest.mark.parametrize(
    ("phase", "generation", "replicas", "ready"),
    [("Serving", 2, 1, "True"), ("Serving", 1, 1, "False"), ("Serving", 2, 0, "False"), ("Starting", 2, 1, "False")],
)
def test_ready_needs_proof_of_the_generation(phase: str, generation: int, replicas: int, ready: str) -> None:
    status = {"phase": phase, "observedGeneration": generation, "readyReplicas": replicas}
    assert PLAIN.observe(generation=2, status=status).condition("Ready")["status"] == ready
