"""From a request without errors to a RayService."""

import json
import re
from collections.abc import Iterator
from typing import Any

from kubeairunway.plugin import SERVICE, Manifest, Rendering, Request, hookimpl
from kubeairunway_kuberay.arguments import build_engine_kwargs
from kubeairunway_kuberay.catalog import CLAIM, RAY_SERVICE
from kubeairunway_kuberay.cluster import build_cluster
from kubeairunway_kuberay.groups import Group, is_stopped, list_groups

HEAD_SUFFIX, SERVE_SUFFIX = "head-svc", "serve-svc"
"""Suffixes of the Services that KubeRay makes; it takes any that has such a name for its own."""
APPLICATION = "llm"
ON_HEAD = "node:__internal_head__"
"""Ray's own resource of the head, where there is one of it."""
UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
"""What JSON allows as it is, and YAML only escaped."""


@hookimpl
def render(request: Request) -> Rendering:
    """A RayService; before it, a claim for each volume with a size."""
    spec: dict[str, Any] = {"serveConfigV2": _build_serve_config(request), "rayClusterConfig": build_cluster(request)}
    if is_stopped(request.spec):
        spec["suspend"] = True
    claims = ((SERVICE, HEAD_SUFFIX), (SERVICE, SERVE_SUFFIX))
    return Rendering(Manifest(RAY_SERVICE, {"spec": spec}), before=tuple(_list_claims(request)), claims=claims)


def _list_claims(request: Request) -> Iterator[Manifest]:
    for row in request.spec.model.storage.volumes:
        if row.size is not None:
            spec = {"accessModes": [row.access_mode], "resources": {"requests": {"storage": row.size}}}
            # Absent is the cluster's default class, empty is none.
            named = {} if row.storage_class_name is None else {"storageClassName": row.storage_class_name}
            yield Manifest(CLAIM, {"spec": {**spec, **named}}, row.name)


def _build_serve_config(request: Request) -> str:
    """serveConfigV2, what Ray Serve runs: JSON, which is YAML, with keys in one order."""
    groups = list_groups(request.spec)
    models = {f"{group.role}_config": _model(request, group) for group in groups}
    aggregated = request.spec.serving.mode == "aggregated"
    application = {
        "name": APPLICATION,
        "route_prefix": "/",
        "import_path": f"ray.serve.llm:build_{'' if aggregated else 'pd_'}openai_app",
        "args": {
            **({"llm_configs": list(models.values())} if aggregated else models),
            # On the head, and for no CPU: else it would start or keep a worker with GPUs that serves no model.
            "ingress_deployment_config": {"ray_actor_options": {"num_cpus": 0, "resources": {ON_HEAD: 0.001}}},
        },
    }
    text = json.dumps({"applications": [application]}, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text) + "\n"


def _model(request: Request, group: Group) -> dict[str, Any]:
    model = request.spec.model
    # Every GPU of one pod, whatever parallelism the user asks for; a role's own resource keeps it on its own pods.
    first = {"GPU": 1, group.role: 1} if group.role else {"GPU": 1}
    return {
        "model_loading_config": {"model_id": model.served_name, "model_source": model.id},
        "engine_kwargs": build_engine_kwargs(request, group),
        "placement_group_config": {
            "bundles": [first, *({"GPU": 1} for _ in range(group.gpus - 1))],
            "strategy": "STRICT_PACK",
        },
        # Serve knows no application without replicas: a deployment at zero suspends the RayService.
        "deployment_config": {"num_replicas": max(1, group.replicas)},
    }
