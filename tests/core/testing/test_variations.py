"""The sweep over the spec is derived from its schema: no field is left out."""

from kubeairunway.model.paths import leaf_paths
from kubeairunway.testing.conformance.variations import CORE_ONLY, SAME_MEANING, list_bounds, list_changes, list_fields


def test_every_field_of_the_spec_is_varied() -> None:
    assert set(list_fields()) - SAME_MEANING == {change.field for change in list_changes()}
    assert leaf_paths() - set(CORE_ONLY) == {change.path for change in list_changes()}


def test_a_change_has_two_values() -> None:
    assert [change.field for change in list_changes() if change.before == change.after] == []


def test_the_ends_of_every_number_are_tried() -> None:
    titles = {title for title, _ in list_bounds()}
    expected = {"scaling.replicas = 0", "scaling.replicas = 32", "resources.gpu.count = 64", "env of 128 variables"}
    assert expected <= titles
    assert "engine.contextLength = 1" in titles
    assert "engine.contextLength = 2147483647" in titles
