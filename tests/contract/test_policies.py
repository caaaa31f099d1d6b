"""What the core does with a policy, good or broken: one test per rule of the contract's section on policies."""

import threading
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from kubeairunway.errors import HookError, HookTimeoutError
from kubeairunway.plugin import Peer, Policy, Problem, Request, Spec, discovery, hookimpl
from kubeairunway.plugin.notes import CrashNotes, quarantine_file
from kubeairunway.plugin.policies import Policies, load_policies
from kubeairunway.plugin.registry import LoadState


@dataclass(frozen=True)
class Settings:
    most: int = 3


def make_module(name: str = "strict", *, declare: Mapping[str, Any] | None = None, **hooks: Any) -> types.ModuleType:
    """A policy module whose hooks are replaced one by one; None leaves a hook out."""

    def policy() -> Policy:
        return Policy(**{"name": name, "contract": 1, "settings": Settings, **(declare or {})})

    def admit(request: Request, provider: str) -> Iterator[Problem]:
        if request.spec.scaling.replicas > request.settings.most:
            yield Problem("spec.scaling.replicas", "TooMany", f"{provider} runs at most {request.settings.most}")

    module = types.ModuleType(name)
    for hook, function in {"policy": policy, "admit": admit, **hooks}.items():
        if function is not None:
            setattr(module, hook, hookimpl(function))
    return module


Load = Callable[..., Policies]


@pytest.fixture
def load() -> Iterator[Load]:
    """Load modules as policies; their threads end with the test."""
    made: list[Policies] = []

    def load(modules: Mapping[str, object], **arguments: Any) -> Policies:
        made.append(load_policies(modules=modules, **arguments))
        return made[-1]

    yield load
    for policies in made:
        policies.close()


def ask(replicas: int = 1, **more: Any) -> Request:
    spec = {"model": {"id": "acme/tiny"}, "engine": {"type": "vllm"}, "scaling": {"replicas": replicas}}
    return Request(name="demo", namespace="team", spec=Spec.model_validate(spec), versions={}, **more)


PEER = Peer("other", "acme/tiny", "acme", 4, admitted=True)


def test_a_policy_objects_with_problems_and_is_told_the_provider(load: Load) -> None:
    policies = load({"strict": make_module()})
    assert policies.asked == ("strict",)
    assert policies.admit("strict", ask(3), "acme") == ()
    (problem,) = policies.admit("strict", ask(4), "acme")
    assert problem == Problem("spec.scaling.replicas", "TooMany", "acme runs at most 3")


def test_settings_are_the_administrators_and_of_the_declared_type(load: Load) -> None:
    policies = load({"strict": make_module()}, settings={"strict": {"most": 1}})
    assert [problem.message for problem in policies.admit("strict", ask(2), "acme")] == ["acme runs at most 1"]


@pytest.mark.parametrize(
    ("raw", "declare", "reason"),
    [
        ({"most": "many"}, {}, 'settings: strict.most: "many" does not fit; use an integer'),
        ({"mots": 1}, {}, "settings: strict.mots: mots is unknown; did you mean most?"),
        ({"most": 1}, {"settings": None}, "settings: policy strict takes none; remove most"),
    ],
)
def test_settings_that_do_not_fit_fail_the_policy_and_name_the_field(
    load: Load, raw: Mapping[str, Any], declare: Mapping[str, Any], reason: str
) -> None:
    policies = load({"strict": make_module(declare=declare)}, settings={"strict": raw})
    (package,) = policies.packages
    assert (package.state, package.reason) == (LoadState.FAILED, reason)
    assert policies.asked == ("strict",)
    assert policies.obstacle("strict") == f"Failed: {reason}"


def test_settings_for_a_policy_that_is_not_installed_are_a_remark(load: Load) -> None:
    policies = load({"strict": make_module()}, settings={"strickt": {}, "other": {}})
    assert policies.remarks == (
        "there are settings for policy other, which is not installed; installed: strict",
        "there are settings for policy strickt, which is not installed; did you mean strict?",
    )


