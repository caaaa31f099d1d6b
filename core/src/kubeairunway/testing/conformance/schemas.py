"""The rule that what is rendered is valid, under upstream's CRDs and the small schemas of Kubernetes' own kinds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.testing.conformance.builtin import CONTAINER, GROUPS, SCHEMAS
from kubeairunway.testing.conformance.crds import Crd, as_json_schema, read_crds
from kubeairunway.testing.conformance.findings import Finding
from kubeairunway.testing.conformance.leaves import spell_path, walk_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from kubeairunway.plugin import Kind
    from kubeairunway.testing.conformance.subject import Case, Subject
    from kubeairunway.testing.offline import OfflineDecision

Json = dict[str, Any]

EXTRA: Final = "pip install 'kubeairunway[testing]'"
_LONGEST: Final = 160


def check_schemas(subject: Subject) -> Iterator[Finding]:
    """Everything that is rendered is valid under the schema of its kind, in each version that a CRD makes it take."""
    if importlib.util.find_spec("jsonschema") is None:
        yield Finding("jsonschema", "is not installed, so no schema was looked at", EXTRA, note=True)
        return
    yield from _check_builtin(subject)
    crds = find_crds(subject)
    for kind in subject.provider.kinds:
        mine = [crd for crd in crds if (crd.group, crd.kind) == (kind.group, kind.name)]
        if kind.group in GROUPS:
            if (kind.group, kind.name) not in SCHEMAS:
                yield Finding(f"Kind {kind.name}", "is Kubernetes' own, and not looked at here", note=True)
        elif not mine:
            yield _missing_crd(subject, kind, crds)
        for crd in mine:
            yield from _check_crd(subject, kind, crd)


def find_crds(subject: Subject) -> tuple[Crd, ...]:
    """The CRDs that were given, or else those in the package's own folder `crds`."""
    file = subject.module.__file__
    own = Path(file).parent / "crds" if file else None
    directory = subject.crds or (own if own is not None and own.is_dir() else None)
    groups = frozenset(kind.group for kind in subject.provider.kinds) - GROUPS
    return read_crds(directory, groups) if directory is not None and groups else ()


def _missing_crd(subject: Subject, kind: Kind, crds: tuple[Crd, ...]) -> Finding:
    same = sorted({crd.kind for crd in crds if crd.group == kind.group})
    if subject.crds is not None and same:
        return Finding(f"Kind {kind.name}", f"the CRDs of {kind.group} define {', '.join(same)} and no {kind.name}", "")
    text = f"no CRD of {kind.group} is given, so its schema was not looked at"
    return Finding(f"Kind {kind.name}", text, "give --crds DIR", note=True)


def _check_crd(subject: Subject, kind: Kind, crd: Crd) -> Iterator[Finding]:
    version = crd.choose(kind)
    if not version:
        text = f"{crd.file} serves {', '.join(crd.schemas)}, and declared are {', '.join(kind.versions)}"
        yield Finding(f"Kind {kind.name}.versions", text, "declare a version that upstream serves")
        return
    check = _Validator(as_json_schema(crd.schemas[version], top=True))
    for case, title, decision in _list_decisions(subject, kind, version):
        for obj in decision.objects:
            if obj["kind"] == kind.name and obj["apiVersion"] == f"{kind.group}/{version}":
                yield from check(f"{crd.file}, {version}", f"{case.title}, {title}", obj, subject.place("render"))


def _list_decisions(subject: Subject, kind: Kind, version: str) -> Iterator[tuple[Case, str, OfflineDecision]]:
    """All renderings where that version is the one that is served."""
    if version == kind.versions[0]:
        for case, row in subject.corpus:
            yield case, row.title, row.decision
        return
    root = subject.root({(kind.group, kind.name): version})
    for case, base in subject.rendered:
        older = root.change(**base.document["spec"])
        yield case, "the plain spec", older
        for varied in subject.varied[case.title]:
            yield case, f"{varied.change.field} changed", older.change(**varied.change.after)


def _check_builtin(subject: Subject) -> Iterator[Finding]:
    checks = {key: _Validator(schema) for key, schema in SCHEMAS.items()}
    container = _Validator(CONTAINER)
    for case, row in subject.corpus:
        for obj in row.decision.objects:
            title, place = f"{case.title}, {row.title}", subject.place("render")
            key = (str(obj["apiVersion"]).rpartition("/")[0], obj["kind"])
            if key in checks:
                yield from checks[key]("Kubernetes", title, obj, place)
            for path, value in walk_values(obj):
                if path and path[-1] in ("containers", "initContainers") and isinstance(value, list):
                    for item in value:
                        yield from container("a container", title, item, place, f"{obj['kind']}.{spell_path(path)}")
            if key[0] == "apps" and (text := _check_selector(obj)):
                yield Finding(place, f"{title}: {text}", "put the selector's labels into the template")


def _check_selector(obj: Mapping[str, Any]) -> str:
    spec = obj.get("spec", {})
    wanted = spec.get("selector", {}).get("matchLabels", {})
    labels = spec.get("template", {}).get("metadata", {}).get("labels", {})
    missing = {key: text for key, text in wanted.items() if labels.get(key) != text}
    return f"{obj['kind']}.spec.selector asks for {missing}, and the template's pods have {labels}" if missing else ""


class _Validator:
    """A schema that was compiled once, and remembers what it has said."""

    def __init__(self, schema: Json) -> None:
        import jsonschema  # noqa: PLC0415 - an extra: the command line works without it

        more = {"x-list-keys": _check_keys, "additionalProperties": _check_unknown}
        checker: Any = jsonschema.validators.extend(jsonschema.Draft4Validator, more)  # type: ignore[no-untyped-call]  # the stubs'
        self._validator = checker(schema)
        self._said: set[str] = set()

    def __call__(
        self,
        source: str,
        title: str,
        obj: Any,  # noqa: ANN401 - JSON of any shape
        place: str,
        where: str = "",
    ) -> Iterator[Finding]:
        """Every error that was not said before."""
        for error in self._validator.iter_errors(obj):
            path = spell_path(tuple(error.absolute_path))
            text = error.message if len(error.message) <= _LONGEST else f"{error.message[:_LONGEST]}..."
            key = f"{where}{path}{error.validator}{text if error.validator == 'additionalProperties' else ''}"
            if key not in self._said:
                self._said.add(key)
                start = where or obj.get("kind", "")
                yield Finding(
                    place, f"{title}: {start}.{path}: {text} ({source})", "render what upstream's schema takes"
                )


def _check_keys(validator: Any, keys: Any, value: Any, schema: Any) -> Iterator[Any]:  # noqa: ANN401, ARG001 - the library's
    """Items of a list that is a map have keys of their own."""
    import jsonschema  # noqa: PLC0415 - an extra

    rows = [tuple(str(item.get(key)) for key in keys) for item in value if isinstance(item, dict)]
    for twice in sorted({row for row in rows if rows.count(row) > 1}):
        yield jsonschema.ValidationError(f"two items have {', '.join(keys)} {', '.join(twice)}")


def _check_unknown(validator: Any, below: Any, value: Any, schema: Json) -> Iterable[Any]:  # noqa: ANN401 - the library's
    """Unknown fields by name, one error each: the API server would drop them."""
    import jsonschema  # noqa: PLC0415 - an extra

    if not isinstance(value, dict):
        return
    known = schema.get("properties", {})
    for name in sorted(value.keys() - known.keys()):
        if below is False:
            yield jsonschema.ValidationError(f"{name} is no field of the schema, and would be dropped")
        elif isinstance(below, dict):
            yield from validator.descend(value[name], below, path=name)
