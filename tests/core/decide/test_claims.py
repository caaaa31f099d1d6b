"""A claim of storage grows by anybody's hand and never shrinks: what is larger than asked for is left so."""

from datetime import UTC, datetime
from typing import Any

import pytest

from kubeairunway.decide.changes import Need, find_change
from kubeairunway.decide.plan import Repairs
from kubeairunway.decide.rendering import Rendered
from kubeairunway.model import names
from kubeairunway.plugin import Kind

CLAIM = Kind(group="", name="PersistentVolumeClaim", versions=("v1",))
OTHER = Kind(group="acme.dev", name="PersistentVolumeClaim", versions=("v1",))
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def claim(size: Any, *, sent: str = "h", **labels: str) -> dict[str, Any]:
    marks = {names.OWNER_UID: "u", names.APPLIED_HASH: sent}
    meta = {"name": "one-data", "uid": "c", "resourceVersion": "5", "annotations": marks, "labels": labels}
    return {"metadata": meta, "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": size}}}}


def rendered(*, kind: Kind = CLAIM, sent: str = "h", size: str = "1Gi") -> Rendered:
    return Rendered(kind=kind, api_version="v1", name="one-data", body=claim(size, sent=sent))


CASES: dict[str, tuple[Any, Need, str]] = {
    "as asked": ("1Gi", Need.NOTHING, "1Gi"),
    "as asked, in other words": ("1024Mi", Need.NOTHING, "1Gi"),
    "larger": ("2Gi", Need.NOTHING, "2Gi"),
    "smaller": ("512Mi", Need.REPAIR, "1Gi"),
    "nonsense": ("much", Need.REPAIR, "1Gi"),
    "absent": (None, Need.REPAIR, "1Gi"),
    "a number": (2**31, Need.NOTHING, str(2**31)),
}


@pytest.mark.parametrize("case", CASES)
def test_only_a_smaller_claim_is_drift(case: str) -> None:
    size, need, kept = CASES[case]
    change = find_change(rendered(), claim(size), "u", Repairs(), NOW)
    assert change.need is need
    assert str(change.rendered.body["spec"]["resources"]["requests"]["storage"]) == kept


def test_what_is_applied_anew_keeps_the_larger_size_and_our_mark_of_what_was_asked() -> None:
    change = find_change(rendered(sent="new"), claim("2Gi"), "u", Repairs(), NOW)
    assert change.need is Need.APPLY
    assert change.rendered.hash == "new"
    assert change.rendered.body["spec"] == claim("2Gi")["spec"]


def test_a_larger_size_that_is_asked_for_is_applied() -> None:
    change = find_change(rendered(sent="new", size="4Gi"), claim("2Gi"), "u", Repairs(), NOW)
    assert (change.need, change.rendered.body["spec"]) == (Need.APPLY, claim("4Gi")["spec"])


def test_other_kinds_are_put_back_to_what_was_asked() -> None:
    assert find_change(rendered(kind=OTHER), claim("2Gi"), "u", Repairs(), NOW).need is Need.REPAIR
