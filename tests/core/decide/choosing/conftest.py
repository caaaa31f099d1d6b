"""Providers, hooks and specs for tests of the choice, in memory."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import pytest

from kubeairunway.decide.expressions import Expressions
from kubeairunway.decide.facts import ActiveRule, Kept, ProviderFacts
from kubeairunway.decide.selection import Decision, choose
from kubeairunway.errors import HookError
from kubeairunway.model import Problem, Spec
from kubeairunway.plugin import Bid, Engine, Kind, Observed, Provider, Rendering, Report, Request, Rule

EVERYTHING = frozenset(
    {"model", "engine", "resources", "scaling", "image", "env", "podTemplate", "secrets", "nodeSelector", "tolerations"}
)


@dataclass
class Calls:
    """Hooks of all providers, by provider; records who was asked what."""

    validations: Mapping[str, Callable[[Request], Iterable[Problem]]] = field(default_factory=dict)
    bids: Mapping[str, Callable[[Request], Bid | None]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def validate(self, provider: str, request: Request) -> tuple[Problem, ...]:
        self.asked.append(("validate", provider))
        hook = self.validations.get(provider)
        return tuple(hook(request)) if hook else ()

    def select(self, provider: str, request: Request) -> Bid | None:
        self.asked.append(("select", provider))
        hook = self.bids.get(provider)
        return hook(request) if hook else None

    def render(self, provider: str, request: Request) -> Rendering:
        raise HookError(provider, "render", f"no choice renders anything, {request.name} neither")

    def status(self, provider: str, request: Request, observed: Observed) -> Report:
        raise HookError(provider, "status", f"no choice reads the status of {request.name}: {observed}")


class Kit:
    """Short ways to say what a test is about."""

    everything = EVERYTHING
    calls = Calls

    @staticmethod
    def rule(name: str, condition: str, priority: int, *, administrator: bool = False) -> ActiveRule:
        return ActiveRule(rule=Rule(name=name, condition=condition, priority=priority), administrator=administrator)

    @staticmethod
    def engine(name: Any = "vllm", carries: Iterable[str] = EVERYTHING, **more: Any) -> Engine:
        return Engine(name=name, carries=frozenset(carries), **more)

    @staticmethod
    def provider(
        name: str,
        *engines: Engine,
        rules: Iterable[ActiveRule] = (),
        overrides: type | None = None,
        loaded: bool = True,
        **facts: Any,
    ) -> ProviderFacts:
        kind = Kind(group=f"{name}.example", name="Server", versions=("v1",))
        active = tuple(rules)
        package = Provider(
            name=name,
            contract=1,
            kinds=(kind,),
            engines=engines or (Kit.engine(),),
            rules=tuple(item.rule for item in active if not item.administrator),
            overrides=overrides,
        )
        facts.setdefault("versions", MappingProxyType({kind: "v1"}))
        return ProviderFacts(name=name, provider=package if loaded else None, rules=active, **facts)

    @staticmethod
    def spec(**blocks: Any) -> Spec:
        """A GPU deployment of a/b unless said otherwise."""
        return Spec.model_validate({"model": {"id": "a/b"}, "resources": {"gpu": {"count": 1}}, **blocks})

    @staticmethod
    def choose(
        spec: Spec,
        *providers: ProviderFacts,
        calls: Calls | None = None,
        kept: Kept | None = None,
        name: str = "model",
        expressions: Expressions | None = None,
    ) -> Decision:
        return choose(
            name=name,
            namespace="team",
            written=spec,
            providers={item.name: item for item in providers},
            calls=calls or Calls(),
            expressions=expressions or Expressions(),
            kept=kept,
        )

    @staticmethod
    def shipped() -> tuple[ProviderFacts, ...]:
        """Three providers with the engines and rules of the real ones."""
        both = ("aggregated", "disaggregated")
        kaito = Kit.provider(
            "kaito",
            Kit.engine("vllm"),
            Kit.engine("llamacpp", cpu=True),
            rules=(
                Kit.rule("cpu", "!has(spec.resources.gpu) || spec.resources.gpu.count == 0", 100),
                Kit.rule("llamacpp", "spec.engine.type == 'llamacpp'", 100),
            ),
        )
        dynamo = Kit.provider(
            "dynamo",
            Kit.engine("vllm", modes=both),
            Kit.engine("sglang", modes=both),
            Kit.engine("trtllm"),
            rules=(
                Kit.rule("trtllm", "spec.engine.type == 'trtllm'", 100),
                Kit.rule("sglang", "spec.engine.type == 'sglang'", 100),
                Kit.rule("disaggregated", "has(spec.serving) && spec.serving.mode == 'disaggregated'", 90),
                Kit.rule("gpu", "has(spec.resources.gpu) && spec.resources.gpu.count > 0", 50),
            ),
        )
        kuberay = Kit.provider(
            "kuberay",
            Kit.engine("vllm", modes=both),
            rules=(Kit.rule("several", "spec.resources.gpu.count > 1", 80),),
            auto_select=False,
        )
        return kaito, dynamo, kuberay


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    return Kit
