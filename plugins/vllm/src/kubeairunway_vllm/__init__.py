"""Plain vLLM pods as a provider of KubeAIRunway: a Deployment and a Service, no operator."""

from kubeairunway_vllm.catalog import provider
from kubeairunway_vllm.objections import validate
from kubeairunway_vllm.objects import render
from kubeairunway_vllm.report import status

__all__ = ["provider", "render", "status", "validate"]
