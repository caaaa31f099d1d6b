from typing import Any

import pytest

from kubeairunway.objects.compare import contains, find_differences


@pytest.mark.parametrize(
    ("sent", "live"),
    [
        pytest.param({"a": 1}, {"a": 1, "b": 2}, id="fields that others added"),
        pytest.param({"m": "1Gi"}, {"m": "1024Mi"}, id="quantities by value"),
        pytest.param({"m": "4"}, {"m": 4}, id="a quantity written as a number"),
        pytest.param({"a": {}, "b": [], "c": "", "d": None}, {}, id="empty is absent"),
        pytest.param(
            {"env": [{"name": "A", "value": "1"}]},
            {"env": [{"name": "B"}, {"name": "A", "value": "1"}]},
            id="lists of maps by name",
        ),
        pytest.param(
            {"ports": [{"port": 80}]},
            {"ports": [{"port": 80, "protocol": "TCP", "nodePort": 3}]},
            id="ports by port, with the default protocol",
        ),
        pytest.param({"a": {"b": {}}}, {}, id="a map of nothing"),
        pytest.param(
            {"selector": {"matchLabels": {"a": "b"}}},
            {"selector": {"matchLabels": {"a": "b"}, "matchExpressions": []}},
            id="a selector with defaults beside its labels",
        ),
    ],
)
def test_contained(sent: Any, live: Any) -> None:
    assert contains(live, sent)


@pytest.mark.parametrize(
    ("sent", "live", "paths"),
    [
        pytest.param({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"], id="a changed value"),
        pytest.param({"r": 0}, {}, ["r"], id="zero is a value"),
        pytest.param({"r": False}, {"r": True}, ["r"], id="false is a value"),
        pytest.param({"r": False}, {"r": 0}, ["r"], id="false is not zero"),
        pytest.param({"r": 1}, {"r": True}, ["r"], id="one is not true"),
        pytest.param({"a": ""}, {"a": "x"}, ["a"], id="a text that should be empty"),
        pytest.param({"args": ["x", "y"]}, {"args": ["y", "x"]}, ["args[0]", "args[1]"], id="order of plain lists"),
        pytest.param({"args": ["x"]}, {"args": ["x", "y"]}, ["args"], id="length of plain lists"),
        pytest.param({"env": [{"name": "A", "value": "1"}]}, {"env": []}, ["env[A]"], id="a missing item"),
        pytest.param({"a": {"b": 1}}, {"a": "text"}, ["a"], id="another type"),
        pytest.param({"m": "1Gi"}, {"m": "1G"}, ["m"], id="another quantity"),
        pytest.param(
            {"spec": {"selector": {"a": "b"}}},
            {"spec": {"selector": {"a": "b", "c": "d"}}},
            ["spec.selector.c"],
            id="a selector that selects less",
        ),
        pytest.param(
            {"matchLabels": {"a": "b"}}, {"matchLabels": {"a": "b", "c": "d"}}, ["matchLabels.c"], id="match labels"
        ),
    ],
)
def test_different(sent: Any, live: Any, paths: list[str]) -> None:
    found = list(find_differences(sent, live))
    assert found == paths
    assert not contains(live, sent)
