"""The rules of `spec.model.storage`: volumes, their mounts and their claims."""

from collections.abc import Iterator, Sequence

from kubeairunway.decide.effective import complete_volume, managed_claim_name
from kubeairunway.model.problems import Problem
from kubeairunway.model.spec import Spec, Volume
from kubeairunway.objects.quantities import parse_quantity

VOLUMES = "spec.model.storage.volumes"
SYSTEM_PATHS = ("/dev", "/proc", "/sys", "/etc", "/var/run")
"""Where a volume would hide what the kernel, the node or the image put there."""


def check_volumes(name: str, spec: Spec) -> Iterator[Problem]:
    """All objections to the volumes of the deployment of that name, warnings too."""
    volumes = spec.model.storage.volumes
    for index, volume in enumerate(volumes):
        path = f"{VOLUMES}[{index}]"
        yield from _check_mount(path, volume)
        yield from _check_managed(path, name, volume) if volume.size is not None else _check_claim(path, volume)
        yield from _warn_read_only(path, volume, spec.model.source)
    completed = [complete_volume(volume, name) for volume in volumes]
    names = [volume.name for volume in volumes]
    for index in _repeated(names):
        message = f'duplicate volume name "{names[index]}"; give each volume a name of its own'
        yield Problem(f"{VOLUMES}[{index}]", "Duplicate", message)
    yield from _check_unique([volume.mount_path for volume in completed], "mount path", "mountPath")
    yield from _check_unique([volume.claim_name for volume in completed], "claim name", "claimName")
    for purpose in ("modelCache", "compilationCache"):
        if sum(volume.purpose == purpose for volume in volumes) > 1:
            message = f"at most one volume with purpose={purpose} is allowed"
            yield Problem(VOLUMES, "DuplicatePurpose", f"{message}; make the others custom")


def _check_mount(path: str, volume: Volume) -> Iterator[Problem]:
    mount = volume.mount_path
    if not mount:
        if volume.purpose == "custom":
            yield Problem(
                f"{path}.mountPath",
                "Required",
                "mountPath is required when purpose is custom; give an absolute path such as /data",
            )
        return
    if not mount.startswith("/"):
        yield Problem(f"{path}.mountPath", "Invalid", "mountPath must be an absolute path (start with /)")
    for system in SYSTEM_PATHS:
        if mount == system or mount.startswith(f"{system}/"):
            message = f"mountPath must not overlap with system path {system}; choose another, such as /data"
            yield Problem(f"{path}.mountPath", "SystemPath", message)


def _check_managed(path: str, name: str, volume: Volume) -> Iterator[Problem]:
    """A volume with a size: we make its claim."""
    size = parse_quantity(volume.size or "")
    if size is None:
        message = "invalid resource quantity; write size like 500Gi"
        yield Problem(f"{path}.size", "InvalidQuantity", message)
    elif size <= 0:
        yield Problem(f"{path}.size", "InvalidQuantity", "size must be greater than 0")
    if volume.read_only:
        message = "readOnly must not be true when size is set (controller-created PVCs need write access)"
        yield Problem(f"{path}.readOnly", "Invalid", message)
    own = managed_claim_name(name, volume)
    if volume.claim_name not in {"", own}:
        message = (
            f'claimName must not be set when size is set (auto-generated as "{own}");'
            f" remove claimName or size of volume {volume.name}"
        )
        yield Problem(VOLUMES, "Invalid", message)


def _check_claim(path: str, volume: Volume) -> Iterator[Problem]:
    """A volume without a size: its claim exists already."""
    if not volume.claim_name:
        message = "claimName is required when size is not set (must reference a pre-existing PVC)"
        yield Problem(f"{path}.claimName", "Required", message)
    for field, value in (("accessMode", volume.access_mode), ("storageClassName", volume.storage_class_name)):
        if value is not None:
            message = (
                f"{field} is only applicable when size is set (controller-created PVCs); set size or remove {field}"
            )
            yield Problem(f"{path}.{field}", "Invalid", message)


def _warn_read_only(path: str, volume: Volume, source: str) -> Iterator[Problem]:
    if not volume.read_only:
        return
    if volume.purpose == "compilationCache":
        message = f"volume {volume.name} is readOnly, but a compilation cache requires write access"
        yield Problem(f"{path}.readOnly", "ReadOnlyCache", message, warning=True)
    elif volume.purpose == "modelCache" and source == "huggingface":
        message = (
            f"volume {volume.name} is readOnly, so model download will be skipped"
            " (ensure the PVC already contains the model data)"
        )
        yield Problem(f"{path}.readOnly", "DownloadSkipped", message, warning=True)


def _check_unique(values: Sequence[str], what: str, field: str) -> Iterator[Problem]:
    for index in _repeated(values):
        message = f'duplicate {what}; give each volume a {field} of its own, not "{values[index]}" twice'
        yield Problem(VOLUMES, "Duplicate", message)


def _repeated(values: Sequence[str]) -> Iterator[int]:
    """Where a value stands that stood before; an empty one says nothing."""
    return (index for index, value in enumerate(values) if value and value in values[:index])
