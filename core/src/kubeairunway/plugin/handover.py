"""What a hook gets: copies, so that whatever a package does to its arguments changes nothing of ours.

Frozen classes keep honest code from mistakes; `object.__setattr__`, a model's `__dict__` and the dicts of a live
object are open to anything. A request that a hook had renamed would lead the core to another object.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from kubeairunway.model.base import Model
from kubeairunway.plugin.contract import Observed, Request, View

M = TypeVar("M", bound=Model)


def copy_request(request: Request) -> Request:
    """The same request in objects of its own."""
    return replace(request, spec=copy_model(request.spec))


def copy_for_policy(request: Request, *, settings: object, peers: bool) -> Request:
    """A copy with the policy's own settings, and with the peers only if it asks for them; those are immutable."""
    return replace(
        request,
        spec=copy_model(request.spec),
        settings=settings,
        peers=request.peers if peers else (),
        before=request.before if peers else None,
    )


def copy_observed(observed: Observed) -> Observed:
    """The same live objects; the originals are the cache's."""
    return Observed(
        _copy_view(observed.primary),
        {key: _copy_view(view) for key, view in observed.others.items()},
        {kind: tuple(map(_copy_view, views)) for kind, views in observed.children.items()},
    )


def copy_model(model: M) -> M:
    """A copy of a model and of the models in it; read-only maps and scalars are shared."""
    copied = model.model_copy()
    values = vars(copied)
    for name, value in values.items():
        if isinstance(value, Model):
            values[name] = copy_model(value)
        elif type(value) is tuple and value and isinstance(value[0], Model):
            values[name] = tuple(map(copy_model, value))
    return copied


def _copy_view(view: View) -> View:
    return View(_copy_json(view.raw))


def _copy_json(value: Any) -> Any:  # noqa: ANN401 - JSON of any shape
    kind = type(value)
    if kind is dict:
        return {key: _copy_json(item) for key, item in value.items()}
    if kind is list:
        return [_copy_json(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value
