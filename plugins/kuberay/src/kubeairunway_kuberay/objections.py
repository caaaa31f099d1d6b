"""What KubeRay and Ray cannot do although the fields are carried: values that clash or lead nowhere."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from kubeairunway.plugin import Problem, Request, hookimpl
from kubeairunway_kuberay.arguments import PIPELINE, REFUSED, TENSOR, name_keyword, read_arguments
from kubeairunway_kuberay.cluster import PREFIX
from kubeairunway_kuberay.groups import Group, choose_image, list_groups, read_overrides

RESERVED_LABELS = ("ray.io/", PREFIX)
"""Prefixes of pod labels that KubeRay or we set."""
RESERVED_VOLUMES = frozenset({"shared-mem", "ray-logs", "ray-token", "ray-tls"})
"""Volumes that KubeRay adds to its pods."""
RESERVED_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "RAY_REDIS_ADDRESS": "KubeRay refuses it without GCS fault tolerance, which is not rendered",
        "REDIS_USERNAME": "KubeRay refuses it",
        "RAY_SERVE_LLM_ENABLE_DIRECT_STREAMING": "Ray Serve LLM refuses it beside the ingress that is rendered",
    }
)
RESERVED_PARAMS = frozenset({"address", "block", "head", "labels", "no-monitor", "num-gpus", "resources"})
"""Flags of `ray start` that KubeRay or the rendering sets."""


@hookimpl
def validate(request: Request) -> Iterator[Problem]:
    """Every objection to this deployment."""
    spec = request.spec
    if ":" in spec.model.served_name:
        text = f'Ray Serve LLM takes what follows ":" in "{spec.model.served_name}" for an adapter; leave it out'
        yield Problem("spec.model.servedName", "NotAModelName", text)
    if not choose_image(request):
        text = "the default image is for NVIDIA GPUs, and there is none for others: name one in engine.image"
        yield Problem("spec.engine.image", "ImageRequired", text)
    yield from _check_groups(request)
    yield from _check_arguments(request)
    yield from _check_pods(request)
    yield from _check_volumes(request)
    yield from _check_start_params(request)


def _check_groups(request: Request) -> Iterator[Problem]:
    groups = list_groups(request.spec)
    for group in groups:
        if not group.gpu_type.endswith("gpu"):
            text = f"Ray counts resources whose name ends in gpu, and {group.gpu_type} is none, so no GPU would be seen"
            place = f"spec.scaling.{group.role}" if group.role else "spec.resources"
            yield Problem(f"{place}.gpu.type", "NotAGpu", text)
        if not group.replicas and any(other.replicas for other in groups):
            text = f"the {group.role} role needs a worker while the other has some; scale both to zero, or neither"
            yield Problem(f"spec.scaling.{group.role}.replicas", "RoleWithoutWorkers", text)


def _check_arguments(request: Request) -> Iterator[Problem]:
    args = request.spec.engine.args
    names: dict[str, str] = {}
    for name in sorted(args):
        keyword = name_keyword(name, args[name])
        if keyword in names:
            text = f"{names[keyword]} and {name} set the same argument; keep one of them"
            yield Problem(f"spec.engine.args.{name}", "DuplicateArgument", text)
        names.setdefault(keyword, name)
        for start in (start for start in REFUSED if keyword.startswith(start)):
            yield Problem(f"spec.engine.args.{name}", "ArgumentRefused", f"{name}: {REFUSED[start]}")
    given = read_arguments(args)
    wrong = [key for key in (TENSOR, PIPELINE) if key in given and (type(given[key]) is not int or given[key] < 1)]
    for key in wrong:
        text = f"{names[key]} has to be a whole number of at least 1"
        yield Problem(f"spec.engine.args.{names[key]}", "NotANumber", text)
    if not wrong:
        for group in list_groups(request.spec):
            yield from _check_parallel(group, given, names)


def _check_parallel(group: Group, given: Mapping[str, int], names: Mapping[str, str]) -> Iterator[Problem]:
    stages, tensors = given.get(PIPELINE, 1), given.get(TENSOR, 0)
    used = stages * tensors if tensors else stages * (group.gpus // stages)
    if used == group.gpus or not (stages > 1 or tensors):
        return
    path = f"spec.engine.args.{names[TENSOR] if tensors else names[PIPELINE]}"
    where = f"{group.role} worker" if group.role else "replica"
    text = f"it takes {used or stages} GPUs, and a {where} has {group.gpus}"
    idle = 0 < used < group.gpus
    code, advice = ("IdleGpus", "the rest stays idle") if idle else ("TooFewGpus", "ask for as many")
    yield Problem(path, code, f"{text}; {advice}", warning=idle)


def _check_pods(request: Request) -> Iterator[Problem]:
    spec = request.spec
    for row in spec.env:
        if row.name in RESERVED_VARIABLES:
            yield Problem("spec.env", "ReservedVariable", f"{row.name}: {RESERVED_VARIABLES[row.name]}; leave it out")
        if row.value_from and row.value_from.resource_field_ref and row.value_from.resource_field_ref.container_name:
            text = f"{row.name}: containers of head and workers differ in name; leave containerName out"
            yield Problem("spec.env", "NoSuchContainer", text)
    metadata = spec.pod_template.metadata
    for key in sorted(key for key in metadata.labels if key.startswith(RESERVED_LABELS)):
        text = f"KubeRay or this provider sets {key} itself; leave it out"
        yield Problem("spec.podTemplate.metadata.labels", "ReservedPodLabel", text)
    for key in sorted(key for key in metadata.annotations if key.startswith(PREFIX)):
        text = f"this provider sets {key} itself; leave it out"
        yield Problem("spec.podTemplate.metadata.annotations", "ReservedAnnotation", text)


def _check_volumes(request: Request) -> Iterator[Problem]:
    for index, row in enumerate(request.spec.model.storage.volumes):
        path = f"spec.model.storage.volumes[{index}]"
        if row.name in RESERVED_VOLUMES:
            text = f"KubeRay gives its pods a volume {row.name}; use another name"
            yield Problem(f"{path}.name", "ReservedVolume", text)
        if row.access_mode in {"ReadWriteOnce", "ReadWriteOncePod"}:
            one = "pod" if row.access_mode == "ReadWriteOncePod" else "node"
            text = (
                f"{row.access_mode} lets one {one} mount volume {row.name}, and while a change rolls out the workers "
                "of two clusters do; use ReadWriteMany"
            )
            yield Problem(f"{path}.accessMode", "NotShared", text, warning=one == "node")


def _check_start_params(request: Request) -> Iterator[Problem]:
    overrides = read_overrides(request)
    given = {
        "head": overrides.head.ray_start_params.keys() & RESERVED_PARAMS,
        "worker": overrides.worker.ray_start_params.keys() & (RESERVED_PARAMS | {"num-cpus"}),
    }
    for role, keys in given.items():
        for key in sorted(keys):
            text = f"{key} is set by KubeRay or this provider; leave it out"
            yield Problem(f"spec.provider.overrides.{role}.rayStartParams", "ReservedFlag", text)
