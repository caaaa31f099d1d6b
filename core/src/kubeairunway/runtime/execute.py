"""Carrying a plan out: finalizer, steps in order up to the first that fails, then at most one status write."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Self

from kubeairunway.decide.conclusion import Conclusion, conclude
from kubeairunway.decide.ownership import annotation, describe_owner, is_below, is_owned
from kubeairunway.decide.plan import Outcome, Plan, Step, StepKind
from kubeairunway.errors import ApiError, KubeError, NotLeaderError, TransportError
from kubeairunway.model import names
from kubeairunway.objects.managed_fields import find_writer
from kubeairunway.objects.times import format_time
from kubeairunway.runtime.overlay import Address, address_of
from kubeairunway.runtime.urgency import is_urgent
from kubeairunway.runtime.world import DEPLOYMENTS, Version, World

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kubeairunway.kube.client import Client
    from kubeairunway.kube.discovery import Discovery
    from kubeairunway.objects.resources import Json, Resource

TRANSIENT: Final = frozenset({"Conflict", "TooManyRequests", "InternalError", "ServiceUnavailable", "Timeout"})
"""Reasons that another try may mend; 5xx without a known reason counts too."""


class StaleError(Exception):
    """The deployment is not what the plan was made for: somebody wrote it since, or it is gone."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a plan came to.

    `created` has the versions of objects that are exactly as we sent them; `settled` says that nothing else was
    written but status and finalizer, so that what the decision saw is all there is. `deferred`: the status differs in
    words alone, and was not written.
    """

    deployment: Json
    outcomes: tuple[Outcome, ...]
    conclusion: Conclusion
    created: dict[Address, Version]
    settled: bool
    conflict: tuple[Resource, Json] | None = None
    deferred: bool = False


class Executor:
    """Writes what plans ask for and shows the answers in the world at once."""

    def __init__(
        self, client: Client, world: World, discovery: Discovery, *, now: Callable[[], datetime] | None = None
    ) -> None:
        self._client = client
        self._world = world
        self._discovery = discovery
        self._now = now or (lambda: datetime.now(UTC))

    async def execute(self, plan: Plan, deployment: Json, *, patient: bool = False) -> Result:
        """Carry out a plan for the deployment it was made for; if `patient`, leave a status that is not urgent.

        Raises StaleError when that deployment changed or is gone, and what the client raises when the API server
        cannot be reached for the deployment itself.
        """
        if plan.finalizer is True:
            deployment = await self._patch_finalizers(deployment, add=True)
        run = _Run(self._client, self._world, deployment)
        missing = plan.forget is not None and await self._forget(plan.forget, deployment)
        await run.perform(plan.steps, self._resolve, format_time(self._now()))
        conclusion = conclude(deployment, plan, run.outcomes, self._now())
        deferred = False
        if plan.finalizer is False or missing:
            deployment = await self._patch_finalizers(deployment, add=False)
        elif conclusion.status is not None:
            deferred = patient and not is_urgent(deployment.get("status") or {}, conclusion.status)
            if not deferred:
                deployment = await self._write_status(deployment, conclusion.status)
        return Result(
            deployment=deployment,
            outcomes=tuple(run.outcomes),
            conclusion=conclusion,
            created=run.created,
            settled=run.settled and plan.forget is None,
            conflict=run.conflict,
            deferred=deferred,
        )

    def _resolve(self, step: Step) -> Resource | None:
        resource = self._world.kinds.resource(step.kind)
        if resource is not None and resource.api_version == step.api_version:
            return resource
        version = step.api_version.rpartition("/")[2]
        return self._discovery.resource(step.kind.group, step.kind.name, (version,))

    async def _patch_finalizers(self, deployment: Json, *, add: bool) -> Json:
        meta = deployment["metadata"]
        others = [name for name in meta.get("finalizers") or () if name != names.FINALIZER]
        wanted = [*others, names.FINALIZER] if add else others
        patch = {
            "metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"], "finalizers": wanted or None}
        }
        with _Guarded() as guarded:
            answer = await self._client.merge_patch(DEPLOYMENTS, meta["name"], meta["namespace"], patch)
            self._world.keep(DEPLOYMENTS, answer)
            return answer
        if not add and guarded.gone:
            return deployment
        raise StaleError

    async def _write_status(self, deployment: Json, status: Json) -> Json:
        meta = deployment["metadata"]
        body = {
            "apiVersion": names.API_VERSION,
            "kind": names.MODEL_DEPLOYMENT,
            "metadata": {key: meta[key] for key in ("name", "namespace", "uid", "resourceVersion")},
            "status": status,
        }
        with _Guarded():
            answer = await self._client.apply_status(DEPLOYMENTS, body)
            self._world.keep(DEPLOYMENTS, answer)
            return answer
        raise StaleError

    async def _forget(self, what: tuple[str, str, str], deployment: Json) -> bool:
        """Delete an object whose kind no loaded package declares; true once it, or its kind, is gone."""
        api_version, kind, name = what
        group, _, version = api_version.rpartition("/")
        resource = self._discovery.resource(group, kind, (version,))
        if resource is None:
            await self._discovery.refresh(group)
            resource = self._discovery.resource(group, kind, (version, *self._discovery.served(group)))
        if resource is None:
            return True
        meta = deployment["metadata"]
        try:
            live = await self._client.get(resource, name, meta["namespace"])
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            return True
        if not is_owned(live, meta["uid"]):
            return True
        if live["metadata"].get("deletionTimestamp"):
            return False
        return not await self._client.delete(resource, name, meta["namespace"], uid=live["metadata"]["uid"])


class _Guarded:
    """Swallows the two answers that say the deployment is not the one we knew; `gone` says which."""

    gone = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if not isinstance(error, ApiError) or error.status not in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
            return False
        self.gone = error.status == HTTPStatus.NOT_FOUND
        return True


class _Run:
    """The steps of one plan, one after the other."""

    def __init__(self, client: Client, world: World, deployment: Json) -> None:
        self._client = client
        self._world = world
        self._uid: str = deployment["metadata"]["uid"]
        self.outcomes: list[Outcome] = []
        self.created: dict[Address, Version] = {}
        self.settled = True
        self.conflict: tuple[Resource, Json] | None = None

    async def perform(self, steps: Sequence[Step], resolve: Callable[[Step], Resource | None], moment: str) -> None:
        """Try the steps in order; stop at the first that fails. Conflicts are looked for before the first write."""
        pairs: list[tuple[Step, Resource]] = []
        for step in steps:
            resource = resolve(step)
            if resource is None:
                message = f"the cluster no longer serves {step.kind.name} {step.api_version}"
                self.outcomes.append(Outcome(step, error="NotServed", message=message, transient=True))
                self.settled = False
                return
            pairs.append((step, resource))
        if not await self._check_first(pairs, resolve):
            return
        for step, resource in pairs:
            outcome = await self._try(step, resource, moment)
            self.outcomes.append(outcome)
            if outcome.error:
                self.settled = False
                return

    async def _check_first(
        self, pairs: list[tuple[Step, Resource]], resolve: Callable[[Step], Resource | None]
    ) -> bool:
        looks: list[tuple[Step, Resource, Step | None]] = [
            (step, resource, None) for step, resource in pairs if step.check_first
        ]
        for step, _ in pairs:
            for kind, api_version, name in step.claims:
                claim = replace(step, kind=kind, api_version=api_version, name=name, claims=())
                resource = resolve(claim)
                if resource is not None:
                    looks.append((claim, resource, step))
        found = await asyncio.gather(*(self._look(step, resource) for step, resource, _ in looks))
        for (step, resource, above), answer in zip(looks, found, strict=True):
            outcome = answer if isinstance(answer, Outcome) else None
            if isinstance(answer, dict) and not is_owned(answer, self._uid) and not _is_upstreams(answer, above):
                outcome = self._conflict(step, resource, answer)
            if outcome is not None:
                self.outcomes.append(outcome)
                self.settled = False
                return False
        return True

    async def _look(self, step: Step, resource: Resource) -> Json | Outcome | None:
        try:
            return await self._client.get(resource, step.name, step.namespace)
        except ApiError as error:
            return None if error.status == HTTPStatus.NOT_FOUND else _failed(step, error)
        except TransportError as error:
            return _failed(step, error)

    async def _try(self, step: Step, resource: Resource, moment: str) -> Outcome:
        try:
            if step.action is StepKind.CREATE:
                return await self._create(step, resource)
            self.settled = False
            if step.action is StepKind.APPLY:
                return await self._apply(step, resource)
            return await self._delete(step, resource, moment)
        except NotLeaderError:
            raise
        except KubeError as error:
            return _failed(step, error)

    async def _apply(self, step: Step, resource: Resource) -> Outcome:
        writer = await self._find_writer(step, resource) if step.repair and step.paths else ""
        try:
            answer = await self._client.apply_in_place(resource, step.body)
        except ApiError as error:
            if step.primary or not step.repair or not _is_clash(error):
                raise
            # An edit of what a list is keyed by (a Service's port) leaves their item beside ours, and both clash.
            # Whatever else is refused stays: a claim that somebody made larger holds data, and cannot shrink.
            meta = dict(step.body["metadata"])
            await self._client.delete(resource, step.name, step.namespace, uid=meta.pop("uid"))
            return await self._create(replace(step, body={**step.body, "metadata": meta}), resource)
        return replace(self._keep(step, resource, answer), writer=writer)

    async def _find_writer(self, step: Step, resource: Resource) -> str:
        """Who made the repair due: read just before it, since afterwards the field is ours. Caches have no managers."""
        live = await self._look(step, resource)
        return find_writer(live, step.paths[0], but=self._client.field_manager) if isinstance(live, dict) else ""

    async def _create(self, step: Step, resource: Resource) -> Outcome:
        try:
            answer = await self._client.create(resource, step.body)
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT or error.reason != "AlreadyExists":
                raise
            return await self._take_over(step, resource)
        self.created[address_of(resource, answer)] = (
            answer["metadata"]["uid"],
            answer["metadata"]["resourceVersion"],
        )
        return self._keep(step, resource, answer)

    async def _take_over(self, step: Step, resource: Resource) -> Outcome:
        """The name is taken: by ourselves before a crash or a lost answer, or by somebody else."""
        self.settled = False
        live = await self._look(step, resource)
        if live is None:
            return Outcome(step, error="Gone", message="the object of that name went away meanwhile", transient=True)
        if isinstance(live, Outcome):
            return live
        if not is_owned(live, self._uid):
            return self._conflict(step, resource, live)
        if live["metadata"].get("deletionTimestamp"):
            return Outcome(step, error="BeingDeleted", message="the old object is not gone yet", transient=True)
        label = (live["metadata"].get("labels") or {}).get(names.MANAGED_BY)
        sent = annotation(step.body, names.APPLIED_HASH)
        if label != names.MANAGED_BY_VALUE or annotation(live, names.APPLIED_HASH) != sent:
            meta = {**step.body["metadata"], "uid": live["metadata"]["uid"]}
            return await self._apply(replace(step, body={**step.body, "metadata": meta}, repair=True), resource)
        return self._keep(step, resource, live)

    async def _delete(self, step: Step, resource: Resource, moment: str) -> Outcome:
        await self._client.delete(resource, step.name, step.namespace, uid=step.uid)
        live = self._world.find(step.kind, step.namespace, step.name)
        if live is not None and live["metadata"]["uid"] == step.uid:
            self._world.overlay.mark_deleted(resource, live, moment)
        return Outcome(step)

    def _keep(self, step: Step, resource: Resource, answer: Json) -> Outcome:
        self._world.keep(resource, answer, owner=self._uid)
        return Outcome(step, obj=answer)

    def _conflict(self, step: Step, resource: Resource, live: Json) -> Outcome:
        self.conflict = (resource, live)
        return Outcome(step, obj=live, error="Conflict", message=describe_owner(live), conflict=True)


def _is_upstreams(obj: Json, above: Step | None) -> bool:
    return above is not None and is_below(obj, above.kind, above.name)


def _is_clash(error: ApiError) -> bool:
    """Whether an object is refused for a value that must be there once and is there twice."""
    causes = error.details.get("causes") or ()
    duplicate = any(cause.get("reason") == "FieldValueDuplicate" for cause in causes)
    return error.status == HTTPStatus.UNPROCESSABLE_ENTITY and duplicate


def _failed(step: Step, error: KubeError) -> Outcome:
    if not isinstance(error, ApiError):
        return Outcome(step, error="Transport", message=str(error), transient=True)
    reason = error.reason or f"HTTP {error.status}"
    transient = reason in TRANSIENT or error.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Outcome(step, error=reason, message=error.message, transient=transient)
