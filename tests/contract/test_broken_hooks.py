"""A hook that raises, returns nonsense or does not return fails that one call, and its neighbour goes on."""

import itertools
import types
from collections.abc import Callable, Iterator
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.errors import HookError, HookTimeoutError
from kubeairunway.plugin import (
    SERVICE,
    Bid,
    Engine,
    Kind,
    Manifest,
    Observed,
    Problem,
    Provider,
    Rendering,
    Report,
    Request,
    State,
    View,
)
from kubeairunway.plugin.registry import Registry

if TYPE_CHECKING:
    from kubeairunway.plugin.calls import HookCalls

THING = Kind(group="things.dev", name="Thing", versions=("v1",))
CALLED = ("validate", "select", "render", "status")

Works = Callable[[Registry], None]


def call(registry: Registry, hook: str, request: Request) -> Any:
    """Call a hook of the broken provider."""
    if hook == "status":
        return registry.status("thing", request, Observed(View({})))
    return getattr(registry, hook)("thing", request)


def answer(hook: str, function: Callable[[], Any]) -> Callable[..., Any]:
    """An implementation of that hook that does what `function` does."""
    if hook == "status":
        return lambda request, observed: function()  # noqa: ARG005 - the contract's arguments
    return lambda request: function()  # noqa: ARG005 - the contract's argument


def thing(spec: Any = None, **fields: Any) -> Rendering:
    """A rendering of one Thing."""
    return Rendering(Manifest(THING, {"spec": spec} if "body" not in fields else fields.pop("body"), **fields))


def report(**fields: Any) -> Report:
    return Report(**{"state": State.RUNNING, "generation": 1, **fields})


def endless() -> Iterator[Problem]:
    return (Problem("spec", "Code", str(number)) for number in itertools.count())


def breaks_off() -> Iterator[Problem]:
    yield Problem("spec", "Code", "first")
    raise RuntimeError("read too far")


class Unreadable(Exception):  # noqa: N818 - its message is what matters
    def __str__(self) -> str:
        raise ValueError("no words")


def cyclic() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["again"] = value
    return value


def wide() -> list[Any]:
    value: list[Any] = []
    value.extend([value, value])
    return value


RAISED: dict[str, tuple[BaseException, str]] = {
    "exception": (ValueError("bad luck"), r"ValueError: bad luck \(contract/test_broken_hooks.py:\d+\)"),
    "exit": (SystemExit(2), r"SystemExit: 2 \(contract/test_broken_hooks.py:\d+\)"),
    "interrupt": (KeyboardInterrupt(), "KeyboardInterrupt"),
    "generator exit": (GeneratorExit(), "GeneratorExit"),
    "recursion": (RecursionError("too deep"), "RecursionError: too deep"),
    "memory": (MemoryError(), "MemoryError"),
    "stop iteration": (StopIteration("end"), "StopIteration: end"),
    "long message": (ValueError("x" * 10_000), r"x{480,}\.\.\."),
    "unreadable": (Unreadable(), r"Unreadable: \(its message cannot be read: ValueError\)"),
}


@pytest.mark.parametrize("hook", CALLED)
@pytest.mark.parametrize("case", RAISED)
def test_whatever_a_hook_raises_becomes_a_hook_error(
    case: str, hook: str, make_module: Any, load: Any, ask: Any, still_works: Works
) -> None:
    error, message = RAISED[case]

    def fail() -> None:
        raise error

    registry = load({"thing": make_module(**{hook: answer(hook, fail)})})
    with pytest.raises(HookError, match=message) as caught:
        call(registry, hook, ask())
    assert (caught.value.provider, caught.value.operation) == ("thing", hook)
    assert "Traceback" not in str(caught.value)
    still_works(registry)


NONSENSE = {"number": 7, "text": "yes", "mapping": {"a": 1}, "class": Report, "object": object(), "list": ["x"]}


@pytest.mark.parametrize("hook", CALLED)
@pytest.mark.parametrize("case", NONSENSE)
def test_a_result_of_another_type_is_refused_by_every_hook(
    case: str, hook: str, make_module: Any, load: Any, ask: Any, still_works: Works
) -> None:
    registry = load({"thing": make_module(**{hook: answer(hook, lambda: NONSENSE[case])})})
    with pytest.raises(HookError, match=r"returned .*; return an? "):
        call(registry, hook, ask())
    still_works(registry)


@pytest.mark.parametrize("hook", ["validate", "render", "status"])
def test_returning_nothing_is_refused_where_something_is_due(
    hook: str, make_module: Any, load: Any, ask: Any, still_works: Works
) -> None:
    registry = load({"thing": make_module(**{hook: answer(hook, lambda: None)})})
    with pytest.raises(HookError, match=r"returned None; return an? "):
        call(registry, hook, ask())
    still_works(registry)


