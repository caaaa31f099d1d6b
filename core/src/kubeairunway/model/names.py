"""Every name of ours that other software sees: group, labels, annotations, finalizer, field manager."""

GROUP = "kubeairunway.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
MODEL_DEPLOYMENT = "ModelDeployment"
PROVIDER_CONFIG = "InferenceProviderConfig"

FIELD_MANAGER = "kubeairunway"
FINALIZER = f"{GROUP}/provider-cleanup"

MANAGED_BY = f"{GROUP}/managed-by"
MANAGED_BY_VALUE = "kubeairunway"
DEPLOYMENT = f"{GROUP}/deployment"
PROVIDER = f"{GROUP}/provider"
ENGINE_TYPE = f"{GROUP}/engine-type"
MODEL_SOURCE = f"{GROUP}/model-source"

PAUSED = f"{GROUP}/reconcile-paused"
OWNER_UID = f"{GROUP}/owner-uid"
APPLIED_HASH = f"{GROUP}/applied-hash"

PROVIDER_GROUP = "kubeairunway.providers"
"""The entry-point group in which provider packages register."""
