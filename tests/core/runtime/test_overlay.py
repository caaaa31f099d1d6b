"""Our own writes are seen at once and never longer than they are true."""

from __future__ import annotations

from typing import Any

from kubeairunway.objects.resources import Resource
from kubeairunway.runtime.overlay import Overlay

THINGS = Resource("things.dev", "v1", "Thing", "things")
ADDRESS = ("things.dev", "Thing", "ns", "one")


def thing(version: int, uid: str = "u1", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": "one", "uid": uid, "resourceVersion": str(version)}, "spec": spec}


def test_what_was_created_is_there_before_the_watch_says_so() -> None:
    overlay = Overlay()
    made = thing(10)
    overlay.put(THINGS, made, owner="md")
    assert overlay.find(ADDRESS, None, seen=9) is made
    assert overlay.owned_by("md") == (ADDRESS,)


def test_an_object_that_the_watch_has_passed_and_does_not_have_was_deleted() -> None:
    overlay = Overlay()
    overlay.put(THINGS, thing(10))
    assert overlay.find(ADDRESS, None, seen=10) is None


def test_the_newer_of_cache_and_answer_is_read() -> None:
    overlay = Overlay()
    answer, newer = thing(10), thing(11)
    overlay.put(THINGS, answer)
    assert overlay.find(ADDRESS, thing(9), seen=9) is answer
    assert overlay.find(ADDRESS, newer, seen=11) is newer


def test_an_older_answer_does_not_replace_a_newer_one() -> None:
    overlay = Overlay()
    newer = thing(12)
    overlay.put(THINGS, newer)
    overlay.put(THINGS, thing(11))
    assert overlay.find(ADDRESS, None, seen=1) is newer


def test_an_answer_is_dropped_when_the_watch_catches_up_and_not_before() -> None:
    overlay = Overlay()
    overlay.put(THINGS, thing(10), owner="md")
    overlay.settle(THINGS, None, thing(9))
    assert len(overlay) == 1
    overlay.settle(THINGS, thing(9), thing(10))
    assert len(overlay) == 0
    assert overlay.owned_by("md") == ()


def test_a_deletion_event_drops_the_answer_of_that_object_alone() -> None:
    overlay = Overlay()
    overlay.put(THINGS, thing(20, uid="new"))
    overlay.settle(THINGS, thing(9, uid="old"), None)
    assert len(overlay) == 1
    overlay.settle(THINGS, thing(20, uid="new"), None)
    assert len(overlay) == 0


def test_what_was_asked_to_go_is_shown_as_going_until_the_watch_has_news() -> None:
    overlay = Overlay()
    live = thing(10)
    overlay.mark_deleted(THINGS, live, "2026-01-01T00:00:00Z")
    shown = overlay.find(ADDRESS, live, seen=10)
    assert shown is not None
    assert shown["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"
    assert "deletionTimestamp" not in live["metadata"]
    overlay.settle(THINGS, None, thing(10))
    assert len(overlay) == 1
    assert overlay.find(ADDRESS, None, seen=5) is None
    overlay.settle(THINGS, live, thing(11))
    assert len(overlay) == 0


def test_a_recreated_object_replaces_the_answer_about_the_old_one() -> None:
    overlay = Overlay()
    overlay.put(THINGS, thing(10, uid="old"))
    new = thing(15, uid="new")
    assert overlay.find(ADDRESS, new, seen=15) is new
