"""`providers`, `crds`, `version` and the help texts."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeairunway.model.crd import crd_documents
from kubeairunway.runtime.settings import OPTIONS

COMMANDS = ("controller", "explain", "render", "providers", "crds", "version")
HEAVY = ("kubernetes", "aiohttp", "celpy", "pydantic", "stevedore", "yaml", "asyncio", "pluggy")


def test_providers_lists_every_package_with_its_state_and_reason(run: Any) -> None:
    result = run("providers")
    assert result.code == 0
    rows = {line.split()[0]: line for line in result.out.splitlines()}
    assert "Loaded" in rows["acme"]
    assert "acme-package" in rows["acme"]
    assert "1.2.3" in rows["acme"]
    assert "llamacpp, vllm" in rows["plain"]
    assert "Failed" in rows["broken"]
    assert "no such luck" in rows["broken"]


def test_a_disabled_provider_is_listed_as_such(run: Any) -> None:
    result = run("providers", "-o", "json", "--disable-provider", "acme")
    states = {row["name"]: row["state"] for row in json.loads(result.out)["providers"]}
    assert states["acme"] == "Disabled"
    assert states["plain"] == "Loaded"


@pytest.mark.parametrize("command", [("providers",), ("explain", "-f", "-")], ids=["providers", "explain"])
def test_switching_off_what_is_not_installed_is_remarked_on(run: Any, command: Any) -> None:
    env = {"KUBEAIRUNWAY_DISABLE_PROVIDERS": "acme,acne"}
    document = "{apiVersion: kubeairunway.ai/v1alpha1, kind: ModelDeployment, metadata: {name: a}, spec: {}}"
    lines = run(*command, "--disable-provider", "plane", stdin=document, env=env).err.splitlines()
    remarks = [line for line in lines if "is switched off" in line]
    assert [line.split()[2] for line in remarks] == ["acne", "plane"]
    assert all("not installed; installed: acme" in line and "plain" in line for line in remarks)


def test_check_makes_the_exit_code_say_whether_all_are_loaded(run: Any) -> None:
    assert run("providers", "--check").code == 1
    assert run("providers", "--check", "--provider", "acme", "--provider", "plain").code == 0


def test_one_provider_is_shown_in_whole(run: Any) -> None:
    shown = run("providers", "acme")
    assert shown.code == 0
    for words in ("ModelServer.serving.acme.dev (v1)", "spec.engine.contextLength", "rule large", "overrides: cache"):
        assert words in shown.out
    answer = yaml.safe_load(run("providers", "acme", "-o", "yaml").out)
    assert answer["rules"] == [{"name": "large", "condition": "spec.resources.gpu.count >= 8", "priority": 60}]


def test_no_provider_at_all_says_how_to_get_one(run: Any) -> None:
    result = run("providers", env={"PYTHONPATH": ""})
    assert result.code == 0
    assert "kaito" in result.out


def test_crds_prints_what_the_models_say(run: Any) -> None:
    assert run("crds").documents == crd_documents()
    assert json.loads(run("crds", "-o", "json").out)["items"] == crd_documents()


def test_version_names_core_contract_and_packages(run: Any) -> None:
    answer = json.loads(run("version", "-o", "json").out)
    assert answer["contract"] == 1
    assert answer["api"] == "kubeairunway.ai/v1alpha1"
    assert {"name": "acme", "distribution": "acme-package", "version": "1.2.3"} in answer["providers"]
    assert run("version").out.startswith(f"kubeairunway {answer['version']}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_the_exit_codes(run: Any, command: str) -> None:
    result = run(command, "--help")
    assert result.code == 0
    assert "exit codes:" in result.out
    assert "the cluster cannot be reached" in result.out


def test_controller_help_has_every_setting_with_its_variable(run: Any) -> None:
    shown = run("controller", "--help").out
    for option in OPTIONS:
        assert option.flag in shown
        assert f"[{option.variable}]" in shown


@pytest.mark.parametrize("arguments", [["--help"], ["explain", "--help"], ["controller", "--help"], ["nonsense"]])
def test_help_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from kubeairunway.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"
