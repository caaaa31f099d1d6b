"""The file of policy settings: one YAML mapping, from the name of each policy to what the administrator sets for it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from kubeairunway.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kubeairunway.plugin.policies import PolicySettings

VARIABLE = "KUBEAIRUNWAY_POLICY_SETTINGS"


def find_policy_settings(option: str | None, environ: Mapping[str, str] = os.environ) -> PolicySettings:
    """Return the settings in the file that an option or the environment names. Raises SettingsError."""
    name = option or environ.get(VARIABLE, "")
    return read_policy_settings(Path(name).expanduser() if name else None)


def read_policy_settings(path: Path | None) -> PolicySettings:
    """Return the settings of each policy; none without a file. Raises SettingsError naming file and place."""
    if path is None:
        return {}
    from kubeairunway.cli.yaml_input import MAX_BYTES, parse_yaml  # noqa: PLC0415 - only those who need it pay for it

    try:
        raw = path.read_bytes()
        text = raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"policy settings: {path} cannot be read: {error}") from error
    if len(raw) > MAX_BYTES:
        raise SettingsError(f"policy settings: {path} is larger than {MAX_BYTES} bytes")
    documents = [parsed.value for parsed in parse_yaml(text, f"policy settings: {path}") if parsed.value is not None]
    if len(documents) > 1:
        raise SettingsError(f"policy settings: {path} has {len(documents)} documents; give one")
    settings = documents[0] if documents else {}
    if not isinstance(settings, dict):
        raise SettingsError(f"policy settings: {path}: give a mapping from names of policies to their settings")
    for name, value in settings.items():
        if value is not None and not isinstance(value, dict):
            raise SettingsError(f"policy settings: {path}: {name}: give a mapping, such as {{field: value}}")
    return {name: value or {} for name, value in settings.items()}
