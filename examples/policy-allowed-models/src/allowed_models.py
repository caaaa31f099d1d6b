"""Only models that the administrator lists may run, in the namespaces that are not exempt."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from kubeairunway.plugin import Policy, Problem, Request, hookimpl


@dataclass(frozen=True)
class Settings:
    """What may run, and where that does not matter."""

    models: tuple[str, ...] = field(default=(), metadata={"description": "Globs of model ids; none: no model may run."})
    exempt: tuple[str, ...] = field(default=(), metadata={"description": "Globs of namespaces where any may run."})


@hookimpl
def policy() -> Policy:
    """Say what the administrator can set."""
    return Policy(name="allowed-models", contract=1, settings=Settings)


@hookimpl
def admit(request: Request) -> Iterator[Problem]:
    """Refuse a model that no glob matches."""
    settings, model = request.settings, request.spec.model.id
    if any(fnmatchcase(request.namespace, pattern) for pattern in settings.exempt):
        return
    if not any(fnmatchcase(model, pattern) for pattern in settings.models):
        known = ", ".join(settings.models) or "none yet"
        yield Problem("spec.model.id", "ModelNotAllowed", f"model {model!r} may not run here; allowed are: {known}")
