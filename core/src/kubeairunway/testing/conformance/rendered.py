"""Rules about rendered objects: declared kinds, own namespace, whole names, labels that Kubernetes takes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.errors import PluginError
from kubeairunway.plugin import Rendering
from kubeairunway.testing.conformance.findings import Finding
from kubeairunway.testing.conformance.leaves import list_texts, spell_path, walk_values
from kubeairunway.testing.conformance.subject import find_long_names, kind_named

if TYPE_CHECKING:
    from kubeairunway.plugin import Kind, Manifest, Request
    from kubeairunway.testing.conformance.subject import Subject

NAMESPACE: Final = "elsewhere"
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_KEY: Final = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_LABELS: Final = ("labels", "matchLabels", "nodeSelector")
_KNOWN_PART: Final = 10
"""Letters of a deployment's name by which a text that was made of it is known."""


def check_results(subject: Subject) -> Iterator[Finding]:
    """Every hook gives what the contract allows, for every spec that was tried."""
    for case in subject.cases:
        decisions = [("a plain spec", each) for each in case.tried]
        for row in subject.varied.get(case.title, ()):
            decisions += [(f"spec.{row.change.field} changed", each) for each in (row.before, row.after)]
        if case.base is not None:
            decisions += [(f"the name {name}", case.base.rename(name)) for name in find_long_names(case.base)]
        said: set[str] = set()
        for title, decision in decisions:
            if decision.hook_error and decision.hook_error not in said:
                said.add(decision.hook_error)
                yield Finding(f"{case.title}, {title}", decision.hook_error)


def check_declared(subject: Subject) -> Iterator[Finding]:
    """What is rendered is declared, and no kind and name are used twice."""
    kinds = {(kind.group, kind.name) for kind in subject.provider.kinds}
    for case in subject.cases:
        seen: set[tuple[str, str, str]] = set()
        for manifest in _list_manifests(subject, subject.request(case)):
            kind = manifest.kind
            if (kind.group, kind.name) not in kinds:
                text = f"{case.title} renders a {kind.name} of group {kind.group!r}, which is not declared"
                yield Finding(subject.place("render"), text, "add the kind to Provider.kinds")
            if (key := (kind.group, kind.name, manifest.suffix)) in seen:
                text = f"{case.title} renders two {kind.name} with the suffix {manifest.suffix!r}"
                yield Finding(subject.place("render"), text, "give each a suffix of its own")
            seen.add(key)


def _list_manifests(subject: Subject, request: Request | None) -> tuple[Manifest, ...]:
    """What the hook renders, unchecked; nothing if it is refused, raises or gives something else."""
    if request is None:
        return ()
    try:
        rendering = subject.hooks.render(request=request)
    except Exception:  # noqa: BLE001 - the package's code may raise anything, and rule `results-valid` says so
        return ()
    if not isinstance(rendering, Rendering):
        return ()
    return (*rendering.before, rendering.primary, *rendering.after)


def check_served(subject: Subject) -> Iterator[Finding]:
    """Where an optional kind is not served, nothing of it is rendered."""
    for kind in (kind for kind in subject.provider.kinds if kind.optional):
        root = subject.root({(kind.group, kind.name): ""})
        for case, base in subject.rendered:
            decision = root.change(**base.document["spec"])
            there = any(kind_named((kind,), obj) for obj in decision.objects)
            if decision.hook_error or there:
                text = decision.hook_error or f"a {kind.name} is rendered"
                yield Finding(
                    f"{subject.place('render')}, Kind {kind.name}.optional",
                    f"without {kind.name} served, {case.title}: {text}",
                    "look into Request.versions before a kind is chosen, or do not mark it optional",
                )


def check_kept(subject: Subject) -> Iterator[Finding]:
    """The kind of the primary that exists is kept while the spec fits it."""
    for case, base in subject.rendered:
        request = base.request
        kind = subject.registry.render(subject.name, request).primary.kind
        kept = _with_primary(request, kind)
        try:
            now = subject.registry.render(subject.name, kept).primary.kind
        except PluginError as error:
            yield Finding(subject.place("render"), f"with Request.primary set, {case.title}: {error}")
            continue
        if now != kind:
            text = f"{case.title}: a {kind.name} exists, and a {now.name} is rendered"
            yield Finding(subject.place("render"), text, "keep the kind in Request.primary")


def _with_primary(request: Request, kind: Kind) -> Request:
    values = {name: getattr(request, name) for name in type(request).__slots__}
    return type(request)(**values | {"primary": kind})


def check_judgement(subject: Subject) -> Iterator[Finding]:
    """`validate` and `select` accept what `render` renders, and give what their signatures say."""
    for case in subject.cases:
        request = subject.request(case)
        for hook in ("validate", "select") if request is not None else ():
            try:
                getattr(subject.registry, hook)(subject.name, request)
            except PluginError as error:
                yield Finding(subject.place(hook), f"{case.title}: {error}")


def check_namespace(subject: Subject) -> Iterator[Finding]:
    """Whatever names a namespace names the deployment's own."""
    for case, base in subject.rendered:
        for obj in base.rename("model", NAMESPACE).objects:
            for path, value in walk_values({key: obj[key] for key in obj if key != "metadata"}):
                if path and path[-1] == "namespace" and value != NAMESPACE:
                    text = f"{case.title}: {obj['kind']}.{spell_path(path)} is {value!r} for one in {NAMESPACE!r}"
                    yield Finding(subject.place("render"), text, "use Request.namespace")


def check_names(subject: Subject) -> Iterator[Finding]:
    """Names are used whole, so that no two deployments meet in one."""
    for case, base in subject.rendered:
        names = find_long_names(base)
        first, second = (base.rename(name).objects for name in names)
        for one, other in zip(first, second, strict=False):
            for text in _find_shared(names[0], {**one, "metadata": {}}, {**other, "metadata": {}}):
                yield Finding(
                    subject.place("render"),
                    f"{case.title}: {one['kind']} has {text!r} for both {names[0]} and {names[1]}",
                    "use the whole name, and declare Kind.max_name where upstream bears less",
                )


def _find_shared(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """Texts made of a part of the name that are the same for both."""
    texts = set(list_texts(other))
    return (text for text in list_texts(one) if name[:_KNOWN_PART] in text and name not in text and text in texts)


def check_labels(subject: Subject) -> Iterator[Finding]:
    """Labels and selectors within bodies are such as Kubernetes takes."""
    said: set[str] = set()
    for case, row in subject.corpus:
        for obj in row.decision.objects:
            for path, value in walk_values({key: obj[key] for key in obj if key != "metadata"}):
                for text in _check_label_map(path, value):
                    if text not in said:
                        said.add(text)
                        fix = "make a label of what fits one, and refuse or leave out the rest"
                        yield Finding(subject.place("render"), f"{case.title}, {row.title}: {obj['kind']}.{text}", fix)


def _check_label_map(path: tuple[str | int, ...], value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON of any shape
    if not path or path[-1] not in _LABELS or not isinstance(value, Mapping):
        return
    for key, text in value.items():
        if not _LABEL_KEY.fullmatch(key):
            yield f"{spell_path(path)} has the key {key!r}, which is no label"
        if isinstance(text, str) and not _LABEL_VALUE.fullmatch(text):
            yield f"{spell_path(path)}[{key}] is {text!r}, which is no label's value"
