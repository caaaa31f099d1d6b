"""docs/crd-reference.md, written from the CRDs themselves: every field, rule, column and subresource."""

from collections.abc import Iterator
from typing import Any

from kubeairunway.model.base import QUANTITY_PATTERN
from kubeairunway.model.crd import DEPLOYMENT_RULES, PROVIDER_CONFIG_RULES, crd_documents
from kubeairunway.model.crd_rules import CelRule
from kubeairunway.model.names import MODEL_DEPLOYMENT, PROVIDER_CONFIG
from kubeairunway.model.reasons import ConditionType, ConfigCondition, ConfigReason, EventReason, Reason, Word
from kubeairunway.model.schema import Schema

_INTRODUCTION = """\
# The resources

Generated from the schema by `python -m kubeairunway.model`; edit `core/src/kubeairunway/model/` instead.

Install both definitions with `kubeairunway crds | kubectl apply --server-side -f -`. In the tables a path ending in
`[]` is an item of a list and `{}` a value of a map. *required* fields must be given; a default is written into the
object by the API server when the parent is there, and nothing else ever writes defaults. Absent and empty mean the
same for texts, lists and maps unless the description says otherwise; `0` and `false` are values.
"""

_WORDS: dict[str, tuple[tuple[str, type[Word]], ...]] = {
    MODEL_DEPLOYMENT: (
        ("conditions", ConditionType),
        ("condition reasons", Reason),
        ("event reasons", EventReason),
    ),
    PROVIDER_CONFIG: (("conditions", ConfigCondition), ("condition reasons", ConfigReason)),
}

_BOUNDS = (
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("maxItems", "at most {} items"),
    ("maxProperties", "at most {} members"),
)


def crd_reference() -> str:
    """The reference page, in Markdown. Deterministic."""
    sections = zip(crd_documents(), (DEPLOYMENT_RULES, PROVIDER_CONFIG_RULES), strict=True)
    return "\n".join([_INTRODUCTION, *("\n".join(_describe_kind(crd, rules)) for crd, rules in sections)])


def _describe_kind(crd: dict[str, Any], rules: tuple[CelRule, ...]) -> Iterator[str]:
    spec, version = crd["spec"], crd["spec"]["versions"][0]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    names = spec["names"]
    yield f"## {names['kind']}\n"
    yield f"{schema['description']}\n"
    yield (
        f"`apiVersion: {spec['group']}/{version['name']}`, {spec['scope'].lower()};"
        f" `kubectl get {names['plural']}`, short name `{names['shortNames'][0]}`, category"
        f" `{names['categories'][0]}`; {_describe_subresources(version['subresources'])}.\n"
    )
    for part in ("spec", "status"):
        yield f"### {names['kind']} {part}\n"
        yield "| field | type | default | constraints | description |\n|---|---|---|---|---|"
        root = schema["properties"][part]
        yield _row(part, root, required=part in schema.get("required", ()))
        yield from describe_fields(part, root)
        yield ""
    yield f"### {names['kind']} rules\n"
    yield "The API server refuses what breaks one of these, with the message and the field.\n"
    yield "| where | message | rule |\n|---|---|---|"
    for rule in rules:
        where = f"{rule.path}{rule.field}".removeprefix(".")
        yield f"| `{where}` | {_cell(rule.message)} | `{_cell(rule.rule)}` |"
    yield ""
    yield f"### {names['kind']} columns\n"
    yield "| column | from | meaning |\n|---|---|---|"
    for column in version["additionalPrinterColumns"]:
        wide = " (with `-o wide`)" if column.get("priority") else ""
        yield f"| {column['name']} | `{_cell(column['jsonPath'])}` | {column['description']}{wide} |"
    yield ""
    for title, words in _WORDS[names["kind"]]:
        yield f"### {names['kind']} {title}\n"
        yield f"| {title.rpartition(' ')[2].removesuffix('s')} | meaning |\n|---|---|"
        yield from (f"| `{word}` | {_cell(word.meaning)} |" for word in words)
        yield ""


def _describe_subresources(subresources: dict[str, Any]) -> str:
    scale = subresources.get("scale")
    if scale is None:
        return "subresource `status`"
    return (
        f"subresources `status` and `scale` (`{scale['specReplicasPath']}`, current `{scale['statusReplicasPath']}`,"
        f" selector `{scale['labelSelectorPath']}`)"
    )


def describe_fields(path: str, schema: Schema) -> Iterator[str]:
    """One row of a table for each field below a path, parents first: path, type, default, constraints, description."""
    if "items" in schema:
        yield from _describe_item(f"{path}[]", schema["items"])
    elif isinstance(schema.get("additionalProperties"), dict):
        yield from _describe_item(f"{path}{{}}", schema["additionalProperties"])
    for name, field in schema.get("properties", {}).items():
        yield _row(f"{path}.{name}", field, required=name in schema.get("required", ()))
        yield from describe_fields(f"{path}.{name}", field)


def _describe_item(path: str, schema: Schema) -> Iterator[str]:
    if "properties" not in schema:
        yield _row(path, schema)
    yield from describe_fields(path, schema)


def _row(path: str, schema: Schema, *, required: bool = False) -> str:
    default = "*required*" if required else _default(schema)
    constraints = "; ".join(_constraints(schema))
    description = _cell(" ".join(schema.get("description", "").split()))
    return f"| `{path}` | {_type(schema)} | {default} | {constraints} | {description} |"


def _default(schema: Schema) -> str:
    if "default" not in schema:
        return ""
    value = schema["default"]
    if value == "":
        return '`""`'
    return f"`{str(value).lower() if isinstance(value, bool) else value}`".replace("'", "")


def _type(schema: Schema) -> str:
    if "x-kubernetes-int-or-string" in schema:
        return "quantity"
    kind = str(schema["type"])
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    if isinstance(schema.get("additionalProperties"), dict):
        return f"map of {_type(schema['additionalProperties'])}"
    return str(schema.get("format", kind)) if kind in {"integer", "string"} else kind


def _constraints(schema: Schema) -> Iterator[str]:
    if "enum" in schema:
        yield " ".join(f"`{value}`" for value in schema["enum"])
    if "x-kubernetes-list-map-keys" in schema:
        yield f"keyed by {', '.join(schema['x-kubernetes-list-map-keys'])}"
    if "x-kubernetes-preserve-unknown-fields" in schema:
        yield "any fields"
    yield from (text.format(schema[key]) for key, text in _BOUNDS if key in schema)
    pattern = schema.get("pattern")
    if pattern and pattern != QUANTITY_PATTERN:
        yield f"matches `{_cell(pattern)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
