"""InferenceProviderConfig: the administrator's word in `spec`, the package's and the controller's in `status`."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, PlainSerializer

from kubeairunway.model.base import MAX_INT32, JsonMap, Model, empty_map, list_map, read_only
from kubeairunway.model.spec import EngineName, ServingMode
from kubeairunway.model.status import MAX_CONDITIONS, ApiFormat, Condition, KindName, Line, Time

Priority = Annotated[int, Field(ge=0, le=100)]
RuleName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9\-]*[a-z0-9])?$")]
RuleText = Annotated[str, Field(min_length=1, max_length=2048)]
FieldPath = Annotated[str, Field(min_length=1, max_length=253)]
GroupName = Annotated[str, Field(max_length=253)]
VersionName = Annotated[str, Field(max_length=63)]
Url = Annotated[str, Field(max_length=2048)]
LabelChoices = Annotated[
    Mapping[str, Annotated[str, Field(max_length=1024)]], AfterValidator(read_only), PlainSerializer(dict)
]
Words = Annotated[str, Field(max_length=4096)]


class SelectionRule(Model):
    """A rule that makes deployments prefer this provider."""

    name: RuleName = Field(description="Name of the rule; that of a package's rule replaces it.")
    condition: RuleText = Field(
        description="CEL over `spec`, the effective spec: defaults filled in, engine resolved. True or false."
    )
    priority: Priority = Field(
        0, description="Score when the condition holds; a rule given here outranks every rule of a package."
    )


class ProviderConfigSpec(Model):
    """What the administrator says of a provider; the controller never writes it."""

    auto_select: bool | None = Field(
        None, description="Whether it may be chosen for deployments that do not name it; absent: as the package says."
    )
    disabled: bool = Field(False, description="Keep new deployments away; what runs goes on.")
    settings: JsonMap = Field(
        default_factory=empty_map,
        description="Settings of the package, checked against status.declared.settingsSchema. A change renders every "
        "deployment of this provider anew, and makes those anew whose objects cannot take it in place.",
    )
    selection_rules: Annotated[tuple[SelectionRule, ...], Field(max_length=32)] = Field(
        (), description="Rules, keyed by name.", json_schema_extra=list_map("name")
    )


class DeclaredPackage(Model):
    """The installed package behind a provider."""

    distribution: Annotated[str, Field(max_length=214)] = Field("", description="Its name as pip knows it.")
    version: VersionName = Field("", description="Its version.")


class DeclaredKind(Model):
    """A kind that the provider renders, or that upstream makes below it."""

    group: GroupName = Field("", description="API group; empty is Kubernetes' core group.")
    name: KindName = Field(description="The kind.")
    versions: Annotated[tuple[VersionName, ...], Field(max_length=16)] = Field((), description="Versions, best first.")
    recreate: Annotated[tuple[FieldPath, ...], Field(max_length=64)] = Field(
        (), description="Paths whose change deletes and creates the object."
    )
    surge: Annotated[tuple[FieldPath, ...], Field(max_length=64)] = Field(
        (), description="Paths whose change makes upstream run old and new side by side."
    )
    surge_replicas: Annotated[int, Field(ge=0, le=32)] | None = Field(
        None, description="Replicas beside those asked for while they do; 0 is a whole second set."
    )
    restart: Annotated[tuple[FieldPath, ...], Field(max_length=64)] = Field(
        (), description="Paths whose change makes upstream end replicas one after the other and start them anew."
    )
    max_name: Annotated[int, Field(ge=1, le=253)] | None = Field(None, description="Longest name, in characters.")
    optional: bool = Field(False, description="The provider is ready without it.")


class EndpointPicker(Model):
    """The endpoint picker of an engine's inference pool."""

    image: Line = Field("", description="Its image.")
    config_data: Annotated[str, Field(max_length=32768)] = Field("", description="Its configuration.")


class EngineGateway(Model):
    """How an engine of this provider works behind a Gateway."""

    manages_inference_pool: bool = Field(False, description="Upstream makes the InferencePool itself.")
    ignores_served_name: bool = Field(False, description="The engine answers to the model id alone.")
    inference_pool_name_pattern: Annotated[str, Field(max_length=253)] = Field(
        "", description="Name of upstream's pool; {name} and {namespace} stand for the deployment's."
    )
    inference_pool_namespace: Annotated[str, Field(max_length=253)] = Field(
        "", description="Namespace of upstream's pool; {namespace} stands for the deployment's."
    )
    endpoint_picker: EndpointPicker | None = Field(None, description="Endpoint picker instead of the default one.")


class DeclaredEngine(Model):
    """One engine in some serving modes, and the spec fields that reach it."""

    name: EngineName = Field(description="The engine.")
    modes: Annotated[tuple[ServingMode, ...], Field(max_length=2)] = Field((), description="Serving modes.")
    gpu: bool = Field(False, description="Runs on GPUs.")
    cpu: bool = Field(False, description="Runs without GPUs.")
    carries: Annotated[tuple[FieldPath, ...], Field(max_length=128)] = Field(
        (), description="Spec fields that reach it, without the leading `spec.`; a path covers what lies below."
    )
    api_formats: Annotated[tuple[ApiFormat, ...], Field(max_length=8)] = Field(
        (), description="APIs it speaks; none listed is openai-chat."
    )
    gateway: EngineGateway | None = Field(None, description="How it works behind a Gateway.")