RESULTS: dict[str, tuple[str, Callable[[], Any], str]] = {
    "a problem without a path": ("validate", lambda: [Problem(None, "A", "b")], "Problem.path is None"),  # type: ignore[arg-type]  # the mistake under test
    "a problem with a number": ("validate", lambda: [Problem("spec", "A", 3)], "Problem.message is 3"),  # type: ignore[arg-type]  # the mistake under test
    "a problem without words": ("validate", lambda: [Problem("spec", "A", "")], "Problem.message is empty"),
    "a warning that is text": ("validate", lambda: [Problem("spec", "A", "b", "no")], "Problem.warning is 'no'"),  # type: ignore[arg-type]  # the mistake under test
    "problems without end": ("validate", endless, "returned more than 256 items"),
    "problems that break off": ("validate", breaks_off, "RuntimeError: read too far"),
    "a single problem": ("validate", lambda: Problem("spec", "A", "b"), "return an iterable of Problem"),
    "a bid above 100": ("select", lambda: Bid(101, "mine"), "Bid.priority is 101; give an integer from 0 to 100"),
    "a bid below 0": ("select", lambda: Bid(-1, "mine"), "Bid.priority is -1"),
    "a bid of True": ("select", lambda: Bid(True, "mine"), "Bid.priority is True"),  # noqa: FBT003 - the mistake under test
    "a bid of a fraction": ("select", lambda: Bid(0.5, "mine"), "Bid.priority is 0.5"),  # type: ignore[arg-type]  # the mistake under test
    "a bid without a reason": ("select", lambda: Bid(5, None), "Bid.reason is None"),  # type: ignore[arg-type]  # the mistake under test
    "a lazy rendering": ("render", lambda: (x for x in [thing()]), "returned .*generator; return a Rendering"),
    "an undeclared kind": ("render", lambda: Rendering(Manifest(SERVICE, {})), "is Service, which provider"),
    "a kind that is text": ("render", lambda: Rendering(Manifest("Thing", {})), "is 'Thing', which provider"),  # type: ignore[arg-type]  # the mistake under test
    "no primary": ("render", lambda: Rendering(None), "a Manifest in Rendering.primary"),  # type: ignore[arg-type]  # the mistake under test
    "after is no tuple": (
        "render",
        lambda: Rendering(thing().primary, after=3),  # type: ignore[arg-type]  # the mistake under test
        "a tuple of Manifest in Rendering.after",
    ),
    "metadata": ("render", lambda: thing(body={"metadata": {"namespace": "kube-system"}}), "has metadata, which is"),
    "status": ("render", lambda: thing(body={"status": {}}), "has status, which is the core's"),
    "apiVersion": ("render", lambda: thing(body={"apiVersion": "v1"}), "has apiVersion"),
    "kind": ("render", lambda: thing(body={"kind": "Pod"}), "has kind"),
    "body is text": ("render", lambda: thing(body="spec: {}"), "body is 'spec: {}'; give a mapping"),
    "not a number": ("render", lambda: thing({"a": [float("nan")]}), r"body.spec.a\[0\] is nan, which JSON"),
    "infinity": ("render", lambda: thing(float("inf")), "body.spec is inf"),
    "a set": ("render", lambda: thing({"a": {1}}), "body.spec.a is an instance of set"),
    "bytes": ("render", lambda: thing(b"x"), "body.spec is an instance of bytes"),
    "an object": ("render", lambda: thing(THING), "body.spec is an instance of .*Kind"),
    "a key that is a number": ("render", lambda: thing({1: "a"}), "has the key 1; keys are strings"),
    "a huge number": ("render", lambda: thing(2**63), "integers of 64 bits"),
    "half a surrogate pair": ("render", lambda: thing("\ud800"), "half a surrogate pair"),
    "itself inside": ("render", lambda: thing(cyclic()), "nested deeper than 64 levels"),
    "itself twice inside": (
        "render",
        lambda: thing(wide()),
        "(nested deeper than 64 levels|larger than 100000 values)",
    ),
    "a bad suffix": ("render", lambda: thing(suffix="No_"), "suffix is 'No_'; use lower-case letters"),
    "our label": ("render", lambda: thing(labels={"kubeairunway.ai/x": "y"}), "the prefix kubeairunway.ai/ is"),
    "our annotation": ("render", lambda: thing(annotations={"kubeairunway.ai/x": "y"}), "the prefix kubeairunway.ai/"),
    "a label that is a number": ("render", lambda: thing(labels={"a": 1}), r"labels\['a'\] is 1; give a string"),
    "a label with blanks": ("render", lambda: thing(labels={"a": "b c"}), "a label's value has at most 63"),
    "a label without a name": ("render", lambda: thing(labels={"": "b"}), "which Kubernetes refuses"),
    "the same object twice": (
        "render",
        lambda: Rendering(thing().primary, after=(thing().primary,)),
        "two objects are Thing with suffix ''",
    ),
    "a state that is text": ("status", lambda: report(state="Running"), "Report.state is 'Running'; give a member"),
    "negative replicas": ("status", lambda: report(ready=-1), "Report.ready is -1; give an integer from 0"),
    "replicas that are True": ("status", lambda: report(ready=True), "Report.ready is True"),
    "a generation that is text": ("status", lambda: report(generation="1"), "Report.generation is '1'"),
    "a port too high": ("status", lambda: report(port=65536), "Report.port is 65536; give an integer from 0 to 65535"),
    "roles that are a list": ("status", lambda: report(roles=[1]), "Report.roles is .*list; give a mapping"),
    "a role that is negative": ("status", lambda: report(roles={"decode": -2}), r"Report.roles\['decode'\] is -2"),
    "available that is text": ("status", lambda: report(available="2"), "Report.available is '2'"),
    "pods that are labels": ("status", lambda: report(pods={"a": "b"}), "Report.pods is .*dict; give a string"),
    "no message": ("status", lambda: report(message=None), "Report.message is None"),
}


