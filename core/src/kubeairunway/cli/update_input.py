"""What `explain --diff` compares: the one deployment of a file, and the one that is there."""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kubeairunway.cli.admission import Holdings
from kubeairunway.cli.input_files import STDIN, Document, read_documents
from kubeairunway.cli.policies import load_chosen
from kubeairunway.cli.situation import DEFAULT_NAMESPACE, load_providers, package_facts, read_served, sort_documents
from kubeairunway.decide.existing import pick_owned
from kubeairunway.decide.expressions import Expressions
from kubeairunway.decide.passes import follow_passes
from kubeairunway.decide.plan import Snapshot
from kubeairunway.decide.preview import as_new, assume_facts
from kubeairunway.decide.update_preview import preview_update
from kubeairunway.decide.wanted import Wanted, apply_document, without_pause
from kubeairunway.errors import SettingsError
from kubeairunway.model import Problem
from kubeairunway.model.documents import read_deployment
from kubeairunway.model.names import MODEL_DEPLOYMENT

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from kubeairunway.decide.facts import ProviderFacts
    from kubeairunway.decide.update import Update
    from kubeairunway.objects.resources import Json
    from kubeairunway.plugin.registry import Registry


@dataclass(frozen=True, slots=True)
class UpdateCase:
    """The edit of one deployment; `update` is None if the document cannot be read as one."""

    name: str
    namespace: str
    document: Document
    problems: tuple[Problem, ...] = ()
    update: Update | None = None


def decide_update(options: argparse.Namespace) -> UpdateCase:
    """Return what the edit that the options name comes to. Raises SettingsError and KubeError."""
    document, configs = _read_new(options)
    served = read_served(options.served)
    deployment, problems = read_deployment(document.value)
    name = str((document.value.get("metadata") or {}).get("name") or "")
    if deployment is None:
        return UpdateCase(name, _find_namespace(options, document, DEFAULT_NAMESPACE), document, problems)
    # What a provider's code prints must not get into what the command prints.
    with (
        contextlib.redirect_stdout(sys.stderr),
        contextlib.closing(load_providers(options)) as registry,
        contextlib.closing(load_chosen(options)) as policies,
    ):
        packages = package_facts(registry)
        if options.old:
            namespace = _find_namespace(options, document, DEFAULT_NAMESPACE)
            facts = assume_facts(packages, configs, served)
            update = _compare_files(
                options, _place(document.value, namespace), facts, registry, holdings=Holdings(policies)
            )
            return UpdateCase(name, namespace, document, update.problems, update)
        from kubeairunway.cli.live_objects import open_cluster  # noqa: PLC0415 - only who asks the cluster pays for it

        with open_cluster(options, packages, configs, served) as cluster:
            namespace = _find_namespace(options, document, cluster.namespace)
            live = cluster.find_deployment(name, namespace)
            if live is None:
                absent, wanted = _from_nothing(as_new(document.value, namespace))
                snapshot = cluster.take_snapshot(absent)
            else:
                snapshot, wanted = cluster.take_snapshot(live), apply_document(live, document.value)
            there = cluster.list_deployments(namespace) if policies.wants_peers else ()
            update = _preview(snapshot, wanted, registry, Holdings(policies, there))
        return UpdateCase(name, namespace, document, update.problems, update)


def _preview(snapshot: Snapshot, wanted: Wanted, registry: Registry, holdings: Holdings) -> Update:
    snapshot = replace(snapshot, admission=holdings.admission(snapshot.deployment))
    return preview_update(snapshot, wanted, registry, Expressions())


def _from_nothing(deployment: Json) -> tuple[Json, Wanted]:
    """A deployment that is not there yet, and the same once it is."""
    absent = {**deployment, "metadata": {**deployment["metadata"], "generation": 0}}
    return absent, Wanted(deployment)


# ---- the documents ----


