"""All rules in the order in which they are checked, and how a provider is checked against them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from kubeairunway.testing.conformance import (
    declared,
    fields,
    life,
    options,
    pace,
    pure,
    reading,
    rendered,
    schemas,
)
from kubeairunway.testing.conformance.findings import Finding, Rule, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeairunway.testing.conformance.subject import Subject

FIRST: Final = Rule("package-whole", "With the package installed, it is Loaded", declared.check_loaded)
"""What everything else stands on."""

RULES: Final = (
    FIRST,
    Rule("package-name", "The name is the entry point's, and the contract is this core's", declared.check_name),
    Rule("package-alone", "The import changes nothing that belongs to the whole process", declared.check_import),
    Rule("declare-engines", "Every engine, mode and hardware that is declared can be had", declared.check_engines),
    Rule("declare-kinds", "Kinds, children and what is optional make sense", declared.check_kinds),
    Rule("declare-versions", "Every version of a kind that is declared can be rendered", declared.check_versions),
    Rule("declare-paths", "Every recreate and surge path is rendered", declared.check_paths),
    Rule("declare-rules", "Every CEL rule compiles, and is true or false for every spec", declared.check_rules),
    Rule("carries-exist", "Every path in carries exists in the spec", declared.check_carries),
    Rule("carries-true", "A carried field that changes changes the rendering, or is refused", fields.check_carried),
    Rule("carries-complete", "A field that is not carried is refused", fields.check_uncarried),
    Rule("options-typed", "Overrides and settings are typed, and unknown ones are refused", options.check_types),
    Rule("options-documented", "Every override and setting says what it is for", options.check_documented),
    Rule("options-true", "An override that changes changes the rendering, or is refused", options.check_effect),
    Rule("results-valid", "Every hook gives what the contract allows", rendered.check_results),
    Rule("judge-types", "validate and select accept what render can render", rendered.check_judgement),
    Rule("render-declared", "What is rendered is declared, each name once", rendered.check_declared),
    Rule("render-served", "Nothing is rendered of a kind that is not served", rendered.check_served),
    Rule("render-keeps", "The kind of the primary that exists is kept", rendered.check_kept),
    Rule("render-namespace", "Whatever names a namespace names the deployment's", rendered.check_namespace),
    Rule("render-names", "Names are used whole", rendered.check_names),
    Rule("render-labels", "Labels and selectors are such as Kubernetes takes", rendered.check_labels),
    Rule("render-bounds", "The ends of what a field may hold are rendered or refused", fields.check_bounds),
    Rule("render-texts", "Every text reaches the object as it is", fields.check_texts),
    Rule("render-schema", "What is rendered is valid under the schema of its kind", schemas.check_schemas),
    Rule("render-idle", "Once everything is created there is nothing to write", life.check_idle),
    Rule("render-return", "A change and its undoing end in the same objects", life.check_return),
    Rule("pure", "The same request gives the same bytes", pure.check_same),
    Rule("pure-input", "A hook leaves what it gets as it was", pure.check_input),
    Rule("pure-order", "The order of a map's members means nothing", pure.check_order),
    Rule("pure-processes", "Every process gives the same bytes", pure.check_processes),
    Rule("pure-memory", "What was asked before means nothing", pure.check_memory),
    Rule("pure-alone", "No file, socket, clock, environment, chance, thread or process", pure.check_alone),
    Rule("quick-median", "Hooks are quick", pace.check_pace),
    Rule("status-proof", "An object without a status proves nothing", reading.check_proof),
    Rule("status-total", "status has an answer for every object", reading.check_total),
    Rule("status-reachable", "Some status is reported as serving", reading.check_reachable),
    Rule("status-honest", "Garbage counts for no more than nothing", reading.check_honest),
    Rule("status-generation", "An older generation proves nothing of this one", reading.check_generation),
    Rule("status-counts", "Fewer replicas than asked for do not serve", reading.check_counts),
    Rule("status-zero", "Scaled to zero can be Ready", reading.check_zero),
    Rule("status-identity", "Selector and Service are of this deployment alone", reading.check_identity),
)
"""Every rule that a provider is held to when it is checked; those of docs/provider-contract.md that are not here are
enforced when a package is loaded or a hook is called."""


def check_rule(rule: Rule, subject: Subject) -> Verdict:
    """What one rule finds. A check that fails is a finding of its rule: it cannot be said that the rule is kept."""
    start = time.perf_counter()
    found: list[Finding] = []
    try:
        if rule is FIRST or subject.loaded:
            found.extend(rule.check(subject))
        else:
            found.append(Finding("package", "is not loaded, so this was not looked at", note=True))
    except Exception as error:  # noqa: BLE001 - whatever a package makes of it, the other rules are checked as well
        found.append(Finding("check", f"could not be made: {type(error).__name__}: {error}"))
    return Verdict(
        rule=rule,
        findings=tuple(finding for finding in found if not finding.note),
        notes=tuple(finding for finding in found if finding.note),
        seconds=time.perf_counter() - start,
    )


def check_provider(subject: Subject) -> Iterator[Verdict]:
    """The verdicts of all rules, each as soon as it is known."""
    return (check_rule(rule, subject) for rule in RULES)
