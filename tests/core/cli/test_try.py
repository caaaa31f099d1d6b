"""`providers try` as far as it needs no cluster: what is wrong with the package comes first."""

import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from kubeairunway.cli.providers_try import make_settings
from kubeairunway.cli.trial import find_holder, is_dead, make_identity
from kubeairunway.errors import SettingsError

KIND = "serving.example.com/v1/ModelServer"


@pytest.fixture
def package(run: Any, tmp_path: Path) -> Path:
    """A package as `providers new` writes it."""
    assert run("providers", "new", "mine", "--kind", KIND, "--directory", "mine").code == 0
    return tmp_path / "mine"


def edit(package: Path, old: str, new: str) -> None:
    file = package / "src" / "kubeairunway_mine" / "__init__.py"
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def test_a_sound_package_is_checked_before_a_cluster_is_asked_for(run: Any, package: Path) -> None:
    assert package.is_dir()
    result = run("providers", "try", "mine")
    assert result.code == 2
    first, second = result.out.splitlines()
    assert first == "provider mine 0.1.0 from mine/src/kubeairunway_mine/__init__.py: Loaded"
    found = re.fullmatch(r"(\d+) of (\d+) rules that are quickly checked are kept", second)
    assert found is not None
    assert found[1] == found[2]
    assert "no Kubernetes cluster: " in result.err
    assert "make demo in a checkout, or kubeairunway-dev up" in result.err


def test_rules_that_are_broken_are_said_and_it_goes_on(run: Any, package: Path) -> None:
    edit(package, '"replicas": spec.scaling.replicas,', '"replicas": 1,')
    result = run("providers", "try", "mine")
    assert "FAIL  carries-true: " in result.out
    assert "spec.scaling.replicas is carried, and changing it changes nothing" in result.out
    assert "no Kubernetes cluster: " in result.err


BROKEN = {
    "a module that raises": ("PORT = 8000", "PORT = 8000 / 0", "Failed: import: ZeroDivisionError"),
    "another name": ('name="mine"', 'name="yours"', "Failed: provider: name is 'yours', and the entry point is 'mine'"),
    "another contract": ("contract=1", "contract=7", "Incompatible: it was written for contract 7"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_package_that_cannot_be_loaded_is_said_with_the_reason(run: Any, package: Path, name: str) -> None:
    old, new, said = BROKEN[name]
    edit(package, old, new)
    result = run("providers", "try", "mine")
    assert (result.code, result.out) == (1, "")
    assert said in result.err


def test_a_folder_without_a_package_is_said(run: Any) -> None:
    result = run("providers", "try")
    assert (result.code, result.out) == (2, "")
    assert "has no pyproject.toml; give the folder of a provider package" in result.err


def test_the_controller_has_one_namespace_one_provider_and_a_lease_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEAIRUNWAY_NAMESPACES", "team")
    settings = make_settings("mine", None)
    assert settings.namespaces == ("try-mine",)
    assert settings.only == {"provider:mine"}
    assert (settings.lease_namespace, settings.lease_name) == ("try-mine", "try.mine")
    assert settings.bind_host == "127.0.0.1"
    assert make_settings("mine", "dev").namespaces == ("dev",)
    assert len(make_settings("m" * 63, None).namespaces[0]) == 63
    assert make_settings("m" * 58 + "-m", None).namespaces == (f"try-{'m' * 58}",)
    for wrong in ("a,b", "A"):
        with pytest.raises(SettingsError):
            make_settings("mine", wrong)


NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOLDERS = {
    "never looked after": (None, "", "", ""),
    "looked after long ago": (301, "ProviderReady", "", ""),
    "looked after by a controller": (300, "ProviderReady", "", "a controller that has its package looks after it"),
    "not ready there": (1, "KindNotServed", "", "run that one with --disable-providers mine"),
    "no longer loaded there": (1, "PackageMissing", "", ""),
    "tried elsewhere": (7, "ProviderReady", "host-1", "host-1 tries it already (heartbeat 7 s ago); stop that first"),
    "tried elsewhere long ago": (301, "ProviderReady", "host-1", ""),
    "tried by somebody who names no process": (1, "ProviderReady", "me", "me tries it already"),
}


@pytest.mark.parametrize("name", HOLDERS)
def test_who_looks_after_a_provider_is_read_from_its_config(name: str) -> None:
    age, reason, tried, expected = HOLDERS[name]
    config: dict[str, Any] = {"metadata": {"name": "mine", "annotations": {"kubeairunway.ai/tried-by": tried}}}
    if age is not None:
        beat = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
        rows = [{"type": "Ready", "status": "False", "reason": reason, "message": ""}]
        config["status"] = {"lastHeartbeat": beat, "conditions": rows}
    found = find_holder(config, NOW)
    assert expected in found
    assert bool(found) is bool(expected)


def test_a_process_is_dead_only_if_it_is_known_to_be() -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert is_dead(f"{socket.gethostname()}-{ended.pid}")
    assert not is_dead(make_identity())
    assert not is_dead(f"another-{ended.pid}")
    assert not is_dead("unreadable")
    assert not is_dead(f"{socket.gethostname()}-{10**30}")
