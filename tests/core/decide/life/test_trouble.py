"""Drift, conflicts, pauses, broken providers, bad edits and deletion, as decisions."""

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from kubeairunway.errors import HookError
from kubeairunway.model import names

SERVER = "ModelServer"


def kind_of(world: Any, name: str) -> Any:
    return next(kind for kind, _ in world.objects if kind.name == name)


def reasons(world: Any) -> list[str]:
    return [str(reason) for reason, _ in world.events]


def test_drift_is_undone_and_reported(running: Any) -> None:
    running.edit(kind_of(running, SERVER), "llm", replicas=7)
    running.step()
    assert running.server["spec"]["replicas"] == 1
    assert reasons(running) == ["DriftDetected"]
    assert "spec.replicas" in running.events[0][1]


def test_what_others_add_and_what_equals_by_value_is_no_drift(running: Any) -> None:
    running.edit(kind_of(running, SERVER), "llm", memory="1024Mi", added={"by": "upstream"})
    running.upstream(phase="Serving", ready=1)
    running.settle()
    assert not [write for write in running.writes if write[0] == "apply"]


def test_a_server_that_normalises_what_we_send_is_not_fought(running: Any) -> None:
    kind = kind_of(running, SERVER)
    original = running._answer

    def normalise(step: Any) -> Any:
        outcome = original(step)
        if step.kind == kind and step.action == "apply":
            running.edit(kind, "llm", memory="2Gi")
            running.upstream(phase="Serving", ready=1)
            return type(outcome)(step, running.objects[kind, "llm"])
        return outcome

    running._answer = normalise
    running.edit(kind, "llm", memory="2Gi")
    running.upstream(phase="Serving", ready=1)
    for _ in range(5):
        running.step()
    assert len([write for write in running.writes if write[0] == "apply"]) == 1


def test_another_writer_is_not_fought_without_end(running: Any) -> None:
    kind = kind_of(running, SERVER)
    applied = 0
    for _ in range(60):
        running.edit(kind, "llm", replicas=7)
        running.upstream(phase="Serving", ready=1)
        running.step()
        applied = len([write for write in running.writes if write[0] == "apply"])
    assert 2 <= applied <= 6
    assert running.condition("DriftContested") == ("True", "AnotherWriter")
    assert running.plan.after is not None
    running.step(3600)
    assert running.server["spec"]["replicas"] == 1, "a quiet time ends the contest"


MARKS = ("identity", "fixed-fields")


@pytest.mark.parametrize("value", ["edited", None], ids=["edited", "removed"])
@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_that_somebody_edits_is_put_back_and_recreates_nothing(running: Any, mark: str, value: str) -> None:
    name, uid = f"kubeairunway.ai/{mark}", running.server["metadata"]["uid"]
    before = running.server["metadata"]["annotations"][name]
    annotate(running, name, value)
    running.settle()
    assert running.server["metadata"]["uid"] == uid
    assert not any(action == "delete" for action, _, _ in running.writes)
    assert running.server["metadata"]["annotations"][name] == before


def test_a_primary_without_its_mark_is_deleted_with_its_deployment_all_the_same(running: Any) -> None:
    annotate(running, names.IDENTITY, None)
    running.deployment["metadata"]["deletionTimestamp"] = running.now.isoformat()
    running.step()
    assert running.writes == [("delete", "ModelServer", "llm"), ("status", "ModelDeployment", "llm")]


def annotate(world: Any, name: str, value: str | None) -> None:
    key = kind_of(world, SERVER), "llm"
    live = deepcopy(world.objects[key])
    live["metadata"]["annotations"].pop(name, None)
    if value is not None:
        live["metadata"]["annotations"][name] = value
    live["metadata"]["resourceVersion"] += "0"
    world.objects[key] = live


def test_a_finalizer_that_somebody_took_away_is_put_back(running: Any) -> None:
    running.deployment["metadata"]["finalizers"] = []
    running.settle()
    assert running.writes == [("finalizer", "ModelDeployment", "llm")]


