"""The call to paste: when there is one, and that a shell reads it as it is meant."""

import json
import shlex
from collections.abc import Mapping
from typing import Any

import pytest

from kubeairunway.decide.endpoint_call import Call, make_call
from kubeairunway.decide.facts import ProviderFacts
from kubeairunway.plugin import Engine, Kind, Provider

SPEC = {"model": {"id": "Qwen/Qwen3-8B"}, "engine": {"type": "vllm"}, "resources": {"gpu": {"count": 1}}}
READY = {"type": "Ready", "status": "True", "reason": "DeploymentReady", "message": ""}
STATUS: Mapping[str, Any] = {
    "observedGeneration": 3,
    "conditions": [READY],
    "endpoint": {"service": "qwen-api", "port": 80},
    "provider": {"name": "plain"},
    "engine": {"type": "vllm"},
}


def make_deployment(spec: Mapping[str, Any] = SPEC, **status: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kubeairunway.ai/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "qwen", "namespace": "team", "generation": 3},
        "spec": spec,
        "status": {**STATUS, **status},
    }


def make_providers(*engines: Engine) -> dict[str, ProviderFacts]:
    provider = Provider(
        name="plain", contract=1, kinds=(Kind(group="plain.dev", name="Plain", versions=("v1",)),), engines=engines
    )
    return {"plain": ProviderFacts(name="plain", provider=provider)}


NAMED = make_providers(Engine(name="vllm", carries=frozenset({"model"})))
UNNAMED = make_providers(
    Engine(name="vllm", carries=frozenset({"model.id"})),
    Engine(name="llamacpp", carries=frozenset({"model"})),
    Engine(name="vllm", carries=frozenset({"model"}), modes=("disaggregated",)),
)


def model_of(call: Call | None) -> str:
    """The model that the shell's curl asks for; empty where it asks for the names."""
    assert call is not None
    words = shlex.split(" ".join(call.curl))
    if words[1].endswith("/v1/models"):
        assert len(words) == 2
        return ""
    assert words[:4] == [
        "curl",
        "http://127.0.0.1:8080/v1/chat/completions",
        "-H",
        "Content-Type: application/json",
    ]
    body = json.loads(words[words.index("-d") + 1])
    assert body["messages"][0]["role"] == "user"
    model: str = body["model"]
    return model


def test_a_ready_deployment_has_a_call_through_its_service() -> None:
    call = make_call(make_deployment(), NAMED)
    assert call is not None
    assert call.port_forward == "kubectl port-forward -n team service/qwen-api 8080:80"
    assert call.to_json() == {"portForward": call.port_forward, "curl": " ".join(call.curl)}
    assert model_of(call) == "Qwen3-8B"


SILENT: dict[str, dict[str, Any]] = {
    "not ready": {"conditions": [{**READY, "status": "False"}]},
    "unknown": {"conditions": [{**READY, "status": "Unknown"}]},
    "no conditions": {"conditions": []},
    "scaled to zero": {"conditions": [{**READY, "reason": "ScaledToZero"}]},
    "ready for an older spec": {"observedGeneration": 2},
    "no endpoint": {"endpoint": None},
    "no port": {"endpoint": {"service": "qwen"}},
    "no service": {"endpoint": {"port": 80}},
}


@pytest.mark.parametrize("case", SILENT)
def test_there_is_no_call_while_nothing_serves_the_present_spec(case: str) -> None:
    assert make_call(make_deployment(**SILENT[case]), NAMED) is None


def test_a_deployment_without_status_has_no_call() -> None:
    deployment = make_deployment()
    del deployment["status"]
    assert make_call(deployment, NAMED) is None


@pytest.mark.parametrize("name", ["other", "it's", 'a "b" $HOME `id`', "ünïcode", "a;b"])
def test_the_served_name_reaches_the_engine_whatever_it_is(name: str) -> None:
    spec = {**SPEC, "model": {"id": "Qwen/Qwen3-8B", "servedName": name}}
    assert model_of(make_call(make_deployment(spec), NAMED)) == name


UNKNOWN: dict[str, tuple[dict[str, ProviderFacts], dict[str, Any]]] = {
    "the provider hands no name to this engine in this mode": (UNNAMED, {}),
    "the package is not installed here": ({"plain": ProviderFacts(name="plain", provider=None)}, {}),
    "nobody knows the provider": ({}, {}),
    "no provider is on record": (NAMED, {"provider": None}),
    "no engine is on record": (NAMED, {"engine": None}),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_where_the_name_is_not_known_the_call_asks_for_it(case: str) -> None:
    providers, status = UNKNOWN[case]
    assert model_of(make_call(make_deployment(**status), providers)) == ""


def test_kubectl_is_led_to_the_cluster_that_was_asked() -> None:
    call = make_call(make_deployment(), NAMED, ("kubectl", "--context=my cluster"))
    assert call is not None
    assert shlex.split(call.port_forward)[:3] == ["kubectl", "--context=my cluster", "port-forward"]
