"""From evidence to the one cause: precedence, how many share it, refusals that are over, and what upstream repeats."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from kubeairunway.decide.causes.evidence import CAUSES, Evidence, SecretRef
from kubeairunway.decide.causes.trim import trim_event
from kubeairunway.decide.causes.walk import find_cause, list_gpus, list_secrets
from kubeairunway.model.spec import Spec

GPU = "nvidia.com/gpu"
HF = SecretRef("hf", "HF_TOKEN", "spec.secrets.huggingFaceToken")
QUOTA = (
    'Error creating: pods "llm-abc-7xk2p" is forbidden: exceeded quota: team, requested: requests.nvidia.com/gpu=8, '
    "used: requests.nvidia.com/gpu=0, limited: requests.nvidia.com/gpu=4"
)
SECURITY = (
    'Error creating: pods "llm-abc-7xk2p" is forbidden: violates PodSecurity "restricted:latest": '
    'allowPrivilegeEscalation != false (container "engine" must set it)'
)
WEBHOOK = 'Error creating: admission webhook "images.example.com" denied the request: no such registry'
LACKING = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu."


def cause_of(make: Any, evidence: Evidence, words: str = "", secrets: Any = (HF,)) -> tuple[str, str]:
    found = find_cause(evidence, secrets, {GPU: 8}, words=words, now=make.now)
    return (str(found.reason), found.message) if found is not None else ("", "")


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def find_evidence(make: Any, reason: str) -> Evidence:
    """Evidence of one cause; that of creations has no pods."""
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    table: dict[str, Evidence] = {
        "SecretMissing": Evidence(missing_secrets=frozenset({"hf"})),
        "DependencyMissing": Evidence(
            pods=(make.with_container("c", state=waiting("CreateContainerConfigError", 'configmap "a" not found')),)
        ),
        "ImagePull": Evidence(pods=(make.with_container("d", state=waiting("ErrImagePull")),)),
        "OutOfMemory": Evidence(pods=(make.with_container("e", state=waiting("CrashLoopBackOff"), last=ended),)),
        "CrashLoop": Evidence(pods=(make.with_container("f", state=waiting("CrashLoopBackOff")),)),
        "AdmissionDenied": Evidence(owner_events=(make.event(SECURITY),)),
        "QuotaExceeded": Evidence(owner_events=(make.event(QUOTA, seen="2026-03-01T11:58:00Z"),)),
        "Unschedulable": Evidence(pods=(make.unscheduled("0/1 nodes are available: 1 Insufficient cpu.", "g"),)),
        "WaitingForGPU": Evidence(pods=(make.unscheduled(LACKING, "h"),)),
        "UpstreamError": Evidence(owner_events=(make.event("Error creating: Timeout", seen="2026-03-01T11:57:00Z"),)),
        "ModelDownload": Evidence(pods=(make.with_container("i", state={"running": {}}),)),
    }
    return table[reason]


def join(*parts: Evidence) -> Evidence:
    return Evidence(
        pods=tuple(pod for part in parts for pod in part.pods),
        owner_events=tuple(event for part in parts for event in part.owner_events),
        missing_secrets=frozenset().union(*(part.missing_secrets for part in parts)),
    )


@pytest.mark.parametrize("reason", [str(cause) for cause in CAUSES])
def test_each_cause_alone_is_found(make: Any, reason: str) -> None:
    found, message = cause_of(make, find_evidence(make, reason))
    assert found == reason
    assert len(message) > 20


@pytest.mark.parametrize(("higher", "lower"), list(itertools.combinations([str(cause) for cause in CAUSES], 2)))
def test_of_two_causes_the_higher_one_is_said_in_whatever_order_they_come(make: Any, higher: str, lower: str) -> None:
    one, other = find_evidence(make, higher), find_evidence(make, lower)
    assert cause_of(make, join(one, other))[0] == higher
    assert cause_of(make, join(other, one))[0] == higher


def test_the_order_is_the_one_that_is_documented() -> None:
    assert [str(cause) for cause in CAUSES] == [
        "SecretMissing",
        "DependencyMissing",
        "ImagePull",
        "OutOfMemory",
        "CrashLoop",
        "AdmissionDenied",
        "QuotaExceeded",
        "Unschedulable",
        "WaitingForGPU",
        "UpstreamError",
        "ModelDownload",
    ]


def test_the_first_pod_by_name_is_told_and_the_others_with_its_cause_are_counted(make: Any) -> None:
    pods = [make.unscheduled(LACKING, name) for name in ("llm-2", "llm-0", "llm-1")]
    pods.append(make.with_container("a-loader", state={"running": {}}))
    reason, message = cause_of(make, Evidence(pods=tuple(pods)))
    assert reason == "WaitingForGPU"
    assert message.startswith("Pod 'llm-0' needs 8 x nvidia.com/gpu on one node")
    assert message.endswith("(and 2 more pods)")
    assert cause_of(make, Evidence(pods=tuple(pods[:2])))[1].endswith("(and 1 more pod)")
    assert not cause_of(make, Evidence(pods=tuple(pods[:1])))[1].endswith(")")


def test_a_quota_is_named_with_what_was_asked_and_what_there_is(make: Any) -> None:
    reason, message = cause_of(make, Evidence(owner_events=(trim_event(make.event(QUOTA)),)))
    assert reason == "QuotaExceeded"
    assert message == (
        "ReplicaSet 'llm-abc' cannot make its pods: ResourceQuota 'team' is exceeded: "
        "requested requests.nvidia.com/gpu=8, used: requests.nvidia.com/gpu=0, limited: requests.nvidia.com/gpu=4"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SECURITY, "cannot make its pods: violates PodSecurity"),
        (WEBHOOK, 'cannot make its pods: admission webhook "images.example.com" denied the request: no such registry'),
        (f"(combined from similar events): {SECURITY}", "cannot make its pods: violates PodSecurity"),
        ('create Pod llm-0 in StatefulSet llm failed error: pods "llm-0" is forbidden: no', "cannot make its pods: no"),
    ],
    ids=["pod security", "webhook", "combined", "stateful set"],
)
def test_a_refusal_says_by_whom_and_never_which_pod_since_that_name_changes(make: Any, text: str, words: str) -> None:
    reason, message = cause_of(make, Evidence(owner_events=(trim_event(make.event(text)),)))
    assert reason == "AdmissionDenied"
    assert words in message
    assert "7xk2p" not in message


def test_a_missing_secret_is_named_with_its_key_and_the_field_that_needs_it(make: Any) -> None:
    said = "Secret 'hf' does not exist; spec.secrets.huggingFaceToken needs its key 'HF_TOKEN'"
    assert cause_of(make, Evidence(missing_secrets=frozenset({"hf", "other"}))) == ("SecretMissing", said)
    assert cause_of(make, Evidence(missing_secrets=frozenset({"other"}))) == ("", "")
    state = waiting("CreateContainerConfigError", 'secret "hf" not found')
    _, message = cause_of(make, Evidence(pods=(make.with_container(state=state),)))
    assert message == (
        "Pod 'llm-0' needs Secret 'hf', which does not exist; spec.secrets.huggingFaceToken needs its key 'HF_TOKEN'"
    )
    state = waiting("CreateContainerConfigError", "couldn't find key HF_TOKEN in Secret ml/hf")
    _, message = cause_of(make, Evidence(pods=(make.with_container(state=state),)))
    assert message == "Pod 'llm-0' needs key 'HF_TOKEN' of Secret 'hf', which has no such key"


@pytest.mark.parametrize(
    ("made", "seen", "counts"),
    [
        ("2026-03-01T11:58:00Z", "2026-03-01T11:59:00Z", True),
        ("2026-03-01T11:59:00Z", "2026-03-01T11:59:00Z", False),
        ("2026-03-01T11:59:30Z", "2026-03-01T11:59:00Z", False),
        ("", "2026-03-01T11:31:00Z", True),
        ("", "2026-03-01T11:29:00Z", False),
    ],
    ids=["pods before it", "a pod in the same second", "a pod since", "29 minutes old", "31 minutes old"],
)
def test_a_refusal_is_over_once_a_pod_is_made(make: Any, made: str, seen: str, counts: bool) -> None:  # noqa: FBT001 - the expected verdict
    pods = (make.pod(meta={"creationTimestamp": made}),) if made else ()
    evidence = Evidence(pods=pods, owner_events=(make.event(QUOTA, seen=seen),))
    assert (cause_of(make, evidence)[0] == "QuotaExceeded") is counts


def test_the_newest_refusal_is_told(make: Any) -> None:
    old, new = make.event(QUOTA, seen="2026-03-01T11:50:00Z"), make.event(WEBHOOK, seen="2026-03-01T11:55:00Z")
    assert cause_of(make, Evidence(owner_events=(old, new)))[0] == "AdmissionDenied"
    assert cause_of(make, Evidence(owner_events=(new, old)))[0] == "AdmissionDenied"


def test_a_pod_that_failed_for_good_counts_until_its_owner_makes_another(make: Any) -> None:
    owner = {"ownerReferences": [{"uid": "rs", "controller": True}]}
    failed = make.with_container("old", state={"terminated": {"exitCode": 1}}, phase="Failed")
    failed["metadata"] |= owner
    assert cause_of(make, Evidence(pods=(failed,)))[0] == "CrashLoop"
    fresh = make.pod("new", phase="Pending", meta={**owner, "creationTimestamp": "2026-03-01T11:30:00Z"})
    assert cause_of(make, Evidence(pods=(failed, fresh))) == ("", "")
    stranger = make.pod("new", phase="Pending", meta={"creationTimestamp": "2026-03-01T11:30:00Z"})
    assert cause_of(make, Evidence(pods=(failed, stranger)))[0] == "CrashLoop"


@pytest.mark.parametrize(
    ("words", "reason", "message"),
    [
        (f"Waiting: {LACKING}", "WaitingForGPU", "A pod needs 8 x nvidia.com/gpu on one node"),
        ("0/3 nodes are available: 3 Insufficient cpu.", "Unschedulable", "A pod fits on no node"),
        (QUOTA, "QuotaExceeded", "Pods cannot be made: ResourceQuota 'team' is exceeded"),
        (SECURITY, "AdmissionDenied", "Pods cannot be made: violates PodSecurity"),
        ("Waiting for 1 of 2 replicas", "", ""),
        ("", "", ""),
    ],
)
def test_what_upstream_repeats_of_kubernetes_counts_where_nothing_else_is_known(
    make: Any, words: str, reason: str, message: str
) -> None:
    found = cause_of(make, Evidence(), words)
    assert found[0] == reason
    assert found[1].startswith(message)
    loading = Evidence(pods=(make.with_container(state={"running": {}}),))
    assert cause_of(make, loading, words)[0] == "ModelDownload"


def test_what_upstream_adds_to_the_schedulers_words_stays(make: Any) -> None:
    words = f"{LACKING} preemption: 0/2 nodes are available: 2 No preemption victims found.; label a node gpu=8"
    _, message = cause_of(make, Evidence(), words)
    assert message == (
        "A pod needs 8 x nvidia.com/gpu on one node: "
        "0/2 nodes are available: 2 Insufficient nvidia.com/gpu; label a node gpu=8"
    )


def test_secrets_and_gpus_that_a_spec_asks_for() -> None:
    ref = {"valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
    optional = {"valueFrom": {"secretKeyRef": {"name": "maybe", "key": "k", "optional": True}}}
    spec = Spec.model_validate(
        {
            "model": {"id": "a/b"},
            "secrets": {"huggingFaceToken": "hf"},
            "env": [{"name": "PW", **ref}, {"name": "X", **optional}, {"name": "Y", "value": "z"}],
            "resources": {"gpu": {"count": 2}},
            "scaling": {"prefill": {"gpu": {"count": 4}}, "decode": {"gpu": {"count": 1, "type": "amd.com/gpu"}}},
        }
    )
    assert list_secrets(spec) == (HF, SecretRef("db", "password", "spec.env[PW]"))
    assert list_gpus(spec) == {GPU: 4, "amd.com/gpu": 1}
    assert list_gpus(Spec()) == {}


def test_a_cause_does_not_depend_on_when_it_is_looked_at(make: Any) -> None:
    """A message that changed with the clock would be written again and again."""
    for reason in CAUSES:
        evidence = find_evidence(make, str(reason))
        found = [
            find_cause(evidence, (HF,), {GPU: 8}, words="", now=make.now + timedelta(seconds=seconds))
            for seconds in (0, 7)
        ]
        assert found[0] == found[1]
