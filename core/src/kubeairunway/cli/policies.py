"""`kubeairunway policies`: which policies are installed, what became of them, and what an administrator can set."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic.alias_generators import to_camel

from kubeairunway.cli.exit_codes import ExitCode
from kubeairunway.cli.output import format_table, format_values, note, write
from kubeairunway.cli.policy_settings import find_policy_settings
from kubeairunway.plugin.policies import Policies, load_policies
from kubeairunway.plugin.registry import LoadState

if TYPE_CHECKING:
    import argparse

    from kubeairunway.plugin.policies import PolicyPackage

HEADER = ("NAME", "STATE", "VERSION", "DISTRIBUTION", "SETTINGS", "REASON")


def run(options: argparse.Namespace) -> int:
    """Print the packages; with --check the exit code says whether all that are not switched off can be asked."""
    policies = load_chosen(options, crash_notes=options.crash_notes)
    policies.close()
    if options.output == "table":
        rows = [_make_row(package) for package in policies.packages]
        write(format_table(HEADER, rows) if rows else "No policy is installed; every deployment passes")
    else:
        write(format_values([{"policies": [package_json(package) for package in policies.packages]}], options.output))
    broken = any(package.state not in {LoadState.LOADED, LoadState.DISABLED} for package in policies.packages)
    return ExitCode.REFUSED if options.check and broken else ExitCode.OK


def load_chosen(options: argparse.Namespace, *, crash_notes: str | None = None) -> Policies:
    """Load the installed policies with their settings, as the options say; remarks go to standard error.

    Raises SettingsError for a file of settings that cannot be read.
    """
    policies = load_policies(
        disabled=options.disable_policy,
        settings=find_policy_settings(options.policy_settings),
        crash_notes=(Path(crash_notes).expanduser(), None) if crash_notes else None,
    )
    for remark in policies.remarks:
        note(remark)
    return policies


def _make_row(package: PolicyPackage) -> tuple[str, ...]:
    settings = ", ".join(_list_settings(package))
    return package.name, package.state, package.version, package.distribution, settings, package.reason


def _list_settings(package: PolicyPackage) -> list[str]:
    declared = package.policy.settings if package.policy else None
    return [to_camel(item.name) for item in fields(declared)] if declared is not None and is_dataclass(declared) else []


def package_json(package: PolicyPackage) -> dict[str, Any]:
    """Return everything about one package, for programs; empty fields are left out."""
    row: dict[str, Any] = {
        "name": package.name,
        "state": str(package.state),
        "reason": package.reason,
        "distribution": package.distribution,
        "version": package.version,
        "module": package.module,
    }
    if package.policy is not None:
        row |= {
            "contract": package.policy.contract,
            "settings": _list_settings(package),
            "peers": package.policy.peers,
            "documentation": package.policy.docs,
        }
    return {key: value for key, value in row.items() if value not in ("", [])}
