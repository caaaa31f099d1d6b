"""The control plane itself, all of it real: what it runs, what it refuses, what it leaves behind."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kubeairunway_dev.controlplane import ControlPlane, embedded
from kubeairunway_dev.controlplane.processes import identify
from kubeairunway_dev.errors import ControlPlaneError, KubectlError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeairunway_dev.controlplane import Cluster

pytestmark = pytest.mark.cluster

DEV = [sys.executable, "-c", "import sys; from kubeairunway_dev.cli import main; sys.exit(main())"]


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
    return condition()


def make_deployment(namespace: str, replicas: int, gpus: int) -> dict[str, Any]:
    container = {"name": "main", "image": "none.invalid/x", "resources": {"limits": {"nvidia.com/gpu": str(gpus)}}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "d"}},
            "template": {"metadata": {"labels": {"app": "d"}}, "spec": {"containers": [container]}},
        },
    }


def list_listeners(pids: set[int]) -> set[str]:
    """The local addresses that the processes listen on, as /proc spells them: hexadecimal, IPv6 included."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            target = str(descriptor.readlink()) if descriptor.is_symlink() else ""
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    addresses = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                addresses.add(fields[1].split(":")[0])
    return addresses


def test_pods_run_on_gpu_nodes_and_one_too_many_waits_with_the_schedulers_message(
    control_plane: Cluster, namespace: str
) -> None:
    control_plane.apply(make_deployment(namespace, replicas=3, gpus=8))

    def read_phases() -> list[str]:
        pods = control_plane.get("pods", "-n", namespace)["items"]
        return sorted(pod["status"].get("phase", "") for pod in pods)

    assert wait_for(lambda: read_phases() == ["Pending", "Running", "Running"])
    pods = control_plane.get("pods", "-n", namespace)["items"]
    running = [pod for pod in pods if pod["status"]["phase"] == "Running"]
    assert {pod["spec"]["nodeName"] for pod in running} == {"node-0", "node-1"}
    assert all(pod["status"]["podIP"].startswith("10.244.") for pod in running)
    pending = next(pod for pod in pods if pod["status"]["phase"] == "Pending")
    scheduled = next(row for row in pending["status"]["conditions"] if row["type"] == "PodScheduled")
    assert "2 Insufficient nvidia.com/gpu" in scheduled["message"]


def test_nodes_renew_their_leases_so_that_they_stay_ready(control_plane: Cluster) -> None:
    if not isinstance(control_plane, ControlPlane):
        pytest.skip("another cluster was given: its nodes have kubelets")

    def count_leases() -> int:
        leases = control_plane.get("leases", "-n", "kube-node-lease")["items"]
        return sum(lease["spec"]["leaseDurationSeconds"] == 40 and "renewTime" in lease["spec"] for lease in leases)

    assert wait_for(lambda: count_leases() == 2)


def test_kubectl_logs_answers(control_plane: Cluster, namespace: str) -> None:
    control_plane.kubectl("run", "p", "--image=none.invalid/x", "-n", namespace)
    control_plane.kubectl("wait", "--for=condition=Ready", "pod/p", "-n", namespace, "--timeout=30s")
    assert "no container runs" in control_plane.kubectl("logs", "p", "-n", namespace).stdout


def test_a_namespace_goes_with_what_is_in_it(control_plane: Cluster, namespace: str) -> None:
    name = f"{namespace}-gone"
    control_plane.kubectl("create", "namespace", name)
    control_plane.kubectl("create", "configmap", "c", "-n", name)
    control_plane.kubectl("delete", "namespace", name, "--timeout=60s")
    assert "NotFound" in control_plane.kubectl("get", "namespace", name, check=False).stderr


