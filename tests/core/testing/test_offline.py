"""The kit for provider authors, on the example provider of the contract."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from kubeairunway.testing import OfflineDecision, deployment

ACME = Path(__file__).parents[2] / "contract" / "acme" / "src" / "acme.py"


def load(source: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(source.stem, source)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def acme() -> ModuleType:
    return load(ACME)


@pytest.fixture
def decided(acme: ModuleType) -> OfflineDecision:
    return deployment(acme, model={"id": "acme/m"}, resources={"gpu": {"count": 2}})


def test_objects_are_those_that_the_controller_would_create(decided: OfflineDecision) -> None:
    assert decided.problems == ()
    assert decided.provider == "acme"
    assert decided.primary["spec"]["gpus"] == {"resource": "nvidia.com/gpu", "count": 2}
    assert [obj["kind"] for obj in decided.objects] == ["ModelServer", "Service"]
    assert decided.object("Service")["metadata"]["name"] == "model"
    assert decided.spec.model.served_name == "m"
    assert decided.explanation.provider == "acme"


READY = {
    "an older generation proves nothing": (
        {"phase": "Serving", "observedGeneration": 1, "ready": 1},
        False,
        "Deploying",
    ),
    "this generation is proved": ({"phase": "Serving", "observedGeneration": 2, "ready": 1}, True, "Running"),
    "a replica is missing": ({"phase": "Serving", "observedGeneration": 2, "ready": 0}, False, "Deploying"),
    "a failure of this generation": ({"phase": "Broken", "observedGeneration": 2}, False, "Failed"),
    "upstream is silent": ({}, False, "Deploying"),
    "nonsense": ({"phase": 7, "observedGeneration": "2", "ready": None}, False, "Deploying"),
}


@pytest.mark.parametrize("name", READY)
def test_status_is_judged_as_the_controller_would(decided: OfflineDecision, name: str) -> None:
    status, ready, phase = READY[name]
    seen = decided.observe(generation=2, status=status)
    assert (seen.ready, seen.phase) == (ready, phase)


def test_an_observation_has_figures_endpoint_and_conditions(decided: OfflineDecision) -> None:
    seen = decided.observe(status={"phase": "Serving", "observedGeneration": 1, "ready": 1})
    assert seen.replicas == {"desired": 1, "ready": 1, "available": 1}
    assert seen.endpoint == {"service": "model", "port": 8000}
    assert seen.condition("Ready")["reason"] == "DeploymentReady"
    assert seen.condition("NoSuch") == {}
    assert seen.message == "All replicas are ready"


def test_upstreams_own_words_reach_the_message(decided: OfflineDecision) -> None:
    condition = {"type": "Healthy", "message": "no GPU left"}
    seen = decided.observe(status={"phase": "Broken", "observedGeneration": 1, "conditions": [condition]})
    assert "no GPU left" in seen.message


def test_a_change_is_decided_anew_and_the_first_decision_stays(decided: OfflineDecision) -> None:
    changed = decided.change(resources={"gpu": {"count": 3}})
    assert [(problem.path, problem.code) for problem in changed.problems] == [
        ("spec.resources.gpu.count", "PowerOfTwo")
    ]
    assert changed.objects == ()
    assert decided.problems == ()
    assert changed.change(resources={"gpu": {"count": 4}}).primary["spec"]["gpus"]["count"] == 4


def test_a_field_that_is_not_carried_is_a_problem_at_its_path(decided: OfflineDecision) -> None:
    assert decided.change(env=[{"name": "A", "value": "b"}]).problems[0].path == "spec.env"


def test_a_mistyped_field_is_a_problem_too(decided: OfflineDecision) -> None:
    assert decided.change(resorces={}).problems[0].path == "spec.resorces"
    assert decided.change(resources={"gpu": {"cuont": 1}}).problems[0].path == "spec.resources.gpu.cuont"


def test_overrides_go_with_the_provider(acme: ModuleType) -> None:
    decided = deployment(
        acme, provider={"overrides": {"cache": "shared"}}, model={"id": "m"}, resources={"gpu": {"count": 1}}
    )
    assert decided.primary["spec"]["cache"] == "shared"
    wrong = decided.change(provider={"overrides": {"cache": "none at all"}})
    assert wrong.problems[0].path == "spec.provider.overrides.cache"


def test_what_is_not_there_is_said(decided: OfflineDecision) -> None:
    broken = decided.change(resources={"gpu": {"count": 3}})
    with pytest.raises(LookupError, match="use 1, 2, 4 or 8"):
        broken.primary  # noqa: B018 - the look-up is what is tested
    with pytest.raises(LookupError, match="nothing is rendered"):
        broken.observe(status={})
    with pytest.raises(LookupError, match="there is no Job model-x; there are: ModelServer model, Service model"):
        decided.object("Job", "x")


def test_a_provider_that_is_not_installed_is_said() -> None:
    with pytest.raises(LookupError, match="no provider named nemo is installed"):
        deployment("nemo", model={"id": "m"})


def test_name_and_namespace_are_the_authors_choice(acme: ModuleType) -> None:
    decided = deployment(acme, name="n", namespace="team", model={"id": "m"}, resources={"gpu": {"count": 1}})
    assert decided.primary["metadata"]["name"] == "n"
    assert decided.primary["metadata"]["namespace"] == "team"
