"""Hooks that change what they were given, that are not pure, and declarations made of hostile values."""

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest

from kubeairunway.errors import HookError
from kubeairunway.plugin import (
    Engine,
    Kind,
    Manifest,
    Observed,
    Provider,
    Rendering,
    Report,
    Request,
    Spec,
    State,
    View,
)
from kubeairunway.plugin.registry import LoadState, Registry

Works = Callable[[Registry], None]

THING = Kind(group="things.dev", name="Thing", versions=("v1",))


def thing(spec: Any) -> Rendering:
    return Rendering(Manifest(THING, {"spec": spec}))


class Hostile(str):
    """Text that is equal to everything, or raises when it is compared outside the package's thread."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    __hash__ = str.__hash__


def steal(request: Request) -> None:
    """Change a request as far as Python allows."""
    object.__setattr__(request, "name", "kube-root-ca.crt")
    object.__setattr__(request, "namespace", "kube-system")
    vars(request.spec.model)["id"] = "stolen"
    vars(request.spec.env[0])["value"] = "stolen"
    object.__setattr__(request, "versions", {})


@pytest.mark.parametrize("hook", ["validate", "select", "render", "status"])
def test_what_a_hook_does_to_its_request_reaches_nobody(hook: str, make_module: Any, load: Any, ask: Any) -> None:
    results: dict[str, Any] = {
        "validate": (),
        "select": None,
        "render": thing({}),
        "status": Report(state=State.WAITING, generation=0),
    }

    def one(request: Request) -> Any:
        steal(request)
        return results[hook]

    def two(request: Request, observed: Observed) -> Any:  # noqa: ARG001 - the contract's arguments
        steal(request)
        return results[hook]

    registry = load({"thing": make_module(**{hook: two if hook == "status" else one})})
    request = ask(env=[{"name": "A", "value": "b"}])
    before = request.spec.model_dump_json()
    if hook == "status":
        registry.status("thing", request, Observed(View({})))
    else:
        getattr(registry, hook)("thing", request)
    assert (request.name, request.namespace) == ("demo", "team")
    assert request.spec.model_dump_json() == before
    assert dict(request.versions) == {THING: "v1"}


def test_what_status_does_to_the_live_objects_stays_out_of_the_cache(make_module: Any, load: Any, ask: Any) -> None:
    def status(request: Request, observed: Observed) -> Report:  # noqa: ARG001 - the contract's arguments
        for view in (observed.primary, observed.others[THING, "x"], observed.children[THING][0]):
            raw: Any = view.raw
            raw["status"]["conditions"].clear()
            raw["metadata"]["resourceVersion"] = "1"
        return Report(state=State.WAITING, generation=0)

    def live() -> dict[str, Any]:
        return {"metadata": {"resourceVersion": "7"}, "status": {"conditions": [{"type": "Ready"}]}}

    primary, other, child = live(), live(), live()
    registry = load({"thing": make_module(status=status)})
    observed = Observed(View(primary), {(THING, "x"): View(other)}, {THING: (View(child),)})
    registry.status("thing", ask(), observed)
    assert primary == other == child == live()


def test_parts_of_the_spec_in_a_body_are_rendered_as_in_yaml(make_module: Any, load: Any, ask: Any) -> None:
    def render(request: Request) -> Rendering:
        spec: Spec = request.spec
        return thing({"env": spec.env, "tolerations": list(spec.tolerations), "gpu": spec.resources.gpu})

    spec = {
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}, {"name": "B", "value": ""}],
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "resources": {"gpu": {"count": 0}},
    }
    registry = load({"thing": make_module(render=render)})
    found = registry.render("thing", ask(**spec)).primary.body["spec"]
    assert found == {
        "env": spec["env"],
        "tolerations": spec["tolerations"],
        "gpu": {"count": 0, "type": "nvidia.com/gpu"},
    }


def test_a_rendering_that_differs_for_the_same_request_is_refused(
    make_module: Any, load: Any, ask: Any, still_works: Works
) -> None:
    numbers = itertools.count()
    registry = load({"thing": make_module(render=lambda request: thing(next(numbers)))})  # noqa: ARG005 - the contract's argument
    assert registry.render("thing", ask()).primary.body == {"spec": 0}
    with pytest.raises(HookError, match="render: the same request gave other objects than before; leave out times"):
        registry.render("thing", ask())
    assert registry.render("thing", ask(scaling={"replicas": 2})).primary.body == {"spec": 2}
    still_works(registry)


def test_a_pure_rendering_may_be_asked_for_as_often_as_needed(make_module: Any, load: Any, ask: Any) -> None:
    registry = load({"thing": make_module()})
    renderings = [registry.render("thing", ask(model={"id": name})) for name in ("a", "a", "b", "a")]
    assert [rendering.primary.body["spec"]["model"] for rendering in renderings] == ["a", "a", "b", "a"]


TOO_MUCH: dict[str, Callable[[], Any]] = {
    "one long text": lambda: {"a": "x" * 4_000_000},
    "many texts": lambda: {"a": ["x" * 1000] * 4000},
}


@pytest.mark.parametrize("case", TOO_MUCH)
def test_an_object_that_no_api_server_takes_is_refused_before_it_is_copied(
    case: str, make_module: Any, load: Any, ask: Any
) -> None:
    registry = load({"thing": make_module(render=lambda request: thing(TOO_MUCH[case]()))})  # noqa: ARG005 - the contract's argument
    with pytest.raises(HookError, match="makes the object longer than 3145728 characters"):
        registry.render("thing", ask())


REPORTS: dict[str, tuple[dict[str, Any], str]] = {
    "a service that is no name": ({"service": "X Y/z", "port": 80}, "Report.service is 'X Y/z'; give the name of"),
    "a service without a port": ({"service": "model"}, "Report.service is given without Report.port"),
    "pods that are no selector": ({"pods": "!!bad=="}, "Report.pods is '!!bad=='; give a label selector"),
}


@pytest.mark.parametrize("case", REPORTS)
def test_a_report_that_would_mislead_readers_of_the_status_is_refused(
    case: str, make_module: Any, load: Any, ask: Any
) -> None:
    fields, message = REPORTS[case]
    report = Report(state=State.RUNNING, generation=1, **fields)
    registry = load({"thing": make_module(status=lambda request, observed: report)})  # noqa: ARG005 - the contract's arguments
    with pytest.raises(HookError, match=message):
        registry.status("thing", ask(), Observed(View({})))


@pytest.mark.parametrize("pods", ["", "app=model", "a.dev/b==c, d in (e, f),!g", "tier notin (x)", "app"])
def test_label_selectors_of_every_form_are_taken(pods: str, make_module: Any, load: Any, ask: Any) -> None:
    report = Report(state=State.RUNNING, generation=1, pods=pods)
    registry = load({"thing": make_module(status=lambda request, observed: report)})  # noqa: ARG005 - the contract's arguments
    assert registry.status("thing", ask(), Observed(View({}))).pods == pods


def test_a_declaration_is_kept_in_plain_values(make_module: Any, load: Any, still_works: Works) -> None:
    class Derived(Kind):
        __slots__ = ()

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("compared")

        __hash__ = Kind.__hash__

    def provider() -> Provider:
        kind = Derived(group=Hostile("things.dev"), name="Thing", versions=(Hostile("v1"),))
        engine = Engine(name="vllm", carries=frozenset({Hostile("model.id")}))
        return Provider(name=Hostile("thing"), contract=1, kinds=(kind,), engines=(engine,))

    registry = load({"thing": make_module(provider=provider)})
    declared = registry.providers["thing"]
    assert declared.name == "thing"
    assert [type(value) for value in (declared.name, declared.kinds[0], declared.kinds[0].group)] == [str, Kind, str]
    assert {type(path) for engine in declared.engines for path in engine.carries} == {str}
    still_works(registry)


TOO_LONG: dict[str, tuple[dict[str, Any], str]] = {
    "docs": ({"docs": "x" * 2049}, "docs is 2049 long; at most 2048 are possible"),
    "kinds": (
        {"kinds": tuple(Kind(group="a.dev", name=f"K{number}", versions=("v1",)) for number in range(33))},
        "kinds is 33 long; at most 32",
    ),
    "versions": (
        {"kinds": (Kind(group="a.dev", name="K", versions=tuple(f"v{number}" for number in range(1, 18))),)},
        r"kinds\[0\].versions is 17 long; at most 16",
    ),
    "operator": ({"operator": {f"l{number}": "x" for number in range(17)}}, "operator is 17 long; at most 16"),
}


@pytest.mark.parametrize("case", TOO_LONG)
def test_a_declaration_longer_than_its_config_can_show_is_refused(case: str, make_module: Any, load: Any) -> None:
    fields, message = TOO_LONG[case]
    engines = (Engine(name="vllm", carries=frozenset({"model.id"})),)
    declared = Provider(**{"name": "thing", "contract": 1, "kinds": (THING,), "engines": engines, **fields})
    package = load({"thing": make_module(provider=lambda: declared)}).get("thing")
    assert package.state is LoadState.FAILED
    assert re.search(message, package.reason)
