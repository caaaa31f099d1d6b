"""A provider as the cluster knows it: package, InferenceProviderConfig, served kinds and upstream operator."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from kubeairunway.decide.facts import ActiveRule, ProviderFacts
from kubeairunway.model.problems import Problem
from kubeairunway.model.reasons import ConfigCondition, ConfigReason
from kubeairunway.objects.conditions import Condition, find_condition, merge_conditions
from kubeairunway.objects.resources import Json
from kubeairunway.objects.times import format_time, parse_time
from kubeairunway.plugin import Kind, Provider, Rule
from kubeairunway.plugin.typed import read_typed, schema_of

HEARTBEAT_EXPIRY = timedelta(minutes=5)
"""A provider whose heartbeat is older is not ready, unless told otherwise (every 60 s, so that five may be missed)."""


class OperatorState(StrEnum):
    """Upstream's operator, as its Deployment shows it."""

    READY = "Ready"
    NOT_READY = "NotReady"
    MISSING = "Missing"
    UNKNOWN = "Unknown"  # Deployments may not be read: not held against the provider
    NOT_NEEDED = "NotNeeded"  # the provider declares no operator


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """What of a provider's upstream the cluster has."""

    served: Mapping[Kind, str]
    operator: OperatorState = OperatorState.NOT_NEEDED
    operator_name: str = ""  # namespace/name of the Deployment that was found
    version: str = ""
    crds_watched: bool = True  # else discovery is read again now and then, and a new kind is seen that much later


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFacts:
    """The installed package of a provider; `provider` is None when it is not loaded, and `reason` says why."""

    provider: Provider | None
    reason: str = ""
    distribution: str = ""
    version: str = ""


def read_facts(
    name: str,
    package: PackageFacts,
    config: Mapping[str, Any] | None,
    upstream: Upstream,
    now: datetime | None,
    *,
    expiry: timedelta = HEARTBEAT_EXPIRY,
) -> ProviderFacts:
    """The facts that decisions use; `now` checks the heartbeat's age, None skips it for whoever writes it."""
    spec: Mapping[str, Any] = (config or {}).get("spec") or {}
    provider = package.provider
    if provider is None:
        message = package.reason or f"the package of provider {name} is not installed in this controller"
        return ProviderFacts(
            name=name,
            provider=None,
            ready=False,
            reason=ConfigReason.PACKAGE_MISSING,
            message=message,
            disabled=bool(spec.get("disabled")),
        )
    reason, message = _find_obstacle(provider, upstream)
    if not reason and now is not None:
        reason, message = _find_lateness(name, config, now, expiry)
    settings, problems = _read_settings(provider, spec)
    auto_select = spec.get("autoSelect")
    return ProviderFacts(
        name=name,
        provider=provider,
        ready=not reason,
        reason=reason,
        message=message,
        disabled=bool(spec.get("disabled")),
        auto_select=provider.auto_select if auto_select is None else bool(auto_select),
        rules=merge_rules(provider.rules, spec.get("selectionRules") or ()),
        settings=settings,
        problems=problems,
        versions=upstream.served,
    )


def merge_rules(
    package: tuple[Rule, ...], administrator: tuple[Mapping[str, Any], ...] | list[Any]
) -> tuple[ActiveRule, ...]:
    """The rules in force, by name: the administrator's replace the package's of the same name."""
    rules = {rule.name: ActiveRule(rule=rule) for rule in package}
    for row in administrator:
        rule = Rule(name=row["name"], condition=row["condition"], priority=int(row.get("priority", 0)))
        rules[rule.name] = ActiveRule(rule=rule, administrator=True)
    return tuple(rules[name] for name in sorted(rules))


def _read_settings(provider: Provider, spec: Mapping[str, Any]) -> tuple[Any, tuple[Problem, ...]]:
    raw = spec.get("settings") or {}
    if provider.settings is None:
        if not raw:
            return None, ()
        message = f"provider {provider.name} takes no settings; remove spec.settings"
        return None, (Problem("spec.settings", "UnknownField", message),)
    return read_typed(provider.settings, raw, "spec.settings")


def _find_obstacle(provider: Provider, upstream: Upstream) -> tuple[str, str]:
    missing = missing_kinds(provider, upstream.served)
    if missing:
        return ConfigReason.KIND_NOT_SERVED, _describe_missing(missing)
    if upstream.operator is OperatorState.MISSING:
        return ConfigReason.OPERATOR_MISSING, _describe_operator(provider, upstream)
    if upstream.operator is OperatorState.NOT_READY:
        return ConfigReason.OPERATOR_NOT_READY, _describe_operator(provider, upstream)
    return "", ""


