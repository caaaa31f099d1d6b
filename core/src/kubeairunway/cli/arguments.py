"""Every command, option and help text; nothing here may be slow to import."""

from __future__ import annotations

import argparse
from typing import Any, Final

from kubeairunway.cli.exit_codes import EXIT_CODES_TEXT
from kubeairunway.runtime.settings import OPTIONS

DESCRIPTION: Final = "One Kubernetes resource, ModelDeployment, serves a language model on any inference platform."

EXPLAIN: Final = """\
Say which engine and provider a ModelDeployment gets, and why: every candidate, rule and bid, and what would make each
loser eligible. Works without a cluster, from the installed provider packages: each counts as ready, and of each kind
the provider's preferred version counts as served. InferenceProviderConfig objects in the input stand for the
cluster's. With --live, or a NAME, the cluster is asked instead. With --diff it says what applying the file changes in
a deployment that is there."""

RENDER: Final = """\
Print the objects that a ModelDeployment becomes, ready for kubectl. Works without a cluster like `explain`. Without a
live ModelDeployment behind them the objects have no owner and none of our bookkeeping annotations, so applied by
hand they belong to nobody."""

PROVIDERS: Final = """\
List the installed provider packages: Loaded, Incompatible (written for another contract), Failed (cannot be imported
or used), Disabled, or Quarantined (froze an earlier process), each with the reason. No cluster is asked."""

CHECK: Final = """\
Hold a provider package to the rules of docs/provider-contract.md, and say of each that it breaks what to change and
where. No cluster is asked. The same rules run under pytest: pytest --kubeairunway-provider NAME."""

RECORD: Final = """\
Save a live upstream object as a test fixture: YAML without managedFields, owners, uids and times, the same bytes for
the same object. Tests load it with `deployment(...).observe_fixture(path)`, and `providers check` as --fixtures DIR.
Secrets are refused."""

NEW: Final = """\
Write a distribution with a provider that renders the given kind: module, CRD, test, README. It passes every check, and
what it knows of upstream is made up: README.md says what to replace. No cluster is asked."""

TRY: Final = """\
Run the provider package in a folder against a cluster, without installing it: in one namespace, for deployments that
name it, until Ctrl-C. Prints what happens to them. Other controllers leave the provider alone meanwhile."""

POLICIES: Final = """\
List the installed policies, which judge every deployment whatever its provider, with their states as of providers, what
can be set for each, and the reason why one cannot be asked. While one cannot, nothing is created or changed. No cluster
is asked."""

CONTROLLER: Final = """\
Run the controller until SIGTERM or SIGINT. Each flag can be given as the environment variable beside it; the flag
wins."""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; `options.module` names the module that runs one."""
    parser = _Parser(
        prog="kubeairunway",
        description=DESCRIPTION,
        epilog=EXIT_CODES_TEXT,
        formatter_class=_make_formatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND", title="commands", parser_class=_Parser)
    _add_controller(_command(commands, "controller", "run the controller", CONTROLLER))
    _add_decision(_command(commands, "explain", "say which provider a deployment gets, and why", EXPLAIN), "table")
    _add_decision(_command(commands, "render", "print the objects that a deployment becomes", RENDER), "yaml")
    _add_providers(_command(commands, "providers", "list the installed providers; new, try, check, record", PROVIDERS))
    _add_policies(_command(commands, "policies", "list the installed policies", POLICIES))
    crds = _command(commands, "crds", "print the CRDs", "Print the CustomResourceDefinitions, for kubectl apply.")
    _add_output(crds, ("yaml", "json"), "yaml")
    version = _command(commands, "version", "print versions", "Print the versions of core, contract and providers.")
    _add_output(version, ("table", "yaml", "json"), "table")
    return parser


def _make_formatter(prog: str) -> argparse.HelpFormatter:
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=28)


class _Parser(argparse.ArgumentParser):
    """Exits with code 2 and a pointer to --help, without repeating a long usage.

    `below` has commands that begin with this one's name: their word comes first, and is no NAME then.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - argparse's own
        super().__init__(*arguments, **options)
        self.below: dict[str, argparse.ArgumentParser] = {}
        self.summaries: dict[str, str] = {}

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:  # noqa: ANN401 - argparse's own
        """Hand over to a command below where its word comes first."""
        if args and args[0] in self.below:
            return self.below[args[0]].parse_known_args(args[1:], namespace)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> None:  # type: ignore[override]  # NoReturn there; exit never returns here either
        self.exit(2, f"{self.prog}: {message}\nSee `{self.prog} --help`.\n")


Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def _command(commands: Commands[_Parser], name: str, summary: str, description: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        epilog=EXIT_CODES_TEXT,
        formatter_class=_make_formatter,
        allow_abbrev=False,
    )
    parser.set_defaults(module=name)
    return parser


def _add_controller(parser: argparse.ArgumentParser) -> None:
    for option in OPTIONS:
        text = f"{option.help} [{option.variable}]".replace("%", "%%")
        parser.add_argument(option.flag, dest=f"setting:{option.name}", metavar=option.metavar, help=text)


