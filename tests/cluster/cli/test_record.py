"""`providers record` against a real API server."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from kubeairunway.testing.fixtures import read_fixture

if TYPE_CHECKING:
    from kubeairunway_dev.controlplane import ControlPlane

pytestmark = pytest.mark.cluster

MAIN = "import sys; from kubeairunway.cli import main; sys.exit(main())"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(api_server: "ControlPlane", tmp_path: Path) -> Run:
    """Call `kubeairunway providers record` with the server's kubeconfig."""

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": str(api_server.kubeconfig)}
        return subprocess.run(  # noqa: S603 - ours
            [sys.executable, "-c", MAIN, "providers", "record", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=120,
            check=False,
        )

    return call


def test_a_live_object_is_saved_stripped_and_the_same_each_time(
    api_server: "ControlPlane", run: Run, tmp_path: Path
) -> None:
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "recorded", "namespace": "default", "labels": {"b": "1", "a": "2"}},
        "spec": {"ports": [{"port": 80}], "selector": {"app": "x"}},
    }
    api_server.apply(service)
    done = run("Service/recorded", "-n", "default", "-o", "fixtures/service.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stderr == "kubeairunway: recorded Service/recorded in fixtures/service.yaml\n"
    found = read_fixture(tmp_path / "fixtures" / "service.yaml")
    assert found["metadata"] == {"name": "recorded", "labels": {"a": "2", "b": "1"}}
    assert found["spec"]["selector"] == {"app": "x"}
    api_server.kubectl("annotate", "service", "recorded", "kubeairunway.ai/owner-uid=1")
    again = run("Service/recorded", "-n", "default")
    assert again.stdout == (tmp_path / "fixtures" / "service.yaml").read_text()
    assert yaml.safe_load(again.stdout) == found


REFUSED = {
    "a kind that is not served": (("Unicorn/x",), 2, "the cluster serves no kind Unicorn"),
    "a kind of several groups": (("Event/x",), 2, "several groups have a kind Event: Event, Event.events.k8s.io"),
    "an object that is not there": (
        ("Service/nowhere", "-n", "default"),
        3,
        "there is no Service nowhere in namespace",
    ),
    "an object of the cluster that is not there": (("Namespace/nowhere",), 3, "there is no Namespace nowhere"),
    "a Secret": (("Secret/mine", "-n", "default"), 2, "a Secret is never recorded"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_recorded_is_said(api_server: "ControlPlane", run: Run, case: str) -> None:
    words, code, said = REFUSED[case]
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mine", "namespace": "default"}}
    api_server.apply({**secret, "stringData": {"token": "xyzzy"}})
    done = run(*words)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "xyzzy" not in done.stdout
    assert "Traceback" not in done.stderr
