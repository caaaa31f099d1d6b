"""Hands and programs in what we rendered: undone where it is ours, left alone where it is not."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kubeairunway.errors import ApiError
from kubeairunway.kube.client import Call
from kubeairunway.testing import deployment

if TYPE_CHECKING:
    from collections.abc import Iterator


async def test_whatever_is_changed_in_a_rendered_object_is_undone_within_two_seconds(alive: Any) -> None:
    """Every leaf of every object that the API server lets us change, all at once, labels and owner too."""

    async def check(case: Any) -> None:
        await alive.running(case)
        for resource, live in await alive.owned(case.name):
            sent = rendered(case, alive.lab.namespace, live)
            patch = await tamper(alive, resource, live, sent)
            assert len(patch) > 3, f"{live['kind']} can hardly be changed: {patch}"
            changed = await alive.lab.client.json_patch(resource, name_of(live), alive.lab.namespace, patch)
            assert not holds(changed, sent), "nothing was changed"
            await alive.lab.until(
                lambda: is_back(alive, resource, live, sent),  # noqa: B023 - waited for here
                2,
                f"{live['kind']} {name_of(live)} is as it was before {[row['path'] for row in patch]}",
            )
        await alive.ready(case.name)
        await alive.lab.until(lambda: is_logged(alive, case), 5, "the log names the primary")
        await alive.lab.until(lambda: has_event(alive, case), 5, "an event says so")

    await alive.each(check)


async def test_what_others_add_is_left_alone_and_nothing_is_written_over_it(alive: Any) -> None:
    """As an operator's defaults, an autoscaler and an admission plugin do; then half a minute of silence."""
    added: dict[str, Any] = {}

    async def add(case: Any) -> None:
        await alive.running(case)
        for resource, live in await alive.owned(case.name):
            marks = {"labels": {"team": "red"}, "annotations": {"example.com/seen": "yes"}}
            patch: dict[str, Any] = {"metadata": marks}
            if live["kind"] == "Deployment":
                patch["spec"] = {"template": {"spec": {"priorityClassName": "", "dnsPolicy": "Default"}}}
            done = await alive.lab.patch(resource, name_of(live), patch)
            added[f"{live['kind']} {name_of(live)}"] = (resource, done)
        await alive.ready(case.name)

    await alive.each(add)
    await asyncio.sleep(4)  # words of a status may wait two seconds; then it has to be still
    since = datetime.now(UTC)
    await asyncio.sleep(30)  # the thing under test is that nothing happens in this time
    assert set(alive.lab.requests(since, writes=True)) <= {("patch", "inferenceproviderconfigs/status")}, "heartbeats"
    for resource, before in added.values():
        after = await alive.lab.find(resource, name_of(before))
        assert after["metadata"]["labels"]["team"] == "red"
        assert after["metadata"]["annotations"]["example.com/seen"] == "yes"
        assert after["metadata"].get("generation") == before["metadata"].get("generation")


async def test_a_deleted_object_comes_back_within_two_seconds(alive: Any) -> None:
    async def check(case: Any) -> None:
        await alive.running(case)
        for resource, live in await alive.owned(case.name):
            await alive.lab.delete(resource, name_of(live))
            await alive.lab.until(
                lambda: is_new(alive, resource, live),  # noqa: B023 - waited for here
                2 if not live["metadata"].get("finalizers") else 5,
                f"{live['kind']} is back",
            )
        await alive.ready(case.name)

    await alive.each(check)


def is_logged(life: Any, case: Any) -> bool:
    """Whether the controller's log tells of drift of the primary."""
    told = (line["message"] for line in life.lab.processes[0].lines() if line.get("reason") == "DriftDetected")
    return any(f"{case.primary.kind} '{case.name}' was " in message for message in told)


async def has_event(life: Any, case: Any) -> bool:
    """Whether an event tells of drift; those of one deployment that come at once are one, with the last message."""
    events = await life.lab.events("DriftDetected")
    return any(event["involvedObject"]["name"] == case.name for event in events)


def rendered(case: Any, namespace: str, live: Any) -> dict[str, Any]:
    """What was sent for an object: everything that the core and the provider put into it."""
    spec = case.wanted()
    provider = spec["provider"].pop("name")
    decision = deployment(provider, name=case.name, namespace=namespace, **spec)
    found = next(
        obj for obj in decision.objects if (obj["kind"], name_of(obj)) == (live["kind"], live["metadata"]["name"])
    )
    sent = {key: value for key, value in found.items() if key not in {"apiVersion", "kind", "metadata"}}
    labels = {key: value for key, value in live["metadata"]["labels"].items() if key in found["metadata"]["labels"]}
    # Not our annotations: without owner-uid, too, an object would be nobody's. Each alone is a platform journey.
    return {**sent, "metadata": {"labels": labels, "ownerReferences": live["metadata"]["ownerReferences"]}}


async def tamper(life: Any, resource: Any, live: Any, sent: Any) -> list[dict[str, Any]]:
    """As many changes of rendered leaves as the API server takes in one patch."""
    taken: list[dict[str, Any]] = []
    for row in list(changes(sent)):
        if await accepts(life, resource, live, [*taken, row]):
            taken.append(row)
    return taken


def changes(value: Any, path: str = "") -> Iterator[dict[str, Any]]:
    """One replacement or removal for each leaf of what was sent."""
    if path.endswith("/ownerReferences"):
        yield {"op": "remove", "path": path}
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from changes(inner, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from changes(inner, f"{path}/{index}")
    elif isinstance(value, bool):
        yield {"op": "replace", "path": path, "value": not value}
    elif isinstance(value, int):
        yield {"op": "replace", "path": path, "value": value + 1}
    elif isinstance(value, str):
        yield {"op": "replace", "path": path, "value": f"{value}x" if not value.isdigit() else f"{value}1"}


async def accepts(life: Any, resource: Any, live: Any, patch: Any) -> bool:
    """Whether the API server would take a patch."""
    path = resource.path(life.lab.namespace, name_of(live))
    kind = "application/json-patch+json"
    call = Call(
        "patch", "PATCH", path, resource, (("dryRun", "All"),), json.dumps(patch).encode(), kind, idempotent=True
    )
    try:
        await life.lab.client.send(call)
    except ApiError:
        return False
    return True


async def is_back(life: Any, resource: Any, before: Any, sent: Any) -> bool:
    """Whether an object is again what was sent; one that could not be mended in place may be another."""
    live = await life.lab.find(resource, name_of(before))
    return live is not None and holds(live, sent)


def holds(live: Any, sent: Any) -> bool:
    """Whether everything sent is in what lives."""
    if isinstance(sent, dict):
        return isinstance(live, dict) and all(key in live and holds(live[key], value) for key, value in sent.items())
    if isinstance(sent, list):
        # A list keyed by a field that was edited (a Service's port) keeps the other's item beside ours.
        return isinstance(live, list) and all(any(holds(item, wanted) for item in live) for wanted in sent)
    return bool(live == sent) or (isinstance(sent, int | str) and str(live) == str(sent))


async def is_new(life: Any, resource: Any, old: Any) -> bool:
    """Whether another object has the old one's name."""
    new = await life.lab.find(resource, name_of(old))
    return new is not None and new["metadata"]["uid"] != old["metadata"]["uid"]


def name_of(obj: Any) -> str:
    """An object's name."""
    return str(obj["metadata"]["name"])