def _add_decision(parser: argparse.ArgumentParser, style: str) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="a ModelDeployment of the cluster")
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="namespace; default: the kubeconfig's")
    parser.add_argument(
        "-f",
        "--filename",
        action="append",
        default=[],
        metavar="FILE",
        help="file or folder of YAML or JSON documents, or - for standard input; may be repeated",
    )
    _add_output(parser, ("table", "yaml", "json"), style)
    parser.add_argument(
        "--served",
        action="append",
        default=[],
        metavar="GROUP/VERSION/KIND",
        help="take only this version of the kind as served (VERSION - : the kind is not served); may be repeated",
    )
    _add_provider_choice(parser)
    _add_policy_choice(parser)
    parser.add_argument("--live", action="store_true", help="use the cluster's provider configs and served versions")
    _add_cluster(parser)
    if style == "table":
        parser.add_argument("--spec", action="store_true", help="print the effective spec, too")
        parser.add_argument(
            "--diff",
            action="store_true",
            help="say what applying the file changes: in place, recreate or surge, downtime, GPUs meanwhile",
        )
        parser.add_argument(
            "--old",
            metavar="FILE",
            help="with --diff: the deployment as it is, with its objects if they are in it, instead of the cluster's",
        )


def _add_provider_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--provider",
        action="append",
        default=[],
        metavar="NAME",
        help="load only this provider package; may be repeated",
    )
    parser.add_argument(
        "--disable-provider",
        action="append",
        default=[],
        metavar="NAME",
        help="do not load this provider package; may be repeated [KUBEAIRUNWAY_DISABLE_PROVIDERS]",
    )


def _below(parser: argparse.ArgumentParser, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    """Add a command below another one; its module is named for both."""
    made = _Parser(
        prog=f"{parser.prog} {name}",
        description=description,
        epilog=EXIT_CODES_TEXT,
        formatter_class=_make_formatter,
        allow_abbrev=False,
    )
    made.set_defaults(module=f"{parser.get_default('module')}_{name}")
    if isinstance(parser, _Parser):
        parser.below[name] = made
        parser.summaries[name] = summary
        rows = "".join(f"  {word:<26}{text}\n" for word, text in parser.summaries.items())
        parser.epilog = f"commands:\n{rows}\n{EXIT_CODES_TEXT}"
    return made


def _add_providers(parser: argparse.ArgumentParser) -> None:
    _add_check(_below(parser, "check", "hold a provider to the rules of the contract", CHECK))
    _add_record(_below(parser, "record", "save a live upstream object as a test fixture", RECORD))
    _add_new(_below(parser, "new", "write a distribution to start from", NEW))
    _add_try(_below(parser, "try", "run a package in development against a cluster", TRY))
    parser.add_argument("name", nargs="?", metavar="NAME", help="one provider, in whole")
    _add_output(parser, ("table", "yaml", "json"), "table")
    _add_provider_choice(parser)
    parser.add_argument("--check", action="store_true", help="exit with 1 if a listed provider is not Loaded")
    parser.add_argument("--crash-notes", metavar="DIRECTORY", help="where a controller remembers quarantined providers")


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the provider, as its entry point is named")
    parser.add_argument(
        "--crds", metavar="DIR", help="upstream's CRDs in YAML files; default: the package's own folder crds"
    )
    parser.add_argument("--fixtures", metavar="DIR", help="recorded objects that serve, see `providers record`")
    parser.add_argument("--rule", action="append", default=[], metavar="ID", help="check this rule; may be repeated")
    _add_output(parser, ("text", "json"), "text")


def _add_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("object", metavar="KIND/NAME", help="KIND as in YAML, or KIND.GROUP where several have it")
    parser.add_argument("-n", "--namespace", metavar="NAMESPACE", help="namespace; default: the kubeconfig's")
    parser.add_argument("-o", "--output", metavar="FILE", help="file to write; default: standard output")
    _add_cluster(parser)


def _add_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the provider's name: lower-case letters, digits, inner hyphens")
    parser.add_argument("--kind", required=True, metavar="GROUP/VERSION/KIND", help="the kind that serves models")
    parser.add_argument("--directory", metavar="DIR", help="folder to make; default: kubeairunway-NAME")


def _add_try(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", nargs="?", default=".", metavar="DIR", help="the package's folder; default: .")
    parser.add_argument(
        "-n", "--namespace", metavar="NAMESPACE", help="where it runs; made if missing; default: try-NAME"
    )
    _add_cluster(parser)


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kubeconfig", metavar="FILE", help="default: KUBECONFIG, the pod's account, ~/.kube/config")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig; default: its current one")


def _add_policies(parser: argparse.ArgumentParser) -> None:
    _add_output(parser, ("table", "yaml", "json"), "table")
    _add_policy_choice(parser)
    parser.add_argument("--check", action="store_true", help="exit with 1 if one cannot be asked")
    parser.add_argument("--crash-notes", metavar="DIRECTORY", help="where a controller remembers quarantined policies")


def _add_policy_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--disable-policy",
        action="append",
        default=[],
        metavar="NAME",
        help="do not load this policy; may be repeated [KUBEAIRUNWAY_DISABLE_POLICIES]",
    )
    parser.add_argument(
        "--policy-settings",
        metavar="FILE",
        help="YAML with the settings of each policy under its name [KUBEAIRUNWAY_POLICY_SETTINGS]",
    )


def _add_output(parser: argparse.ArgumentParser, styles: tuple[str, ...], default: str) -> None:
    parser.add_argument("-o", "--output", choices=styles, default=default, help=f"default: {default}")