@pytest.mark.parametrize("case", RESULTS)
def test_a_result_the_contract_does_not_allow_is_named_with_what_is_right(
    case: str, make_module: Any, load: Any, ask: Any, still_works: Works
) -> None:
    hook, function, message = RESULTS[case]
    registry = load({"thing": make_module(**{hook: answer(hook, function)})})
    with pytest.raises(HookError, match=message):
        call(registry, hook, ask())
    still_works(registry)


@pytest.mark.parametrize("hook", CALLED)
def test_a_hook_that_does_not_return_opens_the_circuit_of_its_provider_alone(
    hook: str, make_module: Any, load: Any, ask: Any, still_works: Works
) -> None:
    release, started = Event(), Event()

    def hang() -> None:
        started.set()
        release.wait(60)

    registry = load({"thing": make_module(**{hook: answer(hook, hang)})}, deadline=0.1)
    with pytest.raises(HookTimeoutError, match=rf"has not returned after 0.1 s \({hook} for team/demo"):
        call(registry, hook, ask())
    assert started.is_set()
    with pytest.raises(
        HookTimeoutError, match=rf"render: waits for an earlier call: {hook} for team/demo, running since"
    ):
        registry.render("thing", ask())
    running = registry.overrun("thing")
    assert running is not None
    assert running.operation == hook
    assert registry.overrun("acme") is None
    still_works(registry)
    release.set()


def test_a_hook_that_spins_lets_its_neighbour_work(make_module: Any, load: Any, ask: Any, still_works: Works) -> None:
    release = Event()

    def spin() -> None:
        while not release.is_set():
            pass

    registry = load({"thing": make_module(render=answer("render", spin))}, deadline=0.5)
    with pytest.raises(HookTimeoutError):
        registry.render("thing", ask())
    still_works(registry)
    release.set()


def test_the_registry_is_what_deciding_depends_on(load: Any) -> None:
    registry: Registry = load({})
    calls: HookCalls = registry
    assert all(callable(getattr(calls, hook)) for hook in CALLED)


def test_the_circuit_closes_when_the_call_returns(make_module: Any, load: Any, ask: Any) -> None:
    release = Event()

    def slow(request: Request) -> Rendering:  # noqa: ARG001 - the contract's argument
        release.wait(60)
        return thing({"late": True})

    registry = load({"thing": make_module(render=slow)}, deadline=0.1)
    with pytest.raises(HookTimeoutError):
        registry.render("thing", ask())
    release.set()
    guard = registry._loaded["thing"].guard
    assert guard._done.acquire(timeout=5)  # the late call hands its result over, and nobody takes it
    guard._done.release()
    assert registry.overrun("thing") is None
    assert registry.render("thing", ask()).primary.body == {"spec": {"late": True}}


def test_a_lazy_result_that_hangs_is_given_up(make_module: Any, load: Any, ask: Any, still_works: Works) -> None:
    release = Event()

    def validate(request: Request) -> Iterator[Problem]:  # noqa: ARG001 - the contract's argument
        yield Problem("spec", "First", "came at once")
        release.wait(60)

    registry = load({"thing": make_module(validate=validate)}, deadline=0.1)
    with pytest.raises(HookTimeoutError, match="validate: has not returned"):
        registry.validate("thing", ask())
    still_works(registry)
    release.set()


