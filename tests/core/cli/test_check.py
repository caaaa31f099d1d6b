"""`providers check`, in a process, among packages that lie in a folder; `record` as far as it needs no cluster."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

QUICK = ("--rule", "package-whole", "--rule", "carries-true", "--rule", "status-proof")


def test_a_provider_that_keeps_the_rules_ends_with_zero(run: Any) -> None:
    result = run("providers", "check", "acme", *QUICK)
    assert result.code == 0, result.out
    assert result.out.splitlines()[:3] == ["ok    package-whole", "ok    carries-true", "ok    status-proof"]
    assert result.out.splitlines()[-1].startswith("3 of 3 rules are kept")


def test_what_is_to_be_changed_is_said_with_place_and_rule(run: Any) -> None:
    result = run("providers", "check", "plain", *QUICK)
    assert result.code == 1
    assert "FAIL  carries-true:" in result.out
    assert "(rule carries-true in docs/provider-contract.md)" in result.out
    assert "plain.py:" in result.out
    assert "spec.scaling.replicas is carried, and changing it changes nothing" in result.out
    assert "take scaling.replicas out of carries" in result.out


def test_programs_get_the_same(run: Any) -> None:
    answer = json.loads(run("providers", "check", "plain", *QUICK, "-o", "json").out)
    assert (answer["provider"], answer["passed"]) == ("plain", False)
    assert [(row["id"], row["passed"]) for row in answer["rules"]] == [
        ("package-whole", True),
        ("carries-true", False),
        ("status-proof", True),
    ]
    assert set(answer["rules"][1]["findings"][0]) == {"where", "message", "fix"}


@pytest.mark.parametrize(
    ("name", "said"), [("broken", "no such luck"), ("nemo", "no provider named nemo is installed")]
)
def test_a_package_that_is_not_loaded_is_said_once(run: Any, name: str, said: str) -> None:
    result = run("providers", "check", name)
    assert result.code == 1
    assert said in result.out
    assert result.out.splitlines()[-1].startswith("0 of 1 rules are kept")


WRONG = {
    "an unknown rule": (("check", "acme", "--rule", "no-such"), "there is no rule no-such to check; there are: "),
    "no such folder": (("check", "acme", "--crds", "nowhere"), "nowhere is no directory"),
    "no name": (("check",), "the following arguments are required: NAME"),
    "no kind": (("record", "demo"), "'demo' is no KIND/NAME"),
    "no name of an object": (("record", "Service/"), "'Service/' is no KIND/NAME"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage_is_said_in_a_line(run: Any, case: str) -> None:
    words, said = WRONG[case]
    result = run("providers", *words)
    assert result.code == 2
    assert said in result.err


def test_the_commands_below_are_in_the_help(run: Any) -> None:
    text = run("providers", "--help").out
    assert "check  " in text
    assert "record  " in text
    assert run("providers", "check", "--help").out.startswith("usage: kubeairunway providers check")


# ---- the pytest plugin ----

PYTEST = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:asyncio"]


def run_pytest(folder: Path, packages: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    (folder / "pytest.ini").write_text("[pytest]\n")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(packages), "HOME": str(folder)}
    return subprocess.run(  # noqa: S603 - our own command
        [*PYTEST, *arguments], capture_output=True, text=True, cwd=folder, env=environment, timeout=120, check=False
    )


def test_pytest_makes_one_test_per_rule_and_no_other(tmp_path: Path, packages: Path) -> None:
    (tmp_path / "test_own.py").write_text("def test_own():\n    assert False\n")
    done = run_pytest(tmp_path, packages, "--kubeairunway-provider", "plain", "-v")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "provider plain::package-whole PASSED" in done.stdout
    assert "provider plain::carries-true FAILED" in done.stdout
    assert "spec.scaling.replicas is carried, and changing it changes nothing" in done.stdout
    assert "Traceback" not in done.stdout
    assert "test_own" not in done.stdout


def test_pytest_without_the_option_imports_and_does_nothing(tmp_path: Path, packages: Path) -> None:
    (tmp_path / "test_own.py").write_text(
        "import sys\n\n\ndef test_own():\n"
        "    ours = {name for name in sys.modules if name.startswith('kubeairunway') and '_dev' not in name}\n"
        "    assert ours == {'kubeairunway', 'kubeairunway.testing', 'kubeairunway.testing.pytest_plugin'}\n"
        "    assert 'pydantic' not in sys.modules\n"
    )
    done = run_pytest(tmp_path, packages, "-q")
    assert done.returncode == 0, done.stdout + done.stderr
