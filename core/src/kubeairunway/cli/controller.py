"""`kubeairunway controller`: runs the controller until it is told to stop."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from kubeairunway.cli.policy_settings import read_policy_settings
from kubeairunway.runtime.settings import read_settings

if TYPE_CHECKING:
    import argparse

PREFIX = "setting:"


def run(options: argparse.Namespace) -> int:
    """Read the settings from flags and environment, and run; the exit code is the operator's."""
    flags = {
        name.removeprefix(PREFIX): value
        for name, value in vars(options).items()
        if name.startswith(PREFIX) and value is not None
    }
    settings = read_settings(flags, os.environ)
    from kubeairunway.runtime.operator import run as run_operator  # noqa: PLC0415 - slow; wrong settings are said first

    return asyncio.run(run_operator(settings, read_policy_settings(settings.policy_settings)))