def test_what_a_package_does_to_its_result_later_changes_nothing(
    make_module: Any, load: Any, ask: Any, still_works: Works
) -> None:
    body: dict[str, Any] = {"spec": {"list": [1], "map": {"a": "b"}}}
    labels, roles = {"app": "thing"}, {"decode": 1}
    manifest = Manifest(THING, body, labels=labels)
    problem = Problem("spec", "Code", "before")
    module = make_module(
        render=lambda request: Rendering(manifest),  # noqa: ARG005 - the contract's argument
        validate=lambda request: [problem],  # noqa: ARG005 - the contract's argument
        status=lambda request, observed: report(roles=roles),  # noqa: ARG005 - the contract's arguments
    )
    registry = load({"thing": module})
    rendering, problems = registry.render("thing", ask()), registry.validate("thing", ask())
    state = registry.status("thing", ask(), Observed(View({})))
    body["spec"]["list"].append(2)
    body["spec"]["map"]["a"] = "c"
    body["metadata"] = {"namespace": "kube-system"}
    labels["app"] = roles["decode"] = 7  # type: ignore[assignment]  # a package may do anything
    object.__setattr__(manifest, "suffix", "stolen")
    object.__setattr__(problem, "message", "after")
    assert rendering.primary.body == {"spec": {"list": [1], "map": {"a": "b"}}}
    assert rendering.primary.suffix == ""
    assert dict(rendering.primary.labels) == {"app": "thing"}
    assert problems[0].message == "before"
    assert dict(state.roles) == {"decode": 1}
    still_works(registry)


def test_what_a_package_does_to_its_declaration_later_changes_nothing(make_module: Any, load: Any, ask: Any) -> None:
    kind = Kind(group="things.dev", name="Thing", versions=("v1",))
    engines = (Engine(name="vllm", carries=frozenset({"model.id"})),)
    declared = Provider(name="thing", contract=1, kinds=(kind,), engines=engines)
    registry = load({"thing": make_module(provider=lambda: declared)})
    object.__setattr__(declared, "name", "acme")
    object.__setattr__(kind, "max_name", 5)
    assert registry.providers["thing"].name == "thing"
    assert registry.providers["thing"].kinds[0].max_name == 63
    assert registry.render("thing", ask()).primary.kind is registry.providers["thing"].kinds[0]


def test_a_hook_that_a_package_leaves_out_has_nothing_to_say(make_module: Any, load: Any, ask: Any) -> None:
    registry = load({"thing": make_module()})
    assert registry.validate("thing", ask()) == ()
    assert registry.select("thing", ask()) is None


def test_plain_values_of_enums_and_read_only_maps_are_rendered_as_json(make_module: Any, load: Any, ask: Any) -> None:
    value = {"state": State.RUNNING, "map": types.MappingProxyType({"a": (1, 2.5, None, True)})}
    registry = load({"thing": make_module(render=lambda request: thing(value))})  # noqa: ARG005 - the contract's argument
    found = registry.render("thing", ask()).primary.body["spec"]
    assert found == {"state": "Running", "map": {"a": [1, 2.5, None, True]}}
    assert (type(found["state"]), type(found["map"]), type(found["map"]["a"])) == (str, dict, list)


def test_after_close_every_call_is_refused(make_module: Any, load: Any, ask: Any) -> None:
    registry = load({"thing": make_module()})
    registry.close()
    with pytest.raises(HookError, match="the registry is closed"):
        registry.render("thing", ask())


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        pytest.param(
            ((SERVICE, ""),), r"claims\[0\].kind is Service, which provider\(\) does not declare", id="undeclared"
        ),
        pytest.param(((THING, "No_"),), "suffix is 'No_'; use lower-case letters", id="a bad suffix"),
        pytest.param(((THING,),), "give a pair of Kind and suffix", id="no pair"),
        pytest.param((THING,), "a tuple of pairs in Rendering.claims", id="no tuple"),
    ],
)
def test_a_claim_is_a_pair_of_a_declared_kind_and_a_suffix(
    claims: Any, message: str, make_module: Any, load: Any, ask: Any, still_works: Works
) -> None:
    rendering = Rendering(thing().primary, claims=claims)
    registry = load({"thing": make_module(render=answer("render", lambda: rendering))})
    with pytest.raises(HookError, match=message):
        call(registry, "render", ask())
    still_works(registry)
