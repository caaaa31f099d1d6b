"""Rules about what a package says of itself: what is declared is there, and can be had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeairunway.decide.expressions import Expressions, RuleError, SpecView
from kubeairunway.decide.rendering import value_at
from kubeairunway.model.paths import known_paths, nearest
from kubeairunway.plugin import CONTRACT
from kubeairunway.testing.conformance.findings import Finding
from kubeairunway.testing.conformance.subject import kind_named

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from kubeairunway.plugin import Kind
    from kubeairunway.testing.conformance.subject import Case, Subject
    from kubeairunway.testing.offline import OfflineDecision


def check_loaded(subject: Subject) -> Iterator[Finding]:
    """The package is Loaded."""
    package = subject.package
    if package is None:
        yield Finding("entry point", f"no provider named {subject.name} is installed", "install the package")
    elif not subject.loaded:
        yield Finding(package.module or "entry point", f"{package.state}: {package.reason}")


def check_import(subject: Subject) -> Iterator[Finding]:
    """The import leaves the process as it was."""
    package = subject.package
    if package is not None and package.reason:
        yield Finding(package.module, package.reason, "a module's top level declares, and changes nothing outside it")


def check_name(subject: Subject) -> Iterator[Finding]:
    """Name and contract are those of the entry point and of this core."""
    provider, package = subject.provider, subject.package
    if package is not None and provider.name != package.name:
        yield Finding(
            "Provider.name", f"{provider.name!r} is not the entry point's {package.name!r}", "make them equal"
        )
    if provider.contract != CONTRACT:
        yield Finding("Provider.contract", f"{provider.contract} is not {CONTRACT}", f"declare {CONTRACT}")


def check_carries(subject: Subject) -> Iterator[Finding]:
    """Every carried path exists."""
    for engine in subject.provider.engines:
        for path in sorted(engine.carries - known_paths()):
            near = nearest(path, known_paths())
            yield Finding(
                f"Engine {engine.name}.carries", f"{path} is no field", f"did you mean {near}?" if near else ""
            )


def check_engines(subject: Subject) -> Iterator[Finding]:
    """Every engine, mode and hardware that is declared can be had."""
    for case in subject.cases:
        place = f"Engine {case.engine.name}, mode {case.mode}"
        if case.base is None:
            yield Finding(
                place,
                f"none of the plain specs is rendered: {_why_not(case.tried[-1])}",
                "render a spec of a model, GPUs and an image, or do not declare it",
            )
        elif case.mode == "aggregated":
            for flag, gpus in (("gpu", 1), ("cpu", 0)):
                if getattr(case.engine, flag) and not _any_renders(case, gpus):
                    text = f"{flag} is declared, and a plain spec with {gpus} GPUs is refused: "
                    yield Finding(place, text + _why_not(_tried_with(case, gpus)[-1]), f"declare {flag}=False")


def _tried_with(case: Case, gpus: int) -> list[OfflineDecision]:
    return [each for each in case.tried if each.document["spec"]["resources"]["gpu"]["count"] == gpus]


def _any_renders(case: Case, gpus: int) -> bool:
    return any(not each.errors and each.objects for each in _tried_with(case, gpus))


def _why_not(decision: OfflineDecision) -> str:
    texts = [f"{problem.path}: {problem.message}" for problem in decision.errors]
    return (
        decision.hook_error or "; ".join(texts) or (decision.seen.obstacle if decision.seen else "nothing is decided")
    )


def check_paths(subject: Subject) -> Iterator[Finding]:
    """Every recreate, surge and restart path is rendered by some spec."""
    bodies: dict[Kind, list[Mapping[str, Any]]] = {}
    for _, row in subject.corpus:
        for obj in row.decision.objects:
            kind = kind_named(subject.provider.kinds, obj)
            if kind is not None:
                bodies.setdefault(kind, []).append(obj)
    for kind, objects in bodies.items():
        for name in ("recreate", "surge", "restart"):
            for path in getattr(kind, name):
                if all(value_at(obj, path) is None for obj in objects):
                    text = f"{path} is in no {kind.name} of {len(objects)} different ones"
                    yield Finding(f"Kind {kind.name}.{name}", text, "write the path as it is rendered, or leave it out")


def check_kinds(subject: Subject) -> Iterator[Finding]:
    """Kinds and children are told apart, and each has its versions once."""
    provider = subject.provider
    for field, kinds in (("kinds", provider.kinds), ("children", provider.children)):
        for kind in kinds:
            if len(set(kind.versions)) < len(kind.versions):
                yield Finding(
                    f"Provider.{field}: {kind.name}", "a version is listed twice", "list each once, best first"
                )
    if all(kind.optional for kind in provider.kinds):
        text = "every kind is optional, so the provider is ready where nothing of its upstream is"
        yield Finding("Provider.kinds", text, "mark only those optional that it can do without")
    rendered = {kind_named(provider.kinds, obj) for _, row in subject.corpus for obj in row.decision.objects}
    for kind in provider.kinds:
        if rendered and kind not in rendered:
            text = "no spec that was tried renders it"
            yield Finding(f"Kind {kind.name}", text, "leave it out one release after it was last rendered", note=True)


def check_versions(subject: Subject) -> Iterator[Finding]:
    """Where only an older version of a kind is served, that one is rendered, or the spec is refused."""
    for kind in subject.provider.kinds:
        for version in kind.versions[1:]:
            root = subject.root({(kind.group, kind.name): version})
            for case, base in subject.rendered:
                decision = root.change(**base.document["spec"])
                if decision.hook_error:
                    yield Finding(
                        f"Kind {kind.name}.versions",
                        f"with {version} alone served, {case.title}: {decision.hook_error}",
                        "read the version from Request.versions",
                    )


def check_rules(subject: Subject) -> Iterator[Finding]:
    """Every CEL rule compiles and gives true or false for every plain spec."""
    expressions = Expressions()
    for rule in subject.provider.rules:
        program = expressions.program(rule.condition)
        if isinstance(program, RuleError):
            yield Finding(f"Rule {rule.name}.condition", f"does not compile: {program.text}", "see CEL's grammar")
            continue
        for case in subject.cases:
            for decision in case.tried:
                request = decision.seen.decision if decision.seen else None
                verdict = expressions.verdict(rule.condition, SpecView(request.spec)) if request else True
                if isinstance(verdict, RuleError):
                    text = f"{case.title}: {verdict.text}"
                    yield Finding(f"Rule {rule.name}.condition", text, "guard fields that may be absent with has()")
                    break