def test_a_foreign_object_that_is_about_to_go_is_waited_for(world: Any) -> None:
    world.step()
    key = kind_of(world, SERVER), "llm"
    owner = {"kind": "ModelDeployment", "name": "llm", "uid": "an earlier one", "controller": True}
    meta = {"name": "llm", "uid": "old", "resourceVersion": "1", "ownerReferences": [owner]}
    world.objects[key] = {"metadata": {**meta, "deletionTimestamp": "2026-01-02T03:04:05Z"}, "spec": {}}
    world.settle()
    assert (
        "(it belongs to ModelDeployment 'llm', it is being deleted); this goes on by itself" in world.status["message"]
    )
    del world.objects[key]
    world.settle()
    assert world.status["phase"] == "Deploying"


def test_a_contest_is_not_written_again_in_every_pass(running: Any) -> None:
    for _ in range(6):
        running.edit(kind_of(running, SERVER), "llm", replicas=7)
        running.step(1)
    assert running.condition("DriftContested") == ("True", "AnotherWriter")
    running.writes.clear()
    for _ in range(5):
        running.edit(kind_of(running, SERVER), "llm", replicas=7)
        running.step(0.5)
    assert running.writes == []


def test_a_deleted_object_comes_back(running: Any) -> None:
    del running.objects[kind_of(running, SERVER), "llm"]
    running.step()
    assert (SERVER, "llm") in {(kind.name, name) for kind, name in running.objects}
    assert "DriftDetected" in reasons(running)
    assert running.status["provider"]["name"] == "acme"


def test_an_object_that_is_deleted_again_and_again_comes_back_with_growing_pauses(running: Any) -> None:
    kind = kind_of(running, SERVER)
    for _ in range(60):
        running.objects.pop((kind, "llm"), None)
        running.step()
    created = [write for write in running.writes if write[0] == "create"]
    assert 2 <= len(created) <= 6
    assert running.condition("Ready") == ("False", "AnotherWriter")
    assert "keeps deleting" in running.status["message"]
    assert running.status["provider"]["resourceName"] == "llm"
    assert running.plan.after is not None
    running.step(3600)
    assert (kind, "llm") in running.objects


def test_a_primary_that_somebody_else_asked_to_go_is_reported_once(running: Any) -> None:
    running.server["metadata"] |= {"deletionTimestamp": running.now.isoformat(), "finalizers": ["acme.dev/slow"]}
    running.step()
    running.step()
    assert reasons(running) == ["DriftDetected"]
    assert running.condition("Ready") == ("False", "Recreating")
    del running.objects[kind_of(running, SERVER), "llm"]
    running.step()
    assert (SERVER, "llm") in {(kind.name, name) for kind, name in running.objects}


@pytest.mark.parametrize("taken", [SERVER, "Service"])
def test_an_object_that_is_not_ours_is_never_touched(world: Any, taken: str) -> None:
    world.step()
    kind = kind_of(world, taken)
    name = "llm" if taken == SERVER else "llm-api"
    foreign = {"apiVersion": "v1", "kind": taken, "metadata": {"name": name, "namespace": "ml", "uid": "other"}}
    fresh = type(world)()
    fresh.objects[kind, name] = foreign
    fresh.step()
    assert list(fresh.objects.values()) == [foreign]
    assert fresh.condition("Ready") == ("False", "ResourceConflict")
    assert fresh.status["phase"] == "Pending"
    assert f"'{name}'" in fresh.status["message"]
    fresh.step()
    assert reasons(fresh).count("ResourceConflict") == 1
    fresh.objects.clear()
    fresh.step()
    assert fresh.status["phase"] == "Deploying"


