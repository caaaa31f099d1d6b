"""Rules about overrides and settings: typed, documented, and of an effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeairunway.plugin.typed import read_typed, schema_of
from kubeairunway.testing.conformance.findings import Finding
from kubeairunway.testing.conformance.leaves import set_path, spell_json
from kubeairunway.testing.conformance.option_values import list_options, list_values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kubeairunway.testing.conformance.subject import Subject
    from kubeairunway.testing.offline import OfflineDecision


def check_types(subject: Subject) -> Iterator[Finding]:
    """Options have defaults and a schema, and unknown ones are refused by name."""
    for field, cls in (("overrides", subject.provider.overrides), ("settings", subject.provider.settings)):
        if cls is None:
            continue
        value, problems = read_typed(cls, {}, f"spec.{field}")
        if problems or value != cls():
            yield Finding(f"Provider.{field}", "nothing given is not the defaults", "give every field a default")
        if schema_of(cls).get("type") != "object":
            yield Finding(f"Provider.{field}", "has no schema of an object", "declare a frozen dataclass")
        _, problems = read_typed(cls, {"noSuchOption": 1}, f"spec.{field}")
        if [problem.path for problem in problems] != [f"spec.{field}.noSuchOption"]:
            yield Finding(f"Provider.{field}", "an unknown option is taken", "declare a dataclass, not a map")


def check_documented(subject: Subject) -> Iterator[Finding]:
    """Every option has a description in the published schema."""
    for field, cls in (("overrides", subject.provider.overrides), ("settings", subject.provider.settings)):
        if cls is not None:
            for path, schema in list_options(schema_of(cls)):
                if not schema.get("description"):
                    where = f"Provider.{field}: {cls.__name__}.{path}"
                    yield Finding(where, "has no description", "write a text below the field; UIs show it")


def check_effect(subject: Subject) -> Iterator[Finding]:
    """Every override changes the rendering, or is refused where it would not."""
    cls = subject.provider.overrides
    if cls is None:
        return
    for path, schema in list_options(schema_of(cls)):
        values = list_values(cls, path, schema)
        if not values:
            text = "none of the values that were tried fits its type, so its effect was not looked at"
            yield Finding(f"{cls.__name__}.{path}", text, note=True)
        for case, base in subject.rendered:
            if values and all(_is_ignored(base, path, value) for value in values):
                yield Finding(
                    f"{cls.__name__}.{path}, {subject.place('render')}",
                    f"overrides.{path} changes nothing in {case.title}, whatever its value "
                    f"({', '.join(map(spell_json, values))})",
                    "render it, or object in validate() where it has no effect",
                )


def _is_ignored(base: OfflineDecision, path: str, value: Any) -> bool:  # noqa: ANN401 - JSON of any shape
    after = base.change(provider={"overrides": set_path({}, path, value)})
    return not after.errors and not after.hook_error and after.objects == base.objects
