"""Whose object it is, and the marks that say so."""

import re
from collections.abc import Mapping
from typing import Any

from kubeairunway.model import names
from kubeairunway.objects.resources import Json
from kubeairunway.plugin import Kind

MAX_LABEL = 63
"""Longest label value that Kubernetes allows."""


def owner_reference(deployment: Mapping[str, Any]) -> Json:
    """The controller reference that makes an object the deployment's, and garbage once it is gone."""
    meta = deployment["metadata"]
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.MODEL_DEPLOYMENT,
        "name": meta["name"],
        "uid": meta.get("uid", ""),
        "controller": True,
        "blockOwnerDeletion": True,
    }


def is_owned(obj: Mapping[str, Any], uid: str) -> bool:
    """Whether an object belongs to the deployment of that uid, by owner reference or by our annotation."""
    meta = obj.get("metadata") or {}
    references = meta.get("ownerReferences") or ()
    return any(ref.get("uid") == uid for ref in references) or annotation(obj, names.OWNER_UID) == uid


def is_below(obj: Mapping[str, Any], kind: Kind, name: str) -> bool:
    """Whether an object belongs to one of that kind and name, be it an earlier one that is gone by now."""
    wanted = (kind.group, kind.name, name)
    rows = obj["metadata"].get("ownerReferences") or ()
    return any((row["apiVersion"].rpartition("/")[0], row["kind"], row["name"]) == wanted for row in rows)


BEING_DELETED = "it is being deleted"


def describe_owner(obj: Mapping[str, Any]) -> str:
    """Whose a foreign object is and whether it is about to go, in words; empty if it says neither."""
    meta = obj.get("metadata") or {}
    owner = next((ref for ref in meta.get("ownerReferences") or () if ref.get("controller")), None)
    words = [f"it belongs to {owner.get('kind')} '{owner.get('name')}'"] if owner else []
    return ", ".join([*words, BEING_DELETED] if meta.get("deletionTimestamp") else words)


def describe_conflict(kind: str, name: str, owner: str) -> str:
    """A conflict with a foreign object and what ends it; `owner` is what `describe_owner` says of it."""
    remedy = "rename one of the two or delete that object"
    if owner.endswith(BEING_DELETED):
        remedy = "this goes on by itself when it is gone"
    return f"{kind} '{name}' exists and is not managed by this ModelDeployment{owner and f' ({owner})'}; {remedy}"


def owner_uids(obj: Mapping[str, Any]) -> tuple[str, ...]:
    """Uids of the deployments an object may belong to; the index by which owned objects are found."""
    meta = obj.get("metadata") or {}
    found = {
        ref.get("uid", "") for ref in meta.get("ownerReferences") or () if ref.get("kind") == names.MODEL_DEPLOYMENT
    }
    found.add(annotation(obj, names.OWNER_UID))
    return tuple(sorted(found - {""}))


def annotation(obj: Mapping[str, Any], name: str) -> str:
    """An annotation's value, empty if absent."""
    value = ((obj.get("metadata") or {}).get("annotations") or {}).get(name, "")
    return value if isinstance(value, str) else ""


def is_cached_whole(kind: Kind) -> bool:
    """Whether every object of a kind is cached, or only those that carry our label.

    Kinds of Kubernetes itself (Service, ConfigMap, Deployment) are many and mostly not ours; before one is created a
    read tells whether the name is free.
    """
    return "." in kind.group and not kind.group.endswith(".k8s.io")


def label_value(text: str) -> str:
    """A text as a label value: cut to 63 characters, others replaced by "-", trimmed at both ends."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", text[:MAX_LABEL]).strip("-_.")
