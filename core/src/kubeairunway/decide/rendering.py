"""From a provider's Rendering to complete objects: names, labels, owner, and the marks that later passes read."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from kubeairunway.decide.ownership import label_value, owner_reference
from kubeairunway.decide.plan import Claim
from kubeairunway.model import names
from kubeairunway.model.problems import Problem
from kubeairunway.model.spec import Spec
from kubeairunway.objects.digests import digest
from kubeairunway.objects.resources import Json
from kubeairunway.plugin import SERVICE, Kind, Manifest, Rendering, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One complete object as it is sent, and what it is to the deployment."""

    kind: Kind
    api_version: str
    name: str
    body: Json
    primary: bool = False
    claims: tuple[Claim, ...] = ()

    @property
    def hash(self) -> str:
        """Digest of what is sent, as its annotation says it."""
        value: str = self.body["metadata"]["annotations"][names.APPLIED_HASH]
        return value


def describe_identity(spec: Spec, provider: str, engine: str) -> str:
    """What a primary is made for, in words; a change of any of them means another object."""
    return f"{spec.model.source}:{spec.model.id} on {provider} with {engine}, {spec.serving.mode}"


def render_objects(
    deployment: Mapping[str, Any], provider: str, request: Request, rendering: Rendering
) -> tuple[Rendered, ...]:
    """All objects in the order in which they are written; the primary is the one marked so."""
    complete = _Completion(deployment, provider, request)
    claims = tuple(
        (kind, complete.api_version(kind), complete.name(suffix))
        for kind, suffix in rendering.claims
        if kind in request.versions  # nobody makes what is not served
    )
    return (
        *(complete(manifest) for manifest in rendering.before),
        replace(complete(rendering.primary, primary=True), claims=claims),
        *(complete(manifest) for manifest in rendering.after),
    )


def check_names(objects: tuple[Rendered, ...]) -> Iterator[Problem]:
    """Names that upstream does not bear; never changed by us, so that no two deployments can meet in one name.

    Those of the objects, and those that upstream will take itself.
    """
    own = [(rendered.kind, rendered.name) for rendered in objects]
    every = [*own, *((kind, name) for rendered in objects for kind, _, name in rendered.claims)]
    for kind, name in every:
        if len(name) > kind.max_name:
            yield Problem(
                "metadata.name",
                "NameTooLong",
                f"{kind.name} '{name}' has {len(name)} characters, and {kind.max_name} are "
                f"possible; use a name that is at least {len(name) - kind.max_name} shorter",
            )
    digit = next((name for kind, name in every if kind == SERVICE and not name[0].isalpha()), "")
    if digit:
        text = f"a Service cannot be named '{digit}': its name begins with a letter; use a name that does"
        yield Problem("metadata.name", "NotAServiceName", text)


class _Completion:
    """Fills in what is the same for all objects of one deployment."""

    def __init__(self, deployment: Mapping[str, Any], provider: str, request: Request) -> None:
        self._request = request
        self._reference = owner_reference(deployment)
        self._identity = describe_identity(request.spec, provider, request.spec.engine.type or "")
        self._labels = {
            names.MANAGED_BY: names.MANAGED_BY_VALUE,
            names.DEPLOYMENT: label_value(request.name),
            names.PROVIDER: provider,
            names.ENGINE_TYPE: request.spec.engine.type or "",
            names.MODEL_SOURCE: request.spec.model.source,
        }

    def api_version(self, kind: Kind) -> str:
        """The apiVersion in which a kind is written."""
        version = self._request.versions[kind]
        return f"{kind.group}/{version}" if kind.group else version

    def name(self, suffix: str) -> str:
        """The name of an object with that suffix."""
        return f"{self._request.name}-{suffix}" if suffix else self._request.name

    def __call__(self, manifest: Manifest, *, primary: bool = False) -> Rendered:
        kind = manifest.kind
        name = self.name(manifest.suffix)
        body = {
            "apiVersion": self.api_version(kind),
            "kind": kind.name,
            "metadata": {
                "name": name,
                "namespace": self._request.namespace,
                "labels": {**manifest.labels, **self._labels},
                "annotations": {**manifest.annotations, names.OWNER_UID: self._reference["uid"]},
                "ownerReferences": [self._reference],
            },
            **manifest.body,
        }
        annotations = body["metadata"]["annotations"]
        if primary:
            annotations[names.IDENTITY] = self._identity
        annotations[names.APPLIED_HASH] = digest(body)
        if primary and kind.recreate:
            annotations[names.FIXED_FIELDS] = orjson.dumps(fixed_fields(kind, body)).decode()
        return Rendered(kind=kind, api_version=body["apiVersion"], name=name, body=body, primary=primary)


def fixed_fields(kind: Kind, body: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the values at the paths that cannot change in place."""
    return {path: digest(value_at(body, path))[:12] for path in kind.recreate}


def value_at(obj: Any, path: str) -> Any:  # noqa: ANN401 - JSON of any shape
    """The value at a dotted path; None where a step is missing.

    `[]` after a step stands for all items of a list (by name, else by place) or values of a map: then the value has
    what each of them has at the rest of the path, or is None where none has anything. A text that is JSON is looked
    into where the path goes on.
    """
    step, _, rest = path.partition(".")
    name = step.removesuffix("[]")
    whole = _read_json(obj)
    value = whole.get(name) if isinstance(whole, Mapping) else None
    if name == step:
        return value_at(value, rest) if rest else value
    items = _name_items(_read_json(value)).items()
    found = {key: value_at(item, rest) if rest else item for key, item in items}
    return {key: item for key, item in found.items() if item is not None} or None


def _read_json(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(value)
    return value


def _name_items(value: Any) -> Mapping[str, Any]:  # noqa: ANN401 - JSON of any shape
    if isinstance(value, Mapping):
        return value
    items = enumerate(value) if isinstance(value, list | tuple) else ()
    return {str(item.get("name", place)) if isinstance(item, Mapping) else str(place): item for place, item in items}
