"""A package that cannot be used is a row with a reason, and its neighbour goes on."""

import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from kubeairunway.errors import HookError
from kubeairunway.plugin import Engine, Kind, Provider, Request, Rule, hookimpl
from kubeairunway.plugin.registry import LoadState, Package, Registry, load_registry

THING = Kind(group="things.dev", name="Thing", versions=("v1",))
ENGINE = Engine(name="vllm", carries=frozenset({"model.id"}))

Install = Callable[..., None]
Works = Callable[[Registry], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Write a module and a distribution that registers it, as pip would leave them on the path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)

    def install(distribution: str, name: str, source: str, *, module: str = "", value: str = "") -> None:
        module = module or distribution.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[kubeairunway.providers]\n{name} = {value or module}\n")

    yield install
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def install_acme(install: Install) -> None:
    install(
        "acme-kubeairunway", "acme", (Path(__file__).parent / "acme" / "src" / "acme.py").read_text(), module="acme"
    )


def load_installed(**arguments: Any) -> Registry:
    """Load the example and the broken package; whatever else is installed here stays out."""
    return load_registry(only=("acme", "broken"), **arguments)


def find_package(registry: Registry, name: str) -> Package:
    package = registry.get(name)
    assert package is not None
    return package


IMPORTS = {
    "missing dependency": ("import no_such_library_anywhere\n", "ModuleNotFoundError: No module named"),
    "syntax error": ("def provider(:\n", "SyntaxError"),
    "exception": ("raise ValueError('no licence')\n", "ValueError: no licence (broken_thing.py:1)"),
    "exit": ("import sys\nsys.exit(3)\n", "SystemExit: 3 (broken_thing.py:2)"),
    "interrupt": ("raise KeyboardInterrupt\n", "KeyboardInterrupt (broken_thing.py:1)"),
    "assertion": ("assert False, 'never'\n", "AssertionError: never"),
    "missing name": ("from kubeairunway.plugin import Gadget\n", "ImportError: cannot import name 'Gadget'"),
    "no hooks": ("", "provider is missing"),
}


@pytest.mark.usefixtures("install_acme")
@pytest.mark.parametrize("case", IMPORTS)
def test_a_package_that_cannot_be_imported_is_failed_with_the_reason(
    case: str, install: Install, still_works: Works
) -> None:
    source, reason = IMPORTS[case]
    install("broken-thing", "broken", source)
    registry = load_installed()
    package = find_package(registry, "broken")
    assert package.state is LoadState.FAILED
    assert reason in package.reason
    assert (package.distribution, package.version, package.module) == ("broken-thing", "1.0", "broken_thing")
    still_works(registry)
    registry.close()


