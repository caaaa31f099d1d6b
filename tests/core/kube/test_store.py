"""The informer's store and its indexes."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import orjson
from hypothesis import given
from hypothesis import strategies as st

from kubeairunway.kube.store import POOL_LIMIT, Store, StringPool

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


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["metadata", "spec", "status", "data"]), JSON_VALUES))
def test_sharing_strings_changes_no_value(item: Json) -> None:
    before = copy.deepcopy(item)
    StringPool().share_strings(item)
    assert item == before


def test_equal_strings_of_different_objects_become_one() -> None:
    pool = StringPool()
    text = orjson.dumps(
        {"metadata": {"labels": {"a": "same word"}}, "status": {"list": [{"b": "same word"}, "same word"]}}
    )
    first, second = orjson.loads(text), orjson.loads(text)
    assert first["metadata"]["labels"]["a"] is not second["metadata"]["labels"]["a"]
    pool.share_strings(first)
    pool.share_strings(second)
    words = [word for item in (first, second) for word in (item["metadata"]["labels"]["a"], item["status"]["list"][1])]
    words += [item["status"]["list"][0]["b"] for item in (first, second)]
    assert len({id(word) for word in words}) == 1


def test_the_pool_of_shared_strings_is_bounded() -> None:
    pool = StringPool()
    for number in range(POOL_LIMIT + 10):
        pool.share_strings({"spec": {"a": f"unique {number}"}})
    assert len(pool._pool) <= POOL_LIMIT + 1
