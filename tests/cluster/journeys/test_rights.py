"""Rights that are seldom needed: the page on them has those too."""

from __future__ import annotations

import json
from typing import Any

LEASE = ("lease", "kubeairunway-controller", "-n", "kubeairunway-system")


def test_a_leader_whose_lease_somebody_touches_leads_on(desk: Any) -> None:
    def read_lease() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(desk.kubectl("get", *LEASE, "-o", "json"))["spec"]
        return found

    before = read_lease()
    assert before["holderIdentity"]
    desk.kubectl("label", *LEASE, "somebody=was-here", "--overwrite")
    after = desk.until(
        lambda: (now := read_lease())["renewTime"] > before["renewTime"] and now, 12, "the Lease is renewed"
    )
    assert (after["holderIdentity"], after.get("leaseTransitions")) == (
        before["holderIdentity"],
        before.get("leaseTransitions"),
    )
    desk.running("on")
