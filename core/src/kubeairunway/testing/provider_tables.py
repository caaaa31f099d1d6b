"""Tables about providers for a page in Markdown, written from what their packages declare and render.

`python -m kubeairunway.testing.provider_tables PAGE` writes them anew between the page's two markers, the first of
which names the providers: `<!-- tables of acme, other -->` and `<!-- end of tables -->`.
"""

from __future__ import annotations

import re
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kubeairunway.errors import SettingsError
from kubeairunway.model.crd_reference import describe_fields
from kubeairunway.model.paths import CORE_PATHS, covers, leaf_paths
from kubeairunway.model.spec import ENGINE_TITLES, Spec
from kubeairunway.plugin.registry import load_registry
from kubeairunway.plugin.typed import schema_of
from kubeairunway.testing.conformance import Subject
from kubeairunway.testing.conformance.probing import ask
from kubeairunway.testing.conformance.subject import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kubeairunway.model.spec import ServingMode
    from kubeairunway.plugin import Engine, Kind, Provider
    from kubeairunway.testing.conformance.subject import Case
    from kubeairunway.testing.offline import OfflineDecision

MARKERS: Final = re.compile(r"(<!-- tables of ([a-z0-9, -]+) -->\n).*?(<!-- end of tables -->)", re.DOTALL)
CARRIED: Final = "carried"
REFUSED: Final = "refused"
_HASH: Final = re.compile(r"-[0-9a-f]{10}$")
_OPTIONS: Final = "| field | type | default | constraints | meaning |\n|---|---|---|---|---|"


@dataclass(frozen=True, slots=True)
class Column:
    """One engine of a provider in one mode, as a column of the table of fields."""

    provider: str
    engine: Engine
    mode: ServingMode

    @property
    def title(self) -> str:
        """What stands over the column."""
        mode = " apart" if self.mode == "disaggregated" else ""
        return f"{self.provider} {ENGINE_TITLES[self.engine.name]}{mode}"


def rewrite_page(text: str) -> str:
    """Return the page with its tables as they are now.

    Raises SettingsError for a page without markers, or one that names a provider which is not loaded.
    """
    found = MARKERS.search(text)
    if found is None:
        raise SettingsError("the page has no line <!-- tables of NAME, NAME --> with <!-- end of tables --> below it")
    names = [name.strip() for name in found[2].split(",")]
    return text[: found.start()] + found[1] + describe_providers(names) + found[3] + text[found.end() :]


def describe_providers(names: Sequence[str]) -> str:
    """Return the table of fields, and for each provider what it declares. Raises SettingsError if one is not loaded."""
    with closing(load_registry(only=set(names))) as registry:
        for name in names:
            if name not in registry.providers:
                package = registry.get(name)
                why = package.reason if package else "no package of that name is installed"
                raise SettingsError(f"provider {name} cannot be described: {why}")
        providers = [registry.providers[name] for name in names]
    parts = [*describe_field_table(providers), *(line for each in providers for line in _describe_provider(each))]
    return "\n" + "\n".join(parts) + "\n"


# ---- the fields ----


def list_columns(providers: Sequence[Provider]) -> tuple[Column, ...]:
    """Return every engine in every mode, in the order of the declarations."""
    return tuple(
        Column(provider.name, engine, mode)
        for provider in providers
        for engine in provider.engines
        for mode in engine.modes
    )


def list_fields() -> tuple[str, ...]:
    """Return every field that a provider can carry, in the order of the schema."""
    return tuple(path for path in _ordered_leaves() if not covers(CORE_PATHS, path))


def _ordered_leaves() -> Iterator[str]:
    order = list(Spec.model_json_schema(by_alias=True)["properties"])
    yield from sorted(leaf_paths(), key=lambda path: (order.index(path.partition(".")[0]), path))


def describe_field_table(providers: Sequence[Provider]) -> Iterator[str]:
    """Yield the lines of the table: a field in each row, an engine in a mode in each column."""
    columns = list_columns(providers)
    yield "### Fields\n"
    yield "| field | " + " | ".join(column.title for column in columns) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for field in list_fields():
        cells = (CARRIED if covers(column.engine.carries, field) else REFUSED for column in columns)
        yield f"| `{field}` | " + " | ".join(cells) + " |"
    yield ""


# ---- one provider ----


