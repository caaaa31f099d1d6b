"""What somebody is told whose machine lacks the right Python, in the words of .ci/bootstrap."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FAKE = """\
#!/bin/sh
case "$2" in
    *print*) echo {version} ;;
    *exit*) exit {old} ;;
    *ensurepip*) exit {bare} ;;
    *) echo "$0 $*" >>"{log}"; exit 9 ;;
esac
"""
"""A Python that answers the questions of the bootstrap; exit code 9 is that of making the environment."""


def add_python(folder: Path, name: str, version: str, *, old: bool = False, bare: bool = False) -> None:
    text = FAKE.format(version=version, old=int(old), bare=int(bare), log=folder / "log")
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "bin"
    made.mkdir()
    return made


def bootstrap(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - ours
        ["/bin/sh", str(ROOT / ".ci" / "bootstrap")],
        cwd=folder.parent,
        env={"PATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_python_at_all_names_what_to_install(folder: Path) -> None:
    done = bootstrap(folder)
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed; there is no python3 on PATH." in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr


def test_an_old_python_is_named_with_its_version(folder: Path) -> None:
    add_python(folder, "python3", "3.9", old=True)
    done = bootstrap(folder)
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed; python3 is 3.9;" in done.stderr


def test_a_python_without_venv_names_its_package(folder: Path) -> None:
    add_python(folder, "python3", "3.12", bare=True)
    done = bootstrap(folder)
    assert done.returncode == 1
    assert "apt-get install python3.12-venv" in done.stderr


def test_a_newer_python_beside_an_old_one_is_taken(folder: Path) -> None:
    add_python(folder, "python3", "3.9", old=True)
    add_python(folder, "python3.12", "3.12")
    done = bootstrap(folder)
    assert done.returncode == 9
    assert (folder / "log").read_text().splitlines()[-1] == f"{folder}/python3.12 -m venv --clear .venv"


def test_the_python_that_the_user_names_is_taken(folder: Path) -> None:
    add_python(folder, "python3", "3.12")
    add_python(folder, "my own", "3.13")
    assert bootstrap(folder, PYTHON=str(folder / "my own")).returncode == 9
    assert "/my own -m venv" in (folder / "log").read_text()
