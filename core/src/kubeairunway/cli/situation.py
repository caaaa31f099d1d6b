"""What a decision of the command line is made from: the documents given, the installed providers, perhaps a cluster."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kubeairunway.cli.admission import Holdings
from kubeairunway.cli.input_files import Document, read_documents
from kubeairunway.cli.output import note
from kubeairunway.cli.policies import load_chosen
from kubeairunway.decide.endpoint_call import Call, make_call
from kubeairunway.decide.expressions import Expressions
from kubeairunway.decide.preview import Preview, as_new, assume_facts, preview
from kubeairunway.decide.provider_config import PackageFacts
from kubeairunway.errors import SettingsError
from kubeairunway.model.documents import read_deployment, read_provider_config
from kubeairunway.model.names import MODEL_DEPLOYMENT, PROVIDER_CONFIG
from kubeairunway.plugin.registry import LoadState, Registry, load_registry

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from kubeairunway.decide.facts import ProviderFacts
    from kubeairunway.model import Problem

DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Case:
    """One ModelDeployment and what is decided for it; `preview` is None if the document cannot be read as one.

    `document` is where it stands in the input, None for a live one. `call` reaches a live one that is ready.
    """

    name: str
    namespace: str
    document: Document | None
    problems: tuple[Problem, ...]
    preview: Preview | None = None
    call: Call | None = None

    @property
    def refused(self) -> bool:
        """Whether nothing would be created for it."""
        if self.preview is None:
            return True
        decision = self.preview.decision
        blocked = self.preview.errors or self.preview.obstacle
        return decision is None or not decision.provider or bool(blocked)

    def locate(self, problem: Problem) -> str:
        """Return where a problem is: file, document and line, or the live object."""
        return self.document.locate(problem) if self.document else f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Input:
    """The documents by what they are."""

    deployments: tuple[Document, ...]
    configs: Mapping[str, Mapping[str, Any]]


def decide_cases(options: argparse.Namespace) -> list[Case]:
    """Return every deployment that the options name, with its decision. Raises SettingsError and KubeError."""
    if bool(options.name) == bool(options.filename):
        raise SettingsError("give either the NAME of a ModelDeployment in the cluster, or documents with -f")
    served = read_served(options.served)
    documents = read_documents(options.filename)
    if options.filename and not documents:
        raise SettingsError(f"{', '.join(options.filename)}: there are no documents in it")
    given = sort_documents(documents)
    # What a provider's code prints must not get into what the command prints.
    with (
        contextlib.redirect_stdout(sys.stderr),
        contextlib.closing(load_providers(options)) as registry,
        contextlib.closing(load_chosen(options)) as policies,
    ):
        packages = package_facts(registry)
        live: Mapping[str, Any] | None = None
        there: tuple[Mapping[str, Any], ...] = ()
        if options.live or options.name:
            from kubeairunway.cli.cluster import read_cluster  # noqa: PLC0415 - only --live pays for it

            seen = read_cluster(options, packages, given.configs, served)
            facts, namespace, live = seen.providers, seen.namespace, seen.deployment
            if policies.wants_peers:
                there = _read_peers(options, given, options.namespace or namespace)
        else:
            facts, namespace = assume_facts(packages, given.configs, served), DEFAULT_NAMESPACE
        decide = _Decider(registry, facts, options.namespace or namespace, Holdings(policies, there))
        if live is not None:
            return [decide.judge_live(live, _kubectl(options))]
        return [decide.judge(document) for document in given.deployments]


def _read_peers(options: argparse.Namespace, given: Input, namespace: str) -> tuple[Mapping[str, Any], ...]:
    """Return the cluster's deployments in the namespaces that are asked about."""
    from kubeairunway.cli.cluster import read_deployments  # noqa: PLC0415 - only --live pays for it

    metas = [document.value.get("metadata") for document in given.deployments]
    named = {str(meta.get("namespace") or namespace) for meta in metas if isinstance(meta, dict)}
    return read_deployments(options, named or {namespace})


