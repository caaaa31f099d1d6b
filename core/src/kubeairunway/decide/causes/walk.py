"""From the evidence below a deployment to its one cause."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from kubeairunway.decide.causes.evidence import CAUSES, Around, Cause, Evidence, SecretRef
from kubeairunway.decide.causes.pods import find_pod_causes, judge_scheduling
from kubeairunway.decide.causes.reading import quote, read_rows, read_text
from kubeairunway.decide.causes.refusals import find_missing, find_refusal, speaks_of_nodes
from kubeairunway.model.reasons import Reason
from kubeairunway.model.spec import Spec
from kubeairunway.objects.times import parse_time

REFUSAL_AGE = timedelta(minutes=30)
"""How long the word of a refused pod holds: controllers try again at least every 17 minutes, and say so each time."""


def find_cause(
    evidence: Evidence, secrets: Sequence[SecretRef], gpus: Mapping[str, int], *, words: str, now: datetime
) -> Cause | None:
    """The cause that hides all others by the order of `CAUSES`; None if nothing explains why it is not Ready.

    `secrets` are those the spec names, `gpus` the extended resources one pod asks for, as far as the spec says.
    `words` are upstream's: they count where neither pods nor events tell more.
    """
    below = [
        *_find_missing_secrets(evidence, secrets),
        *_find_refusals(evidence, now),
        *_find_in_pods(evidence, Around(gpus, evidence.capacity, now)),
    ]
    cause = min(below or _find_in_words(words, gpus), key=_rank, default=None)
    return _name_key(cause, secrets) if cause is not None else None


def _rank(cause: Cause) -> int:
    return CAUSES.index(cause.reason)


def list_secrets(spec: Spec) -> tuple[SecretRef, ...]:
    """The Secrets that a spec names and cannot do without."""
    found = []
    if token := spec.secrets.hugging_face_token:
        found.append(SecretRef(token, "HF_TOKEN", "spec.secrets.huggingFaceToken"))
    for variable in spec.env:
        ref = variable.value_from.secret_key_ref if variable.value_from is not None else None
        if ref is not None and not ref.optional:
            found.append(SecretRef(ref.name, ref.key, f"spec.env[{variable.name}]"))
    return tuple(found)


def list_gpus(spec: Spec) -> dict[str, int]:
    """The extended resources that one replica or worker asks for: the most of each kind."""
    roles = [role.gpu for role in (spec.scaling.prefill, spec.scaling.decode) if role is not None]
    found: dict[str, int] = {}
    for gpu in (spec.resources.gpu, *roles):
        if gpu.count:
            found[gpu.type] = max(gpu.count, found.get(gpu.type, 0))
    return found


# ---- what is not there, and what is refused ----


def _find_missing_secrets(evidence: Evidence, secrets: Iterable[SecretRef]) -> Iterator[Cause]:
    for ref in secrets:
        if ref.name in evidence.missing_secrets:
            yield Cause(Reason.SECRET_MISSING, f"Secret '{ref.name}' does not exist; {_describe_use(ref)}")
            return


def _name_key(cause: Cause, secrets: Iterable[SecretRef]) -> Cause:
    """Kubelet says which Secret a pod lacks; which key is needed, and by what, is in the spec."""
    if cause.reason != Reason.SECRET_MISSING:
        return cause
    ref = next((ref for ref in secrets if f"Secret '{ref.name}'" in cause.message), None)
    if ref is None or f"'{ref.key}'" in cause.message:
        return cause
    return Cause(cause.reason, f"{cause.message}; {_describe_use(ref)}")


def _describe_use(ref: SecretRef) -> str:
    return f"{ref.path} needs its key '{ref.key}'"


def _find_refusals(evidence: Evidence, now: datetime) -> Iterator[Cause]:
    """The newest refusal, unless a pod was made since: then it is a word of the past."""
    newest = max((read_text(pod, "metadata.creationTimestamp") for pod in evidence.pods), default="")
    made = parse_time(newest)
    told = sorted(evidence.owner_events, key=lambda event: read_text(event, "lastTimestamp"), reverse=True)
    for event in told:
        seen = parse_time(read_text(event, "lastTimestamp"))
        if seen is None or now - seen > REFUSAL_AGE or (made is not None and made >= seen):
            continue
        message = read_text(event, "message")
        about = f"{read_text(event, 'involvedObject.kind')} '{read_text(event, 'involvedObject.name')}'"
        found = find_refusal(message) or find_missing(message) or Cause(Reason.UPSTREAM_ERROR, quote(message))
        yield Cause(found.reason, f"{about} cannot make its pods: {found.message}")
        return


# ---- pods ----


def _find_in_pods(evidence: Evidence, around: Around) -> Iterator[Cause]:
    """The first cause of all pods, told of the first pod that has it, with how many others have it, too."""
    found: list[tuple[Cause, str]] = []
    for pod in sorted(drop_replaced(evidence.pods), key=lambda pod: read_text(pod, "metadata.name")):
        events = evidence.pod_events.get(read_text(pod, "metadata.uid"), ())
        cause = min(find_pod_causes(pod, events, around), key=_rank, default=None)
        if cause is not None:
            found.append((cause, read_text(pod, "metadata.name")))
    if not found:
        return
    first, name = min(found, key=lambda row: _rank(row[0]))
    others = sum(1 for cause, _ in found if cause.reason is first.reason) - 1
    more = f" (and {others} more pod{'s' if others > 1 else ''})" if others else ""
    yield Cause(first.reason, f"Pod '{name}' {first.message}{more}")


def drop_replaced(pods: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Pods without those that failed for good and whose owner has made another one since."""
    every = tuple(pods)
    newest: dict[str, str] = {}
    for pod in every:
        owner = _owner(pod)
        if read_text(pod, "status.phase") != "Failed":
            newest[owner] = max(newest.get(owner, ""), read_text(pod, "metadata.creationTimestamp"))
    for pod in every:
        replaced = newest.get(_owner(pod), "") if _owner(pod) else ""
        ended = read_text(pod, "status.phase") == "Failed"
        if not (ended and replaced and replaced >= read_text(pod, "metadata.creationTimestamp")):
            yield pod


def _owner(pod: Mapping[str, Any]) -> str:
    return next((read_text(ref, "uid") for ref in read_rows(pod, "metadata.ownerReferences")), "")


# ---- upstream's words ----


def _find_in_words(words: str, gpus: Mapping[str, int]) -> Iterator[Cause]:
    """Operators often repeat what Kubernetes said; its own words are as good there as anywhere."""
    if refusal := find_refusal(words):
        yield Cause(refusal.reason, f"Pods cannot be made: {refusal.message}")
    elif speaks_of_nodes(words):
        cause = judge_scheduling(words, gpus, {}, capacity=None)
        yield Cause(cause.reason, f"A pod {cause.message}")
