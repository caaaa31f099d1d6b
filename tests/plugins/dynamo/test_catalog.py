"""What the package declares of itself."""

import dataclasses
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pluggy
import pytest
import yaml

import kubeairunway_dynamo
from kubeairunway.plugin import CONTRACT, Hooks
from kubeairunway.plugin.typed import read_typed, schema_of
from kubeairunway_dynamo.catalog import GRAPH, PROVIDER, Frontend, FrontendResources, Overrides, Settings

PACKAGE = Path(kubeairunway_dynamo.__file__).parent
README = (PACKAGE.parents[1] / "README.md").read_text()
OPTIONS = (Overrides, Frontend, FrontendResources, Settings)
MOST_LINES = 650


def test_the_entry_point_names_the_module_and_every_hook_is_known() -> None:
    (found,) = (entry for entry in entry_points(group="kubeairunway.providers") if entry.name == PROVIDER.name)
    assert found.value == kubeairunway_dynamo.__name__
    manager = pluggy.PluginManager("kubeairunway")
    manager.add_hookspecs(Hooks)
    manager.register(kubeairunway_dynamo)
    manager.check_pending()
    assert manager.hook.provider() is PROVIDER
    assert PROVIDER.contract == CONTRACT


def test_engines_and_modes() -> None:
    assert [(engine.name, engine.modes, engine.gpu, engine.cpu) for engine in PROVIDER.engines] == [
        ("vllm", ("aggregated",), True, False),
        ("vllm", ("disaggregated",), True, False),
        ("sglang", ("aggregated",), True, False),
        ("sglang", ("disaggregated",), True, False),
        ("trtllm", ("aggregated",), True, False),
    ]


def test_rules_and_their_priorities() -> None:
    assert {rule.name: rule.priority for rule in PROVIDER.rules} == {
        "trtllm": 100,
        "sglang": 100,
        "disaggregated": 90,
        "vllm": 50,
    }


def test_the_newer_version_is_preferred_and_the_engine_is_fixed() -> None:
    assert GRAPH.versions == ("v1beta1", "v1alpha1")
    assert GRAPH.recreate == ("spec.backendFramework",)


@pytest.mark.parametrize("component", ["Frontend", "Worker", "Prefill", "Decode"])
def test_the_longest_name_fits_grove_with_every_component(component: str) -> None:
    assert len("a" * GRAPH.max_name + component) <= 45


def test_the_longest_name_is_not_shorter_than_it_need_be() -> None:
    assert len("a" * GRAPH.max_name + "frontend") == 45


def fields_of(schema: Any) -> dict[str, Any]:
    rows: dict[str, Any] = schema["properties"]
    return rows


@pytest.mark.parametrize("options", OPTIONS)
def test_every_option_has_a_description_and_a_default(options: Any) -> None:
    options()
    rows = fields_of(schema_of(options))
    assert len(rows) == len(dataclasses.fields(options))
    assert all(row.get("description") for row in rows.values())


def test_the_published_schema_shows_what_is_below_the_frontend() -> None:
    frontend = fields_of(schema_of(Overrides))["frontend"]
    assert set(fields_of(frontend)) == {"replicas", "image", "resources", "env"}
    assert set(fields_of(fields_of(frontend)["resources"])) == {"cpu", "memory"}


def test_options_are_read_from_yaml() -> None:
    raw = yaml.safe_load("{routerMode: kv, frontend: {replicas: 3, resources: {cpu: '4', memory: 8Gi}}}")
    resources = FrontendResources(cpu="4", memory="8Gi")
    wanted = Overrides(router_mode="kv", frontend=Frontend(replicas=3, resources=resources))
    assert read_typed(Overrides, raw, "spec.provider.overrides") == (wanted, ())
    assert read_typed(Settings, {"registry": "m"}, "spec.settings") == (Settings(registry="m"), ())


def test_the_readme_has_a_row_for_every_carried_field_and_every_option() -> None:
    carried = {path for engine in PROVIDER.engines for path in engine.carries}
    options = {field.name for one in OPTIONS for field in dataclasses.fields(one)}
    camel = {name.split("_")[0] + "".join(word.title() for word in name.split("_")[1:]) for name in options}
    assert {word for word in carried if f"`{word}`" not in README} == set()
    assert {word for word in camel if f"{word}`" not in README} == set()


def test_the_readme_has_the_rights_on_every_kind() -> None:
    block = README.partition("```yaml\n")[2].partition("```")[0]
    rules = yaml.safe_load(block)
    granted = {(rule["apiGroups"][0], resource) for rule in rules for resource in rule["resources"]}
    assert granted == {(kind.group, f"{kind.name.lower()}s") for kind in PROVIDER.kinds}


def test_the_package_imports_nothing_of_ours_but_the_contract() -> None:
    lines = [line for path in PACKAGE.glob("*.py") for line in path.read_text().splitlines()]
    ours = {line.split()[1] for line in lines if line.startswith(("from kubeairunway", "import kubeairunway"))}
    assert {module for module in ours if not module.startswith("kubeairunway_dynamo")} == {"kubeairunway.plugin"}


def test_the_package_stays_small() -> None:
    lines = [line for path in PACKAGE.glob("*.py") for line in path.read_text().splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES
