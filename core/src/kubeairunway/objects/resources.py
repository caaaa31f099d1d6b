"""Kinds as the API server addresses them: group, version, plural, scope, and the URL path of each object."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

Json = dict[str, Any]
"""A JSON object as it travels; never mutated by whoever did not make it."""

PLAIN: Final = re.compile(r"[a-z0-9.-]*[a-z0-9]")
"""Names that need no quoting, which are nearly all."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One served kind. The core group is the empty string."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """What an object's `apiVersion` says."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of the collection, the object or its subresource.

        Without a namespace a namespaced kind's collection spans all namespaces. Raises ValueError for an empty name
        (that path would be the whole collection), for "." and "..", for a name without its namespace, and for a
        subresource of nothing.
        """
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", _quote(namespace)]
        parts.append(self.plural)
        if name is not None:
            if not name:
                raise ValueError(f"{self.kind}: an object needs a name")
            if self.namespaced and not namespace:
                raise ValueError(f"{self.kind} {name} needs a namespace")
            parts.append(_quote(name))
        if subresource:
            if name is None:
                raise ValueError(f"{self.kind}: {subresource} needs the name of an object")
            parts.append(subresource)
        return "/".join(parts)


def _quote(name: str) -> str:
    if PLAIN.fullmatch(name):
        return name
    if name in {".", ".."}:
        raise ValueError(f"{name!r} is no name")
    return quote(name, safe=":")