def _find_lateness(name: str, config: Mapping[str, Any] | None, now: datetime, expiry: timedelta) -> tuple[str, str]:
    beat = parse_time(((config or {}).get("status") or {}).get("lastHeartbeat"))
    if beat is not None and now - beat <= expiry:
        return "", ""
    since = "never" if beat is None else f"last at {format_time(beat)}"
    return ConfigReason.HEARTBEAT_EXPIRED, f"no controller has looked after provider {name}: {since}"


def missing_kinds(provider: Provider, served: Mapping[Kind, str]) -> tuple[Kind, ...]:
    """Declared kinds the provider needs and the cluster does not serve in any version that it renders."""
    return tuple(kind for kind in provider.kinds if not kind.optional and kind not in served)


def _describe_missing(kinds: tuple[Kind, ...]) -> str:
    names = ", ".join(f"{kind.name} ({kind.group}/{' or '.join(kind.versions)})" for kind in kinds)
    return f"the cluster does not serve {names}; install the operator that brings its CRD"


def _describe_served(missing: tuple[Kind, ...], upstream: Upstream) -> str:
    late = "CRDs may not be watched (list and watch customresourcedefinitions), so a change of them is seen late"
    return "; ".join([*([_describe_missing(missing)] if missing else []), *([] if upstream.crds_watched else [late])])


def _describe_operator(provider: Provider, upstream: Upstream) -> str:
    labels = ", ".join(f"{key}={value}" for key, value in sorted(provider.operator.items()))
    if upstream.operator is OperatorState.MISSING:
        return f"no Deployment with label {labels} was found; install the upstream operator"
    if upstream.operator is OperatorState.NOT_READY:
        return f"the upstream operator's Deployment {upstream.operator_name} has no ready replica"
    if upstream.operator is OperatorState.UNKNOWN:
        return "Deployments may not be read, so the upstream operator is taken to be ready"
    return f"Deployment {upstream.operator_name} is ready"


def build_declared(package: PackageFacts) -> Json:
    """`status.declared`: what the package says of itself, as typed fields."""
    provider = package.provider
    if provider is None:
        return {}
    declared: Json = {
        "contract": provider.contract,
        "package": {"distribution": package.distribution, "version": package.version},
        "autoSelect": provider.auto_select,
        "kinds": [_declared_kind(kind) for kind in provider.kinds],
        "engines": [
            {
                "name": engine.name,
                "modes": list(engine.modes),
                "gpu": engine.gpu,
                "cpu": engine.cpu,
                "carries": sorted(engine.carries),
            }
            for engine in provider.engines
        ],
        "rules": [
            {"name": rule.name, "condition": rule.condition, "priority": rule.priority} for rule in provider.rules
        ],
        "documentation": provider.docs,
    }
    if provider.children:
        declared["children"] = [_declared_kind(kind) for kind in provider.children]
    if provider.operator:
        declared["operator"] = dict(provider.operator)
    if provider.overrides is not None:
        declared["overridesSchema"] = schema_of(provider.overrides)
    if provider.settings is not None:
        declared["settingsSchema"] = schema_of(provider.settings)
    return declared


def _declared_kind(kind: Kind) -> Json:
    row: Json = {
        "group": kind.group,
        "name": kind.name,
        "versions": list(kind.versions),
        "maxName": kind.max_name,
        "optional": kind.optional,
    }
    if kind.recreate:
        row["recreate"] = list(kind.recreate)
    if kind.surge:
        row["surge"] = list(kind.surge)
        row["surgeReplicas"] = kind.surge_replicas
    if kind.restart:
        row["restart"] = list(kind.restart)
    return row


def config_status(
    package: PackageFacts,
    config: Mapping[str, Any],
    upstream: Upstream,
    *,
    rule_errors: Mapping[str, str],
    hook_errors: Mapping[str, str] | None,
    now: datetime,
    beat: bool,
) -> Json | None:
    """The status of a provider's config; None when it stands already and no heartbeat is due.

    `rule_errors` has the error of each rule in force that failed, by name; `hook_errors` the last one of each hook
    that fails, None while it is too early to tell. With `beat` the heartbeat is renewed.
    """
    before: Mapping[str, Any] = config.get("status") or {}
    facts = read_facts(config["metadata"]["name"], package, config, upstream, None)
    generation = int(config["metadata"].get("generation") or 0)
    conditions = _config_conditions(facts, upstream, rule_errors)
    if package.provider is not None:
        conditions.append(_hooks_condition(hook_errors, before.get("conditions"), renew=beat))
    status: Json = {
        "observedGeneration": generation,
        "ready": facts.ready and not facts.problems,
        "conditions": merge_conditions(conditions, before.get("conditions"), generation=generation, now=now),
    }
    if package.provider is not None:
        status["version"] = package.version
        status["declared"] = build_declared(package)
        status["upstream"] = _upstream_status(package.provider, upstream)
    elif "declared" in before:  # what it said when it was last loaded
        status["declared"] = before["declared"]
    stands = {**status, "lastHeartbeat": before.get("lastHeartbeat")} == dict(before)
    if stands and not beat:
        return None
    return {**status, "lastHeartbeat": format_time(now)}


