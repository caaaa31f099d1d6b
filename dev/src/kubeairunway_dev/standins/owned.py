"""What stand-ins write on what they own, and on what they act for: owners, names, marks, finalizers, patches."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.objects.digests import digest
from kubeairunway_dev.standins.switches import HOLD, PREFIX

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from kubeairunway.objects.resources import Json

STAMP: Final = f"{PREFIX}/content"
"""The annotation with the digest of what was written."""

SUFFIX_LETTERS: Final = "bcdfghjklmnpqrstvwxz2456789"
SUFFIX_LENGTH: Final = 5
"""Kubernetes completes names with so many of these: no vowels, no digits that look like letters."""


def make_owner(owner: Json) -> Json:
    """Return an owner reference of a controller."""
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }


def make_suffix(seed: str) -> str:
    """Return what looks like the end of a generated name; the same for the same seed, so that nothing is made twice."""
    number = int.from_bytes(sha256(seed.encode()).digest()[:8])
    letters = []
    for _ in range(SUFFIX_LENGTH):
        number, index = divmod(number, len(SUFFIX_LETTERS))
        letters.append(SUFFIX_LETTERS[index])
    return "".join(letters)


def choose_names(prefix: str, seed: str, count: int, *, taken: Container[str] = ()) -> list[str]:
    """Return `count` names "prefix-xxxxx" that are not taken; always the same for the same seed."""
    names: list[str] = []
    serial = 0
    while len(names) < count:
        name = f"{prefix}-{make_suffix(f'{seed}/{serial}')}"
        if name not in taken:
            names.append(name)
        serial += 1
    return names


def stamp(body: Json) -> Json:
    """Return an object with the annotation that says what it was made from."""
    meta = body["metadata"]
    return {**body, "metadata": {**meta, "annotations": {**meta.get("annotations", {}), STAMP: digest(body)}}}


def read_stamp(item: Json) -> str:
    """Return that annotation of a live object; empty if it has none."""
    return str(item["metadata"].get("annotations", {}).get(STAMP, ""))


def list_finalizers(meta: Json, own: str, *, held: bool) -> list[str]:
    """Return the finalizers an object should have: `own` (if any) while it lives, and HOLD as long as it is held."""
    deleting = "deletionTimestamp" in meta
    current: list[str] = meta.get("finalizers", [])
    wanted = {own: not deleting, HOLD: held}
    kept = [name for name in current if wanted.get(name, True)]
    added = [name for name, want in wanted.items() if want and name and name not in current and not deleting]
    return kept + added


def make_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> Json | None:
    """Return the merge patch from one status to another; None if there is nothing to write."""
    if before == after:
        return None
    return {"status": _make_difference(before, after)}


def _make_difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> Json:
    """Return `after` with null for what went, in maps below as well: a merge patch keeps what it does not name."""
    gone = dict.fromkeys(set(before) - set(after))
    kept = {
        name: _make_difference(before[name], value)
        if isinstance(value, dict) and isinstance(before.get(name), dict)
        else value
        for name, value in after.items()
    }
    return {**gone, **kept}
