"""Every seeded fault is found by the rule that it breaks, and the provider that has none keeps every rule."""

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

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
