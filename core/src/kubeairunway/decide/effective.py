"""The effective spec: what the schema fills in plus what we fill in, with the engine resolved.

Hooks, CEL rules, `explain` and the field table see this and nothing else.
"""

from collections.abc import Mapping
from typing import Any

from kubeairunway.model.base import Model
from kubeairunway.model.spec import EngineName, ModelRef, Spec, Volume

MOUNT_PATHS = {"modelCache": "/model-cache", "compilationCache": "/compilation-cache"}
"""Where volumes of these purposes are mounted unless the user says otherwise."""

MANAGED_ACCESS_MODE = "ReadWriteMany"
"""How a claim that we make is mounted unless the user says otherwise: replicas on several nodes share it."""


def effective_spec(written: Spec, engine: EngineName | None, *, name: str) -> Spec:
    """Complete a written spec for the deployment of that name; `engine` is the resolved one, None while there is none.

    The schema's defaults (replicas, gpu.count, serving.mode, ...) are in `written` already. Nothing is validated
    again and what needs no change is shared with `written`.
    """
    update: dict[str, Any] = {}
    if engine is not None and engine != written.engine.type:
        update["engine"] = written.engine.model_copy(update={"type": engine})
    model = _complete_model(written.model, name)
    if model is not written.model:
        update["model"] = model
    return written.model_copy(update=update) if update else written


def _complete_model(model: ModelRef, name: str) -> ModelRef:
    update: dict[str, Any] = {}
    if not model.served_name and model.id:
        update["served_name"] = model.id.rstrip("/").rsplit("/", 1)[-1]
    if model.storage.volumes:
        volumes = tuple(complete_volume(volume, name) for volume in model.storage.volumes)
        update["storage"] = model.storage.model_copy(update={"volumes": volumes})
    return model.model_copy(update=update) if update else model


def complete_volume(volume: Volume, name: str) -> Volume:
    """Fill in where a volume is mounted and, if it has a size, its claim's name and access mode."""
    update: dict[str, Any] = {}
    if not volume.mount_path and volume.purpose in MOUNT_PATHS:
        update["mount_path"] = MOUNT_PATHS[volume.purpose]
    if volume.size is not None:
        update["claim_name"] = volume.claim_name or managed_claim_name(name, volume)
        update["access_mode"] = volume.access_mode or MANAGED_ACCESS_MODE
    return volume.model_copy(update=update) if update else volume


def managed_claim_name(name: str, volume: Volume) -> str:
    """The name of the claim that is made for a volume with a size."""
    return f"{name}-{volume.name}"


def cel_view(spec: Spec) -> dict[str, Any]:
    """The effective spec as CEL rules see it: JSON under its YAML names, integers as integers.

    Blocks, numbers, booleans, strings and lists are always there (zero, false and empty where nothing was said);
    only what has no default (`engine.contextLength`, `scaling.prefill`, ...) can be absent. Keys of maps are sorted,
    so that the order in which a user wrote them never changes a verdict.
    """
    view: dict[str, Any] = json_value(spec)
    return view


def json_value(value: object) -> Any:  # noqa: ANN401 - JSON of any shape
    """The JSON of a model's value: absent fields dropped, maps sorted by key."""
    if isinstance(value, Model):
        fields = type(value).model_fields
        return {
            fields[name].alias or name: json_value(item) for name, item in value.__dict__.items() if item is not None
        }
    if isinstance(value, Mapping):
        return {key: json_value(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    return value
