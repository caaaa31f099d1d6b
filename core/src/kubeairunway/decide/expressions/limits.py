"""What bounds a rule. The numbers are part of a rule's meaning: with them a verdict is the same on every machine."""

MAX_LENGTH = 4096
"""Longest rule, characters; the CRD has the same bound."""

MAX_BRACKETS = 16
"""Deepest nesting of brackets, counted before the parser sees the text."""

MAX_DEPTH = 60
"""Deepest syntax tree, chains of operators included: an evaluation takes about five Python frames a level."""

MAX_STEPS = 2_000
"""Evaluation steps of a rule: one per visited node and per loop, plus the size of every list, map and text it builds.

Rules that providers ship take 5 to 20.
"""


def check_text(text: str) -> str:
    """Why a rule's text may not be parsed; empty if it may."""
    if len(text) > MAX_LENGTH:
        return f"it has {len(text)} characters; at most {MAX_LENGTH} are allowed"
    if not text.strip():
        return "it is empty; write a condition on spec, for example spec.resources.gpu.count > 1"
    if _bracket_depth(text) > MAX_BRACKETS:
        return f"its brackets are nested deeper than {MAX_BRACKETS}"
    return ""


def _bracket_depth(text: str) -> int:
    """The deepest nesting of brackets, those in texts included: a bound need not be exact to hold."""
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth = max(depth - 1, 0)
    return deepest
