"""`ModelDeployment.spec`, field by field: what a user writes and, completed by `decide/`, what hooks see.

One family of classes serves both: parsing fills in the schema's defaults, and the effective spec is the same
class with the engine resolved and the served name filled in. The CRD's schema is generated from here.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, PlainSerializer

from kubeairunway.model.base import (
    ATOMIC,
    DEFAULTED,
    MAX_INT32,
    REQUIRED,
    JsonMap,
    LabelMap,
    LabelValue,
    Model,
    Quantity,
    empty_map,
    list_map,
    read_only,
)

EngineName = Literal["vllm", "sglang", "trtllm", "llamacpp"]
ServingMode = Literal["aggregated", "disaggregated"]
ModelSource = Literal["huggingface", "custom"]
VolumePurpose = Literal["modelCache", "compilationCache", "custom"]
AccessMode = Literal["ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany", "ReadWriteOncePod"]

ENGINE_TITLES: dict[EngineName, str] = {
    "vllm": "vLLM",
    "sglang": "SGLang",
    "trtllm": "TensorRT-LLM",
    "llamacpp": "llama.cpp",
}
"""Engines as people write them, for messages."""

MAX_REPLICAS = 32
MAX_GPUS = 64
MAX_CPU = "512"
MAX_MEMORY = "4Ti"
DEFAULT_GPU = "nvidia.com/gpu"

DnsLabel = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([a-z0-9\-]*[a-z0-9])?$")]
Name = Annotated[str, Field(max_length=253, pattern=r"^([a-z0-9]([a-z0-9.\-]*[a-z0-9])?)?$")]
"""A name of a Kubernetes object, or nothing."""
GpuType = Annotated[str, Field(min_length=1, max_length=317, pattern=r"^[A-Za-z0-9.\-]+/[A-Za-z0-9._\-]+$")]
"""An extended resource's name: domain/resource."""
ArgMap = Annotated[
    Mapping[str, Annotated[str, Field(max_length=4096)]],
    AfterValidator(read_only),
    PlainSerializer(dict),
    Field(max_length=64),
]
AnnotationMap = Annotated[
    Mapping[str, Annotated[str, Field(max_length=32768)]],
    AfterValidator(read_only),
    PlainSerializer(dict),
    Field(max_length=64),
]


class Volume(Model):
    """A volume mounted into the engine's pods."""

    name: DnsLabel = Field(description="Name of the volume, unique in the list.")
    claim_name: Name = Field("", description="An existing PersistentVolumeClaim; with size it is made and named by us.")
    mount_path: str = Field(
        "",
        max_length=1024,
        description="Absolute path; /model-cache and /compilation-cache are "
        "the defaults of those purposes, custom needs one.",
    )
    purpose: VolumePurpose = Field("custom", description="What the volume holds.")
    read_only: bool = Field(False, description="Mount it read-only.")
    size: Quantity | None = Field(None, description="Create a claim of this size.")
    storage_class_name: Annotated[str, Field(max_length=253)] | None = Field(
        None, description="With size: absent is the cluster's default class, empty is no dynamic provisioning."
    )
    access_mode: AccessMode | None = Field(None, description="With size: how the claim is mounted (ReadWriteMany).")


class Storage(Model):
    """Volumes of a model."""

    volumes: Annotated[tuple[Volume, ...], Field(max_length=8)] = Field(
        (), description="Volumes, keyed by name.", json_schema_extra=list_map("name")
    )


class ModelRef(Model):
    """Which model is served, and under which name."""

    id: str = Field("", max_length=512, description="Model id, for example Qwen/Qwen3-0.6B; required for huggingface.")
    served_name: str = Field("", max_length=253, description="Name that clients ask for; the id's last part if empty.")
    source: ModelSource = Field("huggingface", description="Where weights come from; custom: the image carries them.")
    storage: Storage = Field(Storage(), description="Volumes for weights and caches.")