def test_peers_are_shown_to_a_policy_that_asks_for_them_alone(load: Load) -> None:
    seen: dict[str, Request] = {}

    def keep(name: str) -> Callable[..., list[Problem]]:
        def admit(request: Request) -> list[Problem]:
            seen[name] = request
            return []

        return admit

    modules = {
        "blind": make_module("blind", admit=keep("blind")),
        "seeing": make_module("seeing", declare={"peers": True}, admit=keep("seeing")),
    }
    policies = load(modules)
    assert policies.wants_peers
    given = ask(peers=(PEER,), before=PEER, settings="the provider's")
    for name in modules:
        policies.admit(name, given, "acme")
    assert (seen["blind"].peers, seen["blind"].before) == ((), None)
    assert (seen["seeing"].peers, seen["seeing"].before) == ((PEER,), PEER)
    assert seen["seeing"].settings == Settings()
    assert not load({"blind": modules["blind"]}).wants_peers


def test_what_a_policy_does_to_its_request_reaches_nobody(load: Load) -> None:
    def admit(request: Request) -> list[Problem]:
        object.__setattr__(request, "name", "stolen")
        vars(request.spec.model)["id"] = "stolen/model"
        with pytest.raises(AttributeError):
            object.__setattr__(request.peers[0], "gpus", 0)
        return []

    given = ask(peers=(PEER,))
    load({"thief": make_module("thief", declare={"peers": True}, admit=admit)}).admit("thief", given, "acme")
    assert (given.name, given.spec.model.id, given.peers) == ("demo", "acme/tiny", (PEER,))


def give(value: Any) -> Callable[..., Any]:
    return lambda request: value  # noqa: ARG005 - the contract's argument


def fail(error: BaseException) -> Callable[..., Any]:
    def admit(request: Request) -> None:  # noqa: ARG001 - the contract's argument
        raise error

    return admit