def test_a_minted_token_is_its_service_account_and_rbac_denies_it_everything_else(
    control_plane: Cluster, namespace: str
) -> None:
    kubeconfig = control_plane.service_account_kubeconfig(namespace, "bob")
    me = control_plane.kubectl("auth", "whoami", "-o", "json", kubeconfig=kubeconfig).stdout
    assert json.loads(me)["status"]["userInfo"]["username"] == f"system:serviceaccount:{namespace}:bob"
    with pytest.raises(KubectlError, match="forbidden"):
        control_plane.kubectl("get", "pods", "-n", namespace, kubeconfig=kubeconfig)
    control_plane.kubectl("create", "role", "r", "--verb=list", "--resource=pods", "-n", namespace)
    control_plane.kubectl(
        "create", "rolebinding", "b", "--role=r", f"--serviceaccount={namespace}:bob", "-n", namespace
    )
    control_plane.kubectl("get", "pods", "-n", namespace, kubeconfig=kubeconfig)


def test_everything_listens_on_127_0_0_1_alone(control_plane: Cluster) -> None:
    if not isinstance(control_plane, ControlPlane):
        pytest.skip("another cluster was given: its processes are not ours to look at")
    assert list_listeners(set(control_plane.pids.values())) == {"0100007F"}


def test_two_run_side_by_side_and_leave_nothing() -> None:
    with (
        ControlPlane(controller_manager=False, scheduler=False) as one,
        ControlPlane(controller_manager=False, scheduler=False) as two,
    ):
        assert one.url != two.url
        one.kubectl("create", "namespace", "only-here")
        assert "NotFound" in two.kubectl("get", "namespace", "only-here", check=False).stderr
        processes = [identify(pid) for plane in (one, two) for pid in plane.pids.values()]
        directories = [one.directory, two.directory]
    assert len(processes) == 4
    assert not any(process.is_alive() for process in processes)
    assert not any(directory.exists() for directory in directories)


def test_a_killed_api_server_comes_back_on_its_port_with_its_objects() -> None:
    with ControlPlane(controller_manager=False, scheduler=False) as plane:
        plane.kubectl("create", "namespace", "kept")
        url, kubeconfig = plane.url, plane.kubeconfig.read_text()
        plane.kill_apiserver()
        with pytest.raises(OSError, match=r"(?i)refused"):
            plane.request("GET", "/readyz")
        plane.check()
        plane.restart_apiserver()
        assert (plane.url, plane.kubeconfig.read_text()) == (url, kubeconfig)
        assert plane.request("GET", "/api/v1/namespaces/kept").status == 200


def test_a_port_that_is_taken_meanwhile_is_replaced_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ports = iter([taken.getsockname()[1], embedded.find_free_port()])
        monkeypatch.setattr(embedded, "find_free_port", lambda: next(ports))
        with ControlPlane(controller_manager=False, scheduler=False) as plane:
            assert plane.layout.port != taken.getsockname()[1]
            assert plane.kubectl("get", "--raw", "/readyz").stdout == "ok"


def test_a_data_directory_keeps_objects_port_and_credentials(tmp_path: Path) -> None:
    start = functools.partial(ControlPlane, controller_manager=False, scheduler=False, data_dir=tmp_path / "data")
    with start() as plane:
        plane.kubectl("create", "namespace", "kept")
        kubeconfig = plane.kubeconfig.read_text()
        with (
            pytest.raises(ControlPlaneError, match="in use by another control plane"),
            start(),
        ):
            pass
    with start() as plane:
        assert plane.kubeconfig.read_text() == kubeconfig
        assert plane.request("GET", "/api/v1/namespaces/kept").status == 200


def test_pods_of_a_data_directory_run_and_log_after_a_restart(tmp_path: Path) -> None:
    with ControlPlane(nodes=1, data_dir=tmp_path / "data") as plane:
        plane.kubectl("run", "p", "--image=none.invalid/x")
        plane.kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=30s")
    with ControlPlane(nodes=1, data_dir=tmp_path / "data") as plane:
        assert plane.get("pod", "p")["status"]["phase"] == "Running"
        assert wait_for(lambda: "no container runs" in plane.kubectl("logs", "p", check=False).stdout)


