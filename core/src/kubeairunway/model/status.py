"""`ModelDeployment.status`: what the controller last saw and decided. It has one writer.

Every list and text has a bound here because the CRD has it; whoever fills a status cuts to these bounds.
"""

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from kubeairunway.model.base import DEFAULTED, MAX_INT32, Model, list_map
from kubeairunway.model.spec import EngineName

Phase = Literal["Pending", "Deploying", "Running", "Failed", "Terminating"]
ConditionStatus = Literal["True", "False", "Unknown"]
ApiFormat = Literal["openai-chat", "openai-responses", "anthropic-messages"]

MAX_MESSAGE = 32768
"""Longest message of a condition, and of the status itself: Kubernetes' own bound for conditions."""
MAX_REASON = 1024
"""Longest explanation in one line: why this engine, this provider, not that candidate."""
MAX_CONDITIONS = 32
MAX_CANDIDATES = 32
MAX_OBJECTS = 32

UNOBSERVED: dict[str, JsonValue] = {"observedGeneration": -1}
"""The status of an object nobody has looked at; without it kstatus calls such an object done."""

Count = Annotated[int, Field(ge=0, le=MAX_INT32)]
ObjectName = Annotated[str, Field(max_length=253)]
KindName = Annotated[str, Field(max_length=63)]
ApiVersion = Annotated[str, Field(max_length=317)]
Line = Annotated[str, Field(max_length=MAX_REASON)]
Text = Annotated[str, Field(max_length=MAX_MESSAGE)]
Time = Annotated[str, Field(max_length=64, json_schema_extra={"format": "date-time"})]
"""An RFC 3339 time, kept as written."""


class Condition(Model):
    """A standard Kubernetes condition."""

    type: str = Field(
        min_length=1,
        max_length=316,
        pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
        r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
        description="What is judged, for example Ready.",
    )
    status: ConditionStatus = Field(description="Whether it holds.")
    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        None, description="metadata.generation that was judged."
    )
    last_transition_time: Time = Field(description="When status last changed.")
    reason: str = Field(
        min_length=1,
        max_length=1024,
        pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        description="Why, in one CamelCase word.",
    )
    message: Text = Field(description="Why, in a sentence.")


class ProviderStatus(Model):
    """The provider in charge, and the primary object it was asked to run."""

    name: Annotated[str, Field(max_length=63)] = Field("", description="Name of the InferenceProviderConfig.")
    api_version: ApiVersion = Field("", description="apiVersion of the primary object.")
    resource_kind: KindName = Field("", description="Kind of the primary object.")
    resource_name: ObjectName = Field("", description="Name of the primary object.")
    identity: Annotated[str, Field(max_length=MAX_REASON)] = Field(
        "", description="What the primary object was made for: model, provider, engine and mode."
    )
    selected_reason: Line = Field("", description="Why this provider.")
    gpus: Annotated[int, Field(ge=0)] | None = Field(
        None, description="GPUs that policies granted; absent where no policy asks what else is in a namespace."
    )


class EngineStatus(Model):
    """The engine in use."""

    type: EngineName | None = Field(None, description="The engine.")
    selected_reason: Line = Field("", description="Why this engine.")


class Candidate(Model):
    """One provider as a candidate for this deployment."""

    name: Annotated[str, Field(max_length=63)] = Field(description="Name of the provider.")
    eligible: bool = Field(description="Whether it could run the deployment.")
    score: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        None, description="Its score; absent if it is not eligible."
    )
    reason: Line = Field("", description="Where the score comes from, or what would make it eligible.")


class Selection(Model):
    """How engine and provider were chosen, in short; `kubeairunway explain` has the whole."""

    provider: Annotated[str, Field(max_length=63)] = Field("", description="The winner; empty if there is none.")
    engine: EngineName | None = Field(None, description="The engine it runs.")
    reason: Line = Field("", description="Why it won, or why nobody did.")
    candidates: Annotated[tuple[Candidate, ...], Field(max_length=MAX_CANDIDATES)] = Field(
        (), description="Every candidate, best first.", json_schema_extra=list_map("name")
    )


