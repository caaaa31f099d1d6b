"""Rules about the life of what is rendered: nothing is written without need, and a change and its undoing are none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kubeairunway.decide.changes import find_recreate
from kubeairunway.decide.conclusion import conclude
from kubeairunway.decide.deployment import plan_deployment
from kubeairunway.decide.plan import Outcome, Plan, Snapshot, StepKind
from kubeairunway.decide.rendering import render_objects
from kubeairunway.errors import PluginError
from kubeairunway.model import names
from kubeairunway.testing.conformance.findings import Finding
from kubeairunway.testing.offline import NOW, make_live

if TYPE_CHECKING:
    from kubeairunway.plugin import Kind
    from kubeairunway.testing.conformance.subject import Subject, Varied
    from kubeairunway.testing.offline import OfflineDecision

Json = dict[str, Any]
Owned = Mapping[tuple["Kind", str], Json]


def check_idle(subject: Subject) -> Iterator[Finding]:
    """Once everything is created, the next pass has nothing to write."""
    for case, row in subject.corpus:
        owned, status = create(row.decision)
        steps = _plan_again(row.decision, owned, status).steps
        if steps:
            shown = ", ".join(f"{step.action} {step.kind.name} {step.name}" for step in steps)
            yield Finding(
                subject.place("render"),
                f"{case.title}, {row.title}: with all its objects there, the next pass would {shown}",
                "render the same whether Request.primary is set or not",
            )


def check_return(subject: Subject) -> Iterator[Finding]:
    """A change in place and back again ends in the same objects."""
    for case, _ in subject.rendered:
        for row in subject.varied[case.title]:
            pair = _change_and_return(subject, row)
            if pair is not None and pair[0] != pair[1]:
                yield Finding(
                    subject.place("render"),
                    f"{case.title}: spec.{row.change.field} changed and changed back gives other objects than before",
                    "render from the request alone",
                )


def _change_and_return(subject: Subject, row: Varied) -> tuple[list[str], list[str]] | None:
    """Digests of the objects before, and after the change was undone; None where one is refused or recreated."""
    if row.before.errors or row.after.errors or not row.before.objects or not row.after.objects:
        return None
    kind = row.after.request.primary or subject.registry.render(subject.name, row.after.request).primary.kind
    owned, _ = create(row.after)
    try:
        request = _keep_primary(row.before, kind)
        rendering = subject.registry.render(subject.name, request)
    except PluginError:
        return None
    objects = render_objects(row.before.document, subject.name, request, rendering)
    primary = next(each for each in objects if each.primary)
    live = owned.get((primary.kind, primary.name))
    if live is None or find_recreate(primary, live):
        return None
    return [_digest_of(obj) for obj in row.before.objects], [each.hash for each in objects]


def _digest_of(obj: Json) -> str:
    """The digest of what is sent, as the object's annotation says it."""
    text: str = obj["metadata"]["annotations"][names.APPLIED_HASH]
    return text


def _keep_primary(decision: OfflineDecision, kind: Kind) -> Any:  # noqa: ANN401 - a Request
    request = decision.request
    values = {name: getattr(request, name) for name in type(request).__slots__}
    return type(request)(**values | {"primary": kind})


def create(decision: OfflineDecision) -> tuple[Owned, Json]:
    """What lives once the plan was carried out, and the deployment's status then."""
    seen = decision.seen
    if seen is None:
        return {}, {}
    steps = [step for step in seen.plan.steps if step.action is StepKind.CREATE]
    owned = {(step.kind, step.name): make_live(step.body) for step in steps}
    outcomes = [Outcome(step, obj=owned[step.kind, step.name]) for step in steps]
    return owned, conclude(decision.document, seen.plan, outcomes, NOW).status or {}


def _plan_again(decision: OfflineDecision, owned: Owned, status: Json) -> Plan:
    snapshot = Snapshot(
        deployment={**decision.document, "status": status},
        providers=decision.world.providers,
        now=NOW,
        owned=MappingProxyType(dict(owned)),
        find=lambda kind, name: owned.get((kind, name)),
    )
    return plan_deployment(snapshot, decision.world.registry, decision.world.expressions)
