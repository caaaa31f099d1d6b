"""What the package declares of itself."""

import dataclasses
from importlib.metadata import entry_points
from pathlib import Path

import pluggy
import pytest

import kubeairunway_kaito
from kubeairunway.plugin import CONTRACT, Hooks
from kubeairunway.plugin.typed import read_typed, schema_of
from kubeairunway_kaito.catalog import INFERENCE_SET, PROVIDER, WORKSPACE, Overrides, Settings

PACKAGE = Path(kubeairunway_kaito.__file__).parent
REVISION = "-" + "0" * 10
CHILD = "-" + "x" * 5


def test_the_entry_point_names_the_module_and_every_hook_is_known() -> None:
    (found,) = (entry for entry in entry_points(group="kubeairunway.providers") if entry.name == PROVIDER.name)
    assert found.value == kubeairunway_kaito.__name__
    manager = pluggy.PluginManager("kubeairunway")
    manager.add_hookspecs(Hooks)
    manager.register(kubeairunway_kaito)
    manager.check_pending()
    assert manager.hook.provider() is PROVIDER
    assert PROVIDER.contract == CONTRACT


def test_vllm_needs_a_gpu_and_llamacpp_does_not() -> None:
    assert {engine.name: (engine.gpu, engine.cpu, engine.modes) for engine in PROVIDER.engines} == {
        "vllm": (True, False, ("aggregated",)),
        "llamacpp": (True, True, ("aggregated",)),
    }


def test_rules_are_those_for_cpu_and_for_llamacpp() -> None:
    assert [(rule.name, rule.priority) for rule in PROVIDER.rules] == [("cpu", 100), ("llamacpp", 100)]


def test_the_longest_names_leave_room_for_what_kubernetes_adds() -> None:
    workspace, inference_set = "a" * WORKSPACE.max_name, "a" * INFERENCE_SET.max_name
    assert len(workspace + REVISION) == 63
    assert len(inference_set + CHILD + REVISION) == 63
    assert len(workspace + "-headless") <= 63


def test_only_replicas_of_a_set_change_in_place() -> None:
    assert INFERENCE_SET.recreate == ("spec.labelSelector", "spec.template")
    assert not any(path.startswith("spec.replicas") for path in INFERENCE_SET.recreate)


def test_the_provider_is_ready_without_inference_sets() -> None:
    assert [kind.name for kind in PROVIDER.kinds if kind.optional] == ["InferenceSet"]


@pytest.mark.parametrize("options", [Overrides, Settings])
def test_every_option_has_a_description_and_a_default(options: type) -> None:
    options()
    rows = schema_of(options)["properties"]
    assert len(rows) == len(dataclasses.fields(options))
    assert all(row.get("description") for row in rows.values())


def test_options_are_read_from_yaml() -> None:
    raw = {"nodeAutoProvisioning": True, "gpuInstanceTypes": {"1": "A1"}}
    assert read_typed(Settings, raw, "spec.settings") == (
        Settings(node_auto_provisioning=True, gpu_instance_types={"1": "A1"}),
        (),
    )
    (problem,) = read_typed(Overrides, {"resource": "Pod"}, "spec.provider.overrides")[1]
    assert problem.path == "spec.provider.overrides.resource"


def test_the_readme_has_a_row_for_every_carried_field_and_every_option() -> None:
    readme = (PACKAGE.parents[1] / "README.md").read_text()
    carried = {path for engine in PROVIDER.engines for path in engine.carries}
    options = {field.name for options in (Overrides, Settings) for field in dataclasses.fields(options)}
    camel = {name.split("_")[0] + "".join(word.title() for word in name.split("_")[1:]) for name in options}
    assert {word for word in carried | camel if f"`{word}`" not in readme} == set()


def test_the_package_imports_nothing_of_ours_but_the_contract() -> None:
    lines = [line for path in PACKAGE.glob("*.py") for line in path.read_text().splitlines()]
    ours = {line.split()[1] for line in lines if line.startswith(("from kubeairunway", "import kubeairunway"))}
    assert {module for module in ours if not module.startswith("kubeairunway_kaito")} == {"kubeairunway.plugin"}
