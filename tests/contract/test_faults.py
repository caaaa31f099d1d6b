"""Every seeded fault is found by the rule that it breaks, and the provider that has none keeps every rule."""

import dataclasses
import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubeairunway.testing import offline
from kubeairunway.testing.conformance import RULES, Subject, check_provider, check_rule

FOLDER = Path(__file__).parent / "faults"
SOUND = (FOLDER / "sound.py").read_text(encoding="utf-8")
BY_ID = {rule.id: rule for rule in RULES}
NEVER_SEEDED = {"package-name", "carries-exist", "carries-complete", "options-typed"}
"""Rules that the core enforces when a package is loaded or a deployment decided: no package gets so far."""

Make = Callable[[str], Subject]


def load_faults() -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("faults_of_sound", FOLDER / "faults.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


FAULTS = load_faults().FAULTS


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Installs a package made of a source text, and forgets it with the test."""
    made: list[Subject] = []
    monkeypatch.syspath_prepend(tmp_path)

    def install(source: str) -> Subject:
        (tmp_path / "sound.py").write_text(source, encoding="utf-8")
        info = tmp_path / "sound-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sound\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[kubeairunway.providers]\nsound = sound\n")
        importlib.invalidate_caches()
        made.append(Subject(target="sound", crds=FOLDER / "crds", fixtures=FOLDER / "fixtures"))
        return made[-1]

    yield install
    for subject in made:
        subject.registry.close()
    sys.modules.pop("sound", None)
    offline._load_installed.cache_clear()


def seed(name: str) -> str:
    """The source of sound.py with one fault."""
    source = SOUND
    for old, new in FAULTS[name].edits:
        assert source.count(old) == 1, f"{old!r} stands {source.count(old)} times in sound.py"
        source = source.replace(old, new)
    return source


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_the_rule_that_it_breaks(name: str, make: Make) -> None:
    verdict = check_rule(BY_ID[FAULTS[name].rule], make(seed(name)))
    assert not verdict.passed
    assert all("could not be made" not in finding.message for finding in verdict.findings), verdict.describe()
    first = verdict.findings[0]
    assert first.where
    assert first.message
    assert f"rule {verdict.rule.id} in docs/provider-contract.md" in verdict.describe()


def test_the_provider_without_a_fault_keeps_every_rule(make: Make) -> None:
    verdicts = list(check_provider(make(SOUND)))
    assert [verdict.describe() for verdict in verdicts if not verdict.passed] == []
    assert [note.describe() for verdict in verdicts for note in verdict.notes] == []


def test_every_rule_has_a_fault_that_only_it_is_asked_to_find() -> None:
    assert {fault.rule for fault in FAULTS.values()} == set(BY_ID) - NEVER_SEEDED


# ---- rules that the core enforces as well: what gets past it here is found all the same ----


@dataclass(frozen=True)
class Needy:
    """Options of which one has no default."""

    cache: str


def declare(**fields: Any) -> Callable[[Subject], None]:
    """Changes what the provider is taken to declare, behind the back of the core."""

    def change(subject: Subject) -> None:
        declared = dataclasses.replace(subject.provider, **fields)
        subject.registry.providers = types.MappingProxyType({"sound": declared})

    return change


def carry(subject: Subject, add: frozenset[str] = frozenset(), drop: frozenset[str] = frozenset()) -> None:
    engine = subject.provider.engines[0]
    changed = dataclasses.replace(engine, carries=(engine.carries | add) - drop)
    cases = tuple(dataclasses.replace(case, engine=changed) for case in subject.cases)
    declare(engines=(changed,))(subject)
    subject.__dict__["cases"] = cases


PAST: dict[str, tuple[str, Callable[[Subject], None]]] = {
    "another name": ("package-name", declare(name="other")),
    "another contract": ("package-name", declare(contract=2)),
    "a path that is not there": ("carries-exist", lambda subject: carry(subject, add=frozenset({"engine.argz"}))),
    "a field that nobody refuses": ("carries-complete", lambda subject: carry(subject, drop=frozenset({"env"}))),
    "an option without a default": ("options-typed", declare(overrides=Needy)),
}


@pytest.mark.parametrize("name", PAST)
def test_what_got_past_the_core_is_found(name: str, make: Make) -> None:
    rule, change = PAST[name]
    subject = make(SOUND)
    assert check_rule(BY_ID[rule], subject).passed
    change(subject)
    verdict = check_rule(BY_ID[rule], subject)
    assert not verdict.passed
    assert "could not be made" not in verdict.describe()


def test_those_are_the_rules_without_a_fault() -> None:
    assert {rule for rule, _ in PAST.values()} == NEVER_SEEDED


# ---- what is not looked at is said ----


def test_without_a_crd_a_note_says_what_to_give(make: Make) -> None:
    subject = make(SOUND)
    subject.crds = None
    verdict = check_rule(BY_ID["render-schema"], subject)
    assert verdict.passed
    assert [note.where for note in verdict.notes] == ["Kind Server", "Kind Monitor"]
    assert "give --crds DIR" in verdict.notes[0].describe()


def test_without_the_schema_library_a_note_says_what_to_install(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # noqa: ARG005 - as the library calls it
    verdict = check_rule(BY_ID["render-schema"], make(SOUND))
    assert [note.describe() for note in verdict.notes] == [
        "jsonschema: is not installed, so no schema was looked at; pip install 'kubeairunway[testing]'"
    ]


def test_without_a_fixture_a_status_that_serves_is_found(make: Make) -> None:
    subject = make(SOUND)
    subject.fixtures = None
    verdict = check_rule(BY_ID["status-reachable"], subject)
    assert (verdict.passed, verdict.notes) == (True, ())
    scene = subject.running(subject.cases[0])
    assert scene is not None
    assert scene.primary["status"]["phase"] == "Serving"


def test_where_none_is_found_a_note_says_how_to_record_one(make: Make) -> None:
    subject = make(seed("nothing is ever running"))
    subject.fixtures = None
    verdict = check_rule(BY_ID["status-reachable"], subject)
    assert verdict.passed
    assert "kubeairunway providers record" in verdict.notes[0].describe()


def test_a_check_that_fails_itself_is_no_rule_kept(make: Make, tmp_path: Path) -> None:
    subject = make(SOUND)
    subject.crds = tmp_path / "nowhere"
    verdict = check_rule(BY_ID["render-schema"], subject)
    assert not verdict.passed
    assert "nowhere is no directory" in verdict.describe()
