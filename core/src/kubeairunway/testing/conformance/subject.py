"""The provider under test: how to ask it, and the decisions that the rules look at, each made once."""

from __future__ import annotations

import importlib
import inspect
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import pluggy

from kubeairunway.decide.preview import assume_versions
from kubeairunway.model.paths import covers
from kubeairunway.plugin import Request
from kubeairunway.plugin.hookspecs import PROJECT, Hooks
from kubeairunway.plugin.registry import LoadState, Package, Registry, load_registry
from kubeairunway.plugin.typed import schema_of
from kubeairunway.testing.conformance.leaves import set_path
from kubeairunway.testing.conformance.option_values import list_options, list_values
from kubeairunway.testing.conformance.probing import Scene, find_running
from kubeairunway.testing.conformance.texts import TRICKY, TRICKY_LABELS
from kubeairunway.testing.conformance.variations import Change, list_bounds, list_changes, nest
from kubeairunway.testing.offline import OfflineDecision, deployment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kubeairunway.decide.preview import Served
    from kubeairunway.model import ServingMode
    from kubeairunway.plugin import Engine, Kind, Provider

Json = dict[str, Any]

NAME: Final = "model"
_LONG: Final = "qz7k3x9w5v1m8n4b6c2d0fhjlprstgyu-" * 2
_LENGTHS: Final = (63, 56, 50, 45, 40, 35, 30, 25, 20, 15)

_ROLE: Final = {"replicas": 1, "gpu": {"count": 1}}
_IMAGE: Final = {"image": "registry.example/engine:1"}
BASES: Final[Mapping[str, tuple[Json, ...]]] = {
    "aggregated": (
        {"resources": {"gpu": {"count": 1}}},
        {"resources": {"gpu": {"count": 1}}, **_IMAGE},
        {"resources": {"gpu": {"count": 0}}},
        {"resources": {"gpu": {"count": 0}}, **_IMAGE},
    ),
    "disaggregated": (
        {"serving": {"mode": "disaggregated"}, "scaling": {"prefill": _ROLE, "decode": _ROLE}},
        {"serving": {"mode": "disaggregated"}, "scaling": {"prefill": _ROLE, "decode": _ROLE}, **_IMAGE},
    ),
}
"""Plain specs by mode; the first that a provider does not refuse is the one that its fields are varied on."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A decision, and what is special about its spec."""

    title: str
    decision: OfflineDecision


