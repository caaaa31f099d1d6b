"""A watch that runs only while somebody needs it, and that waits long where it is not allowed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeairunway.runtime.watches import Watch

IDLE_SECONDS: Final = 300.0
"""How long a watch goes on after nobody needs it: the next deployment that starts finds its pods known."""

DENIED_SECONDS: Final = 300.0
"""How long a watch that is not allowed rests before the right is looked for again."""

LOOK_SECONDS: Final = 0.05
"""How often a watch that begins is looked at until it holds a list or is refused; nothing is asked for that."""

log = logging.getLogger(__name__)


class LazyWatch:
    """Starts what `make` returns when it is needed. `on_ready()` is called once its state is known: complete or denied.

    `on_end()` is called when it stops, so that what was learnt from it can be dropped.
    """

    def __init__(
        self,
        make: Callable[[], Watch],
        tasks: asyncio.TaskGroup,
        *,
        on_ready: Callable[[], None],
        on_end: Callable[[], None],
    ) -> None:
        self._make = make
        self._tasks = tasks
        self._on_ready = on_ready
        self._on_end = on_end
        self._watch: Watch | None = None
        self._runner: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._denied = False

    @property
    def pending(self) -> bool:
        """Whether it will tell more in a moment; true as well before it is started."""
        watch = self._watch
        return not self._denied and (watch is None or watch.is_new)

    @property
    def known(self) -> bool:
        """Whether what it shows is complete and may still be read."""
        watch = self._watch
        return not self._denied and watch is not None and watch.has_synced and not watch.forbidden

    def need(self) -> None:
        """Run, from now until `release`."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._runner is None:
            self._runner = self._tasks.create_task(self._run(), name="lazy watch")

    def release(self) -> None:
        """Nobody needs it now: it stops after a while, unless somebody does again."""
        if self._runner is not None and self._idle is None:
            self._idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._end)

    async def _run(self) -> None:
        while True:
            watch = self._watch = self._make()
            watch.start(self._tasks)
            try:
                while watch.is_new:  # noqa: ASYNC110 - complete or refused, whichever comes first
                    await asyncio.sleep(LOOK_SECONDS)
                self._denied, late = watch.forbidden, not watch.has_synced
                self._on_ready()
                if not self._denied:
                    await watch.wait_synced()
                    if late:  # nobody waited for it any longer
                        self._on_ready()
                    await asyncio.Event().wait()
                log.warning("%s may not be read: %s", watch.resource.plural, watch.problem)
            finally:
                await watch.stop()
            await asyncio.sleep(DENIED_SECONDS)

    def _end(self) -> None:
        """The runner stops its watch while it is cancelled; what is needed meanwhile gets another one."""
        runner, self._runner = self._runner, None
        self._watch, self._idle, self._denied = None, None, False
        if runner is not None:
            runner.cancel()
        self._on_end()