class ProviderRef(Model):
    """Which provider runs the model; empty lets the rules choose."""

    name: Annotated[str, Field(max_length=63, pattern=r"^([a-z0-9]([a-z0-9\-]*[a-z0-9])?)?$")] = Field(
        "", description="Name of an InferenceProviderConfig."
    )
    overrides: JsonMap = Field(
        default_factory=empty_map, description="Options of that provider, checked against its published schema."
    )


class Engine(Model):
    """Which inference engine runs, and how."""

    type: EngineName | None = Field(None, description="The engine; chosen from what providers offer if absent.")
    context_length: Annotated[int, Field(ge=1, le=MAX_INT32)] | None = Field(
        None, description="Longest context, tokens."
    )
    trust_remote_code: bool = Field(False, description="Let the model's repository run its own Python code.")
    args: ArgMap = Field(
        default_factory=empty_map, description="Engine arguments by name without dashes; an empty value is a bare flag."
    )
    image: str = Field("", max_length=1024, description="Container image of the engine; preferred over spec.image.")
    enable_prefix_caching: bool = Field(True, description="Reuse the key-value cache of common prefixes.")
    enforce_eager: bool = Field(False, description="Run without CUDA graphs: slower, less memory.")
    extra_args: Annotated[tuple[Annotated[str, Field(max_length=4096)], ...], Field(max_length=64)] = Field(
        (), description="Raw arguments, appended as they are."
    )


class Serving(Model):
    """How a request is served."""

    mode: ServingMode = Field("aggregated", description="One kind of worker, or prefill and decode apart.")


class Gpu(Model):
    """GPUs of one replica."""

    count: int = Field(0, ge=0, le=MAX_GPUS, description="GPUs per replica; 0 is CPU only.")
    type: GpuType = Field(DEFAULT_GPU, description="Name of the extended resource.")


class Role(Model):
    """Workers of one role in disaggregated mode."""

    replicas: int = Field(1, ge=0, le=MAX_REPLICAS, description="Workers of this role.")
    gpu: Gpu = Field(Gpu(), description="GPUs of each worker.")
    memory: Quantity | None = Field(None, description="Memory of each worker.")


class Scaling(Model):
    """How many replicas."""

    replicas: int = Field(1, ge=0, le=MAX_REPLICAS, description="Replicas of the model; 0 keeps it without pods.")
    prefill: Role | None = Field(None, description="Prefill workers; disaggregated mode only.")
    decode: Role | None = Field(None, description="Decode workers; disaggregated mode only.")


class Resources(Model):
    """What each replica asks for in aggregated mode."""

    gpu: Gpu = Field(Gpu(), description="GPUs; absent or 0 is CPU only.")
    memory: Quantity | None = Field(None, description="Memory of each replica.")
    cpu: Quantity | None = Field(None, description="CPU of each replica.")


class KeyRef(Model):
    """A key of a ConfigMap or Secret in the same namespace."""

    model_config = ConfigDict(json_schema_extra=ATOMIC)

    name: Name = Field(min_length=1, description="Name of the object.")
    key: str = Field(min_length=1, max_length=253, description="The key in it.")
    optional: bool | None = Field(None, description="Start without it when it does not exist.")


class FieldRef(Model):
    """A field of the pod."""

    model_config = ConfigDict(json_schema_extra=ATOMIC)

    api_version: Annotated[str, Field(max_length=64)] | None = Field(None, description="Version of the path.")
    field_path: str = Field(min_length=1, max_length=1024, description="For example metadata.name.")


class ResourceFieldRef(Model):
    """A resource of a container."""

    model_config = ConfigDict(json_schema_extra=ATOMIC)

    container_name: Annotated[str, Field(max_length=63)] | None = Field(None, description="The container.")
    resource: str = Field(min_length=1, max_length=253, description="For example limits.memory.")
    divisor: Quantity | None = Field(None, description="Unit of the value.")


class FileKeyRef(Model):
    """A key of an environment file in a volume."""

    model_config = ConfigDict(json_schema_extra=ATOMIC)

    volume_name: str = Field(min_length=1, max_length=63, description="The volume.")
    path: str = Field(min_length=1, max_length=1024, description="The file in it.")
    key: str = Field(min_length=1, max_length=253, description="The key in the file.")
    optional: bool | None = Field(None, description="Start without it when it does not exist.")


