"""What is watched and asked for below a deployment that is not Ready, and that nothing is below one that is."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway.plugin import hookimpl
from kubeairunway.plugin.registry import load_registry
from kubeairunway.runtime import free_gpus, lazy_watch, secrets, urgency

if TYPE_CHECKING:
    from collections.abc import Iterator

LABEL = "acme.dev/server"
LACKING = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: none"
KINDS = (
    ("", "v1", "Pod", "pods", True),
    ("", "v1", "Node", "nodes", False),
    ("", "v1", "Secret", "secrets", True),
    ("apps", "v1", "Deployment", "deployments", True),
    ("apps", "v1", "ReplicaSet", "replicasets", True),
)


@pytest.fixture(scope="module")
def pods_registry(acme_module: Any) -> Iterator[Any]:
    """Acme's provider, reporting the label of its pods."""
    module = ModuleType("acme")
    declared = acme_module.provider()
    engine = declared.engines[0]
    carries = engine.carries | {"secrets.huggingFaceToken", "env"}
    provider = replace(declared, engines=(replace(engine, carries=carries),))
    vars(module)["provider"] = hookimpl(specname="provider")(lambda: provider)
    for hook in ("select", "render"):
        vars(module)[hook] = getattr(acme_module, hook)

    @hookimpl
    def status(request: Any, observed: Any) -> Any:
        return replace(acme_module.status(request, observed), pods=f"{LABEL}={request.name}")

    vars(module)["status"] = status
    registry = load_registry(modules={"acme": module})
    assert "acme" in registry.providers
    yield registry
    registry.close()


class Below:
    """Acme's cluster with pods, nodes and Secrets in it."""

    def __init__(self, stage: Any) -> None:
        self.stage = stage
        self.api = stage.api

    async def start(self, name: str = "one", **spec: Any) -> None:
        """Deploy, and let upstream begin."""
        await self.stage.deploy(name, **spec)
        await self.stage.until(lambda: self.api.get("modelservers", name), "it is created")
        await self.say("starting", name)

    async def say(self, words: str, name: str = "one") -> None:
        status = {"phase": "Starting", "observedGeneration": 1, "conditions": [{"type": "Healthy", "message": words}]}
        await self.api.change("modelservers", name, {"status": status})

    async def pod(self, message: str = LACKING, name: str = "one", **status: Any) -> None:
        """A pod of a deployment; one that the scheduler found no node for unless `status` says otherwise."""
        row = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
        container = {"name": "engine", "image": "e", "resources": {"limits": {"nvidia.com/gpu": "8"}}}
        meta = {"name": f"{name}-0", "labels": {LABEL: name}, "creationTimestamp": "2026-01-01T00:00:00Z"}
        spec = {"containers": [container], **({"nodeName": "a"} if status else {})}
        body = {"metadata": meta, "spec": spec, "status": status or {"phase": "Pending", "conditions": [row]}}
        await self.api.put("pods", body)

    async def crash(self, name: str = "one", code: int = 1) -> None:
        state = {"waiting": {"reason": "CrashLoopBackOff"}}
        row = {"name": "engine", "state": state, "lastState": {"terminated": {"exitCode": code}}, "restartCount": 2}
        await self.pod(name=name, phase="Running", containerStatuses=[row])

    async def node(self, name: str, gpus: int) -> None:
        status = {"allocatable": {"nvidia.com/gpu": str(gpus)}, "conditions": [{"type": "Ready", "status": "True"}]}
        await self.api.put("nodes", {"metadata": {"name": name}, "spec": {}, "status": status})

    async def warn(self, about: Any, message: str, name: str = "e1", seen: str = "") -> None:
        """A warning about an object, a moment ago."""
        meta = about["metadata"]
        subject = {"apiVersion": about["apiVersion"], "kind": about["kind"]}
        subject |= {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
        body = {"metadata": {"name": name}, "involvedObject": subject, "type": "Warning", "reason": "FailedCreate"}
        await self.api.put("events", {**body, "message": message, "lastTimestamp": seen or "2999-01-01T00:00:00Z"})

    async def owned(self, plural: str, name: str, owner: Any) -> Any:
        ref = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "controller": True}
        ref |= {"name": owner["metadata"]["name"], "uid": owner["metadata"]["uid"]}
        return await self.api.put(plural, {"metadata": {"name": name, "ownerReferences": [ref]}})

    def asked(self) -> Counter[tuple[str, str]]:
        """Reads of what lies below: method with a name or not, and kind."""
        kinds = {row[3] for row in KINDS}
        found = (call for call in self.api.calls if call.method == "GET" and call.plural in {*kinds, "events"})
        return Counter(("get" if call.name else "list", call.plural) for call in found)

    def message(self, name: str = "one") -> str:
        return str(((self.api.get("modeldeployments", name) or {}).get("status") or {}).get("message", ""))

    async def reads(self, reason: str, words: str = "", name: str = "one") -> None:
        await self.stage.until(
            lambda: self.stage.condition("Ready", name)[1] == reason and words in self.message(name),
            f"{name} reads {reason} {words}: {self.stage.condition('Ready', name)} {self.message(name)}",
        )

    def statuses(self) -> int:
        return sum((call.plural, call.subresource) == ("modeldeployments", "status") for call in self.api.writes)


