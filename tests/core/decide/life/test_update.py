"""What an edit comes to: GPUs meanwhile, what applying a file keeps, and which field does what."""

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from kubeairunway.decide.expressions import Expressions
from kubeairunway.decide.passes import follow_passes
from kubeairunway.decide.rendering import value_at
from kubeairunway.decide.update import Action, Downtime, How, ObjectChange, Update
from kubeairunway.decide.update_cost import count_gpus, find_downtime
from kubeairunway.decide.update_objects import count_ended_first
from kubeairunway.decide.update_preview import preview_update
from kubeairunway.decide.wanted import Wanted, apply_document
from kubeairunway.model.paths import changed_paths
from kubeairunway.plugin import Engine, Kind, Provider, Spec

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def spec(replicas: int, gpus: int, gpu_type: str = "a/gpu") -> Spec:
    return Spec.model_validate(
        {"scaling": {"replicas": replicas}, "resources": {"gpu": {"count": gpus, "type": gpu_type}}}
    )


def roles(prefill: int, decode: int, gpus: int = 2) -> Spec:
    gpu = {"count": gpus, "type": "a/gpu"}
    scaling = {"prefill": {"replicas": prefill, "gpu": gpu}, "decode": {"replicas": decode, "gpu": gpu}}
    return Spec.model_validate({"serving": {"mode": "disaggregated"}, "scaling": scaling})


def surge(extra: int) -> tuple[ObjectChange, ...]:
    change = ObjectChange(action=Action.CHANGED, api_version="v1", kind="Server", name="x", surge_replicas=extra)
    return (replace(change, surge=("spec",)), change)


MEANWHILE: dict[str, tuple[Spec | None, Spec, How, int, dict[str, int]]] = {
    "in place up": (spec(1, 2), spec(3, 2), How.IN_PLACE, 0, {"a/gpu": 6}),
    "in place down": (spec(3, 2), spec(1, 2), How.IN_PLACE, 0, {"a/gpu": 2}),
    "recreate up": (spec(1, 2), spec(3, 2), How.RECREATE, 0, {"a/gpu": 6}),
    "recreate down": (spec(3, 2), spec(1, 2), How.RECREATE, 0, {"a/gpu": 6}),
    "recreate with other GPUs": (spec(1, 2), spec(1, 4, "b/gpu"), How.RECREATE, 0, {"a/gpu": 2, "b/gpu": 4}),
    "create": (None, spec(2, 4), How.CREATE, 0, {"a/gpu": 8}),
    "a second set": (spec(2, 4), spec(3, 4), How.SURGE, 0, {"a/gpu": 20}),
    "one replica more": (spec(2, 4), spec(2, 4), How.SURGE, 1, {"a/gpu": 12}),
    "one more while growing": (spec(2, 4), spec(5, 4), How.SURGE, 1, {"a/gpu": 24}),
    "one more while shrinking": (spec(5, 4), spec(2, 4), How.SURGE, 1, {"a/gpu": 20}),
    "one more, smaller": (spec(2, 4), spec(2, 1), How.SURGE, 1, {"a/gpu": 9}),
    "one more, bigger": (spec(2, 1), spec(2, 4), How.SURGE, 1, {"a/gpu": 9}),
    "one more of another type": (spec(2, 1), spec(2, 4, "b/gpu"), How.SURGE, 1, {"a/gpu": 2, "b/gpu": 8}),
    "more than there are": (spec(1, 2), spec(1, 2), How.SURGE, 5, {"a/gpu": 4}),
    "from none": (spec(0, 2), spec(2, 2), How.SURGE, 1, {"a/gpu": 4}),
    "a surge of roles": (roles(1, 2), roles(1, 2), How.SURGE, 1, {"a/gpu": 10}),
    "roles instead of replicas": (spec(2, 4), roles(1, 1), How.SURGE, 1, {"a/gpu": 12}),
    "no GPUs": (spec(2, 0), spec(3, 0), How.SURGE, 1, {}),
}


@pytest.mark.parametrize("name", MEANWHILE)
def test_gpus_meanwhile(name: str) -> None:
    old, new, how, extra, expected = MEANWHILE[name]
    assert dict(count_gpus(old, new, how, surge(extra)).meanwhile) == expected


