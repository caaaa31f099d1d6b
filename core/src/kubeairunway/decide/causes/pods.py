"""What one pod says of why it is not Ready: whether it has a node, and what its containers are refused or did."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from kubeairunway.decide.causes.capacity import count_asked, describe_need, find_nodes
from kubeairunway.decide.causes.evidence import Around, Capacity, Cause
from kubeairunway.decide.causes.reading import quote, quote_end, read_map, read_number, read_rows, read_text
from kubeairunway.decide.causes.refusals import (
    MOUNT_EVENTS,
    SCHEDULING_EVENT,
    find_missing,
    lacks_resource,
    shorten_scheduler,
)
from kubeairunway.decide.causes.trim import is_ready
from kubeairunway.model.reasons import Reason
from kubeairunway.objects.times import parse_time
from kubeairunway.plugin import View

IMAGE_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
START_REASONS = frozenset({"CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun"})
CONFIG_REASON = "CreateContainerConfigError"
OUT_OF_MEMORY = "OOMKilled"
NO_TIME = timedelta(0)
COUNT_AGE = timedelta(seconds=60)
"""How long before a pod a count may be that finds too little free. One that finds enough must be from after the pod:
others have taken it since, or the pod would not wait."""

MOUNT_AGE = timedelta(minutes=5)
"""How long a mount's warning holds without being repeated: kubelet repeats it every two minutes or so."""


def find_pod_causes(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]], around: Around) -> Iterator[Cause]:
    """Causes that a pod shows, in no order; each message goes on after the pod's name. None of a pod that is well."""
    phase = read_text(pod, "status.phase")
    if read_text(pod, "metadata.deletionTimestamp") or phase == "Succeeded" or is_ready(pod):
        return
    containers = list(_find_container_causes(pod))
    yield from containers
    if phase == "Failed":
        if not containers:
            yield from _find_eviction(pod)
        return
    if not read_text(pod, "spec.nodeName"):
        yield from _find_place(pod, events, around)
    elif not containers:
        yield from _find_mounts(pod, events, around.now)
        yield from _find_loading(pod)


# ---- not on a node ----


def _find_place(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]], around: Around) -> Iterator[Cause]:
    scheduled = View(pod).condition("PodScheduled")
    message = scheduled.get("message", "") if scheduled.get("status", "") == "False" else ""
    if not scheduled.raw:
        told = [read_text(event, "message") for event in events if read_text(event, "reason") == SCHEDULING_EVENT]
        message = told[-1] if told else ""
    if not message and not scheduled.get("reason", ""):
        return
    if missing := find_missing(message):
        yield missing
    asked = {name: count for name, count in count_asked(pod).items() if name in around.gpus}
    yield judge_scheduling(message or scheduled.get("reason", ""), asked, pod, capacity=around.capacity)


def judge_scheduling(
    message: str, asked: Mapping[str, int], pod: Mapping[str, Any], *, capacity: Capacity | None
) -> Cause:
    """Why no node takes a pod that asks for GPUs, from the scheduler's words: for want of them, or not."""
    words = shorten_scheduler(message)
    resource = next((name for name in asked if lacks_resource(message, name)), "")
    if not resource:
        return Cause(Reason.UNSCHEDULABLE, f"fits on no node: {words}")
    age = _find_age(capacity, pod)
    nodes = find_nodes(capacity, resource, pod) if capacity is not None else ()
    enough = bool(nodes) and nodes[0].free >= asked[resource]
    if age is None or age > (NO_TIME if enough else COUNT_AGE):
        return Cause(Reason.WAITING_FOR_GPU, f"needs {asked[resource]} x {resource} on one node: {words}")
    if enough:
        text = f"fits on no node, although {nodes[0].node} has {nodes[0].free} x {resource} free: {words}"
        return Cause(Reason.UNSCHEDULABLE, text)
    return Cause(Reason.WAITING_FOR_GPU, f"{describe_need(asked[resource], resource, nodes)}: {words}")


def _find_age(capacity: Capacity | None, pod: Mapping[str, Any]) -> timedelta | None:
    """How long before a pod was made a count was; not at all if it was made since, None if there is none."""
    if capacity is None:
        return None
    born = parse_time(read_text(pod, "metadata.creationTimestamp"))
    return max(born - capacity.at, NO_TIME) if born is not None else NO_TIME


# ---- on a node ----


def _find_container_causes(pod: Mapping[str, Any]) -> Iterator[Cause]:
    for row in (*read_rows(pod, "status.initContainerStatuses"), *read_rows(pod, "status.containerStatuses")):
        cause = _judge_container(pod, row)
        if cause is not None:
            yield cause


