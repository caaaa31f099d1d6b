"""`kubeairunway providers new`: writes a whole distribution that passes every check, for an author to go on from."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Final

from kubeairunway.cli.exit_codes import ExitCode
from kubeairunway.cli.output import write
from kubeairunway.errors import SettingsError
from kubeairunway.model.names import GROUP
from kubeairunway.plugin import CONTRACT
from kubeairunway.plugin.discovery import find_candidates
from kubeairunway.runtime.settings import LABEL
from kubeairunway.testing.conformance.builtin import GROUPS

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

FILES: Final[Mapping[str, str]] = {
    "LICENSE": "LICENSE",
    "README.md": "README.md.txt",
    "pyproject.toml": "pyproject.toml.txt",
    "src/$module/__init__.py": "module.py.txt",
    "src/$module/crds/$plural.$group.yaml": "crd.yaml.txt",
    "tests/test_provider.py": "tests.py.txt",
}
"""What is written, and the template in `cli/template` that it is written from."""

FORM: Final = "write GROUP/VERSION/Kind, such as serving.example.com/v1/ModelServer"
_GROUP: Final = re.compile(rf"{LABEL.pattern}(\.{LABEL.pattern})+")
_VERSION: Final = re.compile(r"v[1-9][0-9]*((alpha|beta)[1-9][0-9]*)?")
_KIND: Final = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")


@dataclass(frozen=True, slots=True)
class KindName:
    """The kind that a provider is to render."""

    group: str
    version: str
    name: str

    @property
    def plural(self) -> str:
        """The plural that upstream most likely has; its CRD says for sure."""
        word = self.name.lower()
        if re.search(r"[^aeiou]y$", word):
            return f"{word[:-1]}ies"
        return f"{word}es" if re.search(r"(s|x|z|ch|sh)$", word) else f"{word}s"


def run(options: argparse.Namespace) -> int:
    """Write the distribution and say what comes next."""
    name = check_name(options.name)
    kind = parse_kind(options.kind)
    target = Path(options.directory).expanduser() if options.directory else Path(f"kubeairunway-{name}")
    write_files(target, render_files(name, kind))
    write(
        f"wrote {target}: a provider that is complete, and knows an upstream that is made up; README.md says what to "
        f"replace.\nNext:\n  cd {target}\n  pip install -e '.[test]'\n  pytest\n  kubeairunway providers check {name}"
    )
    return ExitCode.OK


def check_name(name: str) -> str:
    """Return a provider's name that can be used. Raises SettingsError, naming one that could where that is plain."""
    if not LABEL.fullmatch(name):
        near = re.sub(r"[^a-z0-9]+", "-", name.lower())[:63].strip("-")
        hint = f", such as {near}" if near else ""
        raise SettingsError(
            f"{name!r} cannot name a provider; use at most 63 lower-case letters, digits and inner hyphens{hint}"
        )
    if any(candidate.name == name for candidate in find_candidates()):
        raise SettingsError(f"a provider named {name} is installed already; choose another name, or uninstall it first")
    try:
        found = distribution(f"kubeairunway-{name}")
    except PackageNotFoundError:
        return name
    raise SettingsError(f"{found.name} {found.version} is installed already and no provider; choose another name")


def parse_kind(text: str) -> KindName:
    """Return the parts of GROUP/VERSION/Kind. Raises SettingsError, naming the part that is wrong."""
    parts = text.split("/")
    if len(parts) != 3 or not all(parts):  # noqa: PLR2004 - group, version, kind
        raise SettingsError(f"--kind {text!r}: {FORM}")
    group, kind_version, name = parts
    if group in GROUPS:
        raise SettingsError(
            f"--kind {text!r}: {group} is Kubernetes' own, and what is written here renders a kind of upstream's; "
            f"{FORM}, or start from plugins/vllm, which renders a Deployment"
        )
    if group == GROUP:
        raise SettingsError(f"--kind {text!r}: {group} is our own group; name the kind of upstream that serves models")
    if not _GROUP.fullmatch(group):
        raise SettingsError(
            f"--kind {text!r}: {group!r} is no API group of a CRD, which has lower-case parts with dots between; {FORM}"
        )
    if not _VERSION.fullmatch(kind_version):
        raise SettingsError(f"--kind {text!r}: {kind_version!r} is no API version, such as v1 or v1beta2; {FORM}")
    if not _KIND.fullmatch(name):
        raise SettingsError(f"--kind {text!r}: {name!r} is no kind as in YAML, such as ModelServer; {FORM}")
    return KindName(group, kind_version, name)


def render_files(name: str, kind: KindName) -> dict[str, str]:
    """Return the text of each file of the distribution by its path."""
    values = {
        "name": name,
        "module": f"kubeairunway_{name.replace('-', '_')}",
        "distribution": f"kubeairunway-{name}",
        "group": kind.group,
        "version": kind.version,
        "kind": kind.name,
        "plural": kind.plural,
        "contract": str(CONTRACT),
        "requirement": _require_core(version("kubeairunway")),
    }
    folder = files("kubeairunway.cli") / "template"
    return {
        Template(path).substitute(values): Template((folder / source).read_text("utf-8")).substitute(values)
        for path, source in FILES.items()
    }


def _require_core(installed: str) -> str:
    """The versions of the core that a package written beside this one works with: this minor version."""
    major, minor = installed.split(".")[:2]
    return f">={major}.{minor},<{major}.{int(minor) + 1}"


def write_files(target: Path, texts: Mapping[str, str]) -> None:
    """Write a new folder in whole or not at all. Raises SettingsError if there is something of that name."""
    if target.exists() or target.is_symlink():
        raise SettingsError(f"{target} exists already; give another one with --directory")
    try:
        with tempfile.TemporaryDirectory(prefix=".kubeairunway-new-", dir=target.parent) as beside:
            whole = Path(beside) / "new"
            for path, text in texts.items():
                file = whole / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
            whole.rename(target)
    except OSError as error:
        raise SettingsError(f"{target} cannot be written: {error.strerror}") from error