def overdue_status(config: Mapping[str, Any], facts: ProviderFacts, now: datetime) -> Json | None:
    """The status of a config whose own process is silent: all that it said last, but no longer ready.

    None if it says so already. That process writes its own again with its next heartbeat.
    """
    before: Mapping[str, Any] = config.get("status") or {}
    shown = find_condition(before.get("conditions"), ConfigCondition.READY) or {}
    if shown.get("reason") == facts.reason:
        return None
    generation = int(config["metadata"].get("generation") or 0)
    late = Condition(ConfigCondition.READY, "False", facts.reason, facts.message)
    others = [row for row in before.get("conditions") or () if row["type"] != ConfigCondition.READY]
    rows = merge_conditions([late], before.get("conditions"), generation=generation, now=now)
    return {**before, "ready": False, "conditions": [*rows, *others]}


def _upstream_status(provider: Provider, upstream: Upstream) -> Json:
    rows = [
        {"group": kind.group, "name": kind.name, "version": upstream.served.get(kind, "")} for kind in provider.kinds
    ]
    return {"kinds": rows, **({"version": upstream.version} if upstream.version else {})}


def _config_conditions(facts: ProviderFacts, upstream: Upstream, rule_errors: Mapping[str, str]) -> list[Condition]:
    ready = facts.ready and not facts.problems
    rows = [
        _condition(
            ConfigCondition.READY,
            ready,
            facts.reason or ConfigReason.SETTINGS_INVALID,
            ConfigReason.READY,
            facts.message or _join(facts.problems),
        )
    ]
    if facts.provider is None:
        return rows
    missing = missing_kinds(facts.provider, upstream.served)
    rows.append(
        _condition(
            ConfigCondition.CRDS_SERVED,
            not missing,
            ConfigReason.KIND_NOT_SERVED,
            ConfigReason.KINDS_SERVED,
            _describe_served(missing, upstream),
        )
    )
    if upstream.operator is not OperatorState.NOT_NEEDED:
        rows.append(_operator_condition(facts.provider, upstream))
    texts = "; ".join(f"rule {name}: {error}" for name, error in sorted(rule_errors.items()))
    rows.append(
        _condition(
            ConfigCondition.RULES_VALID, not rule_errors, ConfigReason.RULE_FAILED, ConfigReason.RULES_VALID, texts
        )
    )
    rows.append(
        _condition(
            ConfigCondition.SETTINGS_VALID,
            not facts.problems,
            ConfigReason.SETTINGS_INVALID,
            ConfigReason.SETTINGS_VALID,
            _join(facts.problems),
        )
    )
    return rows


def _hooks_condition(errors: Mapping[str, str] | None, before: object, *, renew: bool) -> Condition:
    """Hooks that fail differ in their words with every deployment: new words wait for the next heartbeat."""
    shown = find_condition(before, ConfigCondition.HOOKS_HEALTHY)
    if shown is not None and shown["status"] == "False" and (errors is None or (errors and not renew)):
        return Condition(ConfigCondition.HOOKS_HEALTHY, "False", shown["reason"], shown["message"])
    text = "; ".join(f"hook {hook}: {error}" for hook, error in sorted((errors or {}).items()))
    return _condition(
        ConfigCondition.HOOKS_HEALTHY, not errors, ConfigReason.HOOK_FAILED, ConfigReason.HOOKS_HEALTHY, text
    )


def _operator_condition(provider: Provider, upstream: Upstream) -> Condition:
    reasons = {
        OperatorState.READY: ConfigReason.OPERATOR_READY,
        OperatorState.MISSING: ConfigReason.OPERATOR_MISSING,
        OperatorState.NOT_READY: ConfigReason.OPERATOR_NOT_READY,
    }
    row = _condition(
        ConfigCondition.OPERATOR_READY,
        upstream.operator is OperatorState.READY,
        reasons.get(upstream.operator, ConfigReason.OPERATOR_UNKNOWN),
        ConfigReason.OPERATOR_READY,
        _describe_operator(provider, upstream),
    )
    return replace(row, status="Unknown") if upstream.operator is OperatorState.UNKNOWN else row


def _condition(kind: ConfigCondition, holds: bool, bad: str, good: str, message: str) -> Condition:  # noqa: FBT001 - the verdict
    return Condition(kind, "True" if holds else "False", good if holds else bad, message)


def _join(problems: tuple[Problem, ...]) -> str:
    return "; ".join(f"{problem.path}: {problem.message}" for problem in problems)
