"""Policies for decisions of the command line: documents count as created one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeairunway.decide.admission import Admission, describe_peer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kubeairunway.decide.preview import Preview
    from kubeairunway.plugin import Peer
    from kubeairunway.plugin.policies import Policies


class Holdings:
    """What each namespace holds so far: what a cluster has already, and the documents that were judged."""

    def __init__(self, policies: Policies, deployments: Iterable[Mapping[str, Any]] = ()) -> None:
        """`deployments` are those of a cluster."""
        self._policies = policies
        self._peers: dict[str, dict[str, Peer]] = {}
        for deployment in deployments:
            self._keep(deployment, describe_peer(deployment))

    def assume(self, deployment: Mapping[str, Any]) -> None:
        """Let a document that says how things are be a peer that was admitted, whatever its status tells."""
        self._keep(deployment, describe_peer(deployment)._replace(admitted=True))

    def admission(self, deployment: Mapping[str, Any]) -> Admission | None:
        """What is asked about the next deployment; None if no policy is installed."""
        if not self._policies.asked:
            return None
        meta = deployment["metadata"]
        rows = self._peers.get(meta["namespace"], {})
        before = rows.get(meta["name"])
        return Admission(
            calls=self._policies,
            peers=tuple(peer for name, peer in sorted(rows.items()) if name != meta["name"]),
            before=before if before is not None and before.admitted else None,
        )

    def keep(self, seen: Preview) -> None:
        """Let what was just judged be a peer of those that come."""
        stage = seen.plan.stage
        if stage is not None:
            self._keep(seen.deployment, describe_peer(seen.deployment, {**stage.provider, **stage.resource}))

    def _keep(self, deployment: Mapping[str, Any], peer: Peer) -> None:
        self._peers.setdefault(deployment["metadata"]["namespace"], {})[peer.name] = peer
