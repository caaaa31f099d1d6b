"""The rule that hooks are quick: the controller asks them for every deployment, several times a minute."""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from kubeairunway.testing.conformance.findings import Finding
from kubeairunway.testing.conformance.probing import make_scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kubeairunway.plugin import Request
    from kubeairunway.testing.conformance.probing import Scene
    from kubeairunway.testing.conformance.subject import Subject

BUDGET: Final = 0.010
"""Seconds that the median call may take: shipped hooks take a fiftieth of it, and a controller has 10,000 to ask."""
CALLS: Final = 15
ROUNDS: Final = 3
"""The best of so many rounds counts, so that a busy machine accuses nobody."""


def check_pace(subject: Subject) -> Iterator[Finding]:
    """The median call of every hook takes less than the budget."""
    for case, base in subject.rendered:
        request = base.request
        scene = subject.running(case) or make_scene(base)
        hooks = subject.hooks
        calls: dict[str, Callable[[], object]] = {
            "validate": partial(_read_all, hooks.validate, request),
            "select": partial(hooks.select, request=request),
            "render": partial(hooks.render, request=request),
            "status": partial(_read, hooks.status, request, scene),
        }
        for hook, call in calls.items():
            took = _measure(call)
            if took > BUDGET:
                text = f"{case.title}: a call takes {took * 1000:.1f} ms, and {BUDGET * 1000:g} ms are allowed"
                yield Finding(
                    subject.place(hook), text, "work out once, when the module is imported, what never changes"
                )


def _read_all(hook: Any, request: Request) -> list[Any]:  # noqa: ANN401 - pluggy's
    return list(hook(request=request) or ())


def _read(hook: Any, request: Request, scene: Scene) -> object:  # noqa: ANN401 - pluggy's
    return hook(request=request, observed=scene.observed)


def _measure(call: Callable[[], object]) -> float:
    """The median of the best round, in seconds; a slow hook is not asked more often than shows that it is."""
    best = float("inf")
    for _ in range(ROUNDS):
        took = [_time(call) for _ in range(CALLS)]
        best = min(best, statistics.median(took))
        if best <= BUDGET:
            break
    return best


def _time(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    try:
        call()
    except Exception:  # noqa: BLE001 - the package's code may raise anything, and other rules say so
        return 0.0
    return time.perf_counter() - start
