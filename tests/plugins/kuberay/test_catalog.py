"""What the package declares of itself."""

import dataclasses
from importlib.metadata import entry_points
from pathlib import Path

import pluggy
import pytest

import kubeairunway_kuberay
from kubeairunway.model.spec import MAX_REPLICAS
from kubeairunway.plugin import CONTRACT, Hooks
from kubeairunway.plugin.typed import read_typed, schema_of
from kubeairunway_kuberay.catalog import PROVIDER, RAY_CLUSTER, RAY_SERVICE, Head, Overrides, Settings
from kubeairunway_kuberay.cluster import MOST_WORKERS
from kubeairunway_kuberay.objects import HEAD_SUFFIX, SERVE_SUFFIX

PACKAGE = Path(kubeairunway_kuberay.__file__).parent
README = PACKAGE.parents[1] / "README.md"


def test_the_entry_point_names_the_module_and_every_hook_is_known() -> None:
    (found,) = (entry for entry in entry_points(group="kubeairunway.providers") if entry.name == PROVIDER.name)
    assert found.value == kubeairunway_kuberay.__name__
    manager = pluggy.PluginManager("kubeairunway")
    manager.add_hookspecs(Hooks)
    manager.register(kubeairunway_kuberay)
    manager.check_pending()
    assert manager.hook.provider() is PROVIDER
    assert PROVIDER.contract == CONTRACT


def test_it_serves_vllm_on_gpus_in_both_modes_and_only_when_named() -> None:
    rows = [(engine.name, engine.modes, engine.gpu, engine.cpu) for engine in PROVIDER.engines]
    assert rows == [("vllm", ("aggregated",), True, False), ("vllm", ("disaggregated",), True, False)]
    assert not PROVIDER.auto_select
    assert PROVIDER.rules == ()


def test_clusters_are_watched_and_services_only_looked_up() -> None:
    assert [kind.name for kind in PROVIDER.kinds] == ["RayService", "PersistentVolumeClaim", "Service"]
    assert PROVIDER.children == (RAY_CLUSTER,)
    assert (RAY_CLUSTER.group, RAY_CLUSTER.name) == ("ray.io", "RayCluster")


def test_only_the_version_that_is_not_deprecated_is_rendered() -> None:
    assert RAY_SERVICE.versions == ("v1",)


def test_the_longest_names_leave_room_for_what_kuberay_adds() -> None:
    name = "a" * RAY_SERVICE.max_name
    assert len(f"{name}-00000") <= 53  # its RayCluster, whose limit KubeRay sets itself
    assert all(len(f"{name}-{suffix}") <= 63 for suffix in (HEAD_SUFFIX, SERVE_SUFFIX))


def test_there_may_be_as_many_workers_as_a_deployment_can_ask_for() -> None:
    assert MOST_WORKERS == MAX_REPLICAS


@pytest.mark.parametrize("options", [Overrides, Settings])
def test_every_option_has_a_description_and_a_default(options: type) -> None:
    options()
    schema = schema_of(options)
    assert len(schema["properties"]) == len(dataclasses.fields(options))
    assert list(_undescribed(schema)) == []


def _undescribed(schema: object, path: str = "") -> list[str]:
    if not isinstance(schema, dict):
        return []
    found = [] if path == "" or schema.get("description") else [path]
    return found + [
        row for name, item in schema.get("properties", {}).items() for row in _undescribed(item, f"{path}.{name}")
    ]


def test_options_are_read_from_yaml() -> None:
    raw = {"head": {"resources": {"cpu": "8"}, "rayStartParams": {"a": "b"}}, "rayVersion": "2.56.0"}
    overrides, problems = read_typed(Overrides, raw, "spec.provider.overrides")
    assert problems == ()
    assert isinstance(overrides, Overrides)
    assert (overrides.head.resources.cpu, overrides.head.resources.memory) == ("8", "16Gi")
    assert (dict(overrides.head.ray_start_params), overrides.ray_version) == ({"a": "b"}, "2.56.0")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ({"rayVersion": "latest"}, "rayVersion"),
        ({"head": {"resources": {"cpu": "much"}}}, "head.resources.cpu"),
        ({"head": {"rayStartParams": {"a": 1}}}, "head.rayStartParams.a"),
        ({"heads": {}}, "heads"),
    ],
)
def test_options_of_another_form_are_refused_by_path(raw: dict[str, object], path: str) -> None:
    _, problems = read_typed(Overrides, raw, "spec.provider.overrides")
    assert [problem.path for problem in problems] == [f"spec.provider.overrides.{path}"]


def test_the_readme_has_a_row_for_every_carried_field_and_every_option() -> None:
    readme = README.read_text()
    carried = {path for engine in PROVIDER.engines for path in engine.carries}
    options = {field.name for options in (Overrides, Settings, Head) for field in dataclasses.fields(options)}
    camel = {name.split("_")[0] + "".join(word.title() for word in name.split("_")[1:]) for name in options}
    missing = {word for word in carried if f"`{word}`" not in readme} | {word for word in camel if word not in readme}
    assert missing == set()


def test_the_package_imports_nothing_of_ours_but_the_contract() -> None:
    lines = [line for path in PACKAGE.glob("*.py") for line in path.read_text().splitlines()]
    ours = {line.split()[1] for line in lines if line.startswith(("from kubeairunway", "import kubeairunway"))}
    assert {module for module in ours if not module.startswith("kubeairunway_kuberay")} == {"kubeairunway.plugin"}