@pytest.mark.usefixtures("install_acme")
def test_a_module_that_hangs_while_it_is_imported_is_given_up(
    install: Install, still_works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = types.ModuleType("gate_of_the_test")
    gate.__dict__["release"] = Event()
    monkeypatch.setitem(sys.modules, "gate_of_the_test", gate)
    install("broken-thing", "broken", "from gate_of_the_test import release\nrelease.wait(60)\n")
    registry = load_installed(import_deadline=0.2)
    assert find_package(registry, "broken").state is LoadState.FAILED
    assert find_package(registry, "broken").reason.startswith("import: has not returned after 0.2 s")
    still_works(registry)
    gate.__dict__["release"].set()
    registry.close()


@pytest.mark.usefixtures("install_acme")
def test_a_name_that_two_distributions_use_is_refused_with_both_named(install: Install, still_works: Works) -> None:
    install("one-thing", "broken", "raise RuntimeError('imported')\n")
    install("other-thing", "broken", "raise RuntimeError('imported')\n")
    registry = load_installed()
    package = find_package(registry, "broken")
    assert package.state is LoadState.FAILED
    assert package.reason == "the name is used by one-thing 1.0 and other-thing 1.0; uninstall all but one"
    assert [row.name for row in registry.packages] == ["acme", "broken"]
    still_works(registry)
    registry.close()


@pytest.mark.usefixtures("install_acme")
def test_an_entry_point_that_names_an_attribute_is_refused(install: Install, still_works: Works) -> None:
    install("broken-thing", "broken", "class Plugin: ...\n", value="broken_thing:Plugin")
    registry = load_installed()
    assert "names a module alone, such as 'broken_thing'" in find_package(registry, "broken").reason
    still_works(registry)
    registry.close()


@pytest.mark.usefixtures("install_acme")
@pytest.mark.parametrize("switch", ["argument", "environment"])
def test_a_disabled_package_is_not_imported(
    switch: str, install: Install, still_works: Works, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("broken-thing", "broken", "raise SystemExit('imported')\n")
    if switch == "environment":
        monkeypatch.setenv("KUBEAIRUNWAY_DISABLE_PROVIDERS", " broken ,, other")
    registry = load_installed(disabled=["broken"] if switch == "argument" else [])
    package = find_package(registry, "broken")
    assert package.state is LoadState.DISABLED
    assert package.provider is None
    assert "broken_thing" not in sys.modules
    still_works(registry)
    registry.close()


@pytest.mark.usefixtures("install_acme")
def test_a_package_installed_meanwhile_is_found_by_the_next_registry(install: Install) -> None:
    first = load_installed()
    assert [package.name for package in first.packages] == ["acme"]
    install("broken-thing", "broken", "")
    second = load_installed()
    assert [package.name for package in second.packages] == ["acme", "broken"]
    first.close()
    second.close()


@dataclass
class Changeable:
    size: int = 1


@dataclass(frozen=True)
class NoDefault:
    size: int


def declare(**changes: Any) -> Callable[[], Provider]:
    fields: dict[str, Any] = {"name": "broken", "contract": 1, "kinds": (THING,), "engines": (ENGINE,), **changes}
    return lambda: Provider(**fields)


def raise_exit() -> Provider:
    raise SystemExit("no")


DECLARATIONS: dict[str, tuple[Callable[[], object], str]] = {
    "exception": (lambda: 1 / 0, "provider: ZeroDivisionError: division by zero (contract/test_broken_packages.py:"),
    "exit": (raise_exit, "provider: SystemExit: no"),
    "nothing": (lambda: None, "returned an instance of NoneType; return a Provider"),
    "text": (lambda: "broken", "returned an instance of str; return a Provider"),
    "name of another": (declare(name="acme"), "name is 'acme', and the entry point is 'broken'"),
    "name not a label": (declare(name="Broken!"), "name is 'Broken!'; use at most 63 lower-case letters"),
    "no kinds": (declare(kinds=()), "kinds is (); give a tuple of at least one of Kind"),
    "kind twice": (declare(kinds=(THING, THING)), "kinds[1] is Thing of things.dev again"),
    "unknown path": (
        declare(engines=(Engine(name="vllm", carries=frozenset({"engine.contextLenght"})),)),
        "has 'engine.contextLenght', which the spec does not have; did you mean 'engine.contextLength'?",
    ),
    "engine twice": (declare(engines=(ENGINE, ENGINE)), "engines[1] offers vllm in aggregated mode again"),
    "unknown engine": (
        declare(engines=(Engine(name="llama", carries=frozenset()),)),  # type: ignore[arg-type]  # the mistake under test
        "engines[0].name is 'llama'; use one of vllm, sglang, trtllm, llamacpp",
    ),
    "neither gpu nor cpu": (
        declare(engines=(Engine(name="vllm", carries=frozenset(), gpu=False),)),
        "engines[0] runs on neither gpu nor cpu",
    ),
    "priority": (declare(rules=(Rule(name="a", condition="true", priority=101),)), "rules[0].priority is 101"),
    "rule twice": (
        declare(rules=(Rule(name="a", condition="true", priority=1), Rule(name="a", condition="true", priority=1))),
        "rules[1].name is 'a' again",
    ),
    "long rule": (
        declare(rules=(Rule(name="a", condition="x" * 2049, priority=1),)),
        "rules[0].condition is not a CEL expression of 1 to 2048 characters",
    ),
    "overrides can change": (declare(overrides=Changeable), "overrides: Changeable can be changed"),
    "settings without default": (declare(settings=NoDefault), "settings: NoDefault.size has no default"),
    "overrides no dataclass": (declare(overrides=dict), "overrides: <class 'dict'> is not a dataclass"),
    "operator": (declare(operator={"app": 1}), "operator has 'app': 1; use a label's name and its value"),
    "docs": (declare(docs=None), "docs is None; give a URL as a string"),
    "version": (
        declare(kinds=(Kind(group="things.dev", name="Thing", versions=("1.0",)),)),
        "kinds[0].versions has '1.0'; use API versions such as",
    ),
    "recreate path": (
        declare(kinds=(Kind(group="things.dev", name="Thing", versions=("v1",), recreate=("/spec",)),)),
        "kinds[0].recreate has '/spec'; use dotted paths",
    ),
    "restart path": (
        declare(kinds=(Kind(group="things.dev", name="Thing", versions=("v1",), restart=("spec[].a.[]",)),)),
        "kinds[0].restart has 'spec[].a.[]'; use dotted paths",
    ),
    "surge replicas": (
        declare(kinds=(Kind(group="things.dev", name="Thing", versions=("v1",), surge=("spec",), surge_replicas=-1),)),
        "kinds[0].surge_replicas is -1; use an integer from 0 to 32",
    ),
}


@pytest.mark.parametrize("case", DECLARATIONS)
def test_a_declaration_that_is_not_usable_is_failed_with_the_field_and_what_is_right(
    case: str, make_module: Any, load: Any, still_works: Works
) -> None:
    provider, reason = DECLARATIONS[case]
    registry = load({"broken": make_module(provider=provider)})
    package = find_package(registry, "broken")
    assert package.state is LoadState.FAILED
    assert reason in package.reason
    assert "broken" not in registry.providers
    still_works(registry)


def test_all_that_is_wrong_with_a_declaration_is_said_at_once(make_module: Any, load: Any) -> None:
    registry = load({"broken": make_module(provider=declare(name="other", kinds=(), docs=1))})
    assert find_package(registry, "broken").reason.count(";") == 5
    for field in ("name is", "kinds is", "docs is"):
        assert field in find_package(registry, "broken").reason


@pytest.mark.parametrize("contract", [0, 2, "1", True, None])
def test_another_contract_version_is_incompatible_and_both_are_named(
    contract: Any, make_module: Any, load: Any, still_works: Works
) -> None:
    registry = load({"broken": make_module(provider=declare(contract=contract))})
    package = find_package(registry, "broken")
    assert package.state is LoadState.INCOMPATIBLE
    assert f"contract {contract!r}, and this core speaks contract 1" in package.reason
    still_works(registry)


def surprise(request: Request, client: Any) -> None: ...


async def later(request: Request) -> None: ...


HOOKS: dict[str, tuple[dict[str, Any], str]] = {
    "misspelt": ({"renders": lambda request: request}, "renders is no hook of contract 1; did you mean render?"),
    "unknown": ({"xyzzy": lambda request: request}, "xyzzy is no hook of contract 1; known are provider, validate"),
    "too many arguments": ({"validate": surprise}, "validate asks for client; it gets request"),
    "provider with argument": ({"provider": surprise}, "provider asks for request; it gets no arguments"),
    "async": ({"select": later}, "select is async; hooks are plain functions"),
    "render missing": ({"render": None}, "render is missing; define it and mark it with @hookimpl"),
    "status missing": ({"status": None}, "status is missing"),
}


@pytest.mark.parametrize("case", HOOKS)
def test_hooks_that_do_not_fit_the_contract_are_failed_with_what_is_right(
    case: str, make_module: Any, load: Any, still_works: Works
) -> None:
    hooks, reason = HOOKS[case]
    registry = load({"broken": make_module(**hooks)})
    package = find_package(registry, "broken")
    assert package.state is LoadState.FAILED
    assert reason in package.reason
    still_works(registry)


def test_a_hook_of_a_newer_core_is_passed_over_if_it_is_marked_optional(
    make_module: Any, load: Any, ask: Any, still_works: Works
) -> None:
    module = make_module()
    module.estimate = hookimpl(optionalhook=True)(lambda request: request)
    registry = load({"thing": module})
    assert find_package(registry, "thing").state is LoadState.LOADED
    assert registry.render("thing", ask()).primary.kind == THING
    still_works(registry)


def test_a_hook_that_nobody_marked_is_pointed_out(make_module: Any, load: Any) -> None:
    module = make_module()

    def validate(request: Request) -> tuple[()]:  # noqa: ARG001 - the contract's argument
        return ()

    validate.__module__ = module.__name__
    module.validate = validate
    reason = find_package(load({"broken": module}), "broken").reason
    assert "validate is not marked with @hookimpl" in reason


def test_a_package_that_is_not_loaded_answers_with_its_reason(load: Any, ask: Any) -> None:
    registry = load({"broken": types.ModuleType("broken")})
    with pytest.raises(HookError, match=r"provider broken: render: failed: .*provider is missing"):
        registry.render("broken", ask())
    with pytest.raises(HookError, match="no such package is installed"):
        registry.render("nobody", ask())