class DeclaredRule(Model):
    """A selection rule of the package."""

    name: RuleName = Field(description="Name of the rule.")
    condition: RuleText = Field(description="CEL over the effective spec.")
    priority: Priority = Field(0, description="Score when the condition holds.")


class HelmRepo(Model):
    """A Helm repository."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Its local name.")
    url: Annotated[str, Field(min_length=1, max_length=2048)] = Field(description="Its address.")


class HelmChart(Model):
    """A Helm chart that installs the upstream operator."""

    name: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Name of the release.")
    chart: Annotated[str, Field(min_length=1, max_length=2048)] = Field(description="The chart.")
    version: VersionName = Field("", description="Its version.")
    namespace: Annotated[str, Field(min_length=1, max_length=63)] = Field(description="Where it is installed.")
    create_namespace: bool = Field(False, description="Make that namespace.")


class InstallationStep(Model):
    """One step of an installation by hand."""

    title: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="What it does.")
    description: Words = Field(description="How.")
    command: Words = Field("", description="The command.")


class Installation(Model):
    """How the upstream operator is installed."""

    description: Words = Field("", description="In words.")
    default_namespace: Annotated[str, Field(max_length=63)] = Field("", description="Where it usually runs.")
    helm_repos: Annotated[tuple[HelmRepo, ...], Field(max_length=16)] = Field((), description="Helm repositories.")
    helm_charts: Annotated[tuple[HelmChart, ...], Field(max_length=16)] = Field((), description="Helm charts.")
    steps: Annotated[tuple[InstallationStep, ...], Field(max_length=32)] = Field((), description="Steps by hand.")


class Declared(Model):
    """What the package says of itself, copied from the package that is loaded."""

    contract: Annotated[int, Field(ge=0, le=MAX_INT32)] = Field(0, description="Contract version it was written for.")
    package: DeclaredPackage = Field(DeclaredPackage(), description="The installed package.")
    auto_select: bool | None = Field(None, description="Whether it may be chosen for deployments that do not name it.")
    kinds: Annotated[tuple[DeclaredKind, ...], Field(max_length=32)] = Field((), description="Kinds it renders.")
    children: Annotated[tuple[DeclaredKind, ...], Field(max_length=32)] = Field(
        (), description="Kinds that upstream makes below them."
    )
    engines: Annotated[tuple[DeclaredEngine, ...], Field(max_length=16)] = Field(
        (), description="Engines; one may be listed once per serving mode."
    )
    rules: Annotated[tuple[DeclaredRule, ...], Field(max_length=32)] = Field(
        (), description="Selection rules, keyed by name.", json_schema_extra=list_map("name")
    )
    operator: Annotated[LabelChoices, Field(max_length=16)] = Field(
        default_factory=empty_map,
        description="Labels of the upstream operator's Deployment; a value may list alternatives, separated by commas.",
    )
    installation: Installation | None = Field(None, description="How the upstream operator is installed.")
    documentation: Url = Field("", description="Address of the documentation.")
    overrides_schema: JsonMap = Field(
        default_factory=empty_map, description="JSON Schema of spec.provider.overrides; empty: it takes none."
    )
    settings_schema: JsonMap = Field(
        default_factory=empty_map, description="JSON Schema of spec.settings; empty: it takes none."
    )


class UpstreamKind(Model):
    """A declared kind as this cluster serves it."""

    group: GroupName = Field("", description="API group.")
    name: KindName = Field(description="The kind.")
    version: VersionName = Field("", description="Version in use; empty: none that the provider knows is served.")


class Upstream(Model):
    """What of the provider's upstream this cluster has."""

    version: VersionName = Field("", description="Version of the upstream operator, if it says.")
    kinds: Annotated[tuple[UpstreamKind, ...], Field(max_length=32)] = Field((), description="Served versions.")


class ProviderConfigStatus(Model):
    """What the package says of itself and what the controller sees of it."""

    observed_generation: Annotated[int, Field(ge=0)] | None = Field(
        None, description="metadata.generation that this status is about."
    )
    ready: bool | None = Field(None, description="Whether it can run deployments now.")
    version: VersionName = Field("", description="Version of the package.")
    last_heartbeat: Time | None = Field(None, description="When the controller last looked.")
    upstream: Upstream | None = Field(None, description="What of its upstream this cluster has.")
    declared: Declared | None = Field(None, description="What the package says of itself.")
    conditions: Annotated[tuple[Condition, ...], Field(max_length=MAX_CONDITIONS)] = Field(
        (), description="Conditions, keyed by type.", json_schema_extra=list_map("type")
    )
