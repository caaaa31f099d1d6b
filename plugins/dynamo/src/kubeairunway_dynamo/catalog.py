"""What Dynamo is, as data: kinds, engines with the fields they carry, rules, overrides and settings.

Facts about upstream are those of Dynamo 1.4 (nvidia.com/v1beta1) and 1.1 (v1alpha1, where nothing newer is served).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field

from kubeairunway.plugin import CONTRACT, SERVICE, Engine, EngineName, Kind, Provider, Rule, hookimpl

FRONTEND = "Frontend"
"""Name of the component that is called; upstream makes its Service under `<name>-frontend`."""
FRONTEND_SUFFIX = FRONTEND.lower()
FRONTEND_PORT = 8000
BETA, ALPHA = "v1beta1", "v1alpha1"

GRAPH = Kind(
    group="nvidia.com",
    name="DynamoGraphDeployment",
    versions=(BETA, ALPHA),
    recreate=("spec.backendFramework",),  # the webhook refuses a change, as of the set of components
    # Without Grove new workers start beside the old ones; with it pod by pod, which takes no more than that.
    surge=("spec.components[].podTemplate",),
    max_name=45 - len(FRONTEND),  # where Grove runs the pods, upstream's webhook takes 45 with the component's name
)
CLAIM = Kind(group="", name="PersistentVolumeClaim", versions=("v1",), max_name=253)


@dataclass(frozen=True, slots=True)
class Flags:
    """One engine's image at upstream, and how its worker spells what it is told."""

    image: str
    model: str
    tensor_parallel: str
    context_length: str = ""
    no_prefix_caching: str = ""
    eager: str = ""


ENGINES: Mapping[EngineName, Flags] = MappingProxyType(
    {
        "vllm": Flags(
            "vllm-runtime",
            "model",
            "tensor-parallel-size",
            "max-model-len",
            "no-enable-prefix-caching",
            "enforce-eager",
        ),
        "sglang": Flags(
            "sglang-runtime", "model-path", "tp-size", "context-length", "disable-radix-cache", "disable-cuda-graph"
        ),
        "trtllm": Flags("tensorrtllm-runtime", "model-path", "tensor-parallel-size"),
    }
)
RUNTIMES: Mapping[str, str] = MappingProxyType({BETA: "1.4.0", ALPHA: "1.1.1"})
"""Tag of upstream's images by API version: 1.1 is the last line that serves v1alpha1 alone."""

MODEL = frozenset({"model.id", "model.servedName", "model.storage", "engine.args", "engine.extraArgs"})
PODS = frozenset({"engine.image", "image", "env", "podTemplate.metadata", "nodeSelector", "tolerations"})
ALWAYS = MODEL | PODS | {"secrets.huggingFaceToken"}
TUNED = frozenset(
    f"engine.{name}" for name in ("contextLength", "trustRemoteCode", "enablePrefixCaching", "enforceEager")
)
"""What vLLM and SGLang have flags for, and TensorRT-LLM's worker has none."""
AGGREGATED = ALWAYS | {"scaling.replicas", "resources"}
DISAGGREGATED = ALWAYS | {"scaling.prefill", "scaling.decode"}

Quantity = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$")]
Variable = Annotated[str, Field(max_length=253, pattern=r"^[!-<>-~]+$")]
RuntimeVersion = Annotated[str, Field(pattern=r"^((0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]{0,3}))?$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontendResources:
    """What each frontend asks for."""

    cpu: Quantity = "2"
    """CPU request of each frontend, for example 2 or 500m."""
    memory: Quantity = "4Gi"
    """Memory request of each frontend, for example 4Gi."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontend:
    """The component that takes requests and routes them to the workers."""

    replicas: Annotated[int, Field(ge=1, le=32)] = 1
    """Frontends while there are workers; with none, no frontend runs either."""
    image: Annotated[str, Field(max_length=1024)] = ""
    """Image of the frontend; empty is the workers' image, which has it."""
    resources: FrontendResources = field(default_factory=FrontendResources)
    """What each frontend asks for."""
    env: Mapping[Variable, str] = field(default_factory=lambda: MappingProxyType({}))
    """Environment of the frontend, such as a proxy; the deployment's env is the workers'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Options of one deployment: `spec.provider.overrides`."""

    router_mode: Literal["round-robin", "random", "kv"] = "round-robin"
    """How the frontend chooses a worker. kv takes the one that has most of the prompt in its cache, and lets vLLM
    and SGLang publish what they hold."""
    frontend: Frontend = field(default_factory=Frontend)
    """The component that takes requests."""
    runtime_version: RuntimeVersion = ""
    """Version of Dynamo in the image, for example 1.4.0; needed where an image's tag is no version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Options of the whole cluster: `spec.settings` of the InferenceProviderConfig."""

    registry: str = "nvcr.io/nvidia/ai-dynamo"
    """Where vllm-runtime, sglang-runtime and tensorrtllm-runtime are pulled from; name a mirror here."""
    runtime_version: RuntimeVersion = ""
    """Tag of those images; empty is 1.4.0, or 1.1.1 where the cluster serves v1alpha1 alone."""


PROVIDER = Provider(
    name="dynamo",
    contract=CONTRACT,
    kinds=(GRAPH, CLAIM, SERVICE),
    engines=(
        Engine(name="vllm", carries=AGGREGATED | TUNED),
        Engine(name="vllm", modes=("disaggregated",), carries=DISAGGREGATED | TUNED),
        Engine(name="sglang", carries=AGGREGATED | TUNED),
        Engine(name="sglang", modes=("disaggregated",), carries=DISAGGREGATED | TUNED),
        Engine(name="trtllm", carries=AGGREGATED),
    ),
    rules=(
        Rule(name="trtllm", condition='spec.engine.type == "trtllm"', priority=100),
        Rule(name="sglang", condition='spec.engine.type == "sglang"', priority=100),
        Rule(name="disaggregated", condition='spec.serving.mode == "disaggregated"', priority=90),
        Rule(name="vllm", condition='spec.engine.type == "vllm" && spec.resources.gpu.count > 0', priority=50),
    ),
    overrides=Overrides,
    settings=Settings,
    operator=MappingProxyType({"app.kubernetes.io/name": "dynamo-operator"}),
    docs="https://docs.nvidia.com/dynamo/",
)


@hookimpl
def provider() -> Provider:
    """What Dynamo offers."""
    return PROVIDER
