"""An expected objection, as a value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """An expected objection; a warning lets the deployment pass.

    `path` is spelled as in YAML ("spec.resources.gpu.count"), `code` is a CamelCase word for machines,
    `message` says what is wrong and what would be right.
    """

    path: str
    code: str
    message: str
    warning: bool = False
