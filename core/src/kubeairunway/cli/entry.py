"""`main`: parses arguments, runs one command, and turns every expected failure into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys

from kubeairunway.cli.arguments import make_parser
from kubeairunway.cli.exit_codes import ExitCode
from kubeairunway.errors import KubeAIRunwayError, KubeError


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code (see exit_codes.py)."""
    try:
        options = make_parser().parse_args(arguments)
        command = importlib.import_module(f"kubeairunway.cli.{options.module}")
        code: int = command.run(options)
        sys.stdout.flush()
    except KubeError as error:
        return fail(f"cluster: {error}", ExitCode.CLUSTER)
    except KubeAIRunwayError as error:
        return fail(str(error), ExitCode.USAGE)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # What is left in the buffer would be written, and fail, once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.BROKEN_PIPE
    return code


def fail(message: str, code: ExitCode) -> ExitCode:
    """Say on standard error what is wrong, and return the exit code."""
    sys.stderr.write(f"kubeairunway: {message}\n")
    return code
