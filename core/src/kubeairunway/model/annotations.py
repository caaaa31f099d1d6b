"""Looking into type annotations of model fields."""

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from kubeairunway.model.base import Model

_OPTIONAL = frozenset({Annotated, Union, UnionType})


def nested_model(annotation: Any) -> type[Model] | None:  # noqa: ANN401 - a type expression of any shape
    """The model in an annotation, be it optional or the item of a list; None if there is none."""
    return _find(annotation, _OPTIONAL | {tuple})


def nested_part(annotation: Any) -> type[Model] | None:  # noqa: ANN401 - a type expression of any shape
    """The model in an annotation, be it optional; None if there is none, or only as the item of a list."""
    return _find(annotation, _OPTIONAL)


def _find(annotation: Any, wrappers: frozenset[Any]) -> type[Model] | None:  # noqa: ANN401 - as above
    if get_origin(annotation) in wrappers:
        return next(filter(None, (_find(part, wrappers) for part in get_args(annotation))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Model) else None
