"""Causes in the words of the API server, the scheduler and kubelet, as events and upstream operators repeat them."""

import re
from collections.abc import Mapping
from typing import Any

from kubeairunway.decide.causes.evidence import Cause
from kubeairunway.decide.causes.reading import quote, read_text
from kubeairunway.model.reasons import Reason

MOUNT_EVENTS = frozenset({"FailedMount", "FailedAttachVolume"})
SCHEDULING_EVENT = "FailedScheduling"
CREATION_EVENTS = frozenset({"FailedCreate", "FailedCreatePod"})
"""What Kubernetes' own controllers call it when a pod of theirs is refused."""

_QUOTA = re.compile(r"exceeded quota: (?P<name>[^,\s]+)(?:, requested: (?P<more>[^()]*?used: .*?limited: [^()\s]*))?")
_DENIED = re.compile(
    r"violates PodSecurity|admission webhook .{1,300}? denied the request|ValidatingAdmissionPolicy|"
    r"denied the request:|is forbidden:"
)
_SECRET = re.compile(r'secrets? "(?P<name>[^"]+)" not found', re.IGNORECASE)
_SECRET_KEY = re.compile(r"couldn't find key (?P<key>\S+) in Secret (?:[^/\s]+/)?(?P<name>\S+)", re.IGNORECASE)
_OTHER = re.compile(r'(?P<kind>configmap|persistentvolumeclaim)s? "(?P<name>[^"]+)" not found', re.IGNORECASE)
_OTHER_KEY = re.compile(r"couldn't find key (?P<key>\S+) in ConfigMap (?:[^/\s]+/)?(?P<name>\S+)", re.IGNORECASE)
_SEARCHED = 4096
"""Characters of somebody else's text that are searched."""

_KINDS = {"configmap": "ConfigMap", "persistentvolumeclaim": "PersistentVolumeClaim"}
_BEFORE = re.compile(r"^(?:.*?(?:is forbidden: |failed error: |Error creating: ))+", re.DOTALL)
"""What comes before the refusal itself: it names a pod that never was, another one each time."""
_NODES = re.compile(r"\d+/\d+ nodes are available")
_PREEMPTION = re.compile(r"[,.]?\s*(?:no new claims to deallocate|preemption: )[^;]*")
"""Up to a semicolon, behind which an operator that repeats the scheduler may have added something."""


def is_telling(event: Mapping[str, Any]) -> bool:
    """Whether a warning may tell a cause: one about a pod by its reason, any other by its words or as a refusal."""
    reason, message = read_text(event, "reason"), read_text(event, "message")
    if read_text(event, "involvedObject.kind") == "Pod":
        return reason in MOUNT_EVENTS or reason == SCHEDULING_EVENT
    return reason in CREATION_EVENTS or _QUOTA.search(message) is not None or _DENIED.search(message) is not None


def find_refusal(message: str) -> Cause | None:
    """Why pods are not made, if a text says that the API server or a webhook refuses them."""
    message = message[:_SEARCHED]
    if found := _QUOTA.search(message):
        more = f": requested {quote(found['more'])}" if found["more"] else ""
        return Cause(Reason.QUOTA_EXCEEDED, f"ResourceQuota '{found['name']}' is exceeded{more}")
    if _DENIED.search(message):
        return Cause(Reason.ADMISSION_DENIED, quote(_BEFORE.sub("", message)))
    return None


def find_missing(message: str) -> Cause | None:
    """What a pod needs and does not get, if kubelet's words say it; the message goes on after the pod's name."""
    if found := _SECRET_KEY.search(message):
        text = f"needs key '{found['key']}' of Secret '{found['name']}', which has no such key"
        return Cause(Reason.SECRET_MISSING, text)
    if found := _SECRET.search(message):
        return Cause(Reason.SECRET_MISSING, f"needs Secret '{found['name']}', which does not exist")
    if found := _OTHER_KEY.search(message):
        text = f"needs key '{found['key']}' of ConfigMap '{found['name']}', which has no such key"
        return Cause(Reason.DEPENDENCY_MISSING, text)
    if found := _OTHER.search(message):
        kind = _KINDS[found["kind"].lower()]
        return Cause(Reason.DEPENDENCY_MISSING, f"needs {kind} '{found['name']}', which does not exist")
    return None


def speaks_of_nodes(message: str) -> bool:
    """Whether a text repeats what the scheduler says of a pod that fits nowhere."""
    return _NODES.search(message) is not None


def lacks_resource(message: str, resource: str) -> bool:
    """Whether the scheduler's words name a resource of which nodes have too little left."""
    return re.search(rf"Insufficient {re.escape(resource)}(?![\w/-]|\.\w)", message) is not None


def shorten_scheduler(message: str) -> str:
    """The scheduler's words without what it says of preemption, which repeats them."""
    return quote(_PREEMPTION.sub("", message)).rstrip(". ,")
