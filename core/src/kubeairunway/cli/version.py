"""`kubeairunway version`: the core's version, its contract, and the provider packages beside it."""

from __future__ import annotations

import platform
from importlib.metadata import entry_points, version
from typing import TYPE_CHECKING, Any

from kubeairunway.cli.exit_codes import ExitCode
from kubeairunway.cli.output import format_values, write
from kubeairunway.model.names import API_VERSION, PROVIDER_GROUP
from kubeairunway.plugin.contract import CONTRACT

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> int:
    """Print them; packages are looked up and not loaded."""
    facts = collect_versions()
    if options.output == "table":
        lines = [f"kubeairunway {facts['version']}", f"provider contract {facts['contract']}", f"API {facts['api']}"]
        lines += [f"{item['distribution']} {item['version']} (provider {item['name']})" for item in facts["providers"]]
        write("\n".join([*lines, f"Python {facts['python']}"]))
    else:
        write(format_values([facts], options.output))
    return ExitCode.OK


def collect_versions() -> dict[str, Any]:
    """Return the versions of core, contract, API and installed provider packages."""
    found = sorted(entry_points(group=PROVIDER_GROUP), key=lambda point: point.name)
    return {
        "version": version("kubeairunway"),
        "contract": CONTRACT,
        "api": API_VERSION,
        "providers": [
            {
                "name": point.name,
                "distribution": point.dist.name if point.dist else "",
                "version": point.dist.version if point.dist else "",
            }
            for point in found
        ],
        "python": platform.python_version(),
    }