class _Decider:
    """Decides one deployment after the other, compiling each rule once."""

    def __init__(
        self, registry: Registry, facts: Mapping[str, ProviderFacts], namespace: str, holdings: Holdings
    ) -> None:
        self._registry = registry
        self._holdings = holdings
        self._facts = facts
        self._namespace = namespace
        self._expressions = Expressions()
        self._now = datetime.now(UTC)

    def judge(self, document: Document) -> Case:
        """Return the case of a document."""
        deployment, problems = read_deployment(document.value)
        meta = document.value.get("metadata")
        meta = meta if isinstance(meta, dict) else {}
        name, namespace = str(meta.get("name") or ""), str(meta.get("namespace") or self._namespace)
        if deployment is None:
            return Case(name, namespace, document, problems)
        seen = self._preview(as_new(document.value, self._namespace))
        return Case(name, namespace, document, seen.plan.problems, seen)

    def judge_live(self, obj: Mapping[str, Any], kubectl: Sequence[str]) -> Case:
        """Return the case of an object of the cluster that `kubectl`, the command with its options, reaches."""
        seen = self._preview(dict(obj))
        meta = obj["metadata"]
        call = make_call(obj, self._facts, kubectl)
        return Case(meta["name"], meta["namespace"], None, seen.plan.problems, seen, call)

    def _preview(self, deployment: dict[str, Any]) -> Preview:
        seen = preview(
            deployment,
            self._facts,
            self._registry,
            self._expressions,
            now=self._now,
            admission=self._holdings.admission(deployment),
        )
        self._holdings.keep(seen)
        return seen


def _kubectl(options: argparse.Namespace) -> list[str]:
    """The kubectl command that reaches the cluster which these options name."""
    flags = (("--kubeconfig", options.kubeconfig), ("--context", options.context))
    return ["kubectl", *(f"{flag}={value}" for flag, value in flags if value)]


def read_served(values: list[str]) -> dict[tuple[str, str], str]:
    """Return versions by group and kind from `--served`. Raises SettingsError."""
    served = {}
    for value in values:
        group, version, kind, *more = (*value.split("/"), "", "")[:4] if value.count("/") == 2 else ("", "", "", "")  # noqa: PLR2004 - three parts
        if not (version and kind) or any(more):
            raise SettingsError(f"--served {value!r}: give GROUP/VERSION/KIND, for example kaito.sh/v1beta1/Workspace")
        served[group, kind] = "" if version == "-" else version
    return served


def package_facts(registry: Registry) -> dict[str, PackageFacts]:
    """Return each installed package; a note says which ones are not loaded, and why."""
    for package in registry.packages:
        if package.state not in {LoadState.LOADED, LoadState.DISABLED}:
            note(f"provider {package.name} is left out: {package.state}: {package.reason}")
    return {
        package.name: PackageFacts(
            provider=package.provider,
            reason=package.reason,
            distribution=package.distribution,
            version=package.version,
        )
        for package in registry.packages
    }


def load_providers(options: argparse.Namespace) -> Registry:
    """Return the installed providers, as far as the options want them. Raises SettingsError for an unknown name."""
    registry = load_registry(disabled=options.disable_provider, only=options.provider or None)
    for remark in registry.remarks:
        note(remark)
    known = {package.name for package in registry.packages}
    for name in options.provider:
        if name not in known:
            registry.close()
            raise SettingsError(f"--provider {name}: no provider of that name is installed")
    return registry


def sort_documents(documents: list[Document]) -> Input:
    """Return the documents by what they are; others are skipped with a note. Raises SettingsError if none is ours."""
    deployments = tuple(document for document in documents if document.kind == MODEL_DEPLOYMENT)
    if documents and not deployments:
        kinds = ", ".join(sorted({document.kind or "no kind" for document in documents}))
        raise SettingsError(f"{documents[0].place}: there is no ModelDeployment in the input, only: {kinds}")
    for document in documents:
        if document.kind not in {MODEL_DEPLOYMENT, PROVIDER_CONFIG}:
            note(f"{document.place}: skipped, kind {document.kind or '(none)'}")
    return Input(deployments, dict(_read_configs(documents)))


def _read_configs(documents: list[Document]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for document in documents:
        if document.kind == PROVIDER_CONFIG:
            config, problems = read_provider_config(document.value)
            if config is None:
                texts = (f"{document.locate(problem)}: {problem.message}" for problem in problems)
                raise SettingsError("; ".join(texts))
            yield config.name, document.value
