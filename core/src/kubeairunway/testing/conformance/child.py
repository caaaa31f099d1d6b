"""A process of its own for a provider's hooks: what they answer there has to be what they answer here.

`python -m kubeairunway.testing.conformance.child` reads an errand as JSON from standard input, and writes the answers.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

from kubeairunway.plugin.hookspecs import PROJECT, Hooks
from kubeairunway.testing.conformance.answers import HOOKS, ask_hook, unpack_request
from kubeairunway.testing.conformance.watch import Watch

if TYPE_CHECKING:
    from types import ModuleType

Json = dict[str, Any]


def main() -> None:
    """Do the errand of standard input."""
    errand = json.load(sys.stdin)
    output = os.dup(sys.stdout.fileno())  # a hook that prints must not get into the answers
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.path[:0] = [path for path in errand["path"] if path not in sys.path]
    answers = do_errand(errand, load_module(errand["module"], errand["file"]))
    with os.fdopen(output, "w", encoding="utf-8") as stream:
        json.dump(answers, stream, sort_keys=True)


def load_module(name: str, file: str) -> ModuleType:
    """The module of that name, from that file where it cannot be imported by name."""
    found = importlib.util.find_spec(name) if "." in name or name not in sys.builtin_module_names else None
    if found is not None and found.origin and Path(found.origin) == Path(file):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported", name=name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def do_errand(errand: Json, module: ModuleType) -> Json:
    """Ask every hook about every request, in the order given or from the end; the answers are in the order given."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(module)
    hooks: Any = manager.hook
    provider = hooks.provider()
    watch = Watch(tuple(errand["folders"])) if errand["watch"] else None
    numbers = list(range(len(errand["requests"])))
    answers: dict[int, Json] = {}
    for number in reversed(numbers) if errand["backwards"] else numbers:
        row = errand["requests"][number]
        request = unpack_request(row["request"], provider)
        answers[number] = {}
        for hook in HOOKS:
            ask = partial(ask_hook, hooks, hook, request, provider=provider, raw=row["live"])
            answer, done = (ask(), []) if watch is None else watch.run(ask)
            answers[number][hook] = {"answer": answer, "done": done}
    return {"answers": [answers[number] for number in numbers]}


if __name__ == "__main__":
    main()
