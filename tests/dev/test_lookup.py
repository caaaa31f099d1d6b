"""Where programs and caches are looked for, and in which order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from kubeairunway.errors import SettingsError
from kubeairunway_dev import places
from kubeairunway_dev.controlplane.binaries import (
    APISERVER,
    CONTROLLER_MANAGER,
    ETCD,
    KUBECTL,
    KWOK,
    find_binaries,
    find_kubectl,
)
from kubeairunway_dev.controlplane.build import ensure_build
from kubeairunway_dev.controlplane.embedded import ControlPlane
from kubeairunway_dev.errors import DevError

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dev.conftest import FakeGo

BASICS = (ETCD, APISERVER, KUBECTL)


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    directory = tmp_path / "assets"
    directory.mkdir()
    for part in BASICS:
        (directory / part).write_text("#!/bin/sh\n")
        (directory / part).chmod(0o755)
    return directory


def test_kubebuilder_assets_win_over_a_finished_build(assets: Path, fake_go: FakeGo) -> None:
    ensure_build(fake_go.environ)
    found = find_binaries(BASICS, {**fake_go.environ, "KUBEBUILDER_ASSETS": str(assets)})
    assert found.commands[APISERVER] == (str(assets / APISERVER),)


def test_kubebuilder_assets_without_a_needed_part_are_refused_by_name(assets: Path) -> None:
    with pytest.raises(SettingsError, match=r"lacks kube-controller-manager.*unset the variable"):
        find_binaries([*BASICS, CONTROLLER_MANAGER], {"KUBEBUILDER_ASSETS": str(assets)})


def test_kubebuilder_assets_with_kwok_need_its_stages(assets: Path) -> None:
    (assets / KWOK).write_text("#!/bin/sh\n")
    (assets / KWOK).chmod(0o755)
    with pytest.raises(SettingsError, match=r"lacks kwok-stages\.yaml"):
        find_binaries([*BASICS, KWOK], {"KUBEBUILDER_ASSETS": str(assets)})


def test_a_finished_build_is_used_without_go(fake_go: FakeGo) -> None:
    directory = ensure_build(fake_go.environ)
    found = find_binaries(BASICS, {**fake_go.environ, "PATH": "/nowhere"})
    assert found.commands[ETCD] == (str(directory / "control-plane"), "etcd")
    assert found.stages == directory / "kwok-stages.yaml"


def test_without_anything_it_is_built(fake_go: FakeGo) -> None:
    find_binaries(BASICS, fake_go.environ)
    assert fake_go.calls()


def test_kubectl_on_path_is_preferred_and_ours_is_the_next(assets: Path, fake_go: FakeGo) -> None:
    environ = {**fake_go.environ, "PATH": str(assets)}
    assert find_kubectl(environ) == (str(assets / KUBECTL),)
    directory = ensure_build(fake_go.environ)
    assert find_kubectl({**environ, "PATH": "/nowhere"}) == (str(directory / "control-plane"), "kubectl")


def test_nodes_without_scheduler_are_refused() -> None:
    with pytest.raises(SettingsError, match="nodes need"):
        ControlPlane(nodes=1, scheduler=False)


def test_the_cache_follows_xdg(tmp_path: Path) -> None:
    assert places.find_cache({"XDG_CACHE_HOME": str(tmp_path), "HOME": "/nowhere"}) == tmp_path / "kubeairunway"


def test_a_relative_xdg_directory_is_ignored_as_the_standard_says(tmp_path: Path) -> None:
    found = places.find_cache({"XDG_CACHE_HOME": "cache", "HOME": str(tmp_path)})
    assert found == tmp_path / ".cache" / "kubeairunway"


def test_an_empty_home_falls_back_to_the_password_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = SimpleNamespace(pw_dir=str(tmp_path))
    monkeypatch.setattr("pwd.getpwuid", lambda _uid: entry)
    assert places.find_cache({"HOME": ""}) == tmp_path / ".cache" / "kubeairunway"


def test_a_user_without_any_home_gets_a_private_directory_below_tmp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "find_home", lambda _environ: None)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    found = places.find_cache({})
    assert found.parent == tmp_path
    assert found.stat().st_mode & 0o077 == 0


def test_a_cache_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(DevError, match="belongs to another user"):
        places.find_cache({"XDG_CACHE_HOME": str(tmp_path)})
