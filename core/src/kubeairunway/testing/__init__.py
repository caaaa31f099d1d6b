"""For provider authors: the whole decision for a deployment, as values, with no cluster.

What is decided here is what the controller decides, since both ask `kubeairunway.decide`.
"""

from kubeairunway.testing.offline import Observation, OfflineDecision, deployment

__all__ = ["Observation", "OfflineDecision", "deployment"]
