"""Names that are taken: nothing of somebody else's is touched, and it heals by itself."""

from __future__ import annotations

import copy
from typing import Any

from kubeairunway.testing import deployment


async def test_an_object_of_the_same_name_that_is_not_ours_is_never_touched(alive: Any) -> None:
    """For every object of a rendering in turn; the deployment goes on by itself when the name is free."""

    async def check(case: Any) -> None:
        for index, (resource, body) in enumerate(foreign(alive, case)):
            taken = await alive.lab.client.create(resource, body)
            name = case.name
            await alive.deploy(case)
            stopped = await alive.says(name, "Ready", "False", "ResourceConflict")
            assert f"{body['kind']} '{body['metadata']['name']}'" in stopped["status"]["message"], index
            assert stopped["status"]["phase"] == "Pending"
            for other, another in foreign(alive, case):
                found = await alive.lab.find(other, another["metadata"]["name"])
                assert found is None or found["metadata"]["uid"] == taken["metadata"]["uid"], "nothing else is created"
            unchanged = await alive.lab.find(resource, taken["metadata"]["name"])
            assert unchanged["metadata"]["uid"] == taken["metadata"]["uid"]
            assert unchanged["metadata"].get("labels") == taken["metadata"].get("labels")
            assert unchanged["metadata"].get("ownerReferences") is None
            await alive.lab.delete(resource, taken["metadata"]["name"])
            await alive.lab.gone(resource, taken["metadata"]["name"], 10)
            await alive.lab.until(lambda: alive.lab.find(case.primary, name), 5, "it goes on")  # noqa: B023 - waited for here
            await alive.ready(name)
            await alive.lab.delete(alive.kinds.MD, name)
            await alive.lab.gone(alive.kinds.MD, name, 5)
            await alive.lab.until(lambda: none_left(alive, case), 10, "all objects are gone")

    await alive.each(check)


async def test_two_deployments_whose_objects_would_meet_in_one_name_never_share_one(alive: Any, words: Any) -> None:
    """The second one is named as an object of the first."""

    async def check(case: Any) -> None:
        await alive.running(case)
        for resource, obj in await alive.owned(case.name):
            name = obj["metadata"]["name"]
            if name == case.name:
                continue
            await alive.deploy(case, name)
            second = await alive.lab.until(lambda: settled(alive, words, name), 25, f"{name} runs or says why not")  # noqa: B023 - waited for here
            mine = await alive.lab.find(resource, name)
            assert mine["metadata"]["uid"] == obj["metadata"]["uid"]
            assert mine["metadata"]["ownerReferences"] == obj["metadata"]["ownerReferences"]
            first = (await alive.get(case.name))["status"]["endpoint"]["service"]
            assert second["status"].get("endpoint", {}).get("service") != first

    await alive.each(check)


def foreign(life: Any, case: Any) -> list[tuple[Any, Any]]:
    """Somebody else's objects with the names of those that would be rendered."""
    spec = copy.deepcopy(case.wanted())
    rendered = deployment(spec["provider"].pop("name"), name=case.name, namespace=life.lab.namespace, **spec).objects
    found = []
    for obj in rendered:
        resource = next(each for each in life.known() if each.kind == obj["kind"])
        body = {key: copy.deepcopy(value) for key, value in obj.items() if key != "metadata"}
        body["metadata"] = {"name": obj["metadata"]["name"], "namespace": life.lab.namespace}
        found.append((resource, body))
    return found


async def none_left(life: Any, case: Any) -> bool:
    """Whether no object of a rendering is there."""
    return all(
        [await life.lab.find(resource, body["metadata"]["name"]) is None for resource, body in foreign(life, case)]
    )


async def settled(life: Any, words: Any, name: str) -> Any:
    """The deployment once it is Ready, or says what is in the way."""
    found = await life.get(name)
    row = words.condition(found, "Ready")
    blocked = row.get("reason") in {"ResourceConflict", "IncompatibleConfiguration", "SelectionFailed"}
    return found if row.get("status") == "True" or blocked else None
