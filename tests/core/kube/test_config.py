"""Which cluster is meant, and credentials that change while we run."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kubeairunway.errors import SettingsError, TransportError
from kubeairunway.kube import config as config_module
from kubeairunway.kube.config import load_config

if TYPE_CHECKING:
    from pathlib import Path

    from kubeairunway.objects.resources import Json

EXEC_API = "client.authentication.k8s.io/v1"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setattr(config_module, "SERVICE_ACCOUNT", tmp_path / "serviceaccount")
    return tmp_path


def kubeconfig(user: Json, *, server: str = "https://127.0.0.1:1", namespace: str | None = None) -> Json:
    context: Json = {"cluster": "c", "user": "u"} | ({"namespace": namespace} if namespace else {})
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "main",
        "clusters": [{"name": "c", "cluster": {"server": server, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "main", "context": context}, {"name": "other", "context": context}],
    }


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def write_service_account(home: Path, monkeypatch: pytest.MonkeyPatch, token: str) -> Path:
    directory = home / "serviceaccount"
    directory.mkdir(exist_ok=True)
    (directory / "token").write_text(token)
    (directory / "ca.crt").write_text("not read before a connection is opened")
    (directory / "namespace").write_text("ours\n")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return directory


async def test_sources_are_tried_in_order(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as caught:
        load_config(None)
    for tried in ("KUBECONFIG", "serviceaccount/token", ".kube/config"):
        assert tried in str(caught.value)
    write(home / ".kube" / "config", kubeconfig({"token": "home"}))
    assert await load_config(None).authorization() == "Bearer home"
    write_service_account(home, monkeypatch, "pod")
    assert await load_config(None).authorization() == "bearer pod"
    monkeypatch.setenv("KUBECONFIG", str(write(home / "variable", kubeconfig({"token": "variable"}))))
    assert await load_config(None).authorization() == "Bearer variable"
    explicit = write(home / "explicit", kubeconfig({"token": "explicit"}))
    assert await load_config(explicit).authorization() == "Bearer explicit"


@pytest.mark.parametrize(
    ("content", "context", "message"),
    [
        pytest.param(None, None, "no such file", id="missing"),
        pytest.param(kubeconfig({"token": "t"}), "nowhere", "nowhere", id="unknown context"),
        pytest.param({"apiVersion": "v1", "kind": "Config"}, None, "current-context", id="empty"),
        pytest.param("just text", None, "kubeconfig", id="no mapping"),
    ],
)
def test_a_named_file_that_is_unusable_is_an_error_that_names_it(
    home: Path, monkeypatch: pytest.MonkeyPatch, content: Any, context: str | None, message: str
) -> None:
    write(home / ".kube" / "config", kubeconfig({"token": "home"}))
    path = home / "named"
    if content is not None:
        write(path, content)
    for given in (path, None):
        monkeypatch.setenv("KUBECONFIG", str(path))
        with pytest.raises(SettingsError) as caught:
            load_config(given, context)
        assert str(path) in str(caught.value)
        assert message in str(caught.value)


async def test_several_files_in_the_variable_are_merged(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kubeconfig({"token": "t"}, namespace="team")
    users = first.pop("users")
    write(home / "a", first | {"users": []})
    write(home / "b", {"users": users, "clusters": [], "contexts": []})
    monkeypatch.setenv("KUBECONFIG", f"{home / 'a'}:{home / 'missing'}:{home / 'b'}")
    found = load_config(None)
    assert await found.authorization() == "Bearer t"
    assert found.namespace == "team"


async def test_a_pod_rereads_its_token(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = write_service_account(home, monkeypatch, "one\n")
    found = load_config(None)
    assert await found.authorization() == "bearer one"
    assert (await found.settings()).host == "https://[fd00::1]:443"
    assert found.namespace == "ours"
    assert found.renew_seconds == 60.0
    (directory / "token").write_text("two")
    assert await found.authorization() == "bearer two"
    (directory / "token").unlink()
    with pytest.raises(TransportError, match="serviceaccount"):
        await found.authorization()


async def test_a_token_file_is_reread(home: Path) -> None:
    token = home / "token"
    token.write_text("one")
    found = load_config(write(home / "k", kubeconfig({"tokenFile": str(token)})))
    assert await found.authorization() == "Bearer one"
    assert found.renew_seconds == 60.0
    token.write_text("two\n")
    assert await found.authorization() == "Bearer two"


def write_plugin(home: Path, status: str) -> Json:
    """A credential plugin that counts its runs and prints the count as its token."""
    script = home / "plugin"
    script.write_text(
        "import json, pathlib\n"
        f"count = pathlib.Path({str(home / 'count')!r})\n"
        "number = int(count.read_text()) + 1 if count.exists() else 1\n"
        "count.write_text(str(number))\n"
        f"status = {status}\n"
        f"answer = {{'apiVersion': '{EXEC_API}', 'kind': 'ExecCredential', 'status': status}}\n"
        "print(json.dumps(answer))\n"
    )
    command = {"command": sys.executable, "args": [str(script)]}
    return {"exec": {"apiVersion": EXEC_API, **command, "interactiveMode": "Never"}}


async def test_a_plugin_runs_once_until_its_token_expires_or_is_rejected(home: Path) -> None:
    status = "{'token': f't{number}', 'expirationTimestamp': '2999-01-01T00:00:00Z'}"
    found = load_config(write(home / "k", kubeconfig(write_plugin(home, status))))
    assert not (home / "count").exists()
    assert await found.authorization() == "Bearer t1"
    assert found.renew_seconds == 60.0
    assert await found.authorization() == "Bearer t1"
    assert await found.authorization(rejected=True) == "Bearer t2"


async def test_an_expired_plugin_token_is_replaced(home: Path) -> None:
    status = "{'token': f't{number}', 'expirationTimestamp': '2001-01-01T00:00:00Z'}"
    found = load_config(write(home / "k", kubeconfig(write_plugin(home, status))))
    assert [await found.authorization() for _ in range(3)] == ["Bearer t1", "Bearer t2", "Bearer t3"]


async def test_a_plugin_without_expiry_is_asked_again_only_after_a_rejection(home: Path) -> None:
    found = load_config(write(home / "k", kubeconfig(write_plugin(home, "{'token': f't{number}'}"))))
    assert await found.authorization() == "Bearer t1"
    assert found.renew_seconds is None


async def test_a_plugin_that_hangs_holds_requests_up_for_a_while_only(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config_module, "LOAD_SECONDS", 0.2)
    found = load_config(write(home / "k", kubeconfig(write_plugin(home, "{}"))))
    monkeypatch.setattr(found._loader, "load_and_set", lambda _settings: asyncio.Event().wait())
    with pytest.raises(TransportError, match="no answer within 0 s"):
        await found.authorization()


async def test_a_plugin_that_gives_nothing_is_an_error_and_no_anonymous_access(home: Path) -> None:
    found = load_config(write(home / "k", kubeconfig(write_plugin(home, "{}"))))
    with pytest.raises(TransportError, match="plugin"):
        await found.authorization()


def test_loading_no_configuration_imports_no_client() -> None:
    modules = "config client informer lease discovery events workqueue store transport"
    code = "import sys, importlib\n"
    code += f"for name in {modules!r}.split(): importlib.import_module('kubeairunway.kube.' + name)\n"
    code += "print(sorted({'kubernetes', 'aiohttp', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603 - our own code
    assert done.stdout.strip() == "[]"
