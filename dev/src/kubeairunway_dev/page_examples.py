"""Examples in pages: commands that are run again, so that what a page shows is what the program prints.

`python -m kubeairunway_dev.page_examples PAGE...` rewrites them. A block of YAML whose first line is `# NAME.yaml` is
that file; a block of text whose first line is `$ kubeairunway ...` shows what the command prints beside those files.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

SHIPPED: Final = ("dynamo", "kaito", "kuberay", "vllm")
"""The providers of this repository; others that are installed have no part in its pages."""
GROUPS: Final = {
    "kubeairunway.providers": "KUBEAIRUNWAY_DISABLE_PROVIDERS",
    "kubeairunway.policies": "KUBEAIRUNWAY_DISABLE_POLICIES",
}
COMMAND_SECONDS: Final = 60.0

_FILE: Final = re.compile(r"^```yaml\n# ([\w-]+\.yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND: Final = re.compile(r"^(```text\n\$ (kubeairunway [^\n]*)\n).*?^(```)$", re.MULTILINE | re.DOTALL)


def rewrite_examples(text: str) -> str:
    """Return the page with what each of its commands prints now."""
    with tempfile.TemporaryDirectory(prefix="page-") as name:
        folder = Path(name)
        for file, content in _FILE.findall(text):
            (folder / file).write_text(content, encoding="utf-8")
        return _COMMAND.sub(lambda found: found[1] + run_command(found[2], folder) + found[3], text)


def count_examples(text: str) -> int:
    """Return how many commands a page has."""
    return len(_COMMAND.findall(text))


def run_command(line: str, folder: Path) -> str:
    """Return what one command prints in a folder, errors included."""
    program = Path(sys.executable).with_name("kubeairunway")
    words = shlex.split(line)[1:]
    done = subprocess.run(  # noqa: S603 - our own program
        [str(program), *words],
        cwd=folder,
        env=_make_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    return done.stdout


def _make_environment(folder: Path) -> dict[str, str]:
    found = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    for group, variable in GROUPS.items():
        others = sorted({point.name for point in entry_points(group=group)} - set(SHIPPED))
        if others:
            found[variable] = ",".join(others)
    return found


def main() -> None:
    """Rewrite the pages that the arguments name, and print their paths."""
    for name in sys.argv[1:]:
        page = Path(name)
        page.write_text(rewrite_examples(page.read_text(encoding="utf-8")), encoding="utf-8")
        sys.stdout.write(f"{page}\n")


if __name__ == "__main__":
    main()