@pytest.mark.parametrize("word", ["true", "True"])
def test_pausing_stops_everything_but_following_and_deleting(running: Any, word: str) -> None:
    running.deployment["metadata"]["annotations"] = {names.PAUSED: word}
    running.spec(scaling={"replicas": 5})
    running.upstream(phase="Broken", message="gone")
    running.step()
    assert [write[0] for write in running.writes] == ["status"]
    assert running.condition("Paused") == ("True", "ReconciliationPaused")
    assert running.status["observedGeneration"] == 1
    assert running.status["phase"] == "Failed"
    running.deployment["metadata"]["deletionTimestamp"] = running.now.isoformat()
    running.step()
    assert running.deployment["metadata"]["finalizers"] == [] or ("delete", SERVER, "llm") in running.writes


def test_a_bad_edit_never_harms_what_runs(running: Any) -> None:
    running.spec(model={"id": ""})
    running.step()
    assert running.server["spec"]["model"] == "acme/small"
    assert running.status["phase"] == "Running"
    assert running.condition("Validated") == ("False", "ValidationFailed")
    assert running.condition("Stalled") == ("True", "ValidationFailed")
    assert running.condition("Ready") == ("False", "ValidationFailed")
    assert running.status["observedGeneration"] == 2
    assert running.status["provider"]["resourceName"] == "llm"
    running.spec(model={"id": "acme/small"})
    running.upstream(phase="Serving", ready=1)
    running.settle()
    assert running.condition("Ready") == ("True", "DeploymentReady")


def test_an_edit_the_provider_cannot_express_never_harms_what_runs(running: Any) -> None:
    running.spec(resources={"gpu": {"count": 3}})
    running.step()
    assert running.condition("ProviderCompatible") == ("False", "IncompatibleConfiguration")
    assert running.condition("Stalled") == ("True", "IncompatibleConfiguration")
    assert running.status["phase"] == "Running"
    assert not [write for write in running.writes if write[0] != "status"]


def test_an_edit_that_no_provider_can_carry_out_stalls_and_harms_nothing(running: Any) -> None:
    running.spec(engine={"type": "sglang"})
    running.step()
    assert running.condition("Stalled") == ("True", "SelectionFailed")
    assert running.condition("Ready")[0] == "False"
    assert running.status["phase"] == "Running"
    assert not [write for write in running.writes if write[0] != "status"]


@pytest.mark.parametrize("state", ["missing", "disabled"])
def test_what_runs_is_left_alone_while_its_provider_is_away(running: Any, state: str) -> None:
    facts = running.providers["acme"]
    if state == "missing":
        running.providers["acme"] = type(facts)(name="acme", provider=None, ready=False, reason="PackageMissing")
    else:
        running.providers["acme"] = running.facts(facts.provider, disabled=True)
    running.spec(scaling={"replicas": 3})
    running.step()
    assert running.server["spec"]["replicas"] == 1
    assert running.condition("ProviderAvailable")[0] == "False"
    assert running.condition("Ready")[0] == "Unknown"
    assert running.status["provider"]["name"] == "acme"
    running.providers["acme"] = facts
    running.step()
    assert running.server["spec"]["replicas"] == 3


def test_an_operator_that_is_down_does_not_stop_what_runs(running: Any) -> None:
    facts = running.providers["acme"]
    running.providers["acme"] = running.facts(facts.provider, ready=False, reason="OperatorNotReady", message="0 ready")
    running.step()
    assert running.condition("Ready") == ("True", "DeploymentReady")
    assert running.condition("ProviderAvailable")[0] == "False"


@pytest.mark.parametrize("hook", ["validate", "select", "render", "status"])
def test_a_broken_hook_is_shown_and_harms_nothing(running: Any, hook: str) -> None:
    running.hooks.fail = {hook}
    running.spec(scaling={"replicas": 2})
    running.step()
    if hook == "select":  # a choice that is kept asks for no bid
        assert running.condition("Ready")[1] != "ProviderError"
        return
    assert running.condition("Ready") == ("Unknown", "ProviderError")
    assert running.server["spec"]["replicas"] == 1
    assert "acme.py:12" in running.status["message"]
    running.step()
    assert reasons(running).count("ProviderError") == 1
    running.hooks.fail = set()
    running.step()
    assert running.server["spec"]["replicas"] == 2