def _read_new(options: argparse.Namespace) -> tuple[Document, Mapping[str, Mapping[str, Any]]]:
    """The one deployment to compare, and the configs beside it."""
    if not options.filename:
        raise SettingsError("explain --diff needs the ModelDeployment as it shall be: give it with -f FILE")
    if options.old == STDIN and STDIN in options.filename:
        raise SettingsError("--old - and -f - both name standard input, which is read once; give one of them as a file")
    documents = read_documents(options.filename)
    if not documents:
        raise SettingsError(f"{', '.join(options.filename)}: there are no documents in it")
    given = sort_documents(documents)
    first, *more = given.deployments
    if more:
        raise SettingsError(
            f"{more[0].place}: a second ModelDeployment; explain --diff compares one, so keep one and call it once for"
            " each"
        )
    return first, given.configs


def _find_namespace(options: argparse.Namespace, document: Document, default: str) -> str:
    """The namespace of the edit; what the command line says of name and namespace must not contradict the file."""
    meta = document.value.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    for option, field, given in (("NAME", "name", options.name), ("--namespace", "namespace", options.namespace)):
        written = meta.get(field)
        if given and written and written != given:
            raise SettingsError(
                f"{_locate(document, field)}: metadata.{field} is {written}, and {option} says {given}; make them equal"
                f" or leave {option} out"
            )
    return str(meta.get("namespace") or options.namespace or default)


def _locate(document: Document, field: str) -> str:
    return document.locate(Problem(f"metadata.{field}", "", ""))


def _place(document: Json, namespace: str) -> Json:
    """The document with its namespace said."""
    return {**document, "metadata": {**document["metadata"], "namespace": namespace}}


# ---- offline ----


def _compare_files(
    options: argparse.Namespace,
    document: Json,
    facts: Mapping[str, ProviderFacts],
    registry: Registry,
    *,
    holdings: Holdings,
) -> Update:
    found, others, peers = _read_old(options.old, document["metadata"])
    namespace = document["metadata"]["namespace"]
    live = bool(found.value["metadata"].get("uid"))
    old = _place(found.value, namespace) if live else as_new(found.value, namespace)
    for peer in (old, *(_place(peer, peer["metadata"].get("namespace") or namespace) for peer in peers)):
        holdings.assume(peer)
    snapshot = _assume_world(old, others if live else [], facts, registry)
    return _preview(snapshot, apply_document(snapshot.deployment, document, whole=not live), registry, holdings)


def _read_old(name: str, wanted: Mapping[str, Any]) -> tuple[Document, list[Json], list[Json]]:
    """The deployment of that name and namespace in the file that says how things are, and what else is there.

    First come objects, then other deployments.
    """
    documents = read_documents([name])
    deployments = [document for document in documents if document.kind == MODEL_DEPLOYMENT]
    for document in deployments:
        deployment, problems = read_deployment(document.value)
        if deployment is None:
            texts = (f"{document.locate(problem)}: {problem.path}: {problem.message}" for problem in problems)
            raise SettingsError("; ".join(texts))
        if deployment.name == wanted["name"] and deployment.namespace in {"", wanted["namespace"]}:
            others = [other.value for other in documents if other.kind != MODEL_DEPLOYMENT]
            return document, others, [each.value for each in deployments if each is not document]
    places = ", ".join(f"{_locate(each, 'name')} has {_describe(each)}" for each in deployments) or "it has none"
    raise SettingsError(
        f"{name}: there is no ModelDeployment {wanted['namespace']}/{wanted['name']} to compare with: {places};"
        " metadata.name and metadata.namespace must be those of the new file"
    )


def _describe(document: Document) -> str:
    meta = document.value["metadata"]
    return "/".join(filter(None, (meta.get("namespace"), meta["name"])))


def _assume_world(old: Json, others: list[Json], facts: Mapping[str, ProviderFacts], registry: Registry) -> Snapshot:
    """The world of a deployment from a file: with its objects if they are there too, else as if just made from it."""
    now = datetime.now(UTC)
    if others:
        owned = pick_owned(old, others, facts)
        return Snapshot(
            deployment=old, providers=facts, now=now, owned=owned, find=lambda kind, name: owned.get((kind, name))
        )
    start = Snapshot(deployment=without_pause(old), providers=facts, now=now)
    end = follow_passes(start, registry, Expressions()).end
    meta = {**end.deployment["metadata"], "annotations": old["metadata"].get("annotations") or {}}
    return replace(end, deployment={**end.deployment, "metadata": meta})
