"""The informer's store and its indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from kubeairunway.kube.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kubeairunway.objects.resources import Json


def tags(item: Json) -> Iterable[str]:
    found: list[str] = item["tags"]
    return found


OPERATIONS = st.lists(st.tuples(st.sampled_from("abcd"), st.none() | st.lists(st.sampled_from("xyz"), max_size=3)))


@given(OPERATIONS)
def test_an_index_always_agrees_with_a_scan(operations: list[tuple[str, list[str] | None]]) -> None:
    store = Store({"tags": tags})
    for name, value in operations:
        if value is None:
            store.remove(("ns", name))
        else:
            store.put(("ns", name), {"name": name, "tags": value})
        for tag in "xyz":
            found = sorted(item["name"] for item in store.by_index("tags", tag))
            assert found == sorted(item["name"] for item in store.values() if tag in item["tags"])
    assert len(store) == len(list(store)) == len(store.values())


def test_an_index_value_that_nobody_has_takes_no_room() -> None:
    store = Store({"tags": tags})
    store.put(("", "a"), {"tags": ["x"]})
    store.put(("", "a"), {"tags": ["y"]})
    store.remove(("", "a"))
    assert store._indexes == {"tags": {}}
    assert store.remove(("", "a")) is None
