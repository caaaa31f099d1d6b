"""`kubeairunway crds`: the CustomResourceDefinitions of this version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubeairunway.cli.exit_codes import ExitCode
from kubeairunway.cli.output import format_json, write
from kubeairunway.model.crd import crd_documents, crd_yaml

if TYPE_CHECKING:
    import argparse


def run(options: argparse.Namespace) -> int:
    """Print them."""
    if options.output == "json":
        write(format_json({"apiVersion": "v1", "kind": "List", "items": crd_documents()}))
    else:
        write(crd_yaml())
    return ExitCode.OK
