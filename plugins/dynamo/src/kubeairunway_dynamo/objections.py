"""What Dynamo cannot do although it carries the fields: values that clash, and values it would drop."""

from collections.abc import Iterator

from kubeairunway.plugin import Problem, Request, hookimpl
from kubeairunway_dynamo.arguments import find_given
from kubeairunway_dynamo.catalog import ALPHA
from kubeairunway_dynamo.components import choose_version, has_version, list_workers, read_overrides
from kubeairunway_dynamo.objects import HF_TOKEN, ROUTER_MODE

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


@hookimpl
def validate(request: Request) -> Iterator[Problem]:
    """What Dynamo cannot do for this deployment, though it carries the fields."""
    workers = list_workers(request.spec)
    idle = [worker for worker in workers if not worker.replicas]
    if idle and len(idle) < len(workers):
        text = "prefill and decode workers serve nothing without one another; give both 0 replicas, or both 1 and more"
        yield Problem(f"spec.scaling.{idle[0].role}.replicas", "RoleWithoutWorkers", text)
    yield from _check_images(request)
    yield from _check_router(request)
    yield from _check_arguments(request)
    yield from _check_pods(request)


def _check_images(request: Request) -> Iterator[Problem]:
    spec, overrides = request.spec, read_overrides(request)
    types = {worker.gpu_type for worker in list_workers(spec)}
    foreign = sorted(name for name in types if not name.startswith(OPERATORS_GPUS))
    if foreign and not (spec.engine.image or spec.image):
        text = f"Dynamo's own images are for NVIDIA's GPUs, not for {', '.join(foreign)}: name one in engine.image"
        yield Problem("spec.engine.image", "ImageRequired", text)
    if choose_version(request) == ALPHA and overrides.runtime_version:
        text = "this cluster's Dynamo serves v1alpha1 alone, which has no field for it and needs none; leave it out"
        yield Problem("spec.provider.overrides.runtimeVersion", "OnlyInNewerDynamo", text)
    if choose_version(request) == ALPHA or overrides.runtime_version:
        return
    images = {
        "spec.engine.image" if spec.engine.image else "spec.image": spec.engine.image or spec.image,
        "spec.provider.overrides.frontend.image": overrides.frontend.image,
    }
    for path, image in images.items():
        if image and not has_version(image):
            text = f"Dynamo must know its version in {image}, and the tag is none like 1.4.0; "
            yield Problem(path, "NoRuntimeVersion", f"{text}set spec.provider.overrides.runtimeVersion")


def _check_router(request: Request) -> Iterator[Problem]:
    overrides, engine = read_overrides(request), request.spec.engine
    token = {HF_TOKEN: "secrets.huggingFaceToken"} if request.spec.secrets.hugging_face_token else {}
    ours = {ROUTER_MODE: "overrides.routerMode", **token}
    for name in sorted(ours.keys() & overrides.frontend.env.keys()):
        path = f"spec.provider.overrides.frontend.env.{name}"
        yield Problem(path, "SetTwice", f"{ours[name]} sets {name}; keep one of the two")
    path, by_cache = "spec.provider.overrides.routerMode", overrides.router_mode == "kv"
    if by_cache and not engine.enable_prefix_caching:
        text = "routerMode kv looks for cached prefixes, and engine.enablePrefixCaching is false; change one of the two"
        yield Problem(path, "NothingToRouteBy", text)
    if by_cache and engine.type == "trtllm" and not EVENT_FLAGS & find_given(request):
        text = (
            "TensorRT-LLM tells the kv router what it holds only with its flag publish-kv-events "
            "(before Dynamo 1.3: publish-events-and-metrics); give it in engine.args"
        )
        yield Problem(path, "NoCacheEvents", text, warning=True)


def _check_arguments(request: Request) -> Iterator[Problem]:
    given = find_given(request)
    for flag in sorted(OPERATORS_FLAGS & given):
        yield Problem("spec.engine.args", "ArgumentOwned", f"serving.mode sets {flag}; remove the argument")
    if request.spec.engine.type == "vllm" and "connector" in given:
        text = "Dynamo's vLLM worker refuses connector; use kv-transfer-config"
        yield Problem("spec.engine.args", "ArgumentGone", text)


def _check_pods(request: Request) -> Iterator[Problem]:
    metadata, volumes = request.spec.pod_template.metadata, request.spec.model.storage.volumes
    for key in sorted(key for key in metadata.labels if key.startswith(OPERATORS_LABELS)):
        yield Problem("spec.podTemplate.metadata.labels", "ReservedPodLabel", f"Dynamo sets {key} itself; leave it out")
    for index, volume in enumerate(volumes):
        path = f"spec.model.storage.volumes[{index}]"
        if volume.name == OPERATORS_VOLUME:
            yield Problem(f"{path}.name", "ReservedVolume", f"Dynamo gives each pod a volume {volume.name}; rename it")
        if volume.read_only and volume.purpose == "compilationCache":
            text = "Dynamo mounts compilation caches to write to them; leave it out"
            yield Problem(f"{path}.readOnly", "CacheIsWritten", text)
        if volume.access_mode in {"ReadWriteOnce", "ReadWriteOncePod"}:
            one = "pod" if volume.access_mode == "ReadWriteOncePod" else "node"
            text = (
                f"{volume.access_mode} lets one {one} mount volume {volume.name}, which several workers, and old and "
                "new ones while a change rolls out, do; use ReadWriteMany"
            )
            yield Problem(f"{path}.accessMode", "NotShared", text, warning=one == "node")
