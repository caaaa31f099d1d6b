"""What a Deployment of vLLM cannot do although it carries the fields: values that clash or lead nowhere."""

from collections.abc import Iterator

from kubeairunway.plugin import Problem, Request, hookimpl
from kubeairunway_vllm.objects import LABELS, NVIDIA, SHM, choose_image, read_overrides


@hookimpl
def validate(request: Request) -> Iterator[Problem]:
    """Every objection to this deployment."""
    spec = request.spec
    if not choose_image(request):
        gpu = "" if spec.resources.gpu.type == NVIDIA else f" for {spec.resources.gpu.type}"
        custom = spec.model.source == "custom"
        why = "model.source custom takes the model from the image" if custom else f"there is no default vLLM image{gpu}"
        yield Problem("spec.engine.image", "ImageRequired", f"{why}: name one in engine.image")
    for key in sorted(key for key in spec.pod_template.metadata.labels if key.startswith(LABELS)):
        text = f"the provider sets {key} itself; leave it out"
        yield Problem("spec.podTemplate.metadata.labels", "ReservedPodLabel", text)
    shared = spec.scaling.replicas > 1 or read_overrides(request).strategy == "surge"
    for index, row in enumerate(spec.model.storage.volumes):
        path = f"spec.model.storage.volumes[{index}]"
        if row.name == SHM:
            yield Problem(f"{path}.name", "ReservedVolume", f"{SHM} is the volume of shared memory; use another name")
        if shared and row.access_mode in {"ReadWriteOnce", "ReadWriteOncePod"}:
            one = "pod" if row.access_mode == "ReadWriteOncePod" else "node"
            text = (
                f"{row.access_mode} lets one {one} mount volume {row.name}, which several replicas or revisions do; "
                "use ReadWriteMany, or one replica with overrides.strategy recreate"
            )
            yield Problem(f"{path}.accessMode", "NotShared", text, warning=one == "node")
