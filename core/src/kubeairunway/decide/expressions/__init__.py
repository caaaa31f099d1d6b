"""Selection rules in CEL: compiled once, bounded at load and in evaluation, verdicts remembered.

The library behind them is loaded with the first rule, never by an import.
"""

from kubeairunway.decide.expressions.limits import MAX_BRACKETS, MAX_DEPTH, MAX_LENGTH, MAX_STEPS
from kubeairunway.decide.expressions.rules import (
    Expressions,
    Program,
    RuleError,
    SpecView,
    compile_rule,
    evaluate,
)

__all__ = [
    "MAX_BRACKETS",
    "MAX_DEPTH",
    "MAX_LENGTH",
    "MAX_STEPS",
    "Expressions",
    "Program",
    "RuleError",
    "SpecView",
    "compile_rule",
    "evaluate",
]
