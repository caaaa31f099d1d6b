"""Flags and environment become settings, or a message that names what is wrong and what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeairunway.errors import SettingsError
from kubeairunway.runtime.settings import OPTIONS, Settings, read_settings


def test_nothing_said_is_a_whole_controller_with_leader_election() -> None:
    settings = read_settings({}, {})
    assert (settings.namespaces, settings.only, settings.workers, settings.leader_elect) == ((), frozenset(), 8, True)
    assert (settings.bind_host, settings.bind_port) == (Settings().bind_host, 8081)
    assert settings.lease_name == "kubeairunway-controller"


def test_the_defaults_are_those_of_the_class() -> None:
    read, made = read_settings({}, {"POD_NAMESPACE": "kubeairunway-system"}), Settings()
    assert {name: getattr(read, name) for name in Settings.__slots__ if name != "identity"} == {
        name: getattr(made, name) for name in Settings.__slots__ if name != "identity"
    }


def test_two_processes_never_share_an_identity() -> None:
    assert read_settings({}, {}).identity != read_settings({}, {}).identity


def test_a_flag_beats_its_variable() -> None:
    settings = read_settings({"workers": "4"}, {"KUBEAIRUNWAY_WORKERS": "2", "KUBEAIRUNWAY_LOG_LEVEL": "debug"})
    assert (settings.workers, settings.log_level) == (4, "debug")


def test_lists_and_paths_are_read() -> None:
    settings = read_settings(
        {"namespaces": "b, a", "only": "provider:kaito,core", "crash-notes": "/var/notes", "bind": "[::1]:0"}, {}
    )
    assert settings.namespaces == ("a", "b")
    assert settings.crash_notes == Path("/var/notes")
    assert (settings.bind_host, settings.bind_port) == ("::1", 0)
    assert settings.lease_name == "kubeairunway-controller-core-provider-kaito"
    assert settings.runs_core()
    assert settings.runs_provider("kaito")
    assert not settings.runs_provider("dynamo")


@pytest.mark.parametrize(
    ("flags", "environ", "words"),
    [
        ({"workers": "0"}, {}, ("--workers", "'0'", "from 1 to 256")),
        ({"workers": "many"}, {}, ("--workers", "whole number")),
        ({}, {"KUBEAIRUNWAY_LEADER_ELECT": "yes"}, ("KUBEAIRUNWAY_LEADER_ELECT", "true or false")),
        ({"only": "kaito"}, {}, ("--only", "provider:<name>")),
        ({"namespaces": "Team_A"}, {}, ("--namespaces", "Team_A", "lower-case")),
        ({"bind": "8081"}, {}, ("--bind", "host:port")),
        ({"bind": "h:99999"}, {}, ("--bind", "host:port")),
        ({"heartbeat": "-1"}, {}, ("--heartbeat", "greater than 0")),
        ({"heartbeat": "nan"}, {}, ("--heartbeat", "greater than 0")),
        ({"log-format": "xml"}, {}, ("--log-format", "auto, json or human")),
        ({"lease-duration": "8", "lease-renew": "4"}, {}, ("--lease-renew", "half of --lease-duration")),
        ({"heartbeat-expiry": "90"}, {}, ("--heartbeat-expiry", "twice --heartbeat")),
        ({"colour": "red"}, {}, ("--colour", "no such setting")),
    ],
)
def test_a_wrong_setting_is_named_with_what_would_be_right(
    flags: dict[str, str], environ: dict[str, str], words: tuple[str, ...]
) -> None:
    with pytest.raises(SettingsError) as caught:
        read_settings(flags, environ)
    for word in words:
        assert word in str(caught.value)


def test_every_option_is_read() -> None:
    for option in OPTIONS:
        value = "\0" if option.name not in {"kubeconfig", "context", "crash-notes"} else "x"
        try:
            changed = read_settings({option.name: value}, {})
        except SettingsError as error:
            assert option.flag in str(error)  # noqa: PT017 - either outcome shows that the option was looked at
        else:
            assert changed != read_settings({}, {}) or value == "\0"
