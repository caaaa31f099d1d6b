"""The stand-in API server, for the parts of the runtime that talk to one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(scope="session")
def standin() -> ModuleType:
    """The module: in importlib mode tests are no packages that import each other."""
    spec = importlib.util.spec_from_file_location("standin_of_runtime", Path(__file__).with_name("standin.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
