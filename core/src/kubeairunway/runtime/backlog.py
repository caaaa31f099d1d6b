"""Many keys at once, handed to the queue a few at a time, so that what happens meanwhile waits for few of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kubeairunway.runtime.conflicts import Key

PAUSE: Final = 0.02
"""Seconds between looks at the queue: a pass that writes takes longer than that."""
DRIP: Final = 0.5
"""Seconds after which one key goes on however long the queue is, so that a busy cluster cannot starve new ones."""


class Backlog:
    """Keys that want a pass some time soon; `depth` says how many wait in the queue, `add` puts one there."""

    def __init__(self, *, batch: int, depth: Callable[[], int], add: Callable[[Key], None]) -> None:
        self._batch = batch
        self._depth = depth
        self._add = add
        self._keys: dict[Key, None] = {}
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def put(self, keys: Iterable[Key]) -> None:
        """Add keys behind those that wait already."""
        self._keys |= dict.fromkeys(keys)
        if self._keys and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._drain(), name="backlog")

    def close(self) -> None:
        """Forget what waits."""
        self._keys.clear()
        if self._task is not None:
            self._task.cancel()

    async def _drain(self) -> None:
        clock = asyncio.get_running_loop().time
        last = clock()
        while self._keys:
            room = self._batch - self._depth()
            if room <= 0 and clock() - last >= DRIP:
                room = 1
            for _ in range(min(room, len(self._keys))):
                key = next(iter(self._keys))
                del self._keys[key]
                self._add(key)
                last = clock()
            await asyncio.sleep(PAUSE if self._keys else 0)
