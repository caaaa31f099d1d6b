"""The whole decision of one deployment: Snapshot -> Plan. Everybody who decides, decides here."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kubeairunway.decide.admission import GPUS, NO_OBJECTION, Verdict, ask_policies, describe_grant
from kubeairunway.decide.causes.explain import explain_wait
from kubeairunway.decide.deletion import plan_deletion
from kubeairunway.decide.existing import (
    Primary,
    Recorded,
    fallback_request,
    find_kept,
    find_primaries,
    is_proved,
    observe,
    read_recorded,
)
from kubeairunway.decide.expressions import Expressions
from kubeairunway.decide.plan import EVENT_NORMAL, EVENT_WARNING, EventNote, Plan, Snapshot, Stage
from kubeairunway.decide.rendering import Rendered, check_names, render_objects
from kubeairunway.decide.rollout import Rollout, plan_rollout
from kubeairunway.decide.selection import Decision, choose
from kubeairunway.decide.stages import (
    CHOICE_CONDITIONS,
    carry_conditions,
    carry_fields,
    carry_provider,
    choice_conditions,
    choice_fields,
    choice_provider,
    describe_problems,
    desired_replicas,
    ready,
    unavailable,
    validated,
)
from kubeairunway.decide.steps import changes_something
from kubeairunway.decide.validation import check_spec, errors_of
from kubeairunway.errors import PluginError
from kubeairunway.model import names
from kubeairunway.model.documents import Deployment
from kubeairunway.model.problems import Problem
from kubeairunway.model.reasons import ConditionType, ConfigReason, EventReason, Reason
from kubeairunway.objects.conditions import Condition
from kubeairunway.plugin import Report, Request, State, count_gpus
from kubeairunway.plugin.calls import HookCalls


def plan_deployment(snapshot: Snapshot, calls: HookCalls, expressions: Expressions) -> Plan:
    """Decide what to do for one deployment. Never raises for what users, providers or upstream can do wrong."""
    deployment = Deployment.from_object(snapshot.deployment)
    if deployment.deletion_timestamp:
        return plan_deletion(snapshot)
    return explain_wait(_Decider(snapshot, calls, expressions, deployment).plan(), snapshot, deployment.spec)


@dataclass(frozen=True, slots=True)
class _Reported:
    """What upstream says of the primary that lives; nothing if there is none or it cannot be asked."""

    report: Report | None = None
    proved: bool = False
    error: str = ""


class _Decider:
    """One pass over one deployment; each method decides as far as it can and hands on."""

    def __init__(self, snapshot: Snapshot, calls: HookCalls, expressions: Expressions, deployment: Deployment) -> None:
        self._snapshot = snapshot
        self._calls = calls
        self._expressions = expressions
        self._deployment = deployment
        self._recorded: Recorded = read_recorded(snapshot.deployment)
        primaries = find_primaries(snapshot)
        self._primary: Primary | None = min(primaries, key=lambda each: each.deleting_since, default=None)

    def plan(self) -> Plan:
        """Pause, then validity, then choice, then the rollout of what was chosen."""
        if self._deployment.annotations.get(names.PAUSED, "").lower() == "true":
            return self._plan_paused()
        problems = self._deployment.problems or check_spec(self._deployment.name, self._deployment.spec)
        if errors_of(problems):
            return self._plan_invalid(problems)
        return self._plan_choice(problems)

    def _plan_choice(self, problems: tuple[Problem, ...]) -> Plan:
        deployment = self._deployment
        decision = choose(
            name=deployment.name,
            namespace=deployment.namespace,
            written=deployment.spec,
            providers=self._snapshot.providers,
            calls=self._calls,
            expressions=self._expressions,
            kept=find_kept(self._recorded, self._primary, deployment.spec),
            admission=self._snapshot.admission,
        )
        return self._plan_chosen(decision, problems)

    # ---- states in which nothing is written to provider objects ----

    def _plan_paused(self) -> Plan:
        reported = self._ask_upstream(None)
        paused = Condition(ConditionType.PAUSED, "True", Reason.PAUSED, f"Annotation {names.PAUSED} is set")
        blocked = None if self._exists else ready(Reason.PAUSED, "Paused before anything was created")
        return Plan(stage=self._keep(reported, blocked, paused, paused=True))

    def _plan_invalid(self, problems: tuple[Problem, ...]) -> Plan:
        message = describe_problems(errors_of(problems))
        failed = Condition(ConditionType.VALIDATED, "False", Reason.VALIDATION_FAILED, message)
        blocked = ready(Reason.VALIDATION_FAILED, message)
        stage = self._keep(self._ask_upstream(None), blocked, failed, stalled=True)
        return Plan(stage=stage, problems=problems)

    def _keep(
        self,
        reported: _Reported,
        blocked: Condition | None,
        *extra: Condition,
        stalled: bool = False,
        paused: bool = False,
    ) -> Stage:
        """What runs is left as it is, and so is what the status says of the choice."""
        new = {condition.type for condition in extra}
        carried = [kind for kind in CHOICE_CONDITIONS if kind not in new]
        return Stage(
            conditions=(*extra, *carry_conditions(self._snapshot.deployment, carried)),
            fields=carry_fields(self._snapshot.deployment),
            provider=carry_provider(self._snapshot.deployment),
            report=reported.report,
            proved=reported.proved,
            exists=self._exists,
            recorded=self._exists,
            blocked=blocked,
            stalled=stalled,
            paused=paused,
            serving_on=self._exists and not paused,
            **desired_replicas(self._deployment.spec),
        )

    @property
    def _exists(self) -> bool:
        return self._primary is not None

    # ---- a choice was made, or not ----

    def _plan_chosen(self, decision: Decision, problems: tuple[Problem, ...]) -> Plan:
        every = tuple(dict.fromkeys((*problems, *decision.warnings, *decision.problems, *decision.advice)))
        if decision.unavailable == Reason.PROVIDER_ERROR:
            return self._plan_plugin_error(decision, every, decision.unavailable_message)
        if decision.unavailable and not self._can_go_on(decision):
            return self._plan_unavailable(decision, every)
        if decision.request is None or decision.provider is None or decision.problems:
            return self._plan_refused(decision, every)
        return self._plan_rendering(decision, decision.provider, decision.request, every)

    def _can_go_on(self, decision: Decision) -> bool:
        """Whether a provider that is not ready can still do its part: its operator may be down, its kinds may not."""
        facts = self._snapshot.providers.get(decision.provider or "")
        return (
            facts is not None
            and facts.provider is not None
            and decision.unavailable == Reason.PROVIDER_NOT_READY
            and facts.reason != ConfigReason.KIND_NOT_SERVED
            and not facts.problems
        )

    def _plan_rendering(self, decision: Decision, provider: str, request: Request, every: tuple[Problem, ...]) -> Plan:
        try:
            rendering = self._calls.render(provider, request)
            objects = render_objects(self._snapshot.deployment, provider, request, rendering)
        except PluginError as error:
            return self._plan_plugin_error(decision, every, str(error))
        too_long = tuple(check_names(objects))
        if too_long:
            return self._plan_refused(decision, (*every, *too_long), too_long)
        return self._plan_rollout(decision, request, objects, every)

    def _plan_refused(self, decision: Decision, every: tuple[Problem, ...], refusals: tuple[Problem, ...] = ()) -> Plan:
        refusals = refusals or decision.problems
        message = describe_problems(refusals) if refusals else decision.provider_message
        unfit = Reason.INCOMPATIBLE_CONFIGURATION if refusals else decision.provider_reason
        reason = decision.refused_by or unfit
        conditions = choice_conditions(decision, every, refused=message if refusals else "")
        blocked = ready(reason, message)
        if self._exists:
            stalled = bool(refusals) or reason == Reason.SELECTION_FAILED  # an edit that nobody here can carry out
            stage = self._keep(self._ask_upstream(None), blocked, *conditions, stalled=stalled)
        else:
            stage = Stage(
                conditions=conditions,
                fields=choice_fields(decision, self._snapshot.deployment),
                provider=choice_provider(decision, ""),
                blocked=blocked,
                stalled=bool(refusals),
                **desired_replicas(self._deployment.spec),
            )
        return self._complete(decision, every, stage=stage, events=self._note_plugin_error(blocked))

    def _plan_unavailable(self, decision: Decision, every: tuple[Problem, ...]) -> Plan:
        """Whatever the provider's objects do, they are left alone; what they do is not known for sure."""
        blocked = ready(decision.unavailable, decision.unavailable_message, "Unknown")
        reported = self._ask_upstream(None)
        stage = self._keep(reported, blocked, validated(every), unavailable(decision))
        # Without the package nobody watches the kind: what the status has on record is believed.
        facts = self._snapshot.providers.get(decision.provider or "")
        unseen = bool(self._recorded.kind) and (facts is None or facts.provider is None)
        exists = self._exists or unseen
        return self._complete(decision, every, stage=replace(stage, recorded=True, exists=exists, serving_on=exists))

    def _plan_plugin_error(self, decision: Decision, every: tuple[Problem, ...], message: str) -> Plan:
        blocked = ready(Reason.PROVIDER_ERROR, message, "Unknown" if self._exists else "False")
        stage = self._keep(_Reported(), blocked, *choice_conditions(decision, every))
        return self._complete(decision, every, stage=stage, events=self._note_plugin_error(blocked))

    def _note_plugin_error(self, blocked: Condition) -> tuple[EventNote, ...]:
        """The event of a hook that failed, unless the status says the same already."""
        shown = carry_conditions(self._snapshot.deployment, {ConditionType.READY})
        known = any((row.reason, row.message) == (blocked.reason, blocked.message) for row in shown)
        event = _HOOK_EVENTS.get(blocked.reason)
        return () if known or event is None else (EventNote(EVENT_WARNING, event, blocked.message),)

    # ---- the rollout of what was chosen ----

    def _plan_rollout(
        self, decision: Decision, request: Request, objects: tuple[Rendered, ...], every: tuple[Problem, ...]
    ) -> Plan:
        # A primary of another provider makes way for the new one, whatever its own provider would say of it.
        moved = self._primary is not None and self._primary.provider != decision.provider
        reported = _Reported() if moved else self._ask_upstream(request)
        if reported.error:
            return self._plan_plugin_error(decision, every, reported.error)
        settled = reported.proved and reported.report is not None and reported.report.state is State.RUNNING
        facts = self._snapshot.providers[decision.provider or ""]
        rollout = plan_rollout(self._snapshot, objects, self._recorded, facts, settled=settled)
        verdict = self._ask_about_change(decision, request, rollout)
        if verdict.reason:
            refused = replace(decision, refused_by=Reason(verdict.reason))
            return self._plan_refused(refused, (*every, *verdict.problems), verdict.problems)
        decision = replace(decision, advice=verdict.advice) if verdict.advice else decision
        every = (*every, *verdict.advice)
        stage = self._rollout_stage(decision, request, objects, every, (rollout, reported))
        plan = self._complete(decision, every, stage=stage, rollout=rollout)
        return replace(plan, objects=tuple(rendered.body for rendered in objects))

    def _ask_about_change(self, decision: Decision, request: Request, rollout: Rollout) -> Verdict:
        """What policies say of a change of what runs; a new choice was judged when it was made."""
        admission = self._snapshot.admission
        if admission is None or not decision.kept:
            return NO_OBJECTION
        # A provider may not render what it carries, and a cap holds all the same.
        grows = admission.before is not None and count_gpus(request.spec) > admission.before.gpus
        if not grows and not changes_something(rollout.steps):
            return NO_OBJECTION
        return ask_policies(admission, request, decision.provider or "")

    def _rollout_stage(
        self,
        decision: Decision,
        request: Request,
        objects: tuple[Rendered, ...],
        every: tuple[Problem, ...],
        seen: tuple[Rollout, _Reported],
    ) -> Stage:
        rollout, reported = seen
        return Stage(
            conditions=(*choice_conditions(decision, every), *rollout.conditions),
            fields={**choice_fields(decision, self._snapshot.deployment), "objects": _list_others(objects)},
            provider={**choice_provider(decision, rollout.identity), **self._grant_gpus(request)},
            resource=self._describe_resource(rollout, objects),
            recorded=rollout.recorded,
            report=None if rollout.replaced else reported.report,
            proved=reported.proved and rollout.current,
            exists=rollout.exists,
            blocked=rollout.blocked,
            stalled=rollout.stalled,
            serving_on=rollout.serving_on,
            **desired_replicas(request.spec),
        )

    def _describe_resource(self, rollout: Rollout, objects: tuple[Rendered, ...]) -> dict[str, str]:
        """The primary on record: the new one; the old one while it serves on, or goes for one of the same identity.

        So the choice that was made for an identity stays, whoever is ready when the old object is gone.
        """
        if rollout.serving_on and self._primary is not None:
            return _name_resource(self._primary.obj["apiVersion"], self._primary.kind.name, self._primary.name)
        if rollout.replaced:
            recorded = self._recorded
            same = recorded.kind and recorded.identity == rollout.identity
            return _name_resource(recorded.api_version, recorded.kind, recorded.name) if same else {}
        primary = next(rendered for rendered in objects if rendered.primary)
        return _name_resource(primary.api_version, primary.kind.name, primary.name)

    def _grant_gpus(self, request: Request) -> dict[str, int]:
        """What a status has on record for the policies of other deployments."""
        admission = self._snapshot.admission
        return {GPUS: count_gpus(request.spec)} if admission is not None and admission.calls.wants_peers else {}

    def _complete(
        self,
        decision: Decision,
        every: tuple[Problem, ...],
        *,
        stage: Stage,
        events: tuple[EventNote, ...] = (),
        rollout: Rollout | None = None,
    ) -> Plan:
        before = self._snapshot.deployment.get("status") or {}
        recorded = (before.get("provider") or {}).get("name")
        # Said once it is on record: a pass that fails before that comes again.
        if decision.provider and recorded != decision.provider and stage.provider.get("name") == decision.provider:
            text = f"Selected provider '{decision.provider}': {decision.why}"
            events = (EventNote(EVENT_NORMAL, EventReason.PROVIDER_SELECTED, text), *events)
        # Before anything is created, and again where somebody took it off what exists.
        needed = rollout is not None and bool(rollout.steps or rollout.exists)
        granted = rollout is not None and self._snapshot.admission is not None and changes_something(rollout.steps)
        if decision.advice and granted:
            events = (*events, EventNote(EVENT_WARNING, EventReason.POLICY_WARNING, describe_problems(decision.advice)))
        return Plan(
            stage=stage,
            finalizer=True if needed and names.FINALIZER not in self._deployment.finalizers else None,
            steps=rollout.steps if rollout else (),
            events=(*events, *(rollout.events if rollout else ())),
            after=rollout.after if rollout else None,
            problems=every,
            provider=decision.provider or "",
            rule_errors={
                name: {rule.name: rule.error for rule in rules} for name, rules in decision.rule_errors.items()
            },
            decision=decision,
            granted=describe_grant(decision.request, decision.provider or "") if granted and decision.request else "",
        )

    def _ask_upstream(self, request: Request | None) -> _Reported:
        """What the provider's `status` hook says of the live objects; without a request, of what is on record."""
        primary = self._primary
        if primary is None:
            return _Reported()
        facts = self._snapshot.providers.get(primary.provider)
        if facts is None or facts.provider is None:
            return _Reported()
        if request is None:
            request = fallback_request(self._deployment, facts, self._recorded.engine, primary.kind)
        try:
            report = self._calls.status(primary.provider, request, observe(self._snapshot, primary))
        except PluginError as error:
            return _Reported(error=str(error))
        return _Reported(report, is_proved(report, primary, self._snapshot))


_HOOK_EVENTS: Mapping[str, EventReason] = {
    Reason.PROVIDER_ERROR: EventReason.PROVIDER_ERROR,
    Reason.POLICY_ERROR: EventReason.POLICY_ERROR,
    Reason.POLICY_NOT_LOADED: EventReason.POLICY_ERROR,
}
"""The event of a failure, by the reason that Ready gives for it."""


def _name_resource(api_version: str, kind: str, name: str) -> dict[str, str]:
    return {"apiVersion": api_version, "resourceKind": kind, "resourceName": name}


def _list_others(objects: tuple[Rendered, ...]) -> list[dict[str, str]]:
    return [
        {"apiVersion": rendered.api_version, "kind": rendered.kind.name, "name": rendered.name}
        for rendered in objects
        if not rendered.primary
    ]