def _judge_container(pod: Mapping[str, Any], row: Mapping[str, Any]) -> Cause | None:
    name, waiting = read_text(row, "name"), read_map(row, "state.waiting")
    reason, message = read_text(waiting, "reason"), read_text(waiting, "message")
    if reason in IMAGE_REASONS:
        image = quote(read_text(row, "image") or read_text(_find_container(pod, name), "image"))
        return Cause(Reason.IMAGE_PULL, f"cannot pull image '{image}': {quote(message or reason)}")
    if reason == CONFIG_REASON:
        text = f"cannot start container '{name}': {quote(message or reason)}"
        return find_missing(message) or Cause(Reason.DEPENDENCY_MISSING, text)
    if reason in START_REASONS:
        return find_missing(message) or Cause(
            Reason.CRASH_LOOP, f"cannot start container '{name}': {quote(message or reason)}"
        )
    return _judge_ends(pod, row, waiting_reason=reason)


def _judge_ends(pod: Mapping[str, Any], row: Mapping[str, Any], *, waiting_reason: str) -> Cause | None:
    """A container that failed and is not well since; one that runs again counts until it is ready.

    Otherwise the cause would change with every turn of a crash loop, between the back-off and the next try.
    """
    now = read_map(row, "state.terminated")
    ended = now or read_map(row, "lastState.terminated")
    if row.get("ready") is True or (now and not read_number(now, "exitCode")):
        return None
    if not ended and waiting_reason != "CrashLoopBackOff":
        return None
    name, restarts = read_text(row, "name"), read_number(row, "restartCount")
    again = f", restarted {restarts} time{'s' if restarts != 1 else ''}" if restarts > 0 else ""
    if read_text(ended, "reason") == OUT_OF_MEMORY:
        limit = str(read_map(_find_container(pod, name), "resources.limits").get("memory") or "")
        bound = f" (limit {quote(limit)})" if limit else ""
        return Cause(Reason.OUT_OF_MEMORY, f"container '{name}' ran out of memory{bound}{again}")
    return Cause(Reason.CRASH_LOOP, f"container '{name}' {_describe_end(ended)}{again}{_last_words(ended)}")


def _find_container(pod: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    rows = (*read_rows(pod, "spec.containers"), *read_rows(pod, "spec.initContainers"))
    return next((row for row in rows if row.get("name") == name), {})


def _describe_end(ended: Mapping[str, Any]) -> str:
    if not ended:
        return "keeps ending"
    reason = read_text(ended, "reason")
    return f"ended with exit code {read_number(ended, 'exitCode')}{f' ({quote(reason)})' if reason else ''}"


def _last_words(ended: Mapping[str, Any]) -> str:
    words = quote_end(read_text(ended, "message"))
    return f": {words}" if words else ""


def _find_eviction(pod: Mapping[str, Any]) -> Iterator[Cause]:
    """A pod that failed as a whole: evicted, or refused by its node."""
    reason, message = read_text(pod, "status.reason"), read_text(pod, "status.message")
    if reason == "Evicted" and "memory" in message.lower():
        yield Cause(Reason.OUT_OF_MEMORY, f"was evicted: {quote(message)}")
    elif reason or message:
        yield Cause(Reason.UNSCHEDULABLE, f"was put off its node: {quote(': '.join(filter(None, (reason, message))))}")


def _find_mounts(pod: Mapping[str, Any], events: Iterable[Mapping[str, Any]], now: datetime) -> Iterator[Cause]:
    """A volume that cannot be mounted, while no container of the pod has started."""
    if any(_has_started(row) for row in read_rows(pod, "status.containerStatuses")):
        return
    for event in events:
        seen = parse_time(read_text(event, "lastTimestamp"))
        if read_text(event, "reason") in MOUNT_EVENTS and seen is not None and now - seen <= MOUNT_AGE:
            message = read_text(event, "message")
            yield find_missing(message) or Cause(Reason.DEPENDENCY_MISSING, f"cannot mount a volume: {quote(message)}")


def _has_started(row: Mapping[str, Any]) -> bool:
    return bool({"running", "terminated"} & set(read_map(row, "state")))


def _find_loading(pod: Mapping[str, Any]) -> Iterator[Cause]:
    """A container that runs, has not failed and is not ready: an engine answers once it has the model."""
    engines = [row for row in read_rows(pod, "status.containerStatuses") if _is_loading(row)]
    loaders = [row for row in read_rows(pod, "status.initContainerStatuses") if _is_loading(row)]
    if engines or loaders:
        yield Cause(Reason.MODEL_DOWNLOAD, "is downloading or loading the model")


def _is_loading(row: Mapping[str, Any]) -> bool:
    return "running" in read_map(row, "state") and row.get("ready") is not True