@dataclass(frozen=True, slots=True)
class Varied:
    """A field of the spec with one value and with another."""

    change: Change
    before: OfflineDecision
    after: OfflineDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One engine in one mode, and the plainest spec that is rendered for it; none if all plain specs are refused."""

    engine: Engine
    mode: ServingMode
    base: OfflineDecision | None
    world: str = ""
    tried: tuple[OfflineDecision, ...] = ()

    @property
    def title(self) -> str:
        """The case in words."""
        return f"{self.engine.name} {self.mode}{self.world}"


@dataclass(kw_only=True)
class Subject:
    """One provider, and what it is measured against.

    `target` is an installed provider's name or a module at hand, `crds` a directory of its upstream's CRDs,
    `fixtures` one of recorded objects (`kubeairunway providers record`).
    """

    target: str | ModuleType
    crds: Path | None = None
    fixtures: Path | None = None
    answers: Mapping[str, list[Json]] | None = None  # of processes of their own, see `pure`
    _scenes: dict[str, Scene | None] = field(default_factory=dict)
    _roots: dict[tuple[Any, ...], OfflineDecision] = field(default_factory=dict)

    @cached_property
    def name(self) -> str:
        """The provider's name."""
        return self.target if isinstance(self.target, str) else str(self.target.provider().name)

    @cached_property
    def registry(self) -> Registry:
        """The core's side: every call through it is checked and copied."""
        if isinstance(self.target, str):
            return load_registry(only={self.target})
        return load_registry(modules={self.name: self.target})

    @property
    def package(self) -> Package | None:
        """The package as it was loaded; None if none of that name is installed."""
        return self.registry.get(self.name)

    @property
    def loaded(self) -> bool:
        """Whether there is anything to ask."""
        package = self.package
        return package is not None and package.state is LoadState.LOADED

    @property
    def provider(self) -> Provider:
        """What the package declares."""
        return self.registry.providers[self.name]

    @cached_property
    def module(self) -> ModuleType:
        """The module that the entry point names."""
        if isinstance(self.target, ModuleType):
            return self.target
        package = self.package
        if package is None:
            raise LookupError(f"no provider named {self.name} is installed")
        return importlib.import_module(package.module)

    @cached_property
    def hooks(self) -> Any:  # noqa: ANN401 - pluggy's relay makes its attributes at run time
        """The package's hooks as they are, with nothing of the core's around them."""
        manager = pluggy.PluginManager(PROJECT)
        manager.add_hookspecs(Hooks)
        manager.register(self.module)
        return manager.hook

    @cached_property
    def files(self) -> tuple[Path, ...]:
        """The package's own source files that are loaded."""
        top = self.module.__name__.partition(".")[0]
        modules = [self.module, *(value for name, value in sys.modules.copy().items() if name.partition(".")[0] == top)]
        found = {Path(file) for value in modules if (file := getattr(value, "__file__", None))}
        return tuple(sorted(path for path in found if path.suffix == ".py"))

    def place(self, hook: str) -> str:
        """Where a hook is: its file and name."""
        code = getattr(getattr(self.module, hook, None), "__code__", None)
        if code is None:
            return f"{hook}()"
        path = Path(inspect.getfile(code))
        folder = f"{path.parent.name}/" if path.name == "__init__.py" else ""
        return f"{folder}{path.name}:{code.co_firstlineno} {hook}()"

    # ---- decisions ----

    def root(self, served: Served | None = None, settings: Mapping[str, Any] | None = None) -> OfflineDecision:
        """A deployment in a world where these versions are served and these settings are made."""
        key = (tuple(sorted((served or {}).items())), repr(settings))
        if key not in self._roots:
            more: dict[str, Any] = {"served": served} if served is not None else {}
            self._roots[key] = deployment(
                self.target, name=NAME, settings=settings, model={"id": "sample-org/sample-model"}, **more
            )
        return self._roots[key]

    @cached_property
    def cases(self) -> tuple[Case, ...]:
        """Every engine and mode that is declared, and again where another primary is rendered without some kind."""
        found: list[Case] = []
        for engine in self.provider.engines:
            for mode in engine.modes:
                plain = _make_case(self.root(), engine, mode)
                found += [plain, *self._find_fallbacks(plain)]
        return tuple(found)

    def _find_fallbacks(self, plain: Case) -> Iterator[Case]:
        for kind in (kind for kind in self.provider.kinds if kind.optional and plain.base is not None):
            root = self.root({(kind.group, kind.name): ""})
            other = _make_case(root, plain.engine, plain.mode, f" without {kind.name}")
            if other.base and plain.base and other.base.primary["kind"] != plain.base.primary["kind"]:
                yield other

    @property
    def rendered(self) -> Iterator[tuple[Case, OfflineDecision]]:
        """The cases that render anything, with the plainest decision of each."""
        for case in self.cases:
            if case.base is not None:
                yield case, case.base

    @cached_property
    def varied(self) -> Mapping[str, tuple[Varied, ...]]:
        """Every field of the spec, changed on the plainest spec of each case; by the case's title."""
        return {case.title: tuple(_vary(base)) for case, base in self.rendered}

    @cached_property
    def bounds(self) -> Mapping[str, tuple[Variant, ...]]:
        """The ends of what carried fields may hold, by the case's title."""
        return {
            case.title: tuple(
                Variant(title, base.change(**spec))
                for title, spec in list_bounds()
                if covers(case.engine.carries, _path_of(title))
            )
            for case, base in self.rendered
        }

    @cached_property
    def texts(self) -> Mapping[str, tuple[Variant, ...]]:
        """Tricky texts in carried fields: the title is field, colon, and what is special; by the case's title."""
        return {case.title: tuple(_try_texts(case, base)) for case, base in self.rendered}

    @cached_property
    def _overrides(self) -> tuple[Json, ...]:
        """Every override with every value that is tried, one at a time."""
        cls = self.provider.overrides
        options = list_options(schema_of(cls)) if cls is not None else ()
        return tuple(
            set_path({}, path, value) for path, schema in options if cls for value in list_values(cls, path, schema)
        )

    @cached_property
    def corpus(self) -> tuple[tuple[Case, Variant], ...]:
        """Every rendering of the sweeps above, each different one once; of the tricky texts one per field."""
        found: dict[str, tuple[Case, Variant]] = {}
        for case, base in self.rendered:
            rows = [Variant("the plain spec", base)]
            for varied in self.varied[case.title]:
                rows += [Variant(f"{varied.change.field} changed", each) for each in (varied.before, varied.after)]
            rows += [
                Variant(f"overrides {spec!r}", base.change(provider={"overrides": spec})) for spec in self._overrides
            ]
            rows += self.bounds[case.title]
            rows += {row.title.partition(":")[0]: row for row in self.texts[case.title]}.values()
            rows += [Variant(f"the name {name}", base.rename(name)) for name in find_long_names(base)]
            for row in rows:
                if not row.decision.errors and row.decision.objects:
                    found.setdefault(f"{case.title}{row.decision.objects!r}", (case, row))
        return tuple(found.values())

    def request(self, case: Case) -> Request | None:
        """What hooks get for the plainest spec of a case, whatever they make of it; None if its spec is invalid."""
        if case.base is not None:
            return case.base.request
        made = next((each.seen.decision for each in case.tried if each.seen and each.seen.decision), None)
        if made is None:
            return None
        provider = self.provider
        return Request(
            name=NAME,
            namespace="default",
            spec=made.spec,
            versions=assume_versions(provider),
            overrides=provider.overrides() if provider.overrides else None,
            settings=provider.settings() if provider.settings else None,
        )

    def running(self, case: Case) -> Scene | None:
        """Live objects upon which the core says Ready for the plainest spec of a case; None if none were found."""
        if case.title not in self._scenes:
            found = find_running(self, case.base) if case.base is not None else None
            self._scenes[case.title] = found
        return self._scenes[case.title]


