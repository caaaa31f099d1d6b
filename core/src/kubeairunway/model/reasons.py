"""Every condition type, condition reason and event reason there is, with what each means.

Conditions and reasons are interface: people and tools match on them. `docs/` tables are made from here.
"""

from enum import StrEnum
from typing import Self


class Word(StrEnum):
    """A word of the interface, with what it means."""

    _value_: str
    meaning: str

    def __new__(cls, word: str, meaning: str = "") -> Self:
        """Make the member a text of its own word."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.meaning = meaning
        return member


class ConditionType(Word):
    """Condition types of a ModelDeployment."""

    VALIDATED = "Validated", "The spec has no errors."
    ENGINE_SELECTED = "EngineSelected", "An engine is chosen."
    PROVIDER_SELECTED = "ProviderSelected", "A provider is chosen."
    PROVIDER_COMPATIBLE = "ProviderCompatible", "The provider can express the spec."
    ADMITTED = "Admitted", "False while a policy objects, or cannot be asked; absent otherwise."
    PROVIDER_AVAILABLE = "ProviderAvailable", "The provider's package is loaded and not switched off."
    RESOURCE_CREATED = "ResourceCreated", "The provider's objects exist and are ours."
    DRIFT_CONTESTED = "DriftContested", "Another writer keeps changing a field that we render."
    PAUSED = "Paused", "The annotation kubeairunway.ai/reconcile-paused keeps us from writing."
    READY = "Ready", "The current revision serves; reason and message tell the root cause if not."
    RECONCILING = "Reconciling", "Work goes on; nothing has to be done."
    STALLED = "Stalled", "Nothing goes on until somebody changes something."


class Reason(Word):
    """Reasons of conditions; each says of which conditions, and when."""

    VALIDATION_PASSED = "ValidationPassed", "Validated: the spec has no errors"
    VALIDATION_FAILED = "ValidationFailed", "Validated, Stalled, Ready: the spec has errors"
    EXPLICIT_SELECTION = "ExplicitSelection", "EngineSelected, ProviderSelected: named in the spec"
    AUTO_SELECTED = "AutoSelected", "EngineSelected, ProviderSelected: chosen by rules"
    SELECTION_FAILED = "SelectionFailed", "every candidate was refused"
    NO_PROVIDER = "NoProvider", "none is installed, ready and willing yet"
    UNKNOWN_PROVIDER = "UnknownProvider", "spec.provider.name names none that exists (yet)"
    COMPATIBILITY_VERIFIED = "CompatibilityVerified", "ProviderCompatible: the provider can express the spec"
    INCOMPATIBLE_CONFIGURATION = "IncompatibleConfiguration", "the provider cannot express the spec"
    POLICY_REFUSED = "PolicyRefused", "Admitted, Ready, Stalled: a policy objects"
    POLICY_ERROR = "PolicyError", "Admitted, Ready, Stalled: a policy's hook raised, timed out or returned nonsense"
    POLICY_NOT_LOADED = "PolicyNotLoaded", "Admitted, Ready, Stalled: a policy is installed that cannot be loaded"
    PROVIDER_ERROR = "ProviderError", "a hook raised, timed out or returned nonsense"
    PROVIDER_MISSING = "PackageMissing", "ProviderAvailable: its package is not loaded"
    PROVIDER_DISABLED = "ProviderDisabled", "ProviderAvailable: switched off by the administrator"
    PROVIDER_NOT_READY = "ProviderNotReady", "a recreate waits for the provider"
    RESOURCE_CREATED = "ResourceCreated", "ResourceCreated: the objects exist"
    RESOURCE_CONFLICT = "ResourceConflict", "an object of that name is not ours"
    RESOURCE_REFUSED = "ResourceRefused", "the API server or a webhook refused an object of ours"
    RESOURCE_FAILED = "ResourceFailed", "it could not be written, and will be tried again"
    RESOURCE_PENDING = "ResourcePending", "not created yet"
    RECREATING = "Recreating", "the old object goes, the new one follows"
    DELETION_STUCK = "DeletionStuck", "the old object does not go away"
    DEPLOYMENT_READY = "DeploymentReady", "Ready: the current revision serves"
    SCALED_TO_ZERO = "ScaledToZero", "Ready with no replicas, as asked"
    DEPLOYMENT_IN_PROGRESS = "DeploymentInProgress", "Ready, Reconciling: upstream is at work"
    SECRET_MISSING = "SecretMissing", "Ready: a Secret that the spec names, or a key that a pod needs, does not exist"
    DEPENDENCY_MISSING = "DependencyMissing", "Ready: a pod lacks a ConfigMap, a claim or a volume"
    IMAGE_PULL = "ImagePull", "Ready: a container's image cannot be pulled"
    OUT_OF_MEMORY = "OutOfMemory", "Ready: a container used more memory than it may"
    CRASH_LOOP = "CrashLoop", "Ready: a container ends or cannot be started, again and again"
    ADMISSION_DENIED = "AdmissionDenied", "Ready: the API server or a webhook refuses the pods"
    QUOTA_EXCEEDED = "QuotaExceeded", "Ready: a ResourceQuota leaves no room for the pods"
    UNSCHEDULABLE = "Unschedulable", "Ready: no node takes a pod, and not for want of GPUs"
    WAITING_FOR_GPU = "WaitingForGPU", "Ready: no node has as many GPUs free as a pod needs"
    UPSTREAM_ERROR = "UpstreamError", "Ready, Stalled: upstream says that it failed, and nothing deeper is known"
    MODEL_DOWNLOAD = "ModelDownload", "Ready: a pod is downloading or loading the model"
    DEPLOYMENT_SETTLED = "Settled", "Reconciling, Stalled: nothing to do, nothing wrong"
    PAUSED = "ReconciliationPaused", "Paused: the annotation says so"
    TERMINATING = "Terminating", "Ready, Reconciling while deleting"
    DRIFT_CONTESTED = "AnotherWriter", "DriftContested: somebody keeps changing what we rendered"


class EventReason(Word):
    """Reasons of events on a ModelDeployment."""

    PROVIDER_SELECTED = "ProviderSelected", "a provider was chosen"
    RESOURCE_CREATED = "ResourceCreated", "an object was created"
    RESOURCE_CONFLICT = "ResourceConflict", "an object of that name is not ours"
    RESOURCE_REFUSED = "ResourceRefused", "the API server or a webhook refused an object of ours"
    PROVIDER_ERROR = "ProviderError", "a hook raised, timed out or returned nonsense"
    POLICY_ERROR = "PolicyError", "a policy's hook raised, timed out or returned nonsense"
    POLICY_WARNING = "PolicyWarning", "a policy let a deployment pass and warns of something"
    DRIFT_DETECTED = "DriftDetected", "a field that we render was changed by somebody else, and is put back"
    RECREATING = "Recreating", "the old object goes, the new one follows"
    DELETION_STUCK = "DeletionStuck", "the old object does not go away"
    FINALIZER_TIMEOUT = (
        "FinalizerTimeout",
        "the provider's object did not go away in time; the deployment goes without it",
    )


class ConfigCondition(Word):
    """Condition types of an InferenceProviderConfig."""

    READY = "Ready", "It can run deployments now."
    RULES_VALID = "RulesValid", "Every selection rule yields true or false."
    SETTINGS_VALID = "SettingsValid", "spec.settings is what the package takes."
    CRDS_SERVED = "KindsServed", "The cluster serves every kind that it needs."
    OPERATOR_READY = "OperatorReady", "The upstream operator runs."
    HOOKS_HEALTHY = "HooksHealthy", "The package's hooks answer; Ready does not depend on it."


class ConfigReason(Word):
    """Reasons of an InferenceProviderConfig's conditions."""

    READY = "ProviderReady", "Ready: it can run deployments"
    PACKAGE_MISSING = "PackageMissing", "Ready: its package is not loaded"
    HEARTBEAT_EXPIRED = "HeartbeatExpired", "Ready: no controller has looked after it lately"
    KIND_NOT_SERVED = "KindNotServed", "Ready, KindsServed: the cluster lacks a kind in every version it renders"
    KINDS_SERVED = "KindsServed", "KindsServed: it has them all"
    OPERATOR_MISSING = "OperatorMissing", "Ready, OperatorReady: no Deployment has its labels"
    OPERATOR_NOT_READY = "OperatorNotReady", "Ready, OperatorReady: its Deployment has no ready replica"
    OPERATOR_READY = "OperatorReady", "OperatorReady: it runs"
    OPERATOR_UNKNOWN = "OperatorUnknown", "OperatorReady: Deployments may not be read"
    RULE_FAILED = "RuleFailed", "RulesValid: a rule does not compile, errs or is not boolean"
    RULES_VALID = "RulesValid", "RulesValid: none failed"
    SETTINGS_INVALID = "SettingsInvalid", "Ready, SettingsValid: spec.settings has errors"
    SETTINGS_VALID = "SettingsValid", "SettingsValid: it has none"
    HOOK_FAILED = "HookFailed", "HooksHealthy: a hook raised, overran or returned nonsense, and did not succeed since"
    HOOKS_HEALTHY = "HooksHealthy", "HooksHealthy: none failed, or each succeeded since"
