"""The conformance suite: the rules of docs/provider-contract.md as functions from a provider to findings.

`pytest --kubeairunway-provider NAME` and `kubeairunway providers check NAME` are two fronts of it.
"""

from kubeairunway.testing.conformance.findings import Finding, Rule, Verdict
from kubeairunway.testing.conformance.subject import Subject
from kubeairunway.testing.conformance.suite import FIRST, RULES, check_provider, check_rule

__all__ = ["FIRST", "RULES", "Finding", "Rule", "Subject", "Verdict", "check_provider", "check_rule"]
