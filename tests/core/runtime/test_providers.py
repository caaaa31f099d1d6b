"""What is logged of providers is true of the cluster, not only of a process that has just started."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from kubeairunway.decide.provider_config import OperatorState
from kubeairunway.objects.times import format_time
from kubeairunway.plugin import CONTRACT, Provider
from kubeairunway.plugin.registry import LoadState, Package
from kubeairunway.runtime.providers import Directory


class Place:
    """A directory of one provider whose config the test writes."""

    def __init__(self, *, keeps: bool = True) -> None:
        self.config: dict[str, Any] | None = None
        self.changes: list[frozenset[str]] = []
        provider = Provider(name="acme", contract=CONTRACT, kinds=(), engines=())
        package = Package(name="acme", state=LoadState.LOADED, provider=provider)
        registry: Any = SimpleNamespace(packages=(package,), providers={"acme": provider}, get={"acme": package}.get)
        settings: Any = SimpleNamespace(heartbeat_expiry=300.0, runs_provider=lambda _name: keeps, identity="me")
        configs: Any = SimpleNamespace(
            forbidden=False,
            values=lambda: [self.config] if self.config else [],
            get=lambda _namespace, _name: self.config,
            seen=lambda _namespace: 0,
        )
        self.directory = Directory(
            registry,
            settings,
            SimpleNamespace(served=lambda _provider: {}),  # type: ignore[arg-type]
            SimpleNamespace(state=lambda _name: (OperatorState.NOT_NEEDED, "", "")),  # type: ignore[arg-type]
            configs,
            SimpleNamespace(find=lambda _address, cached, _seen: cached),  # type: ignore[arg-type]
            crds_watched=lambda: True,
            on_change=self.changes.append,
        )

    def beat(self, age: float) -> None:
        time = format_time(datetime.now(UTC) - timedelta(seconds=age))
        self.config = {"metadata": {"name": "acme"}, "spec": {}, "status": {"lastHeartbeat": time}}


@pytest.mark.parametrize("age", [None, 900.0], ids=["never", "long ago"])
async def test_a_process_that_starts_does_not_miss_the_heartbeat_that_it_will_write(
    age: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "kubeairunway.runtime.providers")
    place = Place()
    if age is not None:
        place.beat(age)
    place.directory.update()
    assert caplog.messages == []
    assert not place.directory.facts["acme"].ready
    place.directory.leading = True
    place.directory.update()
    assert caplog.messages == ["provider acme is ready"]
    place.directory.close()


async def test_a_follower_tells_once_the_leader_has_looked_after_a_provider_and_when_it_stops(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "kubeairunway.runtime.providers")
    place = Place()
    place.directory.update()
    place.beat(1)
    place.directory.update()
    assert caplog.messages == ["provider acme is ready"]
    place.beat(900)
    place.directory.update()
    assert "not usable: no controller has looked after provider acme: last at" in caplog.messages[-1]
    assert len(caplog.messages) == 2
    place.directory.close()


async def test_a_leader_tells_of_a_provider_that_another_shard_should_look_after(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "kubeairunway.runtime.providers")
    place = Place(keeps=False)
    place.directory.update()
    assert caplog.messages == []
    changes = len(place.changes)
    place.directory.leading = True
    place.directory.update()
    place.directory.update()
    assert caplog.messages == ["provider acme is not usable: no controller has looked after provider acme: never"]
    assert len(place.changes) == changes, "what was known already is no change"
    place.directory.close()


TRIED = {
    "by another process": ("other", 1.0, "other"),
    "by another that has written no heartbeat yet": ("other", None, "other"),
    "by another that stopped without a word": ("other", 900.0, ""),
    "by this process": ("me", 1.0, ""),
    "by nobody": ("", 1.0, ""),
}


@pytest.mark.parametrize("name", TRIED)
async def test_a_provider_that_another_process_tries_is_left_to_it_while_that_lives(name: str) -> None:
    holder, age, expected = TRIED[name]
    place = Place()
    place.directory.leading = True
    place.beat(age or 0.0)
    assert place.config is not None
    place.config["metadata"]["annotations"] = {"kubeairunway.ai/tried-by": holder}
    if age is None:
        del place.config["status"]
    place.directory.update()
    assert place.directory.tried_by("acme", datetime.now(UTC)) == expected
    assert place.directory.is_tried("acme") is bool(expected)
    assert place.directory.keeps("acme") is not bool(expected)
    place.directory.close()


async def test_the_end_of_a_trial_is_a_change_even_where_the_package_is_missing() -> None:
    place = Place()
    place.directory.leading = True
    place.beat(1)
    assert place.config is not None
    place.config["metadata"]["annotations"] = {"kubeairunway.ai/tried-by": "other"}
    place.directory.update()
    place.config["status"]["lastHeartbeat"] = format_time(datetime.now(UTC) - timedelta(seconds=900))
    place.directory.update()
    assert place.changes == [frozenset({"acme"})] * 2
    assert not place.directory.is_tried("acme")
    place.directory.close()