DOWNTIMES = {
    "in place": (spec(1, 1), spec(2, 1), How.IN_PLACE, Downtime.NONE),
    "to zero": (spec(1, 1), spec(0, 1), How.IN_PLACE, Downtime.SCALED_TO_ZERO),
    "recreate": (spec(1, 1), spec(1, 1), How.RECREATE, Downtime.UNTIL_READY),
    "recreate of nothing that serves": (spec(0, 1), spec(1, 1), How.RECREATE, Downtime.NONE),
    "recreate with nothing": (spec(1, 1), spec(0, 1), How.RECREATE, Downtime.SCALED_TO_ZERO),
    "surge": (spec(1, 1), spec(1, 1), How.SURGE, Downtime.ROLLING),
    "refused": (spec(1, 1), spec(1, 1), How.REFUSED, Downtime.NONE),
    "roles": (roles(1, 1), roles(1, 0), How.RECREATE, Downtime.UNTIL_READY),
    "create": (None, spec(1, 1), How.CREATE, Downtime.NONE),
}


@pytest.mark.parametrize("name", DOWNTIMES)
def test_downtime(name: str) -> None:
    old, new, how, expected = DOWNTIMES[name]
    assert find_downtime(old, new, how) is expected


WORKERS = {"spec": {"workers": [{"name": "b", "image": "x"}, {"image": "y"}, 3], "roles": {"p": {"n": 1}, "q": {}}}}
CONFIG = {"spec": {"config": json.dumps({"apps": [{"args": {"a": 1}}]}), "text": "{no json", "list": "[1, 2]"}}
VALUES: dict[str, tuple[Any, str, Any]] = {
    "a step": (WORKERS, "spec.roles.p", {"n": 1}),
    "nothing there": (WORKERS, "spec.nowhere.p", None),
    "items by name or place": (WORKERS, "spec.workers[].image", {"b": "x", "1": "y"}),
    "values of a map": (WORKERS, "spec.roles[].n", {"p": 1}),
    "whole items": (WORKERS, "spec.roles[]", {"p": {"n": 1}, "q": {}}),
    "no item has it": (WORKERS, "spec.workers[].nothing", None),
    "items of no list": (WORKERS, "spec.workers[].image[].x", None),
    "a text that is JSON": (CONFIG, "spec.config.apps[].args.a", {"0": 1}),
    "a text that is none": (CONFIG, "spec.text.apps", None),
    "a text as it is": (CONFIG, "spec.text", "{no json"),
    "a list in a text": (CONFIG, "spec.list[]", {"0": 1, "1": 2}),
    "a step into a list": (CONFIG, "spec.list.a", None),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_declared_path_finds_its_values(name: str) -> None:
    obj, path, expected = VALUES[name]
    assert value_at(obj, path) == expected


@pytest.mark.parametrize(
    ("kind", "how", "downtime", "gpus"),
    [
        ({"restart": ("spec.memory",)}, How.IN_PLACE, Downtime.RESTART, 1),
        ({"surge": ("spec.memory",)}, How.SURGE, Downtime.ROLLING, 2),
        ({"surge": ("spec.memory",), "restart": ("spec.memory",)}, How.SURGE, Downtime.ROLLING, 2),
        ({"surge": ("spec.gone",), "restart": ("spec.replicas",)}, How.IN_PLACE, Downtime.NONE, 1),
    ],
    ids=["restart", "surge", "both", "neither"],
)
def test_what_a_kind_declares_says_how(world: Any, kind: Any, how: How, downtime: Downtime, gpus: int) -> None:
    plain = world.hooks.render
    declared: list[Kind] = []

    def with_kind(provider: str, request: Any) -> Any:
        rendering = plain(provider, request)
        if not declared:
            declared.append(replace(rendering.primary.kind, **kind))
        body = {"spec": {**rendering.primary.body["spec"], "memory": request.spec.resources.memory or "1Gi"}}
        return replace(rendering, primary=replace(rendering.primary, kind=declared[0], body=body))

    world.hooks.render = with_kind
    provider: Provider = world.providers["acme"].provider
    carries = provider.engines[0].carries | {"resources.memory"}
    changed = replace(provider.kinds[0], **kind)
    world.providers["acme"] = world.facts(
        replace(
            provider, kinds=(changed, *provider.kinds[1:]), engines=(replace(provider.engines[0], carries=carries),)
        )
    )
    world.deployment["spec"]["resources"] = {"gpu": {"count": 1}}
    world.settle()
    update = edit(world, resources={"gpu": {"count": 1}, "memory": "2Gi"})
    assert (update.how, update.downtime) == (how, downtime)
    assert update.gpus.meanwhile == {"nvidia.com/gpu": gpus}


DEPLOYMENT = Kind(group="apps", name="Deployment", versions=("v1",), surge=("spec.template",))
STRATEGIES: dict[str, tuple[Any, int, int, Downtime]] = {  # strategy, replicas, how many end first
    "none said": (None, 1, 0, Downtime.NONE),
    "one more": ({"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}, 1, 0, Downtime.NONE),
    "one less of one": ({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}, 1, 1, Downtime.RESTART),
    "one less of three": ({"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}, 3, 1, Downtime.ROLLING),
    "a share": ({"rollingUpdate": {"maxSurge": "0%", "maxUnavailable": "25%"}}, 1, 1, Downtime.RESTART),
    "all": ({"type": "Recreate"}, 3, 32, Downtime.RESTART),
}


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_strategy_of_a_deployment_says_who_ends_first(name: str) -> None:
    strategy, replicas, count, downtime = STRATEGIES[name]
    body = {"spec": {"strategy": strategy}}
    assert count_ended_first(DEPLOYMENT, body) == count
    assert count_ended_first(replace(DEPLOYMENT, group="other.dev"), body) == 0
    change = replace(surge(0)[1], ends_first=count)
    assert find_downtime(spec(replicas, 1), spec(replicas, 1), How.IN_PLACE, (change,)) is downtime


# ---- what applying a file leaves ----

MODEL = {"model": {"id": "a/b"}}
SCALED = {**MODEL, "scaling": {"replicas": 3}}
ARGS = {**MODEL, "engine": {"args": {"dtype": "half", "x": "1"}}}

MERGES: dict[str, tuple[Any, Any, Any, Any]] = {
    "what was applied and is left out goes": (SCALED, SCALED, MODEL, MODEL),
    "what others set stays": (SCALED, MODEL, MODEL, SCALED),
    "what the file names wins": (
        SCALED,
        MODEL,
        {**MODEL, "scaling": {"replicas": 5}},
        {**MODEL, "scaling": {"replicas": 5}},
    ),
    "a part of a map goes": (
        ARGS,
        ARGS,
        {**MODEL, "engine": {"args": {"x": "1"}}},
        {**MODEL, "engine": {"args": {"x": "1"}}},
    ),
    "a part of a map stays": (
        ARGS,
        {**MODEL, "engine": {"args": {"x": "1"}}},
        MODEL,
        {**MODEL, "engine": {"args": {"dtype": "half"}}},
    ),
    "null takes out": (SCALED, MODEL, {**MODEL, "scaling": {"replicas": None}}, {**MODEL, "scaling": {}}),
    "another type takes its place": (MODEL, MODEL, {"model": "x"}, {"model": "x"}),
}


def live(spec: Any, **meta: Any) -> dict[str, Any]:
    return {
        "apiVersion": "kubeairunway.ai/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "one", "namespace": "ml", "uid": "u", "generation": 4, **meta},
        "spec": spec,
    }


def document(spec: Any, **annotations: str) -> dict[str, Any]:
    return {"metadata": {"name": "one", "annotations": annotations}, "spec": spec}


@pytest.mark.parametrize("name", MERGES)
def test_a_file_is_merged_as_client_side_apply_does(name: str) -> None:
    now, last, given, expected = MERGES[name]
    was = live(now, annotations={LAST_APPLIED: json.dumps({"spec": last})})
    assert apply_document(was, document(given)).deployment["spec"] == expected


def fields_of(value: Any) -> Any:
    return {f"f:{key}": fields_of(item) for key, item in value.items()} if isinstance(value, Mapping) else {}


@pytest.mark.parametrize("name", MERGES)
def test_a_file_is_merged_as_server_side_apply_does(name: str) -> None:
    now, last, given, expected = MERGES[name]
    entries = [
        {"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": fields_of(last)}},
        {"manager": "scaler", "operation": "Update", "fieldsV1": {"f:spec": fields_of(now)}},
        {
            "manager": "kubeairunway",
            "operation": "Apply",
            "subresource": "status",
            "fieldsV1": {"f:spec": fields_of(now)},
        },
    ]
    # What client-side apply left behind says that all of it was set; who applies on the server's side decides.
    left = {LAST_APPLIED: json.dumps({"spec": now})}
    was = live(now, managedFields=entries, annotations=left)
    assert apply_document(was, document(given)).deployment["spec"] == expected


@pytest.mark.parametrize("last", ["{", "[]", "null", '"x"'])
def test_an_annotation_that_somebody_broke_removes_nothing(last: str) -> None:
    was = live(SCALED, annotations={LAST_APPLIED: last})
    assert apply_document(was, document(MODEL)).kept == ("spec.scaling.replicas",)


def test_what_the_api_server_fills_in_is_no_change() -> None:
    filled = {**MODEL, "scaling": {"replicas": 1}, "resources": {"gpu": {"count": 0, "type": "nvidia.com/gpu"}}}
    same = apply_document(live(filled), document({**MODEL, "resources": {"gpu": {}}}), whole=True)
    assert same.deployment["metadata"]["generation"] == 4
    more = apply_document(live(filled), document({**MODEL, "image": ""}), whole=True)
    assert more.deployment["metadata"]["generation"] == 5


PAUSED = "kubeairunway.ai/reconcile-paused"
PAUSES = {
    "set by the file": ({}, "", {PAUSED: "true"}, "true"),
    "set by hand": ({PAUSED: "true"}, "", {}, "true"),
    "set by an earlier file": ({PAUSED: "true"}, PAUSED, {}, None),
    "changed by the file": ({PAUSED: "true"}, "", {PAUSED: "false"}, "false"),
}


@pytest.mark.parametrize("name", PAUSES)
def test_a_pause_stays_unless_the_file_had_set_it(name: str) -> None:
    annotations, last, given, expected = PAUSES[name]
    applied = json.dumps({"metadata": {"annotations": {last: "true"}}, "spec": MODEL})
    was = live(MODEL, annotations={**annotations, LAST_APPLIED: applied})
    wanted = apply_document(was, document(MODEL, **given)).deployment
    assert wanted["metadata"]["annotations"].get(PAUSED) == expected
    assert LAST_APPLIED in wanted["metadata"]["annotations"]


def test_changed_paths_are_leaves_and_whole_parts() -> None:
    old = Spec.model_validate({**MODEL, "env": [{"name": "A", "value": "1"}]})
    new = Spec.model_validate({"model": {"id": "a/c"}, "scaling": {"prefill": {}}, "engine": {"args": {"x": ""}}})
    assert changed_paths(old, new) == ("model.id", "engine.args", "scaling.prefill", "env")
    assert changed_paths(new, new) == ()


# ---- which field does what ----


def edit(world: Any, **fields: Any) -> Update:
    """What laying fields over the spec comes to, without doing it."""
    wanted = deepcopy(world.deployment)
    wanted["spec"] = {**wanted["spec"], **fields}
    wanted["metadata"]["generation"] += 1
    return preview_update(world.snapshot(), Wanted(wanted), world.hooks, Expressions())


@pytest.fixture
def acme_with(running: Any) -> Callable[..., Provider]:
    """Makes the provider of these tests with more fields carried."""
    provider: Provider = running.providers["acme"].provider

    def make(*fields: str) -> Provider:
        engine: Engine = provider.engines[0]
        return replace(provider, engines=(replace(engine, carries=engine.carries | set(fields)),))

    return make


def test_each_field_is_judged_alone(running: Any) -> None:
    update = edit(running, scaling={"replicas": 2}, model={"id": "acme/big"}, resources={"gpu": {"count": 2}})
    assert update.how is How.RECREATE
    assert {field.path: (field.how, field.reason) for field in update.fields} == {
        "spec.model.id": (How.RECREATE, "it is for another model, provider, engine or mode"),
        "spec.scaling.replicas": (How.IN_PLACE, ""),
        "spec.resources.gpu.count": (How.RECREATE, "spec.gpus cannot change in place"),
    }
    paths = {field.path: [change.paths for change in field.objects] for field in update.fields}
    assert paths["spec.scaling.replicas"] == [("spec.replicas",)]


def test_what_is_taken_out_of_an_object_is_a_change_of_it(running: Any) -> None:
    plain = running.hooks.render

    def with_note(provider: str, request: Any) -> Any:
        rendering = plain(provider, request)
        more = {"note": "x"} if request.spec.scaling.replicas == 1 else {}
        body = {"spec": {**rendering.primary.body["spec"], **more}}
        return replace(rendering, primary=replace(rendering.primary, body=body))

    running.hooks.render = with_note
    running.settle()
    update = edit(running, scaling={"replicas": 2})
    assert [change.paths for change in update.objects] == [("spec.replicas", "spec.note")]


def test_a_field_that_cannot_change_alone_is_said_of_the_whole(running: Any, acme_with: Any) -> None:
    running.providers["acme"] = running.facts(acme_with("image", "engine.image"))
    plain = running.hooks.render

    def with_image(provider: str, request: Any) -> Any:
        rendering = plain(provider, request)
        body = {"spec": {**rendering.primary.body["spec"], "image": request.spec.image}}
        return replace(rendering, primary=replace(rendering.primary, body=body))

    running.hooks.render = with_image
    running.spec(image="a", engine={"image": "a"})
    running.settle()
    update = edit(running, image="b", engine={"image": "b"}, scaling={"replicas": 2})
    assert [(field.path, field.how, field.together) for field in update.fields] == [
        ("spec.engine.image", How.IN_PLACE, True),
        ("spec.scaling.replicas", How.IN_PLACE, False),
        ("spec.image", How.IN_PLACE, True),
    ]
    assert update.how is How.IN_PLACE


def test_a_refused_edit_names_the_field_and_leaves_all_as_it_is(running: Any) -> None:
    update = edit(running, resources={"gpu": {"count": 3}}, scaling={"replicas": 2})
    assert update.how is How.REFUSED
    assert "use 1, 2, 4 or 8" in update.reason
    assert {field.path: field.how for field in update.fields} == {
        "spec.resources.gpu.count": How.REFUSED,
        "spec.scaling.replicas": How.IN_PLACE,
    }
    assert update.objects == ()
    assert update.before == update.after
    assert update.gpus.before == update.gpus.after


def test_drift_that_is_being_undone_is_no_part_of_the_edit(running: Any) -> None:
    kind, name = next(key for key in running.objects if key[0].name == "ModelServer")
    running.edit(kind, name, memory="9Gi")
    update = edit(running, scaling={"replicas": 1})
    assert (update.how, update.pending, update.objects) == (How.NOTHING, False, ())


def test_what_the_controller_has_still_to_do_is_said(running: Any) -> None:
    running.spec(scaling={"replicas": 4})
    update = edit(running)
    assert (update.pending, update.how) == (True, How.IN_PLACE)


def test_gpus_of_an_earlier_revision_are_not_known(running: Any) -> None:
    running.spec(resources={"gpu": {"count": 3}})
    running.settle()
    assert running.condition("Stalled") == ("True", "IncompatibleConfiguration")
    update = edit(running, resources={"gpu": {"count": 4}})
    assert (update.how, update.earlier, update.pending) == (How.RECREATE, True, False)
    assert (update.gpus.before, update.gpus.meanwhile) == ({}, {"nvidia.com/gpu": 4})
    assert [change.paths for change in update.objects if change.kind == "ModelServer"] == [("spec.gpus",)]
    assert edit(running, resources={"gpu": {"count": 0}}).how is How.NOTHING


def test_a_hook_that_fails_makes_the_edit_wait(running: Any) -> None:
    running.hooks.fail.add("render")
    update = edit(running, scaling={"replicas": 2})
    assert (update.how, update.held and update.held.reason) == (How.WAITS, "ProviderError")


def test_passes_end_though_a_provider_never_settles(running: Any) -> None:
    numbers = iter(range(100))
    hooks = running.hooks
    plain = hooks.render

    def restless(provider: str, request: Any) -> Any:
        rendering = plain(provider, request)
        body = {"spec": {**rendering.primary.body["spec"], "tick": next(numbers)}}
        return replace(rendering, primary=replace(rendering.primary, body=body))

    hooks.render = restless
    assert len(follow_passes(running.snapshot(), hooks, Expressions()).plans) == 8
