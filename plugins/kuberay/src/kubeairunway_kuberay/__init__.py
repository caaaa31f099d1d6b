"""KubeRay as a provider of KubeAIRunway, by its hooks.

What can be data is in `catalog`; `groups` says what is asked of Ray, `arguments` what of vLLM; `cluster` has the pods.
"""

from kubeairunway_kuberay.catalog import provider
from kubeairunway_kuberay.objections import validate
from kubeairunway_kuberay.objects import render
from kubeairunway_kuberay.report import status

__all__ = ["provider", "render", "status", "validate"]
