"""From a request without errors to a RayService."""

from typing import Any

from kubeairunway.plugin import SERVICE, Manifest, Rendering, Request, hookimpl
from kubeairunway_kuberay.catalog import CLAIM, RAY_SERVICE
from kubeairunway_kuberay.cluster import build_cluster
from kubeairunway_kuberay.groups import is_stopped
from kubeairunway_kuberay.serve import build_serve_config

HEAD_SUFFIX, SERVE_SUFFIX = "head-svc", "serve-svc"
"""Suffixes of the Services that KubeRay makes; it takes any that has such a name for its own."""


@hookimpl
def render(request: Request) -> Rendering:
    """A RayService; before it, a claim for each volume with a size."""
    spec: dict[str, Any] = {"serveConfigV2": build_serve_config(request), "rayClusterConfig": build_cluster(request)}
    if is_stopped(request.spec):
        spec["suspend"] = True
    claims = ((SERVICE, HEAD_SUFFIX), (SERVICE, SERVE_SUFFIX))
    return Rendering(Manifest(RAY_SERVICE, {"spec": spec}), before=_list_claims(request), claims=claims)


def _list_claims(request: Request) -> tuple[Manifest, ...]:
    return tuple(
        Manifest(
            CLAIM,
            {
                "spec": {
                    "accessModes": [row.access_mode],
                    "resources": {"requests": {"storage": row.size}},
                    # empty: no class, absent: the cluster's default one
                    **({} if row.storage_class_name is None else {"storageClassName": row.storage_class_name}),
                }
            },
            row.name,
        )
        for row in request.spec.model.storage.volumes
        if row.size is not None
    )