def _describe_provider(provider: Provider) -> Iterator[str]:
    chosen = "May be chosen without being named" if provider.auto_select else "Runs only what names it"
    docs = f" Upstream's documentation: <{provider.docs}>." if provider.docs else ""
    yield f"### {provider.name}\n"
    yield f"{chosen} in `spec.provider.name`.{docs}\n"
    yield from _describe_engines(provider)
    yield from _describe_kinds(provider)
    yield from _describe_rules(provider)
    for title, place, options in (
        ("Overrides", "spec.provider.overrides", provider.overrides),
        ("Settings", "spec.settings", provider.settings),
    ):
        whose = "of one deployment" if title == "Overrides" else "of the cluster, in the InferenceProviderConfig"
        if options is not None:
            yield f"{title} ({whose}):\n"
            yield _OPTIONS
            yield from (row.replace(f"| `{place}.", "| `", 1) for row in describe_fields(place, schema_of(options)))
            yield ""


def _describe_engines(provider: Provider) -> Iterator[str]:
    subject = Subject(target=provider.name)
    with closing(subject.registry):
        yield "| engine | mode | on | objects of a deployment `NAME` | called at |"
        yield "|---|---|---|---|---|"
        for case in subject.cases:
            if case.base is not None:
                engine = case.engine
                places = " or ".join(word for word, has in (("GPU", engine.gpu), ("CPU", engine.cpu)) if has)
                title = f"{ENGINE_TITLES[engine.name]}{case.world}"
                objects = ", ".join(_name_object(obj) for obj in case.base.objects)
                yield f"| {title} | {case.mode} | {places} | {objects} | {_find_endpoint(subject, case, case.base)} |"
        yield ""


def _name_object(obj: dict[str, object]) -> str:
    meta = obj["metadata"]
    name = str(meta["name"]) if isinstance(meta, dict) else ""
    return f"{obj['kind']} `{_spell_name(name)}`"


def _spell_name(name: str) -> str:
    return _HASH.sub("-HASH", f"NAME{name.removeprefix(NAME)}" if name.startswith(NAME) else name)


def _find_endpoint(subject: Subject, case: Case, base: OfflineDecision) -> str:
    """Service and port once upstream says that it runs, if a status was found that says so."""
    scene = subject.running(case)
    report = ask(subject, base.request, scene) if scene else None
    return f"`{_spell_name(report.service)}:{report.port}`" if report and report.service else "see `status.endpoint`"


def _describe_kinds(provider: Provider) -> Iterator[str]:
    yield "| kind | versions, best first | longest name | `recreate` | `surge` | `restart` |"
    yield "|---|---|---|---|---|---|"
    for kind in provider.kinds:
        optional = ", optional" if kind.optional else ""
        versions = ", ".join(f"`{kind.group}/{version}`" if kind.group else f"`{version}`" for version in kind.versions)
        surge = f"{_spell_paths(kind.surge)} ({_spell_extra(kind)})" if kind.surge else ""
        paths = f"{_spell_paths(kind.recreate)} | {surge} | {_spell_paths(kind.restart)}"
        yield f"| {kind.name}{optional} | {versions} | {kind.max_name} | {paths} |"
    yield ""
    if provider.children:
        below = ", ".join(kind.name for kind in provider.children)
        yield f"Upstream makes below them, and the status is read from: {below}.\n"
    if provider.operator:
        labels = ", ".join(f"`{key}: {value}`" for key, value in sorted(provider.operator.items()))
        yield f"Ready while a Deployment of upstream's operator is available that has {labels}.\n"


def _spell_paths(paths: Sequence[str]) -> str:
    return ", ".join(f"`{path}`" for path in paths)


def _spell_extra(kind: Kind) -> str:
    if not kind.surge_replicas:
        return "a whole second set"
    return f"{kind.surge_replicas} replica{'s' if kind.surge_replicas > 1 else ''} more"


def _describe_rules(provider: Provider) -> Iterator[str]:
    if not provider.rules:
        yield "It has no selection rules.\n"
        return
    yield "| rule | priority | condition |"
    yield "|---|---|---|"
    for rule in provider.rules:
        condition = " ".join(rule.condition.split()).replace("|", "\\|")
        yield f"| {rule.name} | {rule.priority} | `{condition}` |"
    yield ""


def main() -> None:
    """Rewrite the pages that the arguments name, and print their paths."""
    for name in sys.argv[1:]:
        page = Path(name)
        page.write_text(rewrite_page(page.read_text(encoding="utf-8")), encoding="utf-8")
        sys.stdout.write(f"{page}\n")


if __name__ == "__main__":
    main()
