"""The command line: arguments in, text and an exit code out; `main` is the entry point.

Each command is a module of its own that is imported when it is called, so that `--help` costs nothing.
"""

from kubeairunway.cli.entry import main

__all__ = ["main"]
