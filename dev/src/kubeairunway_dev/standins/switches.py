"""What a stand-in is told to do: by flags for all objects, by annotations for the one that carries them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from kubeairunway.objects.resources import Json

PREFIX: Final = "stand-in.kubeairunway.ai"
DELAY: Final = f"{PREFIX}/delay"
FAIL: Final = f"{PREFIX}/fail"
HOLD: Final = f"{PREFIX}/hold"
"""The annotation, and the finalizer that goes when the annotation does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """How a stand-in treats an object: the seconds it takes, and what it does other than well."""

    delay: float = 0.5
    """Seconds from a change to ready."""

    pods: bool = False
    """Whether pods are made, and waited for."""

    fail: str = ""
    """The message of a failure; empty for none."""

    hold: bool = False
    """Whether a deletion never ends, by a finalizer that stays."""

    defaults: bool = False
    """Whether fields that the object leaves out are filled in, as upstream's admission does."""

    def read_for(self, item: Json) -> Switches:
        """Return the switches of one object, whose annotations come before the flags.

        Raises ValueError for a delay that is no number.
        """
        notes = item["metadata"].get("annotations") or {}
        return replace(
            self,
            delay=float(notes.get(DELAY, self.delay)),
            fail=notes.get(FAIL, self.fail),
            hold=notes.get(HOLD, str(self.hold)).lower() == "true",
        )
