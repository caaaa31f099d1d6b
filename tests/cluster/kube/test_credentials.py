"""Credentials and TLS as the real API server judges them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from kubeairunway.errors import ApiError, NotSentError
from kubeairunway.kube.client import Client
from kubeairunway.kube.config import load_config
from kubeairunway.kube.http_transport import open_transport
from kubeairunway.objects.resources import Resource

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kubeairunway_dev.controlplane import Cluster

SECRETS = Resource("", "v1", "Secret", "secrets")


def rewrite(plane: Cluster, path: Path, change: Callable[[Any, Any], None]) -> Path:
    config = yaml.safe_load(plane.kubeconfig.read_text())
    change(config["clusters"][0]["cluster"], config["users"][0]["user"])
    path.write_text(yaml.safe_dump(config))
    return path


async def read_version(path: Path) -> str:
    transport = open_transport(load_config(path))
    try:
        return str((await Client(transport).get_path("/version"))["major"])
    finally:
        await transport.close()


async def test_a_token_that_rotates_is_used_without_a_restart(plane: Cluster, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("revoked")

    def use_file(cluster: Any, user: Any) -> None:
        del cluster
        user.clear()
        user["tokenFile"] = str(token)

    transport = open_transport(load_config(rewrite(plane, tmp_path / "kubeconfig", use_file)))
    client = Client(transport)
    with pytest.raises(ApiError) as caught:
        await client.get_path("/api/v1/namespaces")
    assert (caught.value.status, caught.value.reason) == (401, "Unauthorized")
    token.write_text(plane.token + "\n")
    assert (await client.get_path("/api/v1/namespaces"))["kind"] == "NamespaceList"
    await transport.close()


async def test_a_server_whose_certificate_nobody_vouches_for_gets_no_request(plane: Cluster, tmp_path: Path) -> None:
    def forget_authority(cluster: Any, user: Any) -> None:
        del user
        cluster.pop("certificate-authority", None)
        cluster.pop("certificate-authority-data", None)

    with pytest.raises(NotSentError, match="certificate"):
        await read_version(rewrite(plane, tmp_path / "kubeconfig", forget_authority))


async def test_verification_can_be_switched_off_by_the_kubeconfig(plane: Cluster, tmp_path: Path) -> None:
    def trust_anybody(cluster: Any, user: Any) -> None:
        del user
        cluster.pop("certificate-authority", None)
        cluster.pop("certificate-authority-data", None)
        cluster["insecure-skip-tls-verify"] = True

    assert await read_version(rewrite(plane, tmp_path / "kubeconfig", trust_anybody)) == "1"


async def test_a_certificate_for_another_name_is_refused_unless_the_kubeconfig_names_it(
    plane: Cluster, tmp_path: Path
) -> None:
    def expect(name: str) -> Callable[[Any, Any], None]:
        def change(cluster: Any, user: Any) -> None:
            del user
            cluster["tls-server-name"] = name

        return change

    with pytest.raises(NotSentError, match="certificate"):
        await read_version(rewrite(plane, tmp_path / "wrong", expect("elsewhere.example")))
    assert await read_version(rewrite(plane, tmp_path / "right", expect("kubernetes.default.svc"))) == "1"


async def test_a_service_account_is_refused_what_it_has_no_right_to_by_name(plane: Cluster, ns: str) -> None:
    transport = open_transport(load_config(plane.service_account_kubeconfig(ns, "nobody")))
    with pytest.raises(ApiError) as caught:
        await Client(transport).get(SECRETS, "any", ns)
    assert caught.value.reason == "Forbidden"
    assert f"system:serviceaccount:{ns}:nobody" in caught.value.message
    await transport.close()
