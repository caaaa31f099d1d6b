"""A Deployment's own words as a report."""

from kubeairunway.plugin import SERVICE, Observed, Report, Request, State, View, hookimpl
from kubeairunway_vllm.objects import PORT, select_pods

MAX_INT32 = 2**31 - 1
COUNTS = ("replicas", "updatedReplicas", "readyReplicas")


@hookimpl
def status(request: Request, observed: Observed) -> Report:
    """What Kubernetes says of the Deployment.

    It counts ready pods of all revisions together, so those of this one are counted from below: as if every pod of an
    earlier revision were among the ready ones.
    """
    live = observed.primary
    replicas, updated, ready = (_count(live, name) for name in COUNTS)
    earlier = max(replicas - updated, 0)
    state, message = _judge(live, earlier)
    served = (SERVICE, "") in observed.others
    return Report(
        state=state,
        generation=_count(live, "observedGeneration"),
        ready=max(ready - earlier, 0),
        available=ready,
        pods=",".join(f"{key}={value}" for key, value in select_pods(request).items()),
        service=request.name if served else "",
        port=PORT if served else 0,
        message=message,
    )


def _judge(live: View, earlier: int) -> tuple[State, str]:
    if not _count(live, "observedGeneration"):
        return State.WAITING, ""
    if {_count(live, name) for name in COUNTS} == {live.get("spec.replicas", 1)}:
        return State.RUNNING, ""
    failure, progress = live.condition("ReplicaFailure"), live.condition("Progressing")
    if failure.get("status", "") == "True":
        return State.FAILED, failure.get("message", "") or "Kubernetes cannot create the pods"
    message = progress.get("message", "")
    if progress.get("reason", "") == "ProgressDeadlineExceeded":
        return State.FAILED, message or "the rollout made no progress within its deadline"
    if progress.get("status", "") != "Unknown":  # Unknown: somebody paused the Deployment, and the message says so
        message = f"{earlier} of an earlier revision are left" if earlier else ""
    return State.PROGRESSING, message


def _count(live: View, name: str) -> int:
    return min(max(live.get(f"status.{name}", 0), 0), MAX_INT32)
