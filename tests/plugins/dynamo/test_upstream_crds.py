"""Every golden object is accepted by a real API server under Dynamo's own CRDs, where a directory has them.

Both files define one CRD: today's serves v1beta1 beside v1alpha1, that of the 1.1 line v1alpha1 alone.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kubeairunway.plugin import Request

if TYPE_CHECKING:
    from kubeairunway_dev.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).parents[3]
UPSTREAM = (ROOT / os.environ.get("KUBEAIRUNWAY_UPSTREAM_CRDS", "../shared/upstream-crds")).resolve()
CRDS = {
    "v1beta1": UPSTREAM / "nvidia.com_dynamographdeployments.yaml",
    "v1alpha1": UPSTREAM / "nvidia.com_dynamographdeployments-1.1.x.yaml",
}
GRAPHS = "dynamographdeployments.nvidia.com"
GOLDEN = {path.stem: path for path in sorted((Path(__file__).parent / "golden").glob("*.yaml"))}
MAXIMAL = "vllm-aggregated"


def read_objects(name: str) -> list[dict[str, Any]]:
    objects: list[dict[str, Any]] = yaml.safe_load(GOLDEN[name].read_text())["objects"]
    return objects


@pytest.fixture(scope="module", params=CRDS)
def version(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if not CRDS[name].is_file():
        pytest.skip(f"no {CRDS[name].name} in {UPSTREAM}: set KUBEAIRUNWAY_UPSTREAM_CRDS to where Dynamo's CRDs are")
    return name


@pytest.fixture(scope="module")
def server(version: str) -> Iterator["ControlPlane"]:
    """An API server with that CRD; one of our own, since others test under stand-ins of the same name."""
    from kubeairunway_dev.controlplane import ControlPlane  # noqa: PLC0415 - only runs with cluster tests pay

    with ControlPlane(controller_manager=False, scheduler=False, crds=[CRDS[version]]) as started:
        started.kubectl("create", "namespace", "models")
        yield started


def dry_run(server: "ControlPlane", item: dict[str, Any]) -> str:
    """What the API server says against an object; empty if it takes it without dropping or warning of anything."""
    flags = ("--server-side", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
    done = server.kubectl("apply", *flags, input=json.dumps(item), check=False)
    if done.returncode != 0 or done.stderr.strip():
        return done.stderr or f"exit code {done.returncode}"
    return "" if _contains(json.loads(done.stdout).get("spec"), item["spec"]) else "the spec was dropped or changed"


def _contains(kept: Any, sent: Any) -> bool:
    if isinstance(sent, dict):
        return isinstance(kept, dict) and all(_contains(kept.get(key), value) for key, value in sent.items())
    if isinstance(sent, list):
        return isinstance(kept, list) and len(kept) == len(sent) and all(map(_contains, kept, sent))
    return bool(kept == sent) or (kept is None and sent == "")  # Kubernetes' own types leave empty texts out


def test_every_golden_object_is_accepted_whole(server: "ControlPlane", version: str) -> None:
    names = [name for name in GOLDEN if name.endswith(version)]
    said = {name: dry_run(server, item) for name in names for item in read_objects(name)}
    assert {name: text for name, text in said.items() if text} == {}
    assert len(said) >= 6


@pytest.mark.parametrize("start", ["vllm-aggregated", "sglang-disaggregated"])
def test_an_object_is_applied_twice_without_a_change_and_scales_in_place(
    server: "ControlPlane", version: str, start: str
) -> None:
    """Nothing that we render fights the CRD's defaults, and its rules for updates let replicas change."""
    item = read_objects(f"{start}-{version}")[-1]
    item["metadata"]["name"] = start
    place = (GRAPHS, start, "-n", "models")
    server.apply(item)
    first = server.get(*place)["metadata"]
    server.apply(item)
    assert server.get(*place)["metadata"]["resourceVersion"] == first["resourceVersion"]
    for replicas in (0, 3):
        _set_replicas(item, replicas)
        server.apply(item)
    assert server.get(*place)["metadata"]["generation"] == first["generation"] + 2


def _set_replicas(item: dict[str, Any], replicas: int) -> None:
    spec = item["spec"]
    for row in spec["components"] if "components" in spec else spec["services"].values():
        row["replicas"] = replicas


def test_the_longest_options_and_every_fields_extreme_are_accepted(
    server: "ControlPlane",
    version: str,
    given: Callable[[Mapping[str, Any]], Request],
    objects_of: Callable[[Request], list[dict[str, Any]]],
) -> None:
    volumes = [{"name": f"v{index}", "claimName": f"c{index}", "mountPath": f"/v{index}"} for index in range(8)]
    volumes[0]["purpose"] = "compilationCache"
    spec = {
        "model": {"id": "o/" + "m" * 500, "servedName": "m" * 253, "storage": {"volumes": volumes}},
        "engine": {"type": "vllm", "args": {f"a{index}": "x" * 4096 for index in range(64)}},
        "scaling": {"replicas": 32},
        "resources": {"gpu": {"count": 64, "type": "nvidia.com/" + "g" * 60}, "memory": "4Ti", "cpu": "512"},
        "env": [{"name": f"E{index}", "value": "x"} for index in range(128)],
        "tolerations": [{"key": f"k{index}", "operator": "Exists"} for index in range(64)],
    }
    request = given({"name": "a" * 37, "version": version, "spec": spec})
    assert [dry_run(server, item) for item in objects_of(request)] == [""]


def test_dynamo_can_make_deployments_of_its_pods(server: "ControlPlane", version: str) -> None:
    """The CRD checks parts of pods less than pods are checked, so the API server reads each as a Deployment's."""
    for name in (name for name in GOLDEN if name.endswith(version)):
        for component, template in _pod_templates(read_objects(name)[-1]["spec"]):
            template.setdefault("metadata", {}).setdefault("labels", {})["a"] = "b"
            metadata = {"name": component.lower(), "namespace": "models"}
            spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
            item = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
            assert (name, component, dry_run(server, item)) == (name, component, "")


def _pod_templates(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The pods of each component; v1alpha1 has their parts in several places."""
    for row in spec.get("components", ()):
        yield row["name"], row["podTemplate"]
    for name, row in spec.get("services", {}).items():
        pod = dict(row["extraPodSpec"])
        container = {**pod.pop("mainContainer"), "name": "main", **({"env": row["envs"]} if "envs" in row else {})}
        metadata = dict(row.get("extraPodMetadata", {}))
        yield name, {"metadata": metadata, "spec": {**pod, "containers": [container]}}


def test_the_check_sees_a_field_that_dynamo_does_not_know(server: "ControlPlane", version: str) -> None:
    bad = read_objects(f"{MAXIMAL}-{version}")[-1]
    rows = bad["spec"].get("components") or list(bad["spec"]["services"].values())
    rows[0]["router-mode"] = "kv"
    assert "router-mode" in dry_run(server, bad)


def test_the_check_sees_a_rule_of_the_crd(server: "ControlPlane", version: str) -> None:
    """A CEL rule, which an offline check of the schema does not run."""
    bad = read_objects(f"{MAXIMAL}-{version}")[-1]
    if version == "v1beta1":
        bad["spec"]["components"].append({"name": "frontend", "type": "worker"})
        assert "unique case-insensitively" in dry_run(server, bad)
    else:
        bad["spec"]["services"]["Worker"]["sharedMemory"] = {"disabled": True, "size": "8Gi"}
        assert "sharedMemory.size" in dry_run(server, bad)
