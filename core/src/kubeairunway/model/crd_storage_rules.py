"""The CEL rules of `spec.model.storage`: volumes, their claims, and what may change of the ones we manage."""

from kubeairunway.model.crd_rules import CelRule

_VOLUMES = "spec.model.storage.volumes"
_SYSTEM_PATHS = ("/dev", "/proc", "/sys", "/etc", "/var/run")

_MOUNT = (
    "(has(v.mountPath) && v.mountPath != '' ? v.mountPath : v.purpose == 'modelCache' ? '/model-cache'"
    " : v.purpose == 'compilationCache' ? '/compilation-cache' : '')"
)
_MOUNTS = f"self.map(v, {_MOUNT})"
_CLAIMS = "self.map(v, has(v.claimName) ? v.claimName : '')"


def _only_with_size(field: str) -> CelRule:
    return CelRule(
        path=f"{_VOLUMES}[]",
        rule=f"has(self.size) || !has(self.{field})",
        message=f"{field} is only applicable when size is set (controller-created PVCs); set size or remove {field}",
        field=f".{field}",
    )


def _one_per_purpose(purpose: str) -> CelRule:
    return CelRule(
        path=_VOLUMES,
        rule=f"self.filter(v, v.purpose == '{purpose}').size() <= 1",
        message=f"at most one volume with purpose={purpose} is allowed",
    )


def _system_path(path: str) -> CelRule:
    return CelRule(
        path=f"{_VOLUMES}[].mountPath",
        rule=f"self != '{path}' && !self.startsWith('{path}/')",
        message=f"mountPath must not overlap with system path {path}",
    )


VOLUME_RULES = (
    CelRule(
        path=f"{_VOLUMES}[]",
        rule="has(self.size) || (has(self.claimName) && self.claimName != '')",
        message="claimName is required when size is not set (must reference a pre-existing PVC)",
        field=".claimName",
        reason="FieldValueRequired",
    ),
    CelRule(
        path=f"{_VOLUMES}[]",
        rule="!has(self.size) || !self.readOnly",
        message="readOnly must not be true when size is set (controller-created PVCs need write access)",
        field=".readOnly",
    ),
    _only_with_size("accessMode"),
    _only_with_size("storageClassName"),
    CelRule(
        path=f"{_VOLUMES}[]",
        rule="self.purpose != 'custom' || (has(self.mountPath) && self.mountPath != '')",
        message="mountPath is required when purpose is custom",
        field=".mountPath",
        reason="FieldValueRequired",
    ),
    CelRule(
        path=f"{_VOLUMES}[].mountPath",
        rule="self == '' || self.startsWith('/')",
        message="mountPath must be an absolute path (start with /)",
    ),
    *map(_system_path, _SYSTEM_PATHS),
    CelRule(
        path=_VOLUMES,
        rule=f"{_MOUNTS}.all(p, p == '' || {_MOUNTS}.exists_one(q, p == q))",
        message="duplicate mount path; give each volume a mountPath of its own",
    ),
    CelRule(
        path=_VOLUMES,
        rule=f"{_CLAIMS}.all(p, p == '' || {_CLAIMS}.exists_one(q, p == q))",
        message="duplicate claim name; give each volume a claimName of its own",
    ),
    _one_per_purpose("modelCache"),
    _one_per_purpose("compilationCache"),
)

_OWN_CLAIM = (
    "!has(v.size) || !has(v.claimName) || v.claimName == '' || v.claimName == self.metadata.name + '-' + v.name"
)

CLAIM_RULE = CelRule(
    path="",
    rule="!has(self.spec.model.storage) || !has(self.spec.model.storage.volumes)"
    f" || self.spec.model.storage.volumes.all(v, {_OWN_CLAIM})",
    message='claimName must not be set when size is set (auto-generated as "<deployment>-<volume>")',
    field=".spec.model.storage.volumes",
)

_LOST = (
    "has(o.size) && !(has(self.storage) && has(self.storage.volumes)"
    " && self.storage.volumes.exists(v, v.name == o.name))"
)


def _unchanged(field: str) -> str:
    """CEL that says: absent on both sides, or equal."""
    return f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})"


TRANSITION_RULES = (
    CelRule(
        path=f"{_VOLUMES}[]",
        rule="!has(oldSelf.size) || (has(self.size)"
        " && quantity(string(self.size)).compareTo(quantity(string(oldSelf.size))) == 0"
        " && self.purpose == oldSelf.purpose && self.readOnly == oldSelf.readOnly && "
        + " && ".join(map(_unchanged, ("mountPath", "claimName", "accessMode", "storageClassName")))
        + ")",
        message="managed storage volume is immutable once created"
        " (delete the ModelDeployment to change managed storage configuration)",
    ),
    CelRule(
        path="spec.model",
        rule=f"!has(oldSelf.storage) || !has(oldSelf.storage.volumes) || !oldSelf.storage.volumes.exists(o, {_LOST})",
        message="a managed storage volume cannot be removed"
        " (it has an associated PVC; delete the ModelDeployment to clean up managed storage)",
        expression=f"'managed storage volume \"' + oldSelf.storage.volumes.map(o, {_LOST}, o.name)[0]"
        " + '\" cannot be removed (it has an associated PVC; delete the ModelDeployment to clean up managed storage)'",
        field=".storage",
        reason="FieldValueForbidden",
    ),
)
