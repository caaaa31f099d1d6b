"""What the recorder writes, on a clock that the test moves; how it looks to Kubernetes is tested on a cluster."""

from __future__ import annotations

import weakref
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from kubeairunway.errors import TransportError
from kubeairunway.kube.client import Client
from kubeairunway.kube.events import BURST, QUEUE_LIMIT, REFILL_SECONDS, WINDOW_SECONDS, EventRecorder

if TYPE_CHECKING:
    from tests.core.kube.conftest import Recorded

    from kubeairunway.objects.resources import Json


class Time:
    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=self.seconds)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def recorder(recorded: Recorded, time: Time) -> EventRecorder:
    recorded.answer(201)
    return EventRecorder(Client(recorded), "kubeairunway", "pod-1", monotonic=time.monotonic, now=time.now)


def about(name: str = "one") -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "ns", "name": name, "uid": f"u-{name}"}}


def written(recorded: Recorded) -> list[tuple[str, int]]:
    return [(method, body["count"]) for method, _, body in recorded.requests if body is not None]


async def test_what_happens_before_it_is_written_is_counted_in_one_write(
    recorder: EventRecorder, recorded: Recorded
) -> None:
    for _ in range(7):
        recorder.record(about(), "Normal", "Seen", "again")
    recorder.start()
    await recorder.stop()
    assert written(recorded) == [("POST", 7)]


async def test_a_repetition_patches_and_after_ten_minutes_a_new_event_begins(
    recorder: EventRecorder, recorded: Recorded, time: Time
) -> None:
    recorder.start()
    for moment in (0.0, 10.0, WINDOW_SECONDS - 1, WINDOW_SECONDS + 1):
        time.seconds = moment
        recorder.record(about(), "Normal", "Seen", "again")
        await recorder._queue.join()
    await recorder.stop()
    assert written(recorded) == [("POST", 1), ("PATCH", 2), ("PATCH", 3), ("POST", 1)]


async def test_reason_type_and_object_keep_events_apart(recorder: EventRecorder, recorded: Recorded) -> None:
    recorder.record(about("a"), "Normal", "Seen", "m")
    recorder.record(about("b"), "Normal", "Seen", "m")
    recorder.record(about("a"), "Warning", "Seen", "m")
    recorder.record(about("a"), "Normal", "Other", "m")
    recorder.start()
    await recorder.stop()
    assert written(recorded) == [("POST", 1)] * 4


async def test_one_object_cannot_flood_and_its_silence_is_counted(
    recorder: EventRecorder, recorded: Recorded, time: Time
) -> None:
    recorder.start()
    for number in range(BURST + 10):
        recorder.record(about("loud"), "Normal", f"R{number}", "m")
    recorder.record(about("quiet"), "Normal", "Seen", "m")
    await recorder._queue.join()
    assert len(recorded.requests) == BURST + 1
    assert recorder.dropped == 10
    time.seconds += REFILL_SECONDS
    recorder.record(about("loud"), "Normal", "Later", "m")
    recorder.record(about("loud"), "Normal", "TooMuch", "m")
    await recorder.stop()
    assert len(recorded.requests) == BURST + 2


async def test_a_full_queue_drops_and_never_blocks(recorder: EventRecorder) -> None:
    for number in range(QUEUE_LIMIT + 5):
        recorder.record(about(f"o{number}"), "Normal", "Seen", "m")
    assert recorder.dropped == 5


async def test_a_stop_writes_what_is_queued_but_not_for_ever(recorded: Recorded, time: Time) -> None:
    recorded.answers.append(TransportError("down"))
    recorder = EventRecorder(Client(recorded), "c", "i", monotonic=time.monotonic, now=time.now)
    for number in range(50):
        recorder.record(about(f"o{number}"), "Normal", "Seen", "m")
    recorder.start()
    await recorder.stop(5.0)
    assert recorder.dropped == 50


async def test_what_a_stop_drops_is_not_written_by_the_next_start(recorded: Recorded, time: Time) -> None:
    recorded.answers.append(TransportError("down"))
    recorder = EventRecorder(Client(recorded), "c", "i", monotonic=time.monotonic, now=time.now)
    for number in range(3):
        recorder.record(about(f"o{number}"), "Normal", "Seen", "m")
    recorder.start()
    await recorder.stop(0.0)
    assert recorder.dropped >= 2
    recorded.requests.clear()
    recorder.start()
    recorder.record(about("o2"), "Normal", "Seen", "m")
    await recorder.stop()
    assert {body["involvedObject"]["name"] for _, _, body in recorded.requests if body is not None} == {"o2"}


async def test_an_object_lives_no_longer_for_the_events_about_it(recorder: EventRecorder) -> None:
    class Large(dict[str, object]):
        """A dict that can be watched."""

    large = Large(about())
    recorder.record(large, "Normal", "Seen", "m")
    seen = weakref.ref(large)
    del large
    assert seen() is None


async def test_long_names_and_messages_fit_what_kubernetes_allows(recorder: EventRecorder, recorded: Recorded) -> None:
    recorder.record(about("n" * 253), "Normal", "Seen", "m" * 3000)
    recorder.start()
    await recorder.stop()
    (_, _, body) = recorded.requests[0]
    assert body is not None
    assert len(body["metadata"]["name"]) <= 253
    assert len(body["message"]) == 1024
