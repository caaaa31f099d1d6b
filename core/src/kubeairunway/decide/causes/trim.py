"""What is kept of pods and events in memory: the fields that a cause is found by, in Kubernetes' own shape."""

from collections.abc import Iterator, Mapping
from typing import Any

from kubeairunway.decide.causes.reading import read_map, read_rows, read_text
from kubeairunway.decide.causes.refusals import is_telling
from kubeairunway.objects.resources import Json
from kubeairunway.plugin import View

MAX_KEPT = 2048
"""Characters kept of a message, which kubelet and scheduler bound by themselves in most cases."""

_META = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "labels")
_CONDITIONS = frozenset({"PodScheduled", "Ready"})
_TIMES = ("lastTimestamp", "series.lastObservedTime", "eventTime", "firstTimestamp", "metadata.creationTimestamp")


def trim_pod(pod: Json) -> Json:
    """A pod as `pods.py` reads it. One that is Ready explains nothing, so little more than its labels is kept."""
    status: Json = {"phase": read_text(pod, "status.phase"), "conditions": list(_trim_conditions(pod))}
    if is_ready(pod):
        return {"metadata": _trim_metadata(pod), "status": status}
    status |= {name: text for name in ("reason", "message") if (text := read_text(pod, f"status.{name}")[:MAX_KEPT])}
    for name in ("initContainerStatuses", "containerStatuses"):
        if rows := [_trim_container_status(row) for row in read_rows(pod, f"status.{name}")]:
            status[name] = rows
    spec: Json = {name: value for name in ("nodeName",) if (value := read_text(pod, f"spec.{name}"))}
    for name in ("initContainers", "containers"):
        if rows := [_trim_container(row) for row in read_rows(pod, f"spec.{name}")]:
            spec[name] = rows
    if selector := read_map(pod, "spec.nodeSelector"):
        spec["nodeSelector"] = selector
    if tolerations := list(read_rows(pod, "spec.tolerations")):
        spec["tolerations"] = tolerations
    return {"metadata": _trim_metadata(pod), "spec": spec, "status": status}


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Whether a pod says that it is Ready."""
    return View(pod).condition("Ready").get("status", "") == "True"


def _trim_metadata(obj: Mapping[str, Any]) -> Json:
    meta = read_map(obj, "metadata")
    kept = {name: meta[name] for name in _META if meta.get(name)}
    if owners := [ref.get("uid") for ref in read_rows(obj, "metadata.ownerReferences") if ref.get("controller")]:
        kept["ownerReferences"] = [{"uid": owners[0], "controller": True}]
    return kept


def _trim_conditions(pod: Mapping[str, Any]) -> Iterator[Json]:
    for row in read_rows(pod, "status.conditions"):
        if read_text(row, "type") in _CONDITIONS:
            kept = {name: row[name] for name in ("type", "status", "reason") if row.get(name)}
            message = read_text(row, "message")[:MAX_KEPT]
            yield {**kept, "message": message} if message else kept


def _trim_container(container: Mapping[str, Any]) -> Json:
    """Name, image, restart policy, memory limit, and the extended resources asked for, whose names have a slash."""
    kept: Json = {name: value for name in ("name", "image", "restartPolicy") if (value := read_text(container, name))}
    limits = read_map(container, "resources.limits")
    asked = {**read_map(container, "resources.requests"), **limits}
    extended = {name: value for name, value in asked.items() if "/" in name}
    if memory := limits.get("memory"):
        extended["memory"] = memory
    return {**kept, "resources": {"limits": extended}} if extended else kept


def _trim_container_status(row: Mapping[str, Any]) -> Json:
    kept = {name: row[name] for name in ("name", "image", "ready", "started", "restartCount") if name in row}
    for name in ("state", "lastState"):
        states = {kind: _trim_state(row, f"{name}.{kind}") for kind in read_map(row, name)}
        if states:
            kept[name] = states
    return kept


def _trim_state(row: Mapping[str, Any], path: str) -> Json:
    state = read_map(row, path)
    kept = {name: state[name] for name in ("reason", "exitCode") if name in state}
    message = read_text(state, "message")[-MAX_KEPT:]
    return {**kept, "message": message} if message else kept


def trim_event(event: Json) -> Json:
    """An event as `walk.py` reads it, with the time it was last seen; of one that tells no cause its name alone."""
    meta = {name: value for name in _META if (value := read_map(event, "metadata").get(name)) and name != "labels"}
    if not is_telling(event):
        return {"metadata": meta}
    about = read_map(event, "involvedObject")
    return {
        "metadata": meta,
        "involvedObject": {name: read_text(about, name) for name in ("apiVersion", "kind", "namespace", "name", "uid")},
        "reason": read_text(event, "reason"),
        "message": read_text(event, "message")[:MAX_KEPT],
        "lastTimestamp": max(read_text(event, path) for path in _TIMES),
    }
