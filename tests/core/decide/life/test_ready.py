"""When Ready is True, as a table: only for the revision that is asked for, acted on by upstream, with every replica."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.decide.conclusion import conclude, has_failed, is_serving
from kubeairunway.decide.existing import Primary, is_proved
from kubeairunway.decide.plan import Memory, Plan, Snapshot, Stage
from kubeairunway.model import names
from kubeairunway.objects.digests import digest
from kubeairunway.plugin import Kind, Report, State

if TYPE_CHECKING:
    from collections.abc import Callable

SERVER = Kind(group="serving.acme.dev", name="ModelServer", versions=("v1",))
SERVES = Report(state=State.RUNNING, generation=4, ready=2)
ROLES = {"prefill": 2, "decode": 1}


def report(**changes: Any) -> Report:
    values = {"state": State.RUNNING, "generation": 4, "ready": 2, **changes}
    return Report(**values)


# ---- does the report say that it serves? ----

REPORTS: dict[str, tuple[Report, dict[str, Any], bool]] = {
    "running, proved, all replicas": (report(), {}, True),
    "more than asked for": (report(ready=3), {}, True),
    "not proved": (report(), {"proved": False}, False),
    "one replica short": (report(ready=1), {}, False),
    "none ready": (report(ready=0), {}, False),
    "old pods make up the number": (report(ready=1, available=2), {}, False),
    "progressing with all replicas": (report(state=State.PROGRESSING), {}, False),
    "waiting with all replicas": (report(state=State.WAITING), {}, False),
    "failed with all replicas": (report(state=State.FAILED), {}, False),
    "scaled to zero": (report(ready=0), {"desired": 0}, True),
    "scaled to zero, not proved": (report(ready=0), {"desired": 0, "proved": False}, False),
    "scaled to zero, still progressing": (report(state=State.PROGRESSING, ready=0), {"desired": 0}, False),
    "each role has its workers": (report(ready=0, roles=ROLES), {"desired": 3, "roles": ROLES}, True),
    "one role is short": (report(ready=3, roles={"prefill": 1, "decode": 1}), {"desired": 3, "roles": ROLES}, False),
    "one role makes up for the other": (report(roles={"prefill": 3}), {"desired": 3, "roles": ROLES}, False),
    "no role is told": (report(ready=3), {"desired": 3, "roles": ROLES}, False),
    "a role that nobody asked for is told": (
        report(roles={"prefill": 2, "decode": 1, "router": 0}),
        {"desired": 3, "roles": ROLES},
        True,
    ),
    "a role of none": (report(roles={"prefill": 1}), {"desired": 1, "roles": {"prefill": 1, "decode": 0}}, True),
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_makes_it_ready_only_if_it_serves_whole(name: str, world: Any) -> None:
    said, changes, ready = REPORTS[name]
    stage = Stage(**{"report": said, "desired": 2, "proved": True, "exists": True, **changes})
    assert is_serving(stage) is ready
    status = conclude(world.deployment, Plan(stage=stage), [], world.now).status
    assert status is not None
    (row,) = [row for row in status["conditions"] if row["type"] == "Ready"]
    assert row["status"] == str(ready)
    assert (status["phase"] == "Running") is ready


@pytest.mark.parametrize(
    ("generation", "proved", "failed"), [(4, True, True), (4, False, False), (None, False, True), (None, True, True)]
)
def test_a_failure_counts_if_it_is_of_this_revision_or_upstream_never_says_of_which(
    generation: int | None,
    proved: bool,  # noqa: FBT001 - the case
    failed: bool,  # noqa: FBT001 - the verdict
) -> None:
    stage = Stage(report=report(state=State.FAILED, generation=generation), proved=proved, exists=True, desired=1)
    assert has_failed(stage) is failed


# ---- is the report about the object as it stands? ----


def primary(
    generation: Any = 4, *, uid: str = "u1", status: Any = None, over: str = "", going: bool = False
) -> Primary:
    meta: dict[str, Any] = {"name": "llm", "uid": uid, "generation": generation}
    meta["annotations"] = {names.APPLIED_OVER: over} if over else {}
    if going:
        meta["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return Primary(SERVER, {"metadata": meta, "status": status or {}})


OLD, NEW = {"ready": 1}, {"ready": 2}
PROOFS: dict[str, tuple[int | None, Primary, dict[str, str], bool]] = {
    "its very generation": (4, primary(), {}, True),
    "one generation behind": (3, primary(), {}, False),
    "ahead of what there is": (5, primary(), {}, False),
    "not yet": (0, primary(), {}, False),
    "not yet, and the object has none": (0, primary(0), {}, False),
    "the object has no generation": (4, primary(None), {}, False),
    "its very generation, but it is going": (4, primary(going=True), {}, False),
    "unsaid, status as when it was sent": (None, primary(status=OLD, over=digest(OLD)), {}, False),
    "unsaid, status as in the answer": (None, primary(status=OLD, over=digest({})), {"u1": digest(OLD)}, False),
    "unsaid, status has changed": (None, primary(status=NEW, over=digest(OLD)), {"u1": digest(OLD)}, True),
    "unsaid, no status since it was made": (None, primary(over=digest({})), {}, False),
    "unsaid, changed, but it is going": (None, primary(status=NEW, over=digest(OLD), going=True), {}, False),
    "unsaid, memory is of an earlier object": (
        None,
        primary(uid="u2", status=OLD, over=digest({})),
        {"u1": digest(OLD)},
        True,
    ),
    "unsaid, an earlier object's status in the mark": (None, primary(uid="u2", status={}, over=digest({})), {}, False),
}


@pytest.mark.parametrize("name", PROOFS)
def test_a_report_proves_the_object_as_it_stands_or_nothing(name: str, world: Any) -> None:
    generation, live, statuses, proved = PROOFS[name]
    snapshot = Snapshot(deployment=world.deployment, providers={}, now=world.now, memory=Memory(statuses=statuses))
    assert is_proved(report(generation=generation), live, snapshot) is proved


# ---- is the object that lives the one that is asked for? ----


def edit(**fields: Any) -> Callable[[Any], None]:
    """Somebody changes the primary, and upstream acts on that at once."""

    def change(running: Any) -> None:
        kind = next(kind for kind, _ in running.objects if kind.name == "ModelServer")
        running.edit(kind, "llm", **fields)
        running.upstream(phase="Serving", ready=1)

    return change


def relabel(running: Any) -> None:
    meta = running.server["metadata"]
    meta |= {"labels": {**meta["labels"], "kubeairunway.ai/engine-type": "other"}, "resourceVersion": "999"}


def replace_server(running: Any) -> None:
    """The primary is gone, and one of the same name and of ours is there, which upstream has not looked at."""
    live = running.server
    meta = {**live["metadata"], "uid": "another", "generation": 1, "resourceVersion": "999"}
    kind = next(kind for kind, _ in running.objects if kind.name == "ModelServer")
    running.objects[kind, "llm"] = {**live, "metadata": meta, "status": {}}


def begin_deletion(running: Any) -> None:
    running.server["metadata"] |= {"deletionTimestamp": "2026-01-02T03:04:05Z", "resourceVersion": "999"}


def pause(running: Any) -> None:
    running.deployment["metadata"]["annotations"] = {names.PAUSED: "true"}


def pause_and_delete(running: Any) -> None:
    pause(running)
    begin_deletion(running)


def lose_service(running: Any) -> None:
    kind = next(kind for kind, _ in running.objects if kind.name == "Service")
    del running.objects[kind, "llm-api"]


SCENES: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "nothing happens": (lambda _running: None, "True", "DeploymentReady"),
    "a new revision is sent": (
        lambda running: running.spec(scaling={"replicas": 0}),
        "False",
        "DeploymentInProgress",
    ),
    "drift in the spec is being undone": (edit(replicas=7), "False", "DeploymentInProgress"),
    "drift in a label is being undone": (relabel, "True", "DeploymentReady"),
    "a lost Service is made anew": (lose_service, "True", "DeploymentReady"),
    "another object of the same name": (replace_server, "False", "DeploymentInProgress"),
    "the primary is being deleted": (begin_deletion, "False", "Recreating"),
    "paused": (pause, "True", "DeploymentReady"),
    "paused, and the primary is being deleted": (pause_and_delete, "False", "DeploymentInProgress"),
    "upstream's status is gone": (lambda running: running.server.update(status={}), "False", "DeploymentInProgress"),
    "an invalid edit": (
        lambda running: running.spec(engine={"args": {"model": "x"}}),
        "False",
        "ValidationFailed",
    ),
}


@pytest.mark.parametrize("name", SCENES)
def test_what_runs_is_ready_only_while_it_is_what_was_asked_for(name: str, running: Any) -> None:
    happen, status, reason = SCENES[name]
    happen(running)
    running.step()
    assert running.condition("Ready") == (status, reason)


def test_drift_in_the_spec_that_another_writer_keeps_is_not_ready_and_says_who(running: Any) -> None:
    for _ in range(4):
        edit(replicas=7)(running)
        running.step()
    assert running.condition("DriftContested") == ("True", "AnotherWriter")
    assert running.condition("Ready") == ("False", "AnotherWriter")
    assert "spec.replicas" in running.status["message"]
    running.step(3600)
    running.upstream(phase="Serving", ready=1)
    running.settle()
    assert running.condition("Ready") == ("True", "DeploymentReady")


def test_a_service_that_somebody_keeps_deleting_is_not_ready(running: Any) -> None:
    for _ in range(4):
        lose_service(running)
        running.step()
        if running.condition("Ready")[0] != "True":
            break
    assert running.condition("Ready") == ("False", "AnotherWriter")
    assert "deleting Service 'llm-api'" in running.status["message"]


def test_a_status_that_upstream_wrote_for_the_revision_before_proves_nothing_whenever_it_comes(running: Any) -> None:
    before = running.server["metadata"]["generation"]
    running.spec(scaling={"replicas": 2})
    for ready in (1, 2):
        running.upstream(phase="Serving", ready=ready, observedGeneration=before)
        running.step()
        assert running.condition("Ready") == ("False", "DeploymentInProgress")
        assert running.status["replicas"]["ready"] == 0, "replicas of the revision before do not count as ready"
    running.upstream(phase="Serving", ready=2)
    running.step()
    assert running.condition("Ready") == ("True", "DeploymentReady")
