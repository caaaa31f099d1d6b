"""The product's own words: ModelDeployment, InferenceProviderConfig, the effective Spec, Problem, names.

Pure values; the CRDs in crds/ are generated from here. Nothing here decides or talks to a cluster.
"""

from kubeairunway.model.problems import Problem
from kubeairunway.model.spec import EngineName, ServingMode, Spec

__all__ = ["EngineName", "Problem", "ServingMode", "Spec"]