def test_a_provider_that_appears_later_is_selected(world: Any) -> None:
    facts = world.providers.pop("acme")
    world.step()
    assert world.condition("ProviderSelected") == ("False", "NoProvider")
    assert world.condition("Reconciling")[0] == "True"
    assert world.status["phase"] == "Pending"
    world.providers["acme"] = facts
    world.step()
    assert world.status["phase"] == "Deploying"


def test_a_choice_is_kept_when_a_better_provider_comes_and_its_primary_vanishes(running: Any) -> None:
    better = acme_like(running, "better")
    running.providers["better"] = better
    del running.objects[kind_of(running, SERVER), "llm"]
    running.step()
    assert running.status["provider"]["name"] == "acme"
    running.spec(provider={"name": "better"})
    running.settle()
    assert running.status["provider"]["name"] == "better"
    assert running.server["metadata"]["labels"][names.PROVIDER] == "better"


def test_the_provider_that_is_left_has_no_say_in_the_move(running: Any) -> None:
    running.providers["better"] = acme_like(running, "better")
    ask = running.hooks.status

    def refuse(provider: str, request: Any, observed: Any) -> Any:
        if provider == "acme":
            raise HookError(provider, "status", "TypeError: these are not my overrides")
        return ask(provider, request, observed)

    running.hooks.status = refuse
    running.spec(provider={"name": "better"})
    running.step()
    assert running.writes[0] == ("delete", SERVER, "llm")
    running.settle()
    assert running.server["metadata"]["labels"][names.PROVIDER] == "better"


def acme_like(world: Any, name: str) -> Any:
    provider = world.providers["acme"].provider
    values = {field: getattr(provider, field) for field in ("contract", "kinds", "engines")}
    return world.facts(type(provider)(name=name, **values))


def delete(world: Any) -> None:
    world.deployment["metadata"]["deletionTimestamp"] = world.now.isoformat()


def test_deleting_asks_the_primary_waits_for_it_and_lets_go(running: Any) -> None:
    running.server["metadata"]["finalizers"] = ["acme.dev/slow"]
    delete(running)
    running.step()
    assert running.writes == [("delete", SERVER, "llm"), ("status", "ModelDeployment", "llm")]
    assert running.status["phase"] == "Terminating"
    running.step()
    assert len(running.writes) == 2
    del running.objects[kind_of(running, SERVER), "llm"]
    running.step()
    assert running.deployment["metadata"]["finalizers"] == []


def test_a_deletion_that_does_not_end_lets_go_after_the_limit(running: Any) -> None:
    running.server["metadata"]["finalizers"] = ["acme.dev/never"]
    delete(running)
    running.step()
    assert running.plan.after == pytest.approx(299, abs=1)
    running.step(300)
    assert running.deployment["metadata"]["finalizers"] == []
    assert reasons(running) == ["FinalizerTimeout"]


def test_after_a_long_downtime_deletion_is_tried_once_before_letting_go(running: Any) -> None:
    running.server["metadata"]["finalizers"] = ["acme.dev/never"]
    delete(running)
    running.now += timedelta(hours=1)
    running.step()
    assert ("delete", SERVER, "llm") in running.writes
    assert running.deployment["metadata"]["finalizers"] == [names.FINALIZER]
    running.step(10)
    assert running.deployment["metadata"]["finalizers"] == []


def test_a_deployment_whose_package_is_gone_names_what_to_forget(running: Any) -> None:
    running.providers["acme"] = type(running.providers["acme"])(name="acme", provider=None, ready=False)
    running.objects.clear()  # no package declares the kind, so it is not watched
    delete(running)
    running.step()
    assert running.plan.forget == ("serving.acme.dev/v1", SERVER, "llm")
    assert running.plan.finalizer is None


def test_a_deployment_without_our_finalizer_is_none_of_our_business(world: Any) -> None:
    delete(world)
    world.step()
    assert world.writes == []