@pytest.fixture
def below(make_stage: Any, pods_registry: Any, monkeypatch: pytest.MonkeyPatch) -> Below:
    """Words wait a tenth of what they do, Secrets are looked for at once."""
    monkeypatch.setattr(urgency, "PATIENCE_SECONDS", 0.2)
    monkeypatch.setattr(secrets, "PATIENCE_SECONDS", 0.05)
    stage = make_stage(pods_registry)
    for row in KINDS:
        kind = type(next(iter(stage.api.served.values())))(*row)
        stage.api.served[kind.plural] = kind
    return Below(stage)


async def test_a_pod_that_waits_for_gpus_is_told_with_what_is_free_until_the_model_serves(below: Below) -> None:
    await below.node("node-a", 4)
    await below.node("node-b", 2)
    async with below.stage.controller():
        await below.start()
        await below.pod()
        await below.reads("WaitingForGPU", "needs 8 x nvidia.com/gpu on one node; the largest free is 4 of 4 on node-a")
        assert "6 free in all: 0/2 nodes are available" in below.message()
        await below.stage.serve()
        await below.stage.until(lambda: below.stage.phase() == "Running", "it runs")
        assert below.stage.condition("Ready") == ("True", "DeploymentReady")
        await below.stage.settle()
        before = below.asked()
        await below.crash()
        await below.stage.settle()
        assert below.asked() == before
        assert below.stage.condition("Ready") == ("True", "DeploymentReady"), "a pod's trouble is upstream's to tell"


async def test_all_that_wait_share_one_watch_of_pods_one_of_warnings_and_one_count(below: Below) -> None:
    await below.node("node-a", 4)
    async with below.stage.controller():
        for number in range(5):
            await below.start(f"m{number}")
            await below.pod(name=f"m{number}")
        for number in range(5):
            await below.reads("WaitingForGPU", "4 free in all", f"m{number}")
        await below.stage.settle()
        assert below.asked() == {("list", "pods"): 2, ("list", "events"): 1, ("list", "nodes"): 1}


