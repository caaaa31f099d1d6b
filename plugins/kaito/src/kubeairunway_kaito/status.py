"""What KAITO says of an InferenceSet or a Workspace, in the contract's words."""

from kubeairunway.plugin import SERVICE, Kind, Observed, Report, Request, State, View
from kubeairunway_kaito.catalog import INFERENCE_SET, WORKSPACE
from kubeairunway_kaito.placement import choose_kind, find_instance_type
from kubeairunway_kaito.render import API_SUFFIX, CREATED_BY

WORKSPACE_STATES = {
    "Ready": State.RUNNING,
    "Succeeded": State.RUNNING,
    "NotReady": State.PROGRESSING,
    "Running": State.PROGRESSING,
    "Failed": State.FAILED,
    "Pending": State.WAITING,
}
"""`status.state` of a Workspace."""
SET_FAILED = "inferencesetFailed"
"""The reason of InferenceSetReady=False when what belongs to the whole set cannot be made."""
NOT_FAILED = ("workspacePending", "BenchmarkFailed")
"""Reasons for which KAITO says WorkspaceSucceeded=False of a Workspace that has not failed."""
CAUSES = ("NodeClaimReady", "NodesReady", "ModelMirrorReady", "ResourceReady", "WorkspaceSucceeded", "InferenceReady")
"""Conditions of a Workspace from cause to consequence."""
UNSCHEDULABLE = "Unschedulable"
"""The reason of InferenceReady=False for which the scheduler found no node."""
UNEXPLAINED = "WorkspaceInferenceStatusPending"
"""The reason of InferenceReady=False for which KAITO found no cause in the pods."""


def read_status(request: Request, observed: Observed) -> Report:
    """The report on whichever of the two kinds the live object is."""
    if _live_kind(request, observed.primary) == INFERENCE_SET:
        return _report_set(request, observed)
    return _report_workspace(request, observed.primary)


def _live_kind(request: Request, primary: View) -> Kind:
    named = {kind.name: kind for kind in (INFERENCE_SET, WORKSPACE)}
    return named.get(primary.get("kind", "")) or request.primary or choose_kind(request)


def _report_set(request: Request, observed: Observed) -> Report:
    primary, children = observed.primary, observed.children.get(WORKSPACE, ())
    ready = max(0, primary.get("status.readyReplicas", 0))
    desired = max(0, primary.get("spec.replicas", 1))
    state = _set_state(primary, children, ready=ready, desired=desired)
    return Report(
        state=state,
        generation=max(0, primary.condition("InferenceSetReady").get("observedGeneration", 0)),
        ready=min(ready, desired),
        available=ready,
        pods=f"{CREATED_BY}={request.name}",
        service=f"{request.name}-{API_SUFFIX}" if (SERVICE, API_SUFFIX) in observed.others else "",
        port=80 if (SERVICE, API_SUFFIX) in observed.others else 0,
        message=_explain(request, state, children if desired else (), _set_message(primary, children)),
    )


def _set_state(primary: View, children: tuple[View, ...], *, ready: int, desired: int) -> State:
    verdict = primary.condition("InferenceSetReady")
    if not verdict.raw:
        return State.WAITING
    if verdict.get("reason", "") == SET_FAILED or (desired and _any_failed(children)):
        return State.FAILED
    if not desired:  # Ready=True while pods still end
        return State.RUNNING if not ready and not children else State.PROGRESSING
    # While surplus replicas end, "3/1 replicas are ready" is Ready=False.
    proved = ready > desired or (ready == desired and verdict.get("status", "") == "True")
    return State.RUNNING if proved else State.PROGRESSING


def _any_failed(children: tuple[View, ...]) -> bool:
    return any(
        _workspace_state(child) is State.FAILED and not child.get("metadata.deletionTimestamp", "")
        for child in children
    )


def _set_message(primary: View, children: tuple[View, ...]) -> str:
    verdict = primary.condition("InferenceSetReady")
    troubled = (child for child in children if _workspace_state(child) is not State.RUNNING)
    told = ((child.get("metadata.name", ""), _workspace_message(child)) for child in troubled)
    first = next((f"{name}: {message}" for name, message in told if message), "")
    own = verdict.get("message", "")
    return own if verdict.get("reason", "") == SET_FAILED or not first else first


def _report_workspace(request: Request, primary: View) -> Report:
    state = _workspace_state(primary)
    # KAITO makes the Service as soon as it has the nodes, and says so only afterwards.
    serves = _is(primary, "ResourceReady", "True") or primary.get("status.state", "") in ("Ready", "NotReady")
    return Report(
        state=state,
        generation=max(0, primary.condition("WorkspaceSucceeded").get("observedGeneration", 0)),
        ready=int(state is State.RUNNING),
        pods=f"kaito.sh/workspace={request.name}",
        service=request.name if serves else "",
        port=80 if serves else 0,
        message=_explain(request, state, (primary,), _workspace_message(primary)),
    )


def _workspace_state(workspace: View) -> State:
    verdict = workspace.condition("WorkspaceSucceeded")
    succeeded = verdict.get("status", "") == "True"
    if said := workspace.get("status.state", ""):
        state = WORKSPACE_STATES.get(said, State.WAITING)
        return State.PROGRESSING if state is State.RUNNING and not succeeded else state
    if succeeded:
        return State.RUNNING
    if verdict.get("status", "") == "False" and verdict.get("reason", "") not in NOT_FAILED:
        return State.FAILED
    loading = _is(workspace, "ResourceReady", "True") and not _is(workspace, "InferenceReady", "True")
    return State.PROGRESSING if loading else State.WAITING


def _workspace_message(workspace: View) -> str:
    said = workspace.get("status.state", "")
    if said and said not in WORKSPACE_STATES:
        return f"unknown state: {said}"
    explained = workspace.condition("InferenceReady").get("reason", "") not in ("", UNEXPLAINED)
    order = (*(("InferenceReady",) if explained else ()), *CAUSES)
    if _workspace_state(workspace) is State.FAILED:
        order = ("WorkspaceSucceeded", *order)
    messages = (workspace.condition(name).get("message", "") for name in order if _is(workspace, name, "False"))
    return next((message for message in messages if message), "")


def _explain(request: Request, state: State, workspaces: tuple[View, ...], message: str) -> str:
    """KAITO's message, and which nodes would do where none is found: that one GPU means a node with one surprises."""
    if state is State.RUNNING:
        return ""
    chosen = request.spec.engine.type == "vllm" and not find_instance_type(request)
    if state is State.FAILED or not chosen or not any(map(_lacks_nodes, workspaces)):
        return message
    count = request.spec.resources.gpu.count
    hint = f"KAITO gives vLLM whole nodes, and looks for ones with the label nvidia.com/gpu.count={count}"
    return f"{message.rstrip('.')}; {hint}" if message else hint


def _lacks_nodes(workspace: View) -> bool:
    waits = any(_is(workspace, name, "False") for name in ("NodesReady", "ResourceReady"))
    return waits or workspace.condition("InferenceReady").get("reason", "") == UNSCHEDULABLE


def _is(workspace: View, condition: str, status: str) -> bool:
    return workspace.condition(condition).get("status", "") == status
