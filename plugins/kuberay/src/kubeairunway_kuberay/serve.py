"""The application that Ray Serve runs, as the text of serveConfigV2."""

import json
import re
from typing import Any

from kubeairunway.plugin import Request
from kubeairunway_kuberay.arguments import build_engine_kwargs
from kubeairunway_kuberay.groups import Group, list_groups

APPLICATION = "llm"
ON_HEAD = "node:__internal_head__"
"""Ray's own resource of the head, where there is one of it."""
UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
"""What JSON allows as it is, and YAML only escaped."""


def build_serve_config(request: Request) -> str:
    """serveConfigV2: JSON, which is YAML, with keys in one order."""
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