def _make_case(root: OfflineDecision, engine: Engine, mode: ServingMode, world: str = "") -> Case:
    tried = tuple(root.change(engine={"type": engine.name}, **base) for base in BASES[mode])
    base = next((each for each in tried if not each.errors and each.objects), None)
    return Case(engine=engine, mode=mode, base=base, world=world, tried=tried)


def _vary(base: OfflineDecision) -> Iterator[Varied]:
    """Every change on one base; what one ends with another often starts with, and is decided once."""
    made: dict[str, OfflineDecision] = {repr({}): base}
    for change in list_changes():
        for spec in (change.before, change.after):
            if repr(spec) not in made:
                made[repr(spec)] = base.change(**spec)
        yield Varied(change, made[repr(change.before)], made[repr(change.after)])


def _path_of(title: str) -> str:
    return title.partition(" ")[0]


_PLACES: Final[Mapping[str, Callable[[str], Any]]] = {
    "engine.args": lambda text: {"note": text},
    "engine.extraArgs": lambda text: [f"--note={text}"],
    "env": lambda text: [{"name": "NOTE", "value": text}],
    "podTemplate.metadata.annotations": lambda text: {"sample.example/note": text},
}
_LABELS: Final = ("nodeSelector", "podTemplate.metadata.labels")


def _try_texts(case: Case, base: OfflineDecision) -> Iterator[Variant]:
    for path, wrap in _PLACES.items():
        if covers(case.engine.carries, path):
            for title, text in TRICKY.items():
                yield Variant(f"{path}: {title}", base.change(**nest(path, wrap(text))))
    for path in _LABELS:
        if covers(case.engine.carries, path):
            for text in TRICKY_LABELS:
                yield Variant(f"{path}: {text}", base.change(**nest(path, {"sample.example/note": text})))


def find_long_names(base: OfflineDecision) -> tuple[str, str]:
    """Two names that differ in their last letter alone, as long as what is rendered bears (at most 63)."""
    pairs = [(f"{_LONG[: size - 1]}a", f"{_LONG[: size - 1]}b") for size in _LENGTHS]
    return next((pair for pair in pairs if base.rename(pair[0]).objects), pairs[-1])


def kind_named(kinds: tuple[Kind, ...], obj: Mapping[str, Any]) -> Kind | None:
    """The declared kind of an object."""
    group = str(obj["apiVersion"]).rpartition("/")[0]
    return next((kind for kind in kinds if (kind.group, kind.name) == (group, obj["kind"])), None)
