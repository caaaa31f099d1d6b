"""What Dynamo cannot do although it carries the fields: values that clash, and values it would drop."""

from collections.abc import Iterator

from kubeairunway.plugin import Problem, Request
from kubeairunway_dynamo.arguments import find_given
from kubeairunway_dynamo.catalog import ALPHA
from kubeairunway_dynamo.components import choose_image, choose_version, has_version, list_workers, read_overrides
from kubeairunway_dynamo.render import HF_TOKEN, ROUTER_MODE

OPERATORS_LABELS = ("nvidia.com/dynamo-", "nvidia.com/selector", "nvidia.com/metrics-enabled", "grove.io/")
"""How labels begin by which Dynamo and Grove find their pods."""
OPERATORS_VOLUME = "shared-memory"
"""The volume that Dynamo gives every pod."""
OPERATORS_FLAGS = frozenset({"disaggregation-mode", "is-prefill-worker", "is-decode-worker"})
"""Flags by which a worker learns its role."""
OPERATORS_GPUS = "nvidia.com/"
"""How resources begin that upstream's images are made for, whole GPUs and parts of them."""
EVENT_FLAGS = frozenset({"publish-kv-events", "publish-events-and-metrics"})
"""TensorRT-LLM's flags, by age, for what the kv router reads."""


def find_problems(request: Request) -> Iterator[Problem]:
    """Every objection of Dynamo's to this deployment."""
    yield from _check_roles(request)
    yield from _check_images(request)
    yield from _check_router(request)
    yield from _check_arguments(request)
    yield from _check_pods(request)


def _check_roles(request: Request) -> Iterator[Problem]:
    workers = list_workers(request.spec)
    idle = [worker for worker in workers if not worker.replicas]
    if idle and len(idle) < len(workers):
        yield Problem(
            f"spec.scaling.{idle[0].role}.replicas",
            "RoleWithoutWorkers",
            "prefill and decode workers serve nothing without one another; give both 0 replicas, or both 1 and more",
        )


def _check_images(request: Request) -> Iterator[Problem]:
    spec, overrides, image = request.spec, read_overrides(request), choose_image(request)
    custom = bool(spec.engine.image or spec.image)
    foreign = sorted(
        {worker.gpu_type for worker in list_workers(spec) if not worker.gpu_type.startswith(OPERATORS_GPUS)}
    )
    if foreign and not custom:
        yield Problem(
            "spec.engine.image",
            "ImageRequired",
            f"Dynamo's own images are for NVIDIA's GPUs, not for {', '.join(foreign)}: name one in engine.image",
        )
    if choose_version(request) == ALPHA:
        if overrides.runtime_version:
            yield Problem(
                "spec.provider.overrides.runtimeVersion",
                "OnlyInNewerDynamo",
                "this cluster's Dynamo serves v1alpha1 alone, which has no field for it and needs none; leave it out",
            )
        return
    if overrides.runtime_version:
        return
    if custom and not has_version(image):
        path = "spec.engine.image" if spec.engine.image else "spec.image"
        yield _missing_version(path, image)
    if overrides.frontend.image and not has_version(overrides.frontend.image):
        yield _missing_version("spec.provider.overrides.frontend.image", overrides.frontend.image)


def _missing_version(path: str, image: str) -> Problem:
    return Problem(
        path,
        "NoRuntimeVersion",
        f"Dynamo must know its version in {image}, and the tag is none like 1.4.0; "
        "set spec.provider.overrides.runtimeVersion",
    )


def _check_router(request: Request) -> Iterator[Problem]:
    overrides, engine = read_overrides(request), request.spec.engine
    token = {HF_TOKEN: "secrets.huggingFaceToken"} if request.spec.secrets.hugging_face_token else {}
    ours = {ROUTER_MODE: "overrides.routerMode", **token}
    for name in sorted(ours.keys() & overrides.frontend.env.keys()):
        path = f"spec.provider.overrides.frontend.env.{name}"
        yield Problem(path, "SetTwice", f"{ours[name]} sets {name}; keep one of the two")
    if overrides.router_mode != "kv":
        return
    if not engine.enable_prefix_caching:
        yield Problem(
            "spec.provider.overrides.routerMode",
            "NothingToRouteBy",
            "routerMode kv looks for cached prefixes, and engine.enablePrefixCaching is false; change one of the two",
        )
    if engine.type == "trtllm" and not EVENT_FLAGS & find_given(request):
        yield Problem(
            "spec.provider.overrides.routerMode",
            "NoCacheEvents",
            "TensorRT-LLM tells the kv router what it holds only with its flag publish-kv-events "
            "(before Dynamo 1.3: publish-events-and-metrics); give it in engine.args",
            warning=True,
        )


def _check_arguments(request: Request) -> Iterator[Problem]:
    given = find_given(request)
    for flag in sorted(OPERATORS_FLAGS & given):
        yield Problem("spec.engine.args", "ArgumentOwned", f"serving.mode sets {flag}; remove the argument")
    if request.spec.engine.type == "vllm" and "connector" in given:
        yield Problem(
            "spec.engine.args", "ArgumentGone", "Dynamo's vLLM worker refuses connector; use kv-transfer-config"
        )


def _check_pods(request: Request) -> Iterator[Problem]:
    metadata, volumes = request.spec.pod_template.metadata, request.spec.model.storage.volumes
    for key in sorted(key for key in metadata.labels if key.startswith(OPERATORS_LABELS)):
        yield Problem("spec.podTemplate.metadata.labels", "ReservedPodLabel", f"Dynamo sets {key} itself; leave it out")
    for index, volume in enumerate(volumes):
        path = f"spec.model.storage.volumes[{index}]"
        if volume.name == OPERATORS_VOLUME:
            yield Problem(f"{path}.name", "ReservedVolume", f"Dynamo gives each pod a volume {volume.name}; rename it")
        if volume.read_only and volume.purpose == "compilationCache":
            yield Problem(
                f"{path}.readOnly", "CacheIsWritten", "Dynamo mounts compilation caches to write to them; leave it out"
            )
        if volume.access_mode in {"ReadWriteOnce", "ReadWriteOncePod"}:
            one = "pod" if volume.access_mode == "ReadWriteOncePod" else "node"
            text = (
                f"{volume.access_mode} lets one {one} mount volume {volume.name}, which several workers, and old and "
                "new ones while a change rolls out, do; use ReadWriteMany"
            )
            yield Problem(f"{path}.accessMode", "NotShared", text, warning=one == "node")
