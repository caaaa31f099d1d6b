"""What each exit code of `kubeairunway` means."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes; the documentation and `--help` show `EXIT_CODES_TEXT`."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    CLUSTER = 3
    INTERRUPTED = 130
    BROKEN_PIPE = 141


EXIT_CODES_TEXT = """\
exit codes:
  0    done
  1    a deployment is invalid or no provider runs it; with `providers --check`: a provider is not loaded;
       with `providers check`: it breaks a rule; with `providers try`: it cannot be loaded
  2    wrong usage, or input or settings that cannot be read
  3    the cluster cannot be reached, or refused
  130  interrupted
  141  the reader of the output went away
"""
