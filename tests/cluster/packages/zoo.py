"""Sources of provider packages that misbehave: each is the healthy one with one thing wrong."""

HEALTHY = """
import itertools
import json
import logging
import os
import sys
import time

from kubeairunway.plugin import (
    CONFIG_MAP, Engine, Kind, Manifest, Problem, Provider, Rendering, Report, State, hookimpl)

DEPLOYMENT = Kind(group="apps", name="Deployment", versions=("v1",))
SECRET = Kind(group="", name="Secret", versions=("v1",))
CARRIES = frozenset({"model.id", "resources.gpu", "scaling.replicas"})


def body(request, **more):
    labels = {"zoo": request.name}
    pod = {"containers": [{"name": "engine", "image": "engine:1"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    return {"spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template, **more}}


@hookimpl
def provider():
    engines = (Engine(name="vllm", carries=CARRIES, cpu=True),)
    return Provider(
        name="NAME", contract=1, kinds=(DEPLOYMENT, CONFIG_MAP), auto_select=False, engines=engines)


@hookimpl
def render(request):
    return Rendering(Manifest(DEPLOYMENT, body(request)))


@hookimpl
def status(request, observed):
    generation = observed.primary.get("status.observedGeneration", 0)
    return Report(state=State.PROGRESSING, generation=generation)
"""


def _render(*lines: str) -> str:
    return "\n".join(("@hookimpl", "def render(request):", *(f"    {line}" for line in lines), ""))


def _status(*lines: str) -> str:
    return "\n".join(("@hookimpl", "def status(request, observed):", *(f"    {line}" for line in lines), ""))


FAILING_HOOKS: dict[str, tuple[str, str, str]] = {
    "validate-raises": (
        '@hookimpl\ndef validate(request):\n    raise RuntimeError("no luck")\n',
        "validate",
        "its validate hook failed: RuntimeError: no luck (validate_raises.py:",
    ),
    "validate-breaks-off": (
        '@hookimpl\ndef validate(request):\n    yield Problem("spec", "W", "w", True)\n    raise KeyError("late")\n',
        "validate",
        "its validate hook failed: KeyError: 'late'",
    ),
    "select-exits": ("@hookimpl\ndef select(request):\n    sys.exit(3)\n", "select", "failed: SystemExit: 3"),
    "render-raises": (_render('raise RuntimeError("no luck")'), "render", "render: RuntimeError: no luck"),
    "render-nothing": (_render("pass"), "render", "render: returned None; return a Rendering"),
    "render-secret": (
        _render('return Rendering(Manifest(SECRET, {"data": {}}))'),
        "render",
        "is Secret, which provider() does not declare; use one of: ConfigMap, Deployment",
    ),
    "render-our-label": (
        _render('return Rendering(Manifest(CONFIG_MAP, {}, labels={"kubeairunway.ai/x": "y"}))'),
        "render",
        "the prefix kubeairunway.ai/ is the core's",
    ),
    "render-bytes": (
        _render('return Rendering(Manifest(CONFIG_MAP, {"data": {"a": b"x"}}))'),
        "render",
        "body.data.a is an instance of bytes; use strings",
    ),
    "render-huge": (
        _render('return Rendering(Manifest(CONFIG_MAP, {"data": {"a": "x" * 50_000_000}}))'),
        "render",
        "makes the object longer than 3145728 characters",
    ),
    "render-random": (
        "COUNT = itertools.count(1)\n"
        + _render("return Rendering(Manifest(DEPLOYMENT, body(request, minReadySeconds=next(COUNT))))"),
        "render",
        "the same request gave other objects than before",
    ),
    "status-raises": (_status('return observed.primary.raw["status"]["nope"]'), "status", "status: KeyError: 'nope'"),
    "status-nonsense": (
        _status("return Report(state=State.RUNNING, generation=1, ready=10**12)"),
        "status",
        "Report.ready is 1000000000000; give an integer from 0",
    ),
}
"""Source, hook, and what the deployment's Ready condition says."""

BROKEN: dict[str, tuple[str, str]] = {
    "cannot-import": (
        "import no_such_module\n",
        "Failed: import: ModuleNotFoundError: No module named 'no_such_module'",
    ),
    "exits": ("sys.exit(3)\n", "Failed: import: SystemExit: 3 (exits.py:"),
    "unknown-hook": ("@hookimpl\ndef rendr(request): ...\n", "rendr is no hook of contract 1; did you mean render?"),
    "wrong-version": (
        "@hookimpl\ndef provider():\n    return Provider(name='wrong-version', contract=2, kinds=(), engines=())\n",
        "Incompatible: it was written for contract 2, and this core speaks contract 1",
    ),
    "carries-wrong": ('CARRIES = frozenset({"engine.contxtLength"})\n', "did you mean 'engine.contextLength'?"),
    "twice": ("", "Failed: the name is used by twice-other 1.0 and zoo-twice 1.0; uninstall all but one"),
}
"""Source, and what the deployment's Ready condition says; `twice` is installed a second time."""

OTHERS: dict[str, str] = {
    "a-long-schema": """
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Settings:
    note: str = field(default="", metadata={"description": "x" * 2_500_000})


@hookimpl
def provider():
    engines = (Engine(name="vllm", carries=CARRIES, cpu=True),)
    return Provider(name="a-long-schema", contract=1, kinds=(DEPLOYMENT,), engines=engines, settings=Settings)
""",
    "future": _status("return Report(state=State.RUNNING, generation=99, ready=1)"),
    "thief": _render(
        'object.__setattr__(request, "name", "stolen")',
        'object.__setattr__(request, "namespace", "kube-system")',
        "return Rendering(Manifest(DEPLOYMENT, body(request)))",
    )
    + _status(
        'observed.primary.raw["metadata"]["generation"] = 1',
        'observed.primary.raw["spec"]["replicas"] = 7',
        "return Report(state=State.PROGRESSING, generation=1)",
    ),
    "sleeper": _render(
        'while os.path.exists("SLEEP"):',
        "    time.sleep(0.05)",
        "return Rendering(Manifest(DEPLOYMENT, body(request)))",
    ),
    "meddler": "print('noise')\nlogging.disable(logging.CRITICAL)\njson.dumps = None\nsys.setrecursionlimit(80)\n",
}
"""Packages that load and whose harm would be to others."""
