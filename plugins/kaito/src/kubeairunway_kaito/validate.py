"""What KAITO cannot do although it carries the fields: values that clash, and values it would drop."""

from collections.abc import Iterator

from kubeairunway.plugin import Problem, Request
from kubeairunway_kaito.arguments import CONTEXT_SIZE, GGUF_URL
from kubeairunway_kaito.catalog import INFERENCE_SET, WORKSPACE
from kubeairunway_kaito.placement import (
    NVIDIA,
    RESERVED_NODE_LABELS,
    choose_kind,
    find_instance_type,
    read_overrides,
    read_settings,
    require_node_labels,
)
from kubeairunway_kaito.render import API_SUFFIX, CREATED_BY, choose_image

RESERVED_POD_LABELS = frozenset(
    {CREATED_BY, "kaito.sh/workspace", "kaito.sh/inference-role", "multiroleinference.kaito.sh/created-by"}
)
"""Pod labels that KAITO sets itself, over the template's."""


def find_problems(request: Request) -> Iterator[Problem]:
    """Every objection of KAITO's to this deployment."""
    yield from _check_kind(request)
    yield from _check_nodes(request)
    if request.spec.engine.type == "llamacpp":
        yield from _check_runner(request)
    else:
        yield from _check_preset(request)


def _check_kind(request: Request) -> Iterator[Problem]:
    kind, replicas = choose_kind(request), request.spec.scaling.replicas
    # KAITO takes whatever Service has its Workspace's name for its own: calls would end at another model.
    meets = kind == WORKSPACE and INFERENCE_SET in request.versions and request.name.endswith(f"-{API_SUFFIX}")
    if meets and request.primary != WORKSPACE:
        yield Problem(
            "metadata.name",
            "NameMeetsService",
            f'a Workspace has a Service of its own name, and "{request.name}" is that of an InferenceSet\'s Service; '
            f"use a name that does not end in -{API_SUFFIX}, or an InferenceSet",
        )
    if read_overrides(request).resource != "auto" and kind not in request.versions:
        yield Problem(
            "spec.provider.overrides.resource",
            "KindNotServed",
            f"the cluster serves no {kind.name} of kaito.sh in a version that is rendered here; "
            "leave resource out to use what is served",
        )
    if kind == WORKSPACE and replicas != 1:
        because = "overrides.resource asks for one" if INFERENCE_SET in request.versions else "it has no InferenceSet"
        yield Problem(
            "spec.scaling.replicas",
            "WorkspaceIsOneReplica",
            f"a KAITO Workspace is exactly one replica, not {replicas}, and this cluster gets a Workspace since "
            f"{because}; use 1 replica, or an InferenceSet (KAITO 0.11 or later)",
        )


def _check_nodes(request: Request) -> Iterator[Problem]:
    selector = request.spec.node_selector
    for key, value in require_node_labels(request).items():
        if selector.get(key, value) != value:
            yield Problem(
                "spec.nodeSelector",
                "ConflictingNodeLabel",
                f'{key} has to be "{value}" for what this deployment asks for, not "{selector[key]}"; leave it out',
            )
    for key in sorted(RESERVED_NODE_LABELS & selector.keys()):
        yield Problem("spec.nodeSelector", "ReservedNodeLabel", f"KAITO sets {key} itself and ignores it in selectors")
    if read_settings(request).node_auto_provisioning and not find_instance_type(request):
        yield _missing_instance_type(request)


def _missing_instance_type(request: Request) -> Problem:
    gpus = request.spec.resources.gpu.count
    types = read_settings(request).gpu_instance_types
    if not gpus:
        path, lacks = "spec.provider.overrides.instanceType", "for CPU deployments (cpuInstanceType)"
    else:
        known = ", ".join(sorted(types)) or "none"
        path, lacks = "spec.resources.gpu.count", f"with {gpus} GPUs (gpuInstanceTypes has: {known})"
    return Problem(
        path,
        "NoInstanceType",
        f"KAITO makes the nodes of this cluster, and the provider's settings name no machine type {lacks}; "
        "set spec.provider.overrides.instanceType, or ask the administrator",
    )


def _check_preset(request: Request) -> Iterator[Problem]:
    spec = request.spec
    for key in sorted(key for key, value in spec.engine.args.items() if not value):
        yield Problem(
            f"spec.engine.args.{key}",
            "BareArgument",
            f"KAITO gives every argument a value, so {key} cannot be a bare flag; give it a value or leave it out",
        )
    if "gguf" in spec.model.id.lower():
        yield Problem(
            "spec.model.id",
            "NoSafetensors",
            f"KAITO's vLLM reads safetensors and .bin files, and {spec.model.id} is named for GGUF; use llamacpp",
        )
    if read_overrides(request).instance_type and spec.resources.gpu.count > 1:
        yield Problem(
            "spec.resources.gpu.count",
            "InstanceTypeDecides",
            "with overrides.instanceType a vLLM replica gets all GPUs of that machine type, whatever their number",
            warning=True,
        )


def _check_runner(request: Request) -> Iterator[Problem]:
    spec, overrides = request.spec, read_overrides(request)
    yield from _check_image(request)
    for key in sorted(key for key in spec.engine.args if key.replace("_", "-") == CONTEXT_SIZE):
        yield Problem(f"spec.engine.args.{key}", "ArgumentOwned", f"set spec.engine.contextLength instead of {key}")
    for key in sorted(RESERVED_POD_LABELS & spec.pod_template.metadata.labels.keys()):
        yield Problem("spec.podTemplate.metadata.labels", "ReservedPodLabel", f"KAITO sets {key} itself; leave it out")
    vllm_only = {
        "bypassResourceChecks": overrides.bypass_resource_checks,
        "disableBenchmark": overrides.disable_benchmark,
    }
    for name in (name for name, on in vllm_only.items() if on):
        yield Problem(
            f"spec.provider.overrides.{name}", "OnlyForVllm", f"{name} has no effect on llama.cpp; leave it out"
        )


def _check_image(request: Request) -> Iterator[Problem]:
    spec = request.spec
    if not choose_image(request):
        if spec.model.source == "custom":
            why = "model.source custom takes the model from the image"
        elif spec.resources.gpu.count and spec.resources.gpu.type != NVIDIA:
            why = f"there is no default llama.cpp image for {spec.resources.gpu.type}"
        else:
            why = "the provider's settings have no default llama.cpp image"
        yield Problem("spec.engine.image", "ImageRequired", f"{why}: name one in engine.image")
    elif not (spec.engine.image or spec.image or spec.engine.args.get(GGUF_URL) or "gguf" in spec.model.id.lower()):
        # With a GPU this is a model for vLLM, which must not end here for an argument that KAITO's vLLM cannot take.
        yield Problem(
            "spec.model.id",
            "NoGguf",
            f"the default llama.cpp image serves GGUF files, and {spec.model.id} is not named for any; name a "
            f"repository that has them, one file in engine.args.{GGUF_URL}, or an image of yours",
            warning=not spec.resources.gpu.count,
        )