BROKEN: Mapping[str, tuple[Callable[..., Any], str]] = {
    "raises": (fail(RuntimeError("no luck")), "RuntimeError: no luck"),
    "exits": (fail(SystemExit(3)), "SystemExit: 3"),
    "nothing": (give(None), "returned None; return an iterable of Problem"),
    "text": (give("no"), "returned 'no'; return an iterable of Problem"),
    "true": (give(True), "returned True; return an iterable of Problem"),  # noqa: FBT003 - what it returns
    "texts": (give(["no"]), "returned an iterable with 'no' in it"),
    "empty message": (give([Problem("spec", "No", "")]), "Problem.message is empty"),
    "too many": (give([Problem("spec", "No", "no")] * 300), "returned more than 256 items"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_whatever_a_policy_raises_or_returns_fails_that_call_alone(load: Load, name: str) -> None:
    admit, reason = BROKEN[name]
    policies = load({"broken": make_module("broken", admit=admit), "strict": make_module()})
    with pytest.raises(HookError) as caught:
        policies.admit("broken", ask(), "acme")
    assert caught.value.operation == "admit"
    assert reason in caught.value.reason
    assert len(policies.admit("strict", ask(9), "acme")) == 1


def test_a_policy_that_hangs_is_given_up_and_recovers(load: Load) -> None:
    gate, done = threading.Event(), threading.Event()

    def admit(request: Request) -> Iterator[Problem]:  # noqa: ARG001 - the contract's argument
        gate.wait()
        done.set()
        yield from ()

    policies = load({"slow": make_module("slow", admit=admit), "strict": make_module()}, deadline=0.1)
    with pytest.raises(HookTimeoutError, match=r"has not returned after 0\.1 s"):
        policies.admit("slow", ask(), "acme")
    with pytest.raises(HookTimeoutError, match="waits for an earlier call: admit for team/demo"):
        policies.admit("slow", ask(), "acme")
    assert policies.admit("strict", ask(), "acme") == ()
    gate.set()
    assert done.wait(5)
    for _ in range(50):
        try:
            assert policies.admit("slow", ask(), "acme") == ()
        except HookTimeoutError:
            threading.Event().wait(0.02)
        else:
            return
    pytest.fail("the circuit stayed open")


DECLARED: Mapping[str, tuple[dict[str, Any], LoadState, str]] = {
    "another contract": ({"contract": 2}, LoadState.INCOMPATIBLE, "it was written for contract 2"),
    "another name": ({"name": "lax"}, LoadState.FAILED, "policy: name is 'lax', and the entry point is 'strict'"),
    "no label": ({"name": "A b"}, LoadState.FAILED, "policy: name is 'A b'; use at most 63"),
    "no flag": ({"peers": 1}, LoadState.FAILED, "policy: peers is 1; use True or False"),
    "no text": ({"docs": None}, LoadState.FAILED, "policy: docs is None; give a URL as a string"),
    "no dataclass": ({"settings": dict}, LoadState.FAILED, "settings: <class 'dict'> is not a dataclass"),
}


@pytest.mark.parametrize("name", DECLARED)
def test_a_declaration_that_is_not_usable_is_failed_with_the_field_and_what_is_right(load: Load, name: str) -> None:
    declare, state, reason = DECLARED[name]
    (package,) = load({"strict": make_module(declare=declare)}).packages
    assert package.state is state
    assert reason in package.reason


HOOKS: Mapping[str, tuple[dict[str, Any], str]] = {
    "no admit": ({"admit": None}, "admit is missing; define it and mark it with @hookimpl"),
    "no policy": ({"policy": None}, "policy is missing"),
    "a provider's": ({"render": lambda request: None}, "render is no hook of contract 1; known are policy, admit"),  # noqa: ARG005 - the contract's argument
    "more arguments": ({"admit": lambda request, cluster: ()}, "admit asks for cluster; it gets request, provider"),  # noqa: ARG005 - same
}


@pytest.mark.parametrize("name", HOOKS)
def test_hooks_that_do_not_fit_are_failed_with_what_is_right(load: Load, name: str) -> None:
    hooks, reason = HOOKS[name]
    (package,) = load({"strict": make_module(**hooks)}).packages
    assert package.state is LoadState.FAILED
    assert reason in package.reason


def test_a_policy_that_is_not_loaded_is_asked_in_vain_and_says_why(load: Load) -> None:
    policies = load({"strict": make_module(declare={"contract": 2})})
    assert policies.asked == ("strict",)
    with pytest.raises(HookError, match="Incompatible: it was written for contract 2"):
        policies.admit("strict", ask(), "acme")


def test_a_policy_that_is_switched_off_is_neither_imported_nor_asked(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    modules = {"strict": make_module(), "lax": make_module("lax", admit=give([]))}
    monkeypatch.setenv("KUBEAIRUNWAY_DISABLE_POLICIES", "lax, gone")
    policies = load(modules, disabled={"strict"})
    assert [package.state for package in policies.packages] == [LoadState.DISABLED, LoadState.DISABLED]
    assert policies.asked == ()
    assert policies.remarks == (
        "policy gone is switched off by flag or environment, but not installed; installed: lax, strict",
    )


def test_policies_are_found_by_their_entry_points_and_a_name_used_twice_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    group = "kubeairunway.policies"
    found = EntryPoints(EntryPoint(name, value, group) for name, value in (("a", "x"), ("b", "y"), ("b", "z")))
    monkeypatch.setattr(discovery, "entry_points", lambda group: found.select(group=group))
    policies = load_policies()
    assert [(package.name, package.state) for package in policies.packages] == [
        ("a", LoadState.FAILED),
        ("b", LoadState.FAILED),
    ]
    assert "No module named 'x'" in policies.packages[0].reason
    assert "the name is used by" in policies.packages[1].reason


def test_a_policy_that_froze_the_process_starts_quarantined_and_a_provider_of_its_name_does_not(
    load: Load, tmp_path: Path
) -> None:
    notes = CrashNotes.open(tmp_path)
    assert notes is not None
    try:
        notes.reserve(9)  # and one of them is taken
        notes.slot("acme", "1").open("render", "team/other", 1.0)
        path = quarantine_file(tmp_path, "policy.strict")
        path.parent.mkdir()
        path.write_text("{}")
        modules = {"lax": make_module("lax"), "strict": make_module(), "zeal": make_module("zeal")}
        policies = load(modules, crash_notes=(tmp_path, notes))
        loaded, quarantined = LoadState.LOADED, LoadState.QUARANTINED
        assert [package.state for package in policies.packages] == [loaded, quarantined, loaded]
        assert str(path) in policies.packages[1].reason
        assert policies.admit("zeal", ask(), "acme") == ()
        noted = (tmp_path / "calls").read_bytes()
        assert len(noted) == 9 * 512  # never shorter: the providers' map would point to nothing
        assert all(name in noted for name in (b"acme\x001\x00render", b"policy.lax\x00", b"policy.zeal\x00"))
    finally:
        notes.close()
