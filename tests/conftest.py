"""What holds for all tests: the fast ones run first, and nobody's real cluster is touched."""

from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "house",
    derandomize=True,  # the same examples everywhere: a failure is never a surprise of the day
    deadline=None,  # two busy cores say nothing about code
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")

ROOT = Path(__file__).parents[1]
ORDER = ("house", "core", "contract", "plugins", "scenarios", "dev", "packaging", "cluster")
"""Folders of tests/, fastest first; those not named run just before packaging."""
UNNAMED = ORDER.index("packaging") - 0.5


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(autouse=True, scope="session")
def _forget_the_users_cluster() -> Iterator[None]:
    """Take away what would lead a test to a cluster that is not ours."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KUBECONFIG", raising=False)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort by folder; within a folder the order stays. What shares a control plane stays in one process (xdist)."""
    items.sort(key=rank_test)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(name_group(item.path.relative_to(ROOT / "tests"))))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None]:
    """End a folder's control plane with its last test: an idle one still takes a fifth of a processor."""
    yield
    place = item.path.relative_to(ROOT / "tests").parent
    follows = nextitem.path.relative_to(ROOT / "tests").parent if nextitem is not None else None
    if place.parts[0] != "cluster" or follows is None or place == follows or place in follows.parents:
        return
    for definitions in item._fixtureinfo.name2fixturedefs.values():  # type: ignore[attr-defined]
        for definition in definitions:
            if definition.scope == "session" and definition.baseid == f"tests/{place.as_posix()}":
                definition.finish(item._request)  # type: ignore[attr-defined]


def name_group(path: Path) -> str:
    """Return what a test is kept together with: its folder if it needs a cluster, else its file."""
    return str(path.parent if path.parts[0] in {"cluster", "dev"} else path)


def rank_test(item: pytest.Item) -> float:
    """Return where a test's folder stands in the order."""
    folder = item.path.relative_to(ROOT / "tests").parts[0]
    return ORDER.index(folder) if folder in ORDER else UNNAMED
