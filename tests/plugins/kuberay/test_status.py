"""KubeRay's own words in, a report out: one row for each thing that KubeRay can say."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kubeairunway_kuberay
from kubeairunway.plugin import Observed, Report, Request, State, View
from kubeairunway_kuberay.catalog import RAY_CLUSTER

Maker = Callable[..., Request]
Json = dict[str, Any]

GENERATION = 3


def condition(kind: str, status: str, reason: str = "", message: str = "") -> Json:
    return {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": GENERATION}


READY = condition("Ready", "True", "NonZeroServeEndpoints", "Number of serve endpoints is greater than 0")
STARTING = condition("Ready", "False", "Initializing", "RayService is initializing")
DROPPED = condition("Ready", "False", "ZeroServeEndpoints", "Number of serve endpoints dropped to 0")
INVALID = condition("Ready", "False", "ValidationFailed", "the name is too long")
TIMED_OUT = condition("Ready", "False", "InitializingTimeout", "it took too long")
UPGRADING = condition("UpgradeInProgress", "True", "BothActivePendingClustersExist", "Both clusters exist")


def deployed(status: str, message: str = "", **deployments: tuple[str, str]) -> Json:
    """One application with its deployments."""
    rows = {name: {"status": state, "message": text} for name, (state, text) in deployments.items()}
    return {"llm": {"status": status, "message": message, "serveDeploymentStatuses": rows}}


def cluster(name: str, applications: Json | None = None, workers: int | None = None) -> Json:
    copy = {} if workers is None else {"rayClusterStatus": {"state": "ready", "readyWorkerReplicas": workers}}
    return {"rayClusterName": name, "applicationStatuses": applications or {}, **copy}


def service(
    *conditions: Json,
    active: Json | None = None,
    pending: Json | None = None,
    observed: int = GENERATION,
    replicas: int = 2,
    **spec: Any,
) -> Json:
    groups = [{"groupName": "gpu-workers", "replicas": replicas}]
    status = {
        "conditions": list(conditions),
        "activeServiceStatus": active or {},
        "pendingServiceStatus": pending or {},
        "observedGeneration": observed,
    }
    metadata = {"name": "demo", "generation": GENERATION}
    body = {"rayClusterConfig": {"workerGroupSpecs": groups}, **spec}
    return {"kind": "RayService", "metadata": metadata, "spec": body, "status": status}


def child(name: str, workers: int | None = None, *conditions: Json) -> Json:
    counts = {} if workers is None else {"readyWorkerReplicas": workers}
    return {"metadata": {"name": name}, "status": {**counts, "conditions": list(conditions)}}


@pytest.fixture
def report(aggregated: Maker) -> Callable[..., Report]:
    def read(raw: Json, *children: Json, change: Json | None = None) -> Report:
        observed = Observed(View(raw), children={RAY_CLUSTER: tuple(View(row) for row in children)})
        return kubeairunway_kuberay.status(aggregated(change), observed)

    return read


GOOD = deployed("RUNNING", LLMServer=("HEALTHY", ""), OpenAiIngress=("HEALTHY", ""))
LOADING = deployed("DEPLOYING", "", LLMServer=("UPDATING", "waiting for resources"), OpenAiIngress=("HEALTHY", "fine"))
QUIET = deployed("DEPLOYING")
SICK = deployed(
    "UNHEALTHY", "", LLMServer=("UPDATING", "one starts"), OpenAiIngress=("UNHEALTHY", "it does not answer")
)
BROKEN = deployed("DEPLOY_FAILED", "no such model")
HALF_BROKEN = deployed("DEPLOYING", "it builds", LLMServer=("DEPLOY_FAILED", "out of memory"))
NEW = "the new RayCluster does not serve yet; the old one does"

CASES: dict[str, tuple[Json, State, int | None, int, int, str]] = {
    "no status": ({"kind": "RayService", "metadata": {"generation": 3}}, State.WAITING, 0, 0, 0, ""),
    "nothing said": (service(observed=0), State.WAITING, 0, 0, 0, ""),
    "first cluster, no head": (
        service(STARTING, pending=cluster("demo-1")),
        State.PROGRESSING,
        3,
        0,
        0,
        "RayService is initializing",
    ),
    "first cluster, model loads": (
        service(STARTING, pending=cluster("demo-1", LOADING)),
        State.PROGRESSING,
        3,
        0,
        0,
        "LLMServer: waiting for resources",
    ),
    "first cluster, model is broken": (
        service(STARTING, pending=cluster("demo-1", BROKEN)),
        State.FAILED,
        3,
        0,
        0,
        "no such model",
    ),
    "first cluster runs, Services do not point to it yet": (
        service(STARTING, pending=cluster("demo-1", GOOD)),
        State.PROGRESSING,
        3,
        0,
        0,
        "RayService is initializing",
    ),
    "promoted, no endpoint yet": (
        service(STARTING, active=cluster("demo-1", GOOD, 2)),
        State.PROGRESSING,
        3,
        0,
        0,
        "RayService is initializing",
    ),
    "it serves": (service(READY, active=cluster("demo-1", GOOD, 2)), State.RUNNING, 3, 2, 2, ""),
    "it serves, by the other name": (
        service(READY | {"type": "RayServiceReady"}, active=cluster("demo-1", GOOD, 2)),
        State.RUNNING,
        3,
        2,
        2,
        "",
    ),
    "it serves, and nobody counts workers": (
        service(READY, active=cluster("demo-1", GOOD)),
        State.RUNNING,
        3,
        2,
        2,
        "",
    ),
    "it serves from a cluster without a name": (
        service(READY, active=cluster("", GOOD, 2)),
        State.PROGRESSING,
        3,
        0,
        0,
        "",
    ),
    "it serves with a worker less": (
        service(READY, active=cluster("demo-1", GOOD, 1)),
        State.RUNNING,
        3,
        1,
        1,
        "",
    ),
    "it serves with surplus workers": (
        service(READY, active=cluster("demo-1", GOOD, 5)),
        State.RUNNING,
        3,
        2,
        2,
        "",
    ),
    "it serves an older generation": (
        service(READY, active=cluster("demo-1", GOOD, 2), observed=2),
        State.RUNNING,
        2,
        2,
        2,
        "",
    ),
    "a change in place": (
        service(READY, active=cluster("demo-1", LOADING, 2)),
        State.PROGRESSING,
        3,
        0,
        0,
        "LLMServer: waiting for resources",
    ),
    "a change in place fails": (
        service(READY, active=cluster("demo-1", BROKEN, 2)),
        State.FAILED,
        3,
        0,
        0,
        "no such model",
    ),
    "a deployment fails": (
        service(READY, active=cluster("demo-1", HALF_BROKEN, 2)),
        State.FAILED,
        3,
        0,
        0,
        "LLMServer: out of memory",
    ),
    "a failure without a word": (
        service(READY, active=cluster("demo-1", deployed("DEPLOY_FAILED"), 2)),
        State.FAILED,
        3,
        0,
        0,
        "Ray Serve could not deploy the application",
    ),
    "unhealthy": (
        service(READY, active=cluster("demo-1", SICK, 2)),
        State.PROGRESSING,
        3,
        0,
        0,
        "OpenAiIngress: it does not answer",
    ),
    "running with an unhealthy deployment": (
        service(READY, active=cluster("demo-1", deployed("RUNNING", LLMServer=("UNHEALTHY", "x")), 2)),
        State.PROGRESSING,
        3,
        0,
        0,
        "LLMServer: x",
    ),
    "running while the ingress scales": (
        service(READY, active=cluster("demo-1", deployed("RUNNING", OpenAiIngress=("UPSCALING", "x")), 2)),
        State.RUNNING,
        3,
        2,
        2,
        "",
    ),
    "one of two applications runs": (
        service(READY, active=cluster("demo-1", {**GOOD, "other": {"status": "NOT_STARTED"}}, 2)),
        State.PROGRESSING,
        3,
        0,
        0,
        "",
    ),
    "no application": (service(READY, active=cluster("demo-1", {}, 2)), State.PROGRESSING, 3, 0, 0, ""),
    "no endpoint any more": (
        service(DROPPED, active=cluster("demo-1", GOOD, 2)),
        State.PROGRESSING,
        3,
        0,
        0,
        "Number of serve endpoints dropped to 0",
    ),
    "a new cluster beside the old one": (
        service(READY, UPGRADING, active=cluster("demo-1", None, 2), pending=cluster("demo-2")),
        State.PROGRESSING,
        3,
        0,
        2,
        NEW,
    ),
    "a new cluster is chosen, and nothing made": (
        service(READY, active=cluster("demo-1", GOOD, 2), pending={"rayClusterName": "demo-2"}),
        State.PROGRESSING,
        3,
        0,
        2,
        NEW,
    ),
    "a new cluster runs, and the old one serves": (
        service(READY, UPGRADING, active=cluster("demo-1", GOOD, 2), pending=cluster("demo-2", GOOD, 2)),
        State.PROGRESSING,
        3,
        0,
        2,
        NEW,
    ),
    "a new cluster is broken": (
        service(READY, UPGRADING, active=cluster("demo-1", GOOD, 2), pending=cluster("demo-2", BROKEN)),
        State.FAILED,
        3,
        0,
        2,
        "no such model",
    ),
    "a new cluster for a broken old one": (
        service(DROPPED, UPGRADING, active=cluster("demo-1", BROKEN, 2), pending=cluster("demo-2", QUIET)),
        State.PROGRESSING,
        3,
        0,
        0,
        "Number of serve endpoints dropped to 0",
    ),
    "refused": (service(INVALID, observed=0), State.FAILED, None, 0, 0, "the name is too long"),
    "a change is refused": (
        service(INVALID, active=cluster("demo-1", GOOD, 2), observed=2),
        State.FAILED,
        None,
        0,
        0,
        "the name is too long",
    ),
    "no longer refused": (
        service(INVALID, pending=cluster("demo-1", LOADING)),
        State.PROGRESSING,
        3,
        0,
        0,
        "LLMServer: waiting for resources",
    ),
    "given up": (service(TIMED_OUT, observed=2), State.FAILED, None, 0, 0, "it took too long"),
    "given up without a word": (
        service(condition("Ready", "False", "InitializingTimeout")),
        State.FAILED,
        None,
        0,
        0,
        "InitializingTimeout",
    ),
    "a status of another kind": (
        {"metadata": {"generation": 3}, "status": {"conditions": "none", "activeServiceStatus": ["x"]}},
        State.WAITING,
        0,
        0,
        0,
        "",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_service(report: Callable[..., Report], case: str) -> None:
    raw, state, generation, ready, available, message = CASES[case]
    said = report(raw)
    assert (said.state, said.generation, said.message) == (state, generation, message)
    assert (said.ready, said.available) == (ready, available)
    assert said.pods == "kuberay.kubeairunway.ai/deployment=demo"
    assert said.roles == {}


def test_the_service_is_named_once_a_cluster_is_active(report: Callable[..., Report]) -> None:
    first = report(service(STARTING, pending=cluster("demo-1", GOOD)))
    served = report(service(READY, active=cluster("demo-1", GOOD, 2)))
    dropped = report(service(DROPPED, active=cluster("demo-1", GOOD, 2)))
    assert [(said.service, said.port) for said in (first, served, dropped)] == [
        ("", 0),
        ("demo-serve-svc", 8000),
        ("demo-serve-svc", 8000),
    ]


def test_workers_are_counted_where_they_are_and_not_in_the_old_copy(report: Callable[..., Report]) -> None:
    raw = service(READY, active=cluster("demo-1", GOOD, 2))
    assert report(raw, child("demo-1", 1)).ready == 1
    assert report(raw, child("demo-1", 2), child("demo-2", 0)).ready == 2
    assert report(raw, child("demo-1", None, condition("HeadPodReady", "True"))).ready == 0  # zero is left out
    assert report(raw, child("other", 0)).ready == 2


FAILURE = condition("ReplicaFailure", "True", "FailedCreateWorkerPod", "exceeded quota")
NO_FAILURE = condition("ReplicaFailure", "False", "x", "nothing wrong")
HEAD = condition("HeadPodReady", "False", "ContainersNotReady", "image cannot be pulled")
HEAD_READY = condition("HeadPodReady", "True", "HeadPodRunningAndReady", "fine")
CHILD_CASES: dict[str, tuple[list[Json], str]] = {
    "no child": ([], "RayService is initializing"),
    "quota": ([child("demo-2", 0, HEAD, FAILURE)], "demo-2: exceeded quota"),
    "head": ([child("demo-2", 0, HEAD, NO_FAILURE)], "demo-2: image cannot be pulled"),
    "nothing wrong": ([child("demo-2", 0, HEAD_READY, NO_FAILURE)], "RayService is initializing"),
    "another cluster": ([child("demo-1", 0, HEAD, FAILURE)], "RayService is initializing"),
}


@pytest.mark.parametrize("case", CHILD_CASES)
def test_the_message_of_the_newest_cluster(report: Callable[..., Report], case: str) -> None:
    children, message = CHILD_CASES[case]
    raw = service(STARTING, active=cluster("demo-1"), pending=cluster("demo-2"))
    assert report(raw, *children).message == message


SUSPENDED = condition("Suspended", "True", "SuspendComplete", "All owned resources have been deleted.")
RESUMED = condition("Suspended", "False", "RayServiceResumed", "resumed")
SUSPENDING = condition("Suspending", "True", "SuspendInProgress", "Waiting for all resources to be deleted.")
LEFT = child("demo-1", 1)
ZERO = {"scaling": {"replicas": 0}}
OLD_KUBERAY = "spec.suspend is not set; KubeRay has it since 1.7"
STOP_CASES: dict[str, tuple[Json, list[Json], State, int, str]] = {
    "asked": (service(READY, active=cluster("demo-1", GOOD, 2), suspend=True), [LEFT], State.PROGRESSING, 3, ""),
    "ending": (
        service(SUSPENDING, suspend=True),
        [LEFT],
        State.PROGRESSING,
        3,
        "Waiting for all resources to be deleted.",
    ),
    "said to be gone, and is not": (service(SUSPENDED, suspend=True), [LEFT], State.PROGRESSING, 3, ""),
    "gone": (service(SUSPENDED, suspend=True), [], State.RUNNING, 3, ""),
    "gone, and changed since": (service(SUSPENDED, suspend=True, observed=1), [], State.RUNNING, 3, ""),
    "resumed earlier, and asked again": (
        service(READY, RESUMED, active=cluster("demo-1", GOOD, 2), suspend=True, observed=2),
        [LEFT],
        State.PROGRESSING,
        2,
        "",
    ),
    "KubeRay knows no suspension": (
        service(READY, active=cluster("demo-1", GOOD, 2)),
        [LEFT],
        State.PROGRESSING,
        3,
        OLD_KUBERAY,
    ),
}


@pytest.mark.parametrize("case", STOP_CASES)
def test_zero(report: Callable[..., Report], case: str) -> None:
    raw, children, state, generation, message = STOP_CASES[case]
    said = report(raw, *children, change=ZERO)
    assert (said.state, said.generation, said.message, said.ready) == (state, generation, message, 0)


def test_a_suspended_service_never_has_replicas(report: Callable[..., Report]) -> None:
    """Also where the deployment asks for some already, and the object does not say so yet."""
    said = report(service(SUSPENDED, suspend=True))
    assert (said.state, said.ready, said.available, said.service) == (State.RUNNING, 0, 0, "")


def test_a_resumed_service_starts_anew(report: Callable[..., Report]) -> None:
    stale = condition("Ready", "False", "SuspendComplete", "RayService is suspended.")
    said = report(service(stale, SUSPENDED, observed=2))
    assert (said.state, said.generation, said.message) == (State.PROGRESSING, 2, "RayService is suspended.")


ROLE_CASES = {
    "all": (3, {"prefill": 2, "decode": 1}),
    "one missing": (2, {"prefill": 1, "decode": 0}),
    "none": (0, {"prefill": 0, "decode": 0}),
}


@pytest.mark.parametrize("case", ROLE_CASES)
def test_roles_are_full_only_when_no_worker_is_missing(disaggregated: Maker, case: str) -> None:
    """KubeRay counts workers of all groups together, so a missing one may be of either role."""
    workers, expected = ROLE_CASES[case]
    raw = service(READY, active=cluster("demo-1", GOOD, workers))
    raw["spec"]["rayClusterConfig"]["workerGroupSpecs"] = [
        {"groupName": "prefill-workers", "replicas": 2},
        {"groupName": "decode-workers", "replicas": 1},
    ]
    said = kubeairunway_kuberay.status(disaggregated(), Observed(View(raw)))
    assert (said.roles, said.ready) == (expected, workers)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
STATES = st.sampled_from(["RUNNING", "DEPLOY_FAILED", "UNHEALTHY", "HEALTHY"]) | JSON
DEPLOYMENTS = st.dictionaries(
    st.text(max_size=5), JSON | st.fixed_dictionaries({"status": STATES}, optional={"message": JSON}), max_size=3
)
APPLICATIONS = st.dictionaries(
    st.text(max_size=5),
    JSON
    | st.fixed_dictionaries(
        {"status": STATES}, optional={"message": JSON, "serveDeploymentStatuses": JSON | DEPLOYMENTS}
    ),
    max_size=2,
)
CLUSTERS = JSON | st.fixed_dictionaries(
    {"rayClusterName": st.sampled_from(["demo-1", ""]) | JSON},
    optional={
        "applicationStatuses": JSON | APPLICATIONS,
        "rayClusterStatus": JSON | st.fixed_dictionaries({"readyWorkerReplicas": JSON}),
    },
)
CONDITIONS = st.lists(
    JSON
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["Ready", "RayServiceReady", "Suspended", "HeadPodReady"]) | JSON},
        optional={
            "status": st.sampled_from(["True", "False"]) | JSON,
            "reason": st.sampled_from(["ValidationFailed", "InitializingTimeout"]) | JSON,
            "message": JSON,
        },
    ),
    max_size=3,
)
GROUPS = st.lists(JSON | st.fixed_dictionaries({"groupName": JSON, "replicas": JSON}), max_size=3)
HOSTILE = st.fixed_dictionaries(
    {},
    optional={
        "metadata": JSON | st.fixed_dictionaries({"name": JSON, "generation": JSON}),
        "spec": JSON
        | st.fixed_dictionaries(
            {"rayClusterConfig": JSON | st.fixed_dictionaries({"workerGroupSpecs": JSON | GROUPS})},
            optional={"suspend": JSON},
        ),
        "status": JSON
        | st.fixed_dictionaries(
            {"activeServiceStatus": CLUSTERS, "pendingServiceStatus": CLUSTERS},
            optional={"conditions": JSON | CONDITIONS, "observedGeneration": JSON},
        ),
    },
)


@settings(max_examples=200, deadline=None)
@given(raw=HOSTILE, children=st.lists(HOSTILE, max_size=2), replicas=st.integers(0, 2))
def test_no_object_makes_it_fail_or_answer_nonsense(
    aggregated: Maker, raw: Mapping[str, Any], children: list[Mapping[str, Any]], replicas: int
) -> None:
    observed = Observed(View(raw), children={RAY_CLUSTER: tuple(View(row) for row in children)})
    said = kubeairunway_kuberay.status(aggregated({"scaling": {"replicas": replicas}}), observed)
    assert said.generation is None or (type(said.generation) is int and said.generation >= 0)
    assert type(said.ready) is int
    assert said.ready >= 0
    assert said.available is not None
    assert said.available >= said.ready
    assert all(type(count) is int and count >= 0 for count in said.roles.values())
    assert all(type(text) is str for text in (said.message, said.service, said.pods))
