"""Provider hooks that fail: kept from the first failure until a later call of the same hook succeeds and stays so."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

QUIET_SECONDS: Final = 10.0
"""How long a hook that failed must go without failing, once it succeeded: one that fails for some deployments only
would otherwise change the provider's config with each of them."""

HookKey = tuple[str, str]
"""Provider and hook."""

_Entry = tuple[str]  # of its own for each failure, so that `is` tells a new one from an old one of the same words


class HookErrors:
    """The last error of each hook that failed; `fail` and `succeed` may be called from any thread."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        """`on_change()` is called on the running loop when a provider's hooks become unwell or well again."""
        self._loop = asyncio.get_running_loop()
        self._on_change = on_change
        self._lock = Lock()
        self._errors: dict[HookKey, _Entry] = {}
        self._clearing: dict[HookKey, asyncio.TimerHandle] = {}
        self._unwell: set[str] = set()
        self._learning: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Forget everything: calls are made from now on, and what a config says already stands until they tell."""
        for timer in (*self._clearing.values(), *([self._learning] if self._learning is not None else [])):
            timer.cancel()
        self._clearing.clear()
        self._unwell.clear()
        with self._lock:
            self._errors.clear()
        self._learning = self._loop.call_later(QUIET_SECONDS, self._end_learning)

    def of(self, provider: str) -> dict[str, str] | None:
        """The last error of each failing hook of a provider; None if none failed, but it is too early to tell."""
        with self._lock:
            found = {hook: text for (owner, hook), (text,) in self._errors.items() if owner == provider}
        return None if not found and self._learning is not None else found

    def fail(self, provider: str, hook: str, error: str) -> None:
        """A call of a hook failed, overran or was refused because an earlier one still runs."""
        with self._lock:
            self._errors[provider, hook] = (error,)
            self._post(self._take_failure, (provider, hook))

    def succeed(self, provider: str, hook: str) -> None:
        """A call of a hook succeeded: one look into an empty dict, as long as all is well."""
        if (provider, hook) in self._errors:
            with self._lock:  # behind the failure that it follows
                self._post(self._take_success, (provider, hook))

    def _post(self, take: Callable[[HookKey], None], key: HookKey) -> None:
        with suppress(RuntimeError):  # a call that outlived the loop
            self._loop.call_soon_threadsafe(take, key)

    def _take_failure(self, key: HookKey) -> None:
        timer = self._clearing.pop(key, None)
        if timer is not None:
            timer.cancel()
        if key in self._errors and key[0] not in self._unwell:
            self._unwell.add(key[0])
            self._on_change()

    def _take_success(self, key: HookKey) -> None:
        entry = self._errors.get(key)
        if entry is not None and key not in self._clearing:
            self._clearing[key] = self._loop.call_later(QUIET_SECONDS, self._clear, key, entry)

    def _clear(self, key: HookKey, entry: _Entry) -> None:
        self._clearing.pop(key, None)
        with self._lock:
            if self._errors.get(key) is not entry:  # it failed again this very moment
                return
            del self._errors[key]
            well = all(owner != key[0] for owner, _ in self._errors)
        if well:
            self._unwell.discard(key[0])
            self._on_change()

    def _end_learning(self) -> None:
        self._learning = None
        self._on_change()
