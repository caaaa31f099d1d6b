"""What `explain --diff` says of edits of each shipped provider's deployments: how, downtime, GPUs meanwhile."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeairunway.cli import main

Spec = Mapping[str, Any]

GPU: Spec = {"model": {"id": "Qwen/Qwen3-8B"}, "resources": {"gpu": {"count": 2}}}
ROLE = {"replicas": 1, "gpu": {"count": 1}}
APART: Spec = {
    "model": {"id": "Qwen/Qwen3-8B"},
    "serving": {"mode": "disaggregated"},
    "scaling": {"prefill": ROLE, "decode": ROLE},
}
MORE_DECODE: Spec = {"scaling": {"prefill": ROLE, "decode": {**ROLE, "replicas": 3}}}
LONGER: Spec = {"engine": {"contextLength": 4096}}
SCALED: Spec = {"scaling": {"replicas": 3}}
ENV: Spec = {"env": [{"name": "A", "value": "b"}]}

EDITS: dict[str, tuple[str, Spec, Spec, str, str, int]] = {
    "dynamo: arguments": ("dynamo", GPU, LONGER, "surge", "rolling", 4),
    "dynamo: replicas": ("dynamo", GPU, SCALED, "inPlace", "none", 6),
    "dynamo: to zero": ("dynamo", GPU, {"scaling": {"replicas": 0}}, "inPlace", "scaledToZero", 0),
    "dynamo: another engine": ("dynamo", GPU, {"engine": {"type": "sglang"}}, "recreate", "untilReady", 2),
    "dynamo: a role's replicas": ("dynamo", APART, MORE_DECODE, "inPlace", "none", 4),
    "dynamo: roles' environment": ("dynamo", APART, ENV, "surge", "rolling", 4),
    "kuberay: arguments of one replica": ("kuberay", GPU, LONGER, "inPlace", "restart", 2),
    "kuberay: arguments of three": ("kuberay", {**GPU, **SCALED}, LONGER, "inPlace", "rolling", 6),
    "kuberay: replicas": ("kuberay", GPU, SCALED, "inPlace", "none", 6),
    "kuberay: environment": ("kuberay", GPU, ENV, "surge", "rolling", 4),
    "kuberay: roles' arguments": ("kuberay", APART, LONGER, "inPlace", "restart", 2),
    "kuberay: a role's replicas": ("kuberay", APART, MORE_DECODE, "inPlace", "none", 4),
    "kuberay: another model": ("kuberay", GPU, {"model": {"id": "Qwen/Qwen3-4B"}}, "recreate", "untilReady", 2),
    "vllm: arguments": ("vllm", GPU, LONGER, "surge", "rolling", 4),
    "vllm: environment taken out": ("vllm", {**GPU, **ENV}, {"env": []}, "surge", "rolling", 4),
    "vllm: replicas": ("vllm", GPU, SCALED, "inPlace", "none", 6),
    "kaito: arguments": ("kaito", GPU, LONGER, "recreate", "untilReady", 2),
    "kaito: replicas": ("kaito", GPU, SCALED, "inPlace", "none", 6),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_comes_to_what_upstream_makes_of_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    provider, old, change, update, downtime, gpus = EDITS[name]
    named = {**old, "provider": {"name": provider}}
    files = []
    for file, spec in (("old.yaml", named), ("new.yaml", {**named, **change})):
        document = {"apiVersion": "kubeairunway.ai/v1alpha1", "kind": "ModelDeployment", "spec": spec}
        files.append(tmp_path / file)
        files[-1].write_text(yaml.safe_dump({**document, "metadata": {"name": "one"}}))
    words = ["--old", str(files[0]), "-f", str(files[1]), "-o", "json", "--provider", provider]
    assert main(["explain", "--diff", *words]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["update"], said["downtime"]) == (update, downtime)
    assert said["gpus"]["meanwhile"].get("nvidia.com/gpu", 0) == gpus