async def test_free_gpus_are_counted_again_when_something_happens_and_enough_time_has_passed(
    below: Below, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(free_gpus, "EVERY_SECONDS", 0.5)
    await below.node("node-a", 4)
    async with below.stage.controller():
        await below.start()
        await below.pod()
        await below.reads("WaitingForGPU", "4 free in all")
        await below.node("node-b", 3)
        await below.pod("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
        await below.reads("WaitingForGPU", "7 free in all: 0/3 nodes")
        await below.stage.serve()
        await below.stage.until(lambda: below.stage.phase() == "Running", "it runs")
        await below.stage.settle()
        before = below.asked()
        await asyncio.sleep(1.2)  # the thing under test is that nothing happens in this time
        assert below.asked() == before


async def test_where_nodes_may_not_be_read_what_is_asked_and_the_schedulers_words_are_told(below: Below) -> None:
    below.api.refuse["GET", "nodes"] = 403, "Forbidden"
    async with below.stage.controller():
        await below.start()
        await below.pod()
        words = "Pod 'one-0' needs 8 x nvidia.com/gpu on one node: 0/2 nodes are available: 2 Insufficient"
        await below.reads("WaitingForGPU", words)
        await below.stage.settle()
        assert below.asked()["list", "nodes"] == 1


async def test_where_pods_may_not_be_read_upstreams_words_stand_and_the_right_is_rarely_looked_for(
    below: Below, monkeypatch: pytest.MonkeyPatch
) -> None:
    below.api.refuse["GET", "pods"] = 403, "Forbidden"
    async with below.stage.controller():
        await below.start()
        await below.reads("DeploymentInProgress", "starting")
        await below.pod()
        await below.stage.settle()
        tried = below.asked()["list", "pods"]
        await asyncio.sleep(1.0)  # the thing under test is that nothing happens in this time
        assert below.asked()["list", "pods"] == tried <= 2
        await below.say("0/2 nodes are available: 2 Insufficient nvidia.com/gpu.")
        await below.reads("WaitingForGPU", "A pod needs 2 x nvidia.com/gpu on one node")
    monkeypatch.setattr(lazy_watch, "DENIED_SECONDS", 0.2)
    async with below.stage.controller():
        await below.stage.until(lambda: below.asked()["list", "pods"] > tried + 1, "it is tried again")
        del below.api.refuse["GET", "pods"]
        await below.reads("WaitingForGPU", "Pod 'one-0' needs 8 x nvidia.com/gpu")


async def test_a_secret_that_is_missing_is_told_and_forgotten_once_it_is_there(
    below: Below, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "AGAIN_SECONDS", 0.3)
    accepted: list[str] = []
    request = below.api.request

    async def record(method: str, path: str, **options: Any) -> Any:
        if "/secrets/" in path:
            accepted.append(options["accept"])
        return await request(method, path, **options)

    monkeypatch.setattr(below.api, "request", record)
    env = [{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}]
    await below.api.put("secrets", {"metadata": {"name": "hf"}, "data": {"HF_TOKEN": "c2VjcmV0"}})
    async with below.stage.controller():
        await below.start(secrets={"huggingFaceToken": "hf"}, env=env)
        await below.reads("SecretMissing", "Secret 'db' does not exist; spec.env[PW] needs its key 'password'")
        await below.api.put("secrets", {"metadata": {"name": "db"}})
        await below.reads("DeploymentInProgress", "starting")
        await below.stage.settle()
        assert below.asked()["get", "secrets"] <= 5
    assert set(accepted) == {"application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"}


async def test_where_secrets_may_not_be_read_nothing_is_said_of_them(below: Below) -> None:
    below.api.refuse["GET", "secrets"] = 403, "Forbidden"
    async with below.stage.controller():
        await below.start(secrets={"huggingFaceToken": "hf"})
        await below.stage.until(lambda: below.asked()["get", "secrets"], "it is looked for")
        await below.reads("DeploymentInProgress", "starting")
        await below.stage.settle()
        assert below.asked()["get", "secrets"] == 1


async def test_a_warning_finds_its_deployment_up_the_owner_references(below: Below) -> None:
    async with below.stage.controller():
        await below.start()
        primary = below.api.get("modelservers", "one")
        deployment = await below.owned("deployments", "one", primary)
        replica_set = await below.owned("replicasets", "one-abc", deployment)
        await below.warn(
            replica_set, 'pods "x" is forbidden: exceeded quota: team, requested: a=1, used: a=0, limited: a=0'
        )
        await below.reads(
            "QuotaExceeded", "ReplicaSet 'one-abc' cannot make its pods: ResourceQuota 'team' is exceeded"
        )
        asked = {("get", "replicasets"): 1, ("get", "deployments"): 1}
        assert {key: count for key, count in below.asked().items() if key in asked} == asked
        earlier = {**replica_set, "metadata": {**replica_set["metadata"], "uid": "earlier"}}
        await below.warn(earlier, "exceeded quota: of-an-object-that-is-gone", "e0", "2999-01-01T12:00:00Z")
        stranger = await below.owned("replicasets", "other", {**deployment, "metadata": {"name": "o", "uid": "gone"}})
        for number in range(3):
            await below.warn(stranger, f"exceeded quota: other{number}", f"s{number}")
        await below.warn(primary, "exceeded quota: direct", "e2", "2999-01-02T00:00:00Z")
        await below.reads("QuotaExceeded", "ModelServer 'one' cannot make its pods: ResourceQuota 'direct' is exceeded")
        await below.stage.settle()
        found = below.asked()
        assert (found["get", "replicasets"], found["get", "deployments"]) == (3, 2), "what is not ours is asked once"
        assert "gone" not in below.message()
        await below.api.remove("events", "e1")
        await below.api.remove("events", "e2")
        await below.stage.until(lambda: "direct" not in below.message(), "it is over")
        await below.reads("DeploymentInProgress", "starting")


async def test_a_warning_that_was_there_before_anybody_waited_is_found(below: Below) -> None:
    async with below.stage.controller():
        await below.start("first")
        await below.stage.settle()
        await below.stage.serve("first")
        await below.stage.until(lambda: below.stage.phase("first") == "Running", "nobody waits")
        await below.stage.deploy("two")
        await below.stage.until(lambda: below.api.get("modelservers", "two"), "it is created")
        await below.warn(below.api.get("modelservers", "two"), 'admission webhook "a.b" denied the request: no')
        await below.stage.settle()
        await below.say("starting", "two")
        await below.reads("AdmissionDenied", 'admission webhook "a.b" denied the request: no', "two")


async def test_owners_that_may_not_be_read_are_nobodys(below: Below) -> None:
    below.api.refuse["GET", "replicasets"] = 403, "Forbidden"
    async with below.stage.controller():
        await below.start()
        replica_set = await below.owned("replicasets", "one-abc", below.api.get("modelservers", "one"))
        for number in range(3):
            await below.warn(replica_set, f"exceeded quota: team{number}", f"e{number}")
        await below.stage.until(lambda: below.asked()["get", "replicasets"], "it is asked")
        await below.stage.settle()
        await below.warn(replica_set, "exceeded quota: once-more", "e9")
        await below.stage.settle()
        assert below.asked()["get", "replicasets"] == 1
        assert below.stage.condition("Ready") == ("False", "DeploymentInProgress")


async def test_a_mount_that_fails_is_found_by_the_pod(below: Below) -> None:
    waiting = {"name": "engine", "state": {"waiting": {"reason": "ContainerCreating"}}, "ready": False}
    async with below.stage.controller():
        await below.start()
        await below.pod(phase="Pending", containerStatuses=[waiting])
        await below.stage.settle()
        pod = below.api.get("pods", "one-0")
        await below.warn({**pod, "apiVersion": "v1"}, 'MountVolume.SetUp failed: configmap "c" not found')
        await below.api.change("events", "e1", {"reason": "FailedMount"})
        await below.reads("DependencyMissing", "Pod 'one-0' needs ConfigMap 'c', which does not exist")


async def test_a_cause_that_flaps_is_written_ever_more_seldom(below: Below) -> None:
    async with below.stage.controller():
        await below.start()
        await below.crash()
        await below.reads("CrashLoop")
        before = below.statuses()
        for number in range(40):
            await (below.crash(code=number) if number % 2 else below.pod())
            await asyncio.sleep(0.05)  # the beat of the flapping
        await below.stage.settle()
        # 2 s of it: after 0.2, 0.6 and 1.4 s, and once when it is over.
        assert 1 <= below.statuses() - before <= 5


async def test_a_new_process_finds_the_cause_again_and_writes_nothing(below: Below) -> None:
    await below.node("node-a", 4)
    async with below.stage.controller():
        await below.start()
        await below.pod()
        await below.reads("WaitingForGPU", "4 free in all")
        await below.stage.settle()
    before = below.statuses()
    async with below.stage.controller():
        await below.stage.until(lambda: below.asked()["list", "nodes"] == 2, "it is counted again")
        await below.stage.settle()
    assert below.statuses() == before


async def test_nothing_is_looked_for_while_everything_serves(below: Below) -> None:
    async with below.stage.controller():
        await below.start()
        await below.stage.serve()
        await below.stage.until(lambda: below.stage.phase() == "Running", "it runs")
    before = below.asked()
    async with below.stage.controller():
        await below.stage.settle()
    assert below.asked() == before


async def test_watches_end_when_nobody_needs_them_and_begin_again(
    below: Below, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lazy_watch, "IDLE_SECONDS", 0.2)
    async with below.stage.controller():
        await below.start()
        await below.crash()
        await below.reads("CrashLoop")
        await below.stage.serve()
        await below.stage.until(lambda: below.stage.phase() == "Running", "it runs")
        names = {"watch pods", "watch events"}

        def running() -> set[str]:
            return names & {task.get_name() for task in asyncio.all_tasks()}

        await below.stage.until(lambda: not running(), "the watches end")
        await below.crash(code=7)
        await below.say("broken again")
        await below.reads("CrashLoop", "exit code 7")
        assert running() == names
        await below.stage.settle()
        assert below.asked() == {("list", "pods"): 2, ("list", "events"): 2}


async def test_only_the_namespaces_that_are_looked_after_are_read(
    below: Below, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: list[str] = []
    request = below.api.request

    async def record(method: str, path: str, **options: Any) -> Any:
        paths.append(path)
        return await request(method, path, **options)

    monkeypatch.setattr(below.api, "request", record)
    async with below.stage.controller(namespaces=("ns",)):
        await below.start()
        await below.crash()
        await below.reads("CrashLoop")
    assert "/api/v1/namespaces/ns/pods" in paths
    assert "/api/v1/namespaces/ns/events" in paths
    assert not {"/api/v1/pods", "/api/v1/events"} & set(paths)


async def test_news_of_a_pod_that_waits_let_free_gpus_be_counted_as_soon_as_they_may(below: Below) -> None:
    await below.node("node-a", 4)
    async with below.stage.controller() as operator:
        await below.start()
        await below.pod()
        await below.reads("WaitingForGPU", "4 free in all")
        await below.stage.settle()
        operator._controller._causes._gpus._not_before = 0.0  # as if half a minute had passed
        await below.node("node-b", 3)
        await below.pod("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.")
        await below.reads("WaitingForGPU", "7 free in all: 0/3 nodes")


async def test_a_deployment_that_is_suddenly_gone_is_followed_no_more(below: Below) -> None:
    async with below.stage.controller() as operator:
        await below.start()
        await below.pod()
        await below.reads("WaitingForGPU")
        causes = operator._controller._causes
        assert causes._followed
        await below.api.remove("modeldeployments", "one")
        await below.stage.until(lambda: not causes._followed, "nothing is followed")


async def test_a_deployment_that_goes_takes_its_needs_along(below: Below) -> None:
    async with below.stage.controller() as operator:
        await below.start(secrets={"huggingFaceToken": "hf"})
        await below.pod()
        await below.reads("SecretMissing")
        causes = operator._controller._causes
        await below.api.change("modeldeployments", "one", {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})
        await below.stage.until(lambda: below.api.get("modeldeployments", "one") is None, "it is gone")
        await below.stage.until(lambda: not causes._followed, "nothing is followed")
        assert not causes._needs
        assert not causes._by_mark
        assert not causes._by_uid


async def test_what_waits_for_gpus_once_more_soon_after_a_count_is_told_at_once(
    below: Below, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "AGAIN_SECONDS", 0.1)
    await below.node("node-a", 4)
    async with below.stage.controller():
        await below.start(secrets={"huggingFaceToken": "hf"})
        await below.reads("SecretMissing")
        await below.pod()
        await below.api.put("secrets", {"metadata": {"name": "hf"}})
        await below.reads("WaitingForGPU", "4 free in all")
        await below.crash()
        await below.reads("CrashLoop")
        await below.pod()
        await below.reads("WaitingForGPU", "4 free in all")
        assert below.asked()["list", "nodes"] == 1
