"""Every condition type, condition reason and event reason there is, with what each means.

Conditions and reasons are interface: people and tools match on them. `docs/` tables are made from here.
"""

from enum import StrEnum


class ConditionType(StrEnum):
    """Condition types of a ModelDeployment."""

    VALIDATED = "Validated"
    ENGINE_SELECTED = "EngineSelected"
    PROVIDER_SELECTED = "ProviderSelected"
    PROVIDER_COMPATIBLE = "ProviderCompatible"
    PROVIDER_AVAILABLE = "ProviderAvailable"
    RESOURCE_CREATED = "ResourceCreated"
    DRIFT_CONTESTED = "DriftContested"
    PAUSED = "Paused"
    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Reason(StrEnum):
    """Reasons of conditions; the comment beside each says when it is used."""

    VALIDATION_PASSED = "ValidationPassed"  # Validated
    VALIDATION_FAILED = "ValidationFailed"  # Validated, Stalled, Ready: the spec has errors
    EXPLICIT_SELECTION = "ExplicitSelection"  # EngineSelected, ProviderSelected: named in the spec
    AUTO_SELECTED = "AutoSelected"  # EngineSelected, ProviderSelected: chosen by rules
    SELECTION_FAILED = "SelectionFailed"  # every candidate was refused
    NO_PROVIDER = "NoProvider"  # none is installed, ready and willing yet
    UNKNOWN_PROVIDER = "UnknownProvider"  # spec.provider.name names none that exists (yet)
    COMPATIBILITY_VERIFIED = "CompatibilityVerified"  # ProviderCompatible
    INCOMPATIBLE_CONFIGURATION = "IncompatibleConfiguration"  # the provider cannot express the spec
    PROVIDER_ERROR = "ProviderError"  # a hook raised, timed out or returned nonsense
    PROVIDER_MISSING = "PackageMissing"  # ProviderAvailable: its package is not loaded
    PROVIDER_DISABLED = "ProviderDisabled"  # ProviderAvailable: switched off by the administrator
    PROVIDER_NOT_READY = "ProviderNotReady"  # a recreate waits for the provider
    RESOURCE_CREATED = "ResourceCreated"  # ResourceCreated
    RESOURCE_CONFLICT = "ResourceConflict"  # an object of that name is not ours
    RESOURCE_REFUSED = "ResourceRefused"  # the API server or a webhook refused an object of ours
    RESOURCE_FAILED = "ResourceFailed"  # it could not be written, and will be tried again
    RESOURCE_PENDING = "ResourcePending"  # not created yet
    RECREATING = "Recreating"  # the old object goes, the new one follows
    DELETION_STUCK = "DeletionStuck"  # the old object does not go away
    DEPLOYMENT_READY = "DeploymentReady"  # Ready
    SCALED_TO_ZERO = "ScaledToZero"  # Ready with no replicas, as asked
    DEPLOYMENT_IN_PROGRESS = "DeploymentInProgress"  # Ready, Reconciling
    DEPLOYMENT_FAILED = "DeploymentFailed"  # upstream says that it failed
    DEPLOYMENT_SETTLED = "Settled"  # Reconciling, Stalled: nothing to do, nothing wrong
    PAUSED = "ReconciliationPaused"  # Paused
    TERMINATING = "Terminating"  # Ready, Reconciling while deleting
    DRIFT_CONTESTED = "AnotherWriter"  # DriftContested: somebody keeps changing what we rendered


class EventReason(StrEnum):
    """Reasons of events on a ModelDeployment."""

    PROVIDER_SELECTED = "ProviderSelected"
    RESOURCE_CREATED = "ResourceCreated"
    RESOURCE_CONFLICT = "ResourceConflict"
    RESOURCE_REFUSED = "ResourceRefused"
    PROVIDER_ERROR = "ProviderError"
    DRIFT_DETECTED = "DriftDetected"
    RECREATING = "Recreating"
    DELETION_STUCK = "DeletionStuck"
    FINALIZER_TIMEOUT = "FinalizerTimeout"


class ConfigCondition(StrEnum):
    """Condition types of an InferenceProviderConfig."""

    READY = "Ready"
    RULES_VALID = "RulesValid"
    SETTINGS_VALID = "SettingsValid"
    CRDS_SERVED = "KindsServed"
    OPERATOR_READY = "OperatorReady"


class ConfigReason(StrEnum):
    """Reasons of an InferenceProviderConfig's conditions."""

    READY = "ProviderReady"
    PACKAGE_MISSING = "PackageMissing"
    PACKAGE_FAILED = "PackageFailed"
    HEARTBEAT_EXPIRED = "HeartbeatExpired"
    KIND_NOT_SERVED = "KindNotServed"
    KINDS_SERVED = "KindsServed"
    OPERATOR_MISSING = "OperatorMissing"
    OPERATOR_NOT_READY = "OperatorNotReady"
    OPERATOR_READY = "OperatorReady"
    OPERATOR_UNKNOWN = "OperatorUnknown"  # Deployments may not be read
    RULE_FAILED = "RuleFailed"
    RULES_VALID = "RulesValid"
    SETTINGS_INVALID = "SettingsInvalid"
    SETTINGS_VALID = "SettingsValid"