def test_requests_can_be_audited() -> None:
    with ControlPlane(controller_manager=False, scheduler=False, audit=True) as plane:
        plane.request("GET", "/api/v1/namespaces/audited")
        assert wait_for(lambda: "namespaces/audited" in plane.layout.audit_log.read_text())


def test_a_component_that_dies_is_noticed() -> None:
    with ControlPlane(controller_manager=False, scheduler=False) as plane:
        os.kill(plane.pids["etcd"], signal.SIGKILL)

        def is_noticed() -> bool:
            try:
                plane.check()
            except ControlPlaneError as error:
                return "etcd ended with code -9" in str(error)
            return False

        assert wait_for(is_noticed)


def run_dev(cache: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with instances of its own; the build comes from the user's cache by way of a link."""
    env = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    return subprocess.run([*DEV, *arguments], env=env, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 - this interpreter


@pytest.fixture
def cache(control_plane: Cluster, tmp_path: Path) -> Path:
    if not isinstance(control_plane, ControlPlane):
        pytest.skip("another cluster was given")
    program = Path(control_plane.find_binaries().commands["etcd"][0])
    (tmp_path / "kubeairunway").mkdir()
    (tmp_path / "kubeairunway" / "control-plane").symlink_to(program.parents[1])
    return tmp_path


def test_up_status_kubeconfig_and_down(cache: Path) -> None:
    up = run_dev(cache, "up", "--name", "a", "--no-controller-manager", "--no-scheduler")
    assert up.returncode == 0, up.stderr
    try:
        status = run_dev(cache, "status", "--name", "a")
        assert (status.returncode, status.stdout.split(",")[0]) == (0, "a: ready")
        path = Path(run_dev(cache, "kubeconfig", "--name", "a").stdout.strip())
        assert f"export KUBECONFIG={path}" in up.stdout
        assert run_dev(cache, "kubeconfig", "--name", "a", "--print").stdout.strip() == path.read_text()
        again = run_dev(cache, "up", "--name", "a")
        assert again.stdout == up.stdout
        record = json.loads((cache / "kubeairunway" / "instances" / "a.json").read_text())
        processes = [identify(pid) for pid in [record["owner"]["pid"], *record["components"].values()]]
        os.kill(record["components"]["kube-apiserver"], signal.SIGSTOP)
        assert run_dev(cache, "status", "--name", "a").returncode == 1
    finally:
        down = run_dev(cache, "down", "--name", "a")
    assert down.stdout == "a: ended\n"
    assert not any(process.is_alive() for process in processes)
    assert not path.parent.exists()
    assert run_dev(cache, "status", "--name", "a").returncode == 3


def test_a_background_control_plane_that_is_killed_leaves_nothing(cache: Path) -> None:
    assert run_dev(cache, "up", "--no-controller-manager", "--no-scheduler").returncode == 0
    record = json.loads((cache / "kubeairunway" / "instances" / "default.json").read_text())
    processes = [identify(pid) for pid in record["components"].values()]
    os.kill(record["owner"]["pid"], signal.SIGKILL)
    assert wait_for(lambda: not any(process.is_alive() for process in processes))
    assert wait_for(lambda: not Path(record["directory"]).exists())
    assert run_dev(cache, "status").returncode == 3


def test_a_control_plane_that_cannot_start_says_why(cache: Path, tmp_path: Path) -> None:
    data = tmp_path / "file"
    data.write_text("not a directory")
    up = run_dev(cache, "up", "--data-dir", str(data))
    assert up.returncode == 1
    assert "did not start" in up.stderr
    assert str(data) in up.stderr


def test_an_existing_cluster_is_adopted_and_never_ended(cache: Path, control_plane: Cluster) -> None:
    up = run_dev(cache, "up", "--name", "given", "--kubeconfig", str(control_plane.kubeconfig))
    assert up.returncode == 0, up.stderr
    assert run_dev(cache, "status", "--name", "given").returncode == 0
    assert run_dev(cache, "down", "--name", "given").returncode == 0
    assert control_plane.kubectl("get", "--raw", "/readyz").stdout == "ok"
