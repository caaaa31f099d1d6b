"""One kind watched in all namespaces or in some: several informers that read as one."""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from kubeairunway.errors import ApiError
from kubeairunway.kube.informer import Informer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from kubeairunway.kube.client import Client
    from kubeairunway.kube.informer import EventKind
    from kubeairunway.objects.resources import Json, Resource

NEW_SECONDS: Final = 30.0
"""How long a watch that cannot get its first list holds decisions up; after that they are made without it."""


class Watch:
    """A live copy of one kind. `on_event(resource, old, new)` and `on_gone(resource)` run in the event loop."""

    def __init__(  # noqa: PLR0913 - options of one list and watch, most with defaults
        self,
        client: Client,
        resource: Resource,
        namespaces: tuple[str, ...] = (),
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
        trim: Callable[[Json], Json] | None = None,
        indexes: Mapping[str, Callable[[Json], Iterable[str]]] | None = None,
        on_event: Callable[[Resource, Json | None, Json | None], None] | None = None,
        on_gone: Callable[[Resource], None] | None = None,
    ) -> None:
        self.resource = resource
        self._tell = on_event
        self._tasks: list[asyncio.Task[None]] = []
        self._started = 0.0
        places: tuple[str | None, ...] = namespaces if namespaces and resource.namespaced else (None,)
        self._informers = {
            place: Informer(
                client,
                resource,
                namespace=place,
                labels=labels,
                fields=fields,
                metadata_only=metadata_only,
                trim=trim,
                indexes=indexes,
                on_event=self._handle,
                on_gone=(lambda: on_gone(resource)) if on_gone is not None else None,
            )
            for place in places
        }

    @property
    def has_synced(self) -> bool:
        """Whether every part has held a whole list."""
        return all(informer.has_synced for informer in self._informers.values())

    @property
    def is_new(self) -> bool:
        """Whether it was started a moment ago and has not held a whole list yet: what it lacks may be there."""
        return not self.has_synced and not self.forbidden and time.monotonic() - self._started < NEW_SECONDS

    @property
    def gone(self) -> bool:
        """Whether the kind is not served; `start` again when it is."""
        return any(informer.gone for informer in self._informers.values())

    @property
    def forbidden(self) -> bool:
        """Whether we may not read this kind, as far as the last try says."""
        return any(
            isinstance(informer.last_error, ApiError) and informer.last_error.status == HTTPStatus.FORBIDDEN
            for informer in self._informers.values()
        )

    @property
    def problem(self) -> str:
        """What fails at present; empty if nothing does."""
        return next((str(one.last_error) for one in self._informers.values() if one.last_error is not None), "")

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Start reading; a bug in it ends the whole group."""
        self._started = time.monotonic()
        self._tasks = [
            tasks.create_task(informer.run(), name=f"watch {self.resource.plural} {place or ''}".strip())
            for place, informer in self._informers.items()
        ]

    async def wait_synced(self) -> None:
        """Wait until every part has held a whole list."""
        for informer in self._informers.values():
            await informer.wait_synced()

    async def stop(self) -> None:
        """Stop reading and wait for that."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def get(self, namespace: str, name: str) -> Json | None:
        """The object as last seen, or None."""
        informer = self._at(namespace)
        return informer.get(namespace, name) if informer is not None else None

    def seen(self, namespace: str) -> int:
        """The resourceVersion up to which the copy of that namespace has followed the server."""
        informer = self._at(namespace)
        return informer.seen if informer is not None else 0

    def by_index(self, name: str, value: str) -> list[Json]:
        """Objects that the index function of that name put under the value."""
        if len(self._informers) == 1:
            return next(iter(self._informers.values())).by_index(name, value)
        return [obj for informer in self._informers.values() for obj in informer.by_index(name, value)]

    def values(self) -> Iterator[Json]:
        """All objects as last seen."""
        for informer in self._informers.values():
            yield from informer.values()

    def __len__(self) -> int:
        return sum(len(informer) for informer in self._informers.values())

    def _at(self, namespace: str) -> Informer | None:
        return self._informers.get(None) or self._informers.get(namespace)

    def _handle(self, kind: EventKind, old: Json | None, new: Json | None) -> None:
        del kind  # which of the two is None says it
        if self._tell is not None:
            self._tell(self.resource, old, new)
