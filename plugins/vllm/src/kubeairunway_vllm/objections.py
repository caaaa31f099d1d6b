"""What a Deployment of vLLM cannot do although it carries the fields: values that clash or lead nowhere."""

import re
from collections.abc import Iterator

from kubeairunway.plugin import Problem, Request, hookimpl
from kubeairunway_vllm.objects import HF_TOKEN, LABELS, NVIDIA, SHM, choose_image, uses_surge

SERVICE_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
"""A DNS-1035 label: what Kubernetes accepts as the name of a Service."""


@hookimpl
def validate(request: Request) -> Iterator[Problem]:
    """Every objection to this deployment."""
    spec = request.spec
    if not SERVICE_NAME.fullmatch(request.name):
        text = f'"{request.name}" cannot name a Service: use a-z, 0-9 and hyphens, with a letter first'
        yield Problem("metadata.name", "NotAServiceName", text)
    if not choose_image(request):
        yield Problem("spec.engine.image", "ImageRequired", f"{_explain_image(request)}: name one in engine.image")
    for key in sorted(key for key in spec.pod_template.metadata.labels if key.startswith(LABELS)):
        text = f"the provider sets {key} itself; leave it out"
        yield Problem("spec.podTemplate.metadata.labels", "ReservedPodLabel", text)
    for row in spec.env:
        if row.name == HF_TOKEN and spec.secrets.hugging_face_token:
            text = f"secrets.huggingFaceToken sets {HF_TOKEN} already; keep one of the two"
            yield Problem("spec.env", "DuplicateToken", text)
        if row.value_from and row.value_from.file_key_ref:
            text = f"{row.name}: fileKeyRef needs an init container that writes the file, and these pods have none"
            yield Problem("spec.env", "NoSuchVolume", text)
    yield from _check_volumes(request)


def _explain_image(request: Request) -> str:
    if request.spec.model.source == "custom":
        return "model.source custom takes the model from the image"
    gpu = request.spec.resources.gpu.type
    return f"there is no default vLLM image{'' if gpu == NVIDIA else f' for {gpu}'}"


def _check_volumes(request: Request) -> Iterator[Problem]:
    shared = request.spec.scaling.replicas > 1 or uses_surge(request)
    for index, row in enumerate(request.spec.model.storage.volumes):
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
