"""What an edit costs while it is carried out: GPUs, and time without service."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from kubeairunway.decide.update import Downtime, GpuNeed, How, ObjectChange
from kubeairunway.model.spec import Spec


@dataclass(frozen=True, slots=True)
class _Replicas:
    """So many replicas of one role, each with so many GPUs of one type."""

    count: int
    gpus: int
    type: str


def count_gpus(old: Spec | None, new: Spec | None, how: How, changes: Iterable[ObjectChange]) -> GpuNeed:
    """GPUs before, meanwhile and after; None: nothing serves then.

    In place and for a creation the new number is needed, for a recreate the greater of the two, since the old ones
    are free before the new ones start. A surge needs both sets, or where the kind says how many replicas more than
    asked for run, the most that so many replicas can take.
    """
    before, after = _roles(old), _roles(new)
    sums = _sum(before), _sum(after)
    if how is How.SURGE:
        extra = _find_extra(changes)
        meanwhile = _most(sums[0], sums[1], add=True) if extra == 0 else _peak(before, after, extra)
    else:
        meanwhile = _most(*sums, add=False) if how is How.RECREATE else sums[1]
    return GpuNeed(before=sums[0], meanwhile=meanwhile, after=sums[1])


def find_downtime(old: Spec | None, new: Spec, how: How, changes: Iterable[ObjectChange] = ()) -> Downtime:
    """When nothing serves because of the edit."""
    served, serves = (sum(role.count for role in _roles(spec).values()) for spec in (old, new))
    if not served or how in {How.NOTHING, How.CREATE, How.REFUSED, How.WAITS}:
        return Downtime.NONE
    if not serves:
        return Downtime.SCALED_TO_ZERO
    if how is How.RECREATE:
        return Downtime.UNTIL_READY
    ended = max((change.ends_first for change in changes), default=0)
    if ended:
        # Each role is needed: where all replicas of one are down, nothing serves.
        fewest = min(role.count for spec in (old, new) for role in _roles(spec).values())
        return Downtime.RESTART if ended >= fewest else Downtime.ROLLING
    return Downtime.ROLLING if how is How.SURGE else Downtime.NONE


def _roles(spec: Spec | None) -> Mapping[str, _Replicas]:
    if spec is None:
        return {}
    if spec.serving.mode == "aggregated":
        gpu = spec.resources.gpu
        return {"": _Replicas(spec.scaling.replicas, gpu.count, gpu.type)}
    roles = {"prefill": spec.scaling.prefill, "decode": spec.scaling.decode}
    return {
        name: _Replicas(role.replicas, role.gpu.count, role.gpu.type)
        for name, role in roles.items()
        if role is not None
    }


def _sum(roles: Mapping[str, _Replicas]) -> dict[str, int]:
    total: dict[str, int] = {}
    for role in roles.values():
        if wanted := role.count * role.gpus:
            total[role.type] = total.get(role.type, 0) + wanted
    return total


def _most(old: Mapping[str, int], new: Mapping[str, int], *, add: bool) -> dict[str, int]:
    types = sorted({*old, *new})
    return {
        name: old.get(name, 0) + new.get(name, 0) if add else max(old.get(name, 0), new.get(name, 0)) for name in types
    }


def _find_extra(changes: Iterable[ObjectChange]) -> int:
    """Replicas beside those asked for; 0 is a whole second set, and more than any number."""
    numbers = [change.surge_replicas for change in changes if change.surge]
    return 0 if 0 in numbers else max(numbers, default=0)


def _peak(old: Mapping[str, _Replicas], new: Mapping[str, _Replicas], extra: int) -> dict[str, int]:
    total: dict[str, int] = {}
    for name in {**old, **new}:
        for gpu_type, wanted in _peak_of_role(old.get(name), new.get(name), extra).items():
            total[gpu_type] = total.get(gpu_type, 0) + wanted
    return {name: wanted for name, wanted in sorted(total.items()) if wanted}


def _peak_of_role(old: _Replicas | None, new: _Replicas | None, extra: int) -> dict[str, int]:
    """The most that a rolling replacement takes: replicas of both sets, in all at most `extra` more than asked for."""
    if old is None or new is None:
        return _sum({name: role for name, role in (("old", old), ("new", new)) if role is not None})
    if old.type != new.type:
        return _sum({"old": old, "new": new})
    limit = max(old.count, new.count + extra)
    dear, other = (old, new) if old.gpus >= new.gpus else (new, old)
    rest = min(other.count, limit - min(dear.count, limit))
    return {old.type: min(dear.count, limit) * dear.gpus + rest * other.gpus}
