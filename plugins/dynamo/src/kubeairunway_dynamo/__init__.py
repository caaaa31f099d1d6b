"""NVIDIA Dynamo as a provider of KubeAIRunway, by its hooks.

What can be data is in `catalog`; `components` says which workers there are, `arguments` builds their command lines.
"""

from kubeairunway_dynamo.catalog import provider
from kubeairunway_dynamo.objections import validate
from kubeairunway_dynamo.objects import render
from kubeairunway_dynamo.report import status

__all__ = ["provider", "render", "status", "validate"]
