"""Which models pass."""

from typing import Any

import allowed_models
import pytest

from kubeairunway.testing import admit

SETTINGS = {"models": ["Qwen/*", "meta-llama/Llama-3.1-8B"], "exempt": ["research-*"]}

CASES = {
    "by a glob": ("Qwen/Qwen3-8B", "team", SETTINGS, True),
    "by its name": ("meta-llama/Llama-3.1-8B", "team", SETTINGS, True),
    "a longer name": ("meta-llama/Llama-3.1-8B-Instruct", "team", SETTINGS, False),
    "another case": ("qwen/qwen3-8b", "team", SETTINGS, False),
    "another owner": ("evil/Qwen", "team", SETTINGS, False),
    "in an exempt namespace": ("evil/Qwen", "research-a", SETTINGS, True),
    "without settings": ("Qwen/Qwen3-8B", "team", {}, False),
}


@pytest.mark.parametrize("name", CASES)
def test_a_model_passes_if_a_glob_of_the_settings_matches_it(name: str) -> None:
    model, namespace, settings, passes = CASES[name]
    problems = admit(allowed_models, namespace=namespace, settings=settings, model={"id": model})
    assert [problem.path for problem in problems] == ([] if passes else ["spec.model.id"])


def test_a_refusal_lists_what_is_allowed() -> None:
    (problem,) = admit(allowed_models, settings=SETTINGS, model={"id": "evil/Qwen"})
    text = "model 'evil/Qwen' may not run here; allowed are: Qwen/*, meta-llama/Llama-3.1-8B"
    assert (problem.code, problem.message) == ("ModelNotAllowed", text)


@pytest.mark.parametrize("settings", [{"models": "Qwen/*"}, {"modells": []}])
def test_settings_are_typed(settings: dict[str, Any]) -> None:
    with pytest.raises(LookupError, match=r"settings: allowed-models\.model"):
        admit(allowed_models, settings=settings, model={"id": "a/b"})
