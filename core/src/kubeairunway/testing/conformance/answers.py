"""What all hooks answer to one request, as values that can be compared, in this process or in another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kubeairunway.model.base import thaw
from kubeairunway.model.spec import Spec
from kubeairunway.plugin import Kind, Observed, Provider, Request, View
from kubeairunway.plugin.results import check_bid, check_problems, check_rendering, check_report
from kubeairunway.plugin.typed import read_typed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kubeairunway.plugin import Manifest

Json = dict[str, Any]

HOOKS = ("validate", "select", "render", "status")


def ask_hook(hooks: Any, hook: str, request: Request, *, provider: Provider, raw: Mapping[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """The checked answer of one hook as JSON; what it raises is an answer, too. `raw` is the primary that lives."""
    kinds = {(kind.group, kind.name): kind for kind in provider.kinds}
    calls: dict[str, Callable[[], Any]] = {
        "validate": lambda: [
            [row.path, row.code, row.message] for row in check_problems(_call(hooks.validate, request))
        ],
        "select": lambda: repr(check_bid(hooks.select(request=request))),
        "render": lambda: _spell_rendering(check_rendering(hooks.render(request=request), kinds)),
        "status": lambda: _spell_report(check_report(hooks.status(request=request, observed=Observed(View(raw))))),
    }
    try:
        return calls[hook]()
    except Exception as error:  # noqa: BLE001 - the package's code may raise anything
        return {"raised": f"{type(error).__name__}: {error}"}


def _call(hook: Any, request: Request) -> Any:  # noqa: ANN401 - pluggy's
    found = hook(request=request)
    return () if found is None and not hook.get_hookimpls() else found


def _spell_rendering(rendering: Any) -> Any:  # noqa: ANN401 - JSON
    rows = (*rendering.before, None, rendering.primary, None, *rendering.after)
    return [
        [None if row is None else _spell(row) for row in rows],
        [[kind.name, end] for kind, end in rendering.claims],
    ]


def _spell(manifest: Manifest) -> Json:
    return {
        "kind": [manifest.kind.group, manifest.kind.name],
        "suffix": manifest.suffix,
        "body": manifest.body,
        "labels": dict(manifest.labels),
        "annotations": dict(manifest.annotations),
    }


def _spell_report(report: Any) -> Json:  # noqa: ANN401 - a Report
    return {name: thaw(getattr(report, name)) for name in type(report).__slots__}


def pack_request(request: Request, overrides: Mapping[str, Any]) -> Json:
    """A request as JSON; `overrides` are those that it was made with, as in YAML."""
    return {
        "name": request.name,
        "namespace": request.namespace,
        "spec": request.spec.model_dump(mode="json"),
        "versions": [[kind.group, kind.name, version] for kind, version in request.versions.items()],
        "primary": [request.primary.group, request.primary.name] if request.primary else None,
        "overrides": thaw(overrides),
    }


def unpack_request(raw: Mapping[str, Any], provider: Provider) -> Request:
    """The request that was packed, with the provider's default settings."""
    known: dict[tuple[str, str], Kind] = {
        (kind.group, kind.name): kind for kind in (*provider.children, *provider.kinds)
    }
    overrides = read_typed(provider.overrides, raw["overrides"], "overrides")[0] if provider.overrides else None
    return Request(
        name=raw["name"],
        namespace=raw["namespace"],
        spec=Spec.model_validate(raw["spec"]),
        versions={known[group, name]: version for group, name, version in raw["versions"]},
        primary=known[raw["primary"][0], raw["primary"][1]] if raw["primary"] else None,
        overrides=overrides,
        settings=provider.settings() if provider.settings else None,
    )
