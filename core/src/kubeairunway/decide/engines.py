"""Which engines are tried for a deployment, and whether a provider offers one for what it needs."""

from collections.abc import Iterable
from dataclasses import dataclass

from kubeairunway.model.problems import Problem
from kubeairunway.model.spec import ENGINE_TITLES, EngineName, ServingMode, Spec
from kubeairunway.plugin import Engine, Provider

ENGINE_ORDER: tuple[EngineName, ...] = ("vllm", "sglang", "trtllm", "llamacpp")
"""The order in which engines are tried for a deployment that names none."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a deployment needs of an engine, whichever it is."""

    gpu: bool
    mode: ServingMode


def need_of(spec: Spec) -> Need:
    """Disaggregated mode is always on GPUs; otherwise no `resources.gpu`, or a count of 0, means CPU."""
    mode = spec.serving.mode
    return Need(mode == "disaggregated" or spec.resources.gpu.count > 0, mode)


def engines_to_try(written: Spec, kept: EngineName | None, offered: Iterable[Provider]) -> tuple[EngineName, ...]:
    """The engines for a deployment in order: the explicit one, the one kept, or all that some provider offers."""
    only = written.engine.type or kept
    if only:
        return (only,)
    names = {engine.name for provider in offered for engine in provider.engines}
    return tuple(name for name in ENGINE_ORDER if name in names)


def find_offer(provider: Provider, engine: EngineName, need: Need) -> Engine | Problem:
    """The provider's entry for an engine that meets the need, or why it has none."""
    entries = [entry for entry in provider.engines if entry.name == engine]
    if not entries:
        return _engine_unsupported(provider, engine)
    in_mode = [entry for entry in entries if need.mode in entry.modes]
    if not in_mode:
        return _mode_unsupported(provider, engine, need)
    for entry in in_mode:
        if entry.gpu if need.gpu else entry.cpu:
            return entry
    return _hardware_unsupported(provider, engine, need)


def _engine_unsupported(provider: Provider, engine: EngineName) -> Problem:
    names = {entry.name for entry in provider.engines}
    offers = " and ".join(ENGINE_TITLES[name] for name in ENGINE_ORDER if name in names)
    message = f"provider {provider.name} does not support engine {ENGINE_TITLES[engine]}; it offers {offers or 'none'}"
    return Problem("spec.engine.type", "EngineUnsupported", message)


def _mode_unsupported(provider: Provider, engine: EngineName, need: Need) -> Problem:
    title = ENGINE_TITLES[engine]
    message = (
        f"provider {provider.name} does not support {need.mode} mode for engine {title};"
        f" set serving.mode to {'aggregated' if need.mode == 'disaggregated' else 'disaggregated'}"
    )
    return Problem("spec.serving.mode", "ServingModeUnsupported", message)


def _hardware_unsupported(provider: Provider, engine: EngineName, need: Need) -> Problem:
    path, title = "spec.resources.gpu.count", ENGINE_TITLES[engine]
    if not need.gpu:
        message = f"{title} engine on provider {provider.name} requires GPU (set resources.gpu.count > 0)"
        return Problem(path, "GpuRequired", message)
    message = f"{title} engine on provider {provider.name} runs on CPU only (set resources.gpu.count to 0)"
    return Problem(path, "GpuUnsupported", message)


REMEDIES = {
    "EngineUnsupported": "name an engine that it offers in spec.engine.type",
    "ServingModeUnsupported": "set serving.mode to one that it offers for this engine",
    "GpuRequired": "set resources.gpu.count to 1 or more",
    "GpuUnsupported": "set resources.gpu.count to 0",
}
"""What would make a provider capable, by the code of the problem that says why it is not."""
