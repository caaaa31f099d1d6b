"""`python -m kubeairunway.model [ROOT]` writes crds/ and docs/crd-reference.md below the checkout's root."""

import sys
from pathlib import Path

from kubeairunway.model.crd import crd_files
from kubeairunway.model.crd_reference import crd_reference


def generated_files() -> dict[str, str]:
    """The text of every generated file, by its path in the checkout."""
    return {f"crds/{name}": text for name, text in crd_files().items()} | {"docs/crd-reference.md": crd_reference()}


def main() -> None:
    """Write them, and print their paths."""
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    for name, text in generated_files().items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{target}\n")


if __name__ == "__main__":
    main()