class CreatedObject(Model):
    """An object that was created for this deployment."""

    api_version: ApiVersion = Field(description="Its apiVersion.")
    kind: KindName = Field(description="Its kind.")
    name: ObjectName = Field(description="Its name, in the namespace of the deployment.")


class Replicas(Model):
    """Replicas by how far they are."""

    desired: Count = Field(0, description="Replicas asked for; prefill and decode together when disaggregated.")
    ready: Count = Field(0, description="Replicas of the current revision that serve.")
    available: Count = Field(0, description="Replicas of any revision that serve.")


class Endpoint(Model):
    """Where the model answers."""

    service: ObjectName = Field("", description="Name of the Service, in the namespace of the deployment.")
    port: Annotated[int, Field(ge=0, le=65535)] | None = Field(None, description="Its port.")


class GatewayStatus(Model):
    """Where the model answers through a Gateway."""

    endpoint: Line = Field("", description="Address of the Gateway.")
    model_name: Annotated[str, Field(max_length=512)] = Field("", description="Model name the route matches.")
    gateway_namespace: Annotated[str, Field(max_length=63)] = Field("", description="Namespace of the Gateway.")
    api_formats: Annotated[tuple[ApiFormat, ...], Field(max_length=8)] = Field((), description="APIs it speaks.")


class ImageStatus(Model):
    """The engine's image as it was resolved."""

    requested: Line = Field("", description="Image asked for.")
    resolved: Line = Field("", description="Image in use, by digest.")
    repository: Line = Field("", description="Repository of the image.")
    tag: Annotated[str, Field(max_length=128)] = Field("", description="Tag of the image.")
    digest: Annotated[str, Field(max_length=256)] = Field("", description="Digest of the image.")
    source: Line = Field("", description="Who decided on it.")
    created_at: Time | None = Field(None, description="When the image was built.")
    revision: Annotated[str, Field(max_length=256)] = Field("", description="Source revision it was built from.")
    age: Annotated[str, Field(max_length=64)] = Field("", description="Its age when it was resolved.")
    in_nightly: bool | None = Field(None, description="Whether it is a nightly build.")
    verified: bool | None = Field(None, description="Whether its signature was verified.")
    verification_message: Line = Field("", description="What verification said.")
    message: Line = Field("", description="What resolving said.")


class Status(Model):
    """What the controller last saw and decided."""

    observed_generation: Annotated[int, Field(ge=-1)] = Field(
        -1,
        description="metadata.generation that this status is about; -1 before the first look.",
        json_schema_extra={"default": None},
    )
    phase: Phase | None = Field(None, description="How far the deployment is.")
    message: Text = Field("", description="The root cause when it is not ready.")
    selection: Selection | None = Field(None, description="How engine and provider were chosen.")
    provider: ProviderStatus | None = Field(None, description="The provider in charge and its primary object.")
    engine: EngineStatus | None = Field(None, description="The engine in use.")
    replicas: Replicas | None = Field(None, description="Replicas by how far they are.")
    selector: Annotated[str, Field(max_length=4096)] = Field(
        "", description="Label selector of the model's pods, for the scale subresource."
    )
    endpoint: Endpoint | None = Field(None, description="Where the model answers.")
    gateway: GatewayStatus | None = Field(None, description="Where the model answers through a Gateway.")
    image: ImageStatus | None = Field(None, description="The engine's image as it was resolved.")
    objects: Annotated[tuple[CreatedObject, ...], Field(max_length=MAX_OBJECTS)] = Field(
        (), description="The other objects that were created, so that deletion needs no provider package."
    )
    conditions: Annotated[tuple[Condition, ...], Field(max_length=MAX_CONDITIONS)] = Field(
        (), description="Conditions, keyed by type.", json_schema_extra=list_map("type")
    )


STATUS_DEFAULT: dict[str, JsonValue] = {DEFAULTED: UNOBSERVED}
"""Mark of the field `status`: what the API server writes into an object that has none."""
