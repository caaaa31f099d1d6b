"""Broken packages beside KAITO in one controller: each harms its own deployments alone, and says what is wrong."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location("zoo", Path(__file__).parent / "zoo.py")
assert _SPEC is not None
assert _SPEC.loader is not None
CASES: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(CASES)


def metric(zoo: Any, name: str, *labels: str) -> float:
    """The sum of the samples of a metric that have all of these labels."""
    rows = [row for row in zoo.ask("/metrics").splitlines() if row.startswith(f"{name}{{")]
    return sum(float(row.rpartition(" ")[2]) for row in rows if all(label in row for label in labels))


def create_for_another(zoo: Any) -> float:
    """Seconds from creating a deployment for a healthy provider until its object exists."""
    start = time.monotonic()
    name = zoo.deploy("healthy")
    words = ("get", "deployment", name, "-n", "zoo", "--ignore-not-found")
    zoo.until(lambda: zoo.plane.kubectl(*words).stdout, "the healthy provider works")
    return time.monotonic() - start


@pytest.mark.parametrize("name", CASES.FAILING_HOOKS)
def test_a_failing_hook_is_a_condition_an_event_and_a_metric(zoo: Any, name: str) -> None:
    _, hook, message = CASES.FAILING_HOOKS[name]
    deployment = zoo.deploy(name)
    found = zoo.until(lambda: message in zoo.condition(deployment)["message"] and zoo.condition(deployment), message)
    assert found["reason"] == "ProviderError"
    assert found["status"] in {"False", "Unknown"}
    assert metric(zoo, "kubeairunway_hook_errors_total", f'hook="{hook}"', f'provider="{name}"') >= 1

    def events() -> list[str]:
        selector = f"involvedObject.name={deployment},reason=ProviderError"
        return [event["message"] for event in zoo.get("events", "--field-selector", selector)["items"]]

    assert any(message in text for text in zoo.until(events, "an event"))
    repeated = zoo.get("events", "--field-selector", f"involvedObject.name={deployment},reason=ProviderSelected")
    assert sum(event.get("count") or 1 for event in repeated["items"]) <= 1


@pytest.mark.parametrize("name", CASES.BROKEN)
def test_a_package_that_cannot_be_loaded_is_named_with_its_reason(zoo: Any, name: str) -> None:
    message = CASES.BROKEN[name][1]
    deployment = zoo.deploy(name)
    found = zoo.until(lambda: message in zoo.condition(deployment)["message"] and zoo.condition(deployment), message)
    assert found["reason"] == "PackageMissing"
    (row,) = [row for row in zoo.providers().stdout.splitlines() if row.split()[0] == name]
    assert message.partition(": ")[2] in row or message in row
    rows = zoo.get("ipc", name)["status"]["conditions"]
    (ready,) = [row for row in rows if row["type"] == "Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "PackageMissing")
    assert message in ready["message"]
    assert any(message.partition(": ")[2] in line or message in line for line in zoo.lines())


def test_the_states_of_all_packages_are_counted(zoo: Any) -> None:
    assert metric(zoo, "kubeairunway_packages", 'state="Failed"') == len(CASES.BROKEN) - 1
    assert metric(zoo, "kubeairunway_packages", 'state="Incompatible"') == 1


def test_a_config_that_the_api_server_refuses_keeps_no_other_from_being_written(zoo: Any) -> None:
    zoo.until(
        lambda: any("the config of provider a-long-schema could not be written" in line for line in zoo.lines()),
        "a word",
    )
    assert zoo.get("ipc", "healthy")["status"]["lastHeartbeat"]


def test_a_report_about_a_generation_that_never_was_proves_nothing(zoo: Any) -> None:
    deployment = zoo.deploy("future")
    zoo.until(lambda: zoo.condition(deployment)["reason"] == "DeploymentInProgress", "it is created")
    zoo.until(lambda: metric(zoo, "kubeairunway_hook_duration_seconds_count", 'provider="future"', "status"), "asked")
    assert zoo.condition(deployment)["status"] == "False"


def test_a_hook_that_changes_its_request_moves_nothing_to_another_namespace(zoo: Any) -> None:
    deployment = zoo.deploy("thief")
    zoo.until(lambda: zoo.condition(deployment)["reason"] == "DeploymentInProgress", "it is created")
    assert zoo.get("deployment", deployment)["spec"]["replicas"] == 1
    assert "stolen" not in zoo.plane.kubectl("get", "deployments", "-A", "-o", "name").stdout


def test_a_package_that_meddles_with_the_process_is_undone_and_named(zoo: Any) -> None:
    deployment = zoo.deploy("meddler")
    zoo.until(lambda: zoo.condition(deployment)["reason"] == "DeploymentInProgress", "it works all the same")
    (row,) = [row for row in zoo.providers().stdout.splitlines() if row.split()[0] == "meddler"]
    assert "undone: the recursion limit, logging, json.dumps" in row
    assert "noise" not in zoo.providers("-o", "json").stdout


def test_a_hook_that_hangs_delays_nobody_else_and_its_provider_recovers(zoo: Any) -> None:
    zoo.sleep.touch()
    try:
        deployment = zoo.deploy("sleeper")
        message = "render: has not returned after 2 s"
        zoo.until(lambda: message in zoo.condition(deployment)["message"], message)
        assert min(create_for_another(zoo) for _ in range(3)) < 1
        waits = metric(zoo, "kubeairunway_hook_errors_total", 'error_type="timeout"', 'provider="sleeper"')
        assert waits >= 1
    finally:
        zoo.sleep.unlink()
    zoo.until(lambda: zoo.condition(deployment)["reason"] == "DeploymentInProgress", "it recovers", 30)


def test_the_controller_logged_no_bug_of_its_own(zoo: Any) -> None:
    assert create_for_another(zoo) < 5
    assert metric(zoo, "kubeairunway_workqueue_crashes_total") == 0
    assert "Traceback" not in zoo.log.read_text()