class EnvSource(Model):
    """Where a variable's value comes from; exactly one is set."""

    config_map_key_ref: KeyRef | None = Field(None, description="A key of a ConfigMap.")
    secret_key_ref: KeyRef | None = Field(None, description="A key of a Secret.")
    field_ref: FieldRef | None = Field(None, description="A field of the pod.")
    resource_field_ref: ResourceFieldRef | None = Field(None, description="A resource of a container.")
    file_key_ref: FileKeyRef | None = Field(None, description="A key of an environment file.")


class EnvVar(Model):
    """An environment variable of the engine's container."""

    name: str = Field(min_length=1, max_length=253, description="Name of the variable, unique in the list.")
    value: Annotated[str, Field(max_length=32768)] | None = Field(None, description="Its value.")
    value_from: EnvSource | None = Field(None, description="Where its value comes from instead.")


class PodMetadata(Model):
    """Metadata of the engine's pods."""

    labels: LabelMap = Field(default_factory=empty_map, description="Labels of the pods.")
    annotations: AnnotationMap = Field(default_factory=empty_map, description="Annotations of the pods.")


class PodTemplate(Model):
    """What the engine's pods carry besides the engine."""

    metadata: PodMetadata = Field(PodMetadata(), description="Labels and annotations.")


class Secrets(Model):
    """Secrets of the same namespace, by name; they are referenced and never read."""

    hugging_face_token: Name = Field("", description="Secret whose key HF_TOKEN opens gated models.")


class Toleration(Model):
    """A taint that the engine's pods bear."""

    key: Annotated[str, Field(max_length=317)] | None = Field(None, description="Key of the taint; absent is all.")
    operator: Literal["Exists", "Equal", "Lt", "Gt"] | None = Field(None, description="How value compares (Equal).")
    value: LabelValue | None = Field(None, description="Value of the taint.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(None, description="Absent is all.")
    toleration_seconds: int | None = Field(None, description="How long a NoExecute taint is borne, in seconds.")


class Gateway(Model):
    """How the model is reached through a Gateway."""

    enabled: bool | None = Field(None, description="Absent: when the Gateway API is installed.")
    model_name: str = Field("", max_length=253, description="Name in the route; the served name if empty.")
    http_route_ref: Name = Field("", description="An HTTPRoute of yours instead of one of ours.")


class Spec(Model):
    """What a ModelDeployment asks for; as hooks and CEL see it, complete: defaults filled in, engine resolved."""

    model: ModelRef = Field(ModelRef(), description="Which model is served.", json_schema_extra={REQUIRED: True})
    provider: ProviderRef = Field(ProviderRef(), description="Which provider runs it.")
    engine: Engine = Field(Engine(), description="Which engine runs it, and how.")
    serving: Serving = Field(Serving(), description="How requests are served.")
    scaling: Scaling = Field(Scaling(), description="How many replicas.", json_schema_extra={DEFAULTED: {}})
    resources: Resources = Field(Resources(), description="What each replica asks for.")
    image: str = Field("", max_length=1024, description="Container image; engine.image is preferred.")
    env: Annotated[tuple[EnvVar, ...], Field(max_length=128)] = Field(
        (), description="Environment, keyed by name.", json_schema_extra=list_map("name")
    )
    pod_template: PodTemplate = Field(PodTemplate(), description="Metadata of the pods.")
    secrets: Secrets = Field(Secrets(), description="Secrets, by name.")
    node_selector: LabelMap = Field(default_factory=empty_map, description="Labels that nodes must have.")
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=64)] = Field((), description="Taints borne.")
    gateway: Gateway = Field(Gateway(), description="How the model is reached through a Gateway.")


def count_gpus(spec: Spec) -> int:
    """The GPUs of all replicas of a deployment: replicas by GPUs of each, when disaggregated summed over the roles."""
    if spec.serving.mode == "aggregated":
        return spec.scaling.replicas * spec.resources.gpu.count
    roles = (spec.scaling.prefill, spec.scaling.decode)
    return sum(role.replicas * role.gpu.count for role in roles if role is not None)
