"""Keys and tokens of one control plane, made with the standard library alone."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING, Any

from kubeairunway_dev.places import write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Number of points of the curve P-256 (FIPS 186-4, D.1.2.3): a private key is a number from 1 to one less."""

P256_PREFIX = bytes.fromhex("30310201010420")
"""ECPrivateKey of RFC 5915 in DER: SEQUENCE (49 bytes), version 1, OCTET STRING (32 bytes): the key."""

P256_SUFFIX = bytes.fromhex("a00a06082a8648ce3d030107")
"""Its field [0]: the curve's object identifier 1.2.840.10045.3.1.7. The public key is left out: readers derive it."""


def make_signing_key() -> str:
    """Return a new P-256 private key in PEM, to sign service account tokens with."""
    number = 1 + secrets.randbelow(P256_ORDER - 1)
    der = P256_PREFIX + number.to_bytes(32, "big") + P256_SUFFIX
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{body}-----END EC PRIVATE KEY-----\n"


def ensure_credentials(directory: Path) -> str:
    """Make signing key and administrator's token in `directory` unless they are there; return the token."""
    key = directory / "service-account.key"
    tokens = directory / "tokens.csv"
    if not key.exists():
        write_private(key, make_signing_key())
    if not tokens.exists():
        write_private(tokens, f'{secrets.token_hex(16)},admin,admin,"system:masters"\n')
    return tokens.read_text().partition(",")[0]


def make_cluster_entry(url: str, certificate_authority: bytes) -> dict[str, str]:
    """Return the part of a kubeconfig that says where the API server is and which authority proves it."""
    return {"server": url, "certificate-authority-data": base64.b64encode(certificate_authority).decode()}


def make_kubeconfig(cluster: Mapping[str, Any], user: str, token: str, *, namespace: str = "default") -> str:
    """Return a kubeconfig (JSON is YAML) for one user with a token."""
    name = "kubeairunway"
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": dict(cluster)}],
            "users": [{"name": user, "user": {"token": token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": user, "namespace": namespace}}],
        },
        indent=2,
    )
