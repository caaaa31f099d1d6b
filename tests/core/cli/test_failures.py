"""Everything that can be wrong with input and surroundings: one line that says where, an exit code, no traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

GOOD = """\
apiVersion: kubeairunway.ai/v1alpha1
kind: ModelDeployment
metadata: {name: one}
spec: {model: {id: org/model}, resources: {gpu: {count: 1}}}
"""

BAD_INPUT: dict[str, tuple[bytes, str]] = {
    "not UTF-8": (b"a: 1\nb: \xff\n", "standard input, line 2: not UTF-8 text; save it as UTF-8"),
    "not YAML": (b"a: [1\n", "standard input, line 2, column 1: not YAML"),
    "a key twice": (GOOD.encode() + b"kind: X\n", "document 1, line 5: kind: this field is here twice"),
    "not an object": (b"- a\n", "standard input, document 1, line 1: a Kubernetes object is a map"),
    "a number": (b"7\n", "standard input, document 1, line 1: a Kubernetes object is a map"),
    "no deployment": (b"kind: ConfigMap\n", "there is no ModelDeployment in the input, only: ConfigMap"),
    "no kind": (b"a: 1\n", "there is no ModelDeployment in the input, only: no kind"),
    "a list of texts": (b"kind: List\nitems: [a]\n", "document 1, item 1, line 2: a Kubernetes object is a map"),
    "JSON with tabs that is none": (b'{\n\t"a": 1,\n\t"a": }', "not JSON"),
    "JSON with tabs and a key twice": (b'{\n\t"a": 1,\n\t"a": 2}', "the field a is in one object twice"),
}


@pytest.mark.parametrize("name", BAD_INPUT)
@pytest.mark.parametrize("command", ["explain", "render"])
def test_input_that_cannot_be_read_is_exit_code_2(run: Any, name: str, command: str) -> None:
    data, words = BAD_INPUT[name]
    result = run(command, "-f", "-", stdin=data)
    assert result.code == 2
    assert words in result.err
    assert result.out == ""
    assert result.err.count("\n") == 1


BAD_METADATA = {
    "no name": ("{}", "metadata.name is required"),
    "not a map": ("[]", "metadata must be a map"),
    "a number as name": ("{name: 7}", "metadata.name is required"),
    "a list as namespace": ("{name: a, namespace: [b]}", "metadata.namespace must be a text"),
    "a text as annotations": ("{name: a, annotations: b}", "metadata.annotations must be a map of texts"),
    "a number among labels": ("{name: a, labels: {b: 7}}", "metadata.labels must be a map of texts"),
}


@pytest.mark.parametrize("name", BAD_METADATA)
def test_metadata_that_kubernetes_would_refuse_is_a_problem_with_its_line(run: Any, name: str) -> None:
    metadata, words = BAD_METADATA[name]
    result = run("render", "-f", "-", stdin=GOOD.replace("{name: one}", metadata))
    assert result.code == 1
    assert f"standard input, document 1, line 3: {words}" in result.err


def test_nothing_in_the_input_is_an_error(run: Any) -> None:
    result = run("render", "-f", "-", stdin="")
    assert result.code == 2
    assert "-: there are no documents in it" in result.err


def test_input_larger_than_the_limit_is_refused(run: Any) -> None:
    result = run("render", "-f", "-", stdin=b"# " + b"x" * (4 * 1024 * 1024))
    assert result.code == 2
    assert "larger than 4 MiB" in result.err


@pytest.mark.parametrize("name", ["missing.yaml", ".", "none/at/all", "a\tb"])
def test_a_file_that_is_not_there_is_named(run: Any, name: str) -> None:
    result = run("render", "-f", name)
    assert result.code == 2
    assert name in result.err


def test_a_file_that_may_not_be_read_is_named(run: Any, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").symlink_to("x.yaml")
    result = run("render", "-f", "x.yaml")
    assert result.code == 2
    assert "x.yaml: Too many levels of symbolic links" in result.err


BAD_USAGE = {
    "no command": ([], "the following arguments are required: COMMAND"),
    "an unknown command": (["exlain"], "invalid choice: 'exlain'"),
    "an unknown flag": (["crds", "--nope"], "unrecognized arguments: --nope"),
    "an abbreviated flag": (["providers", "--chec"], "unrecognized arguments: --chec"),
    "neither name nor file": (["explain"], "give either the NAME"),
    "both name and file": (["explain", "x", "-f", "-"], "give either the NAME"),
    "a bad style": (["crds", "-o", "xml"], "invalid choice: 'xml'"),
    "a bad served version": (["render", "-f", "-", "--served", "v1/Pod"], "--served 'v1/Pod': give GROUP/VERSION/KIND"),
    "a provider that is not installed": (["render", "-f", "-", "--provider", "x"], "--provider x: no provider of that"),
    "a setting": (["controller", "--workers", "0"], "--workers '0': use a whole number from 1 to 256"),
    "a provider nobody has": (["providers", "x"], "no provider named x is installed; installed: acme, broken, plain"),
}


@pytest.mark.parametrize("name", BAD_USAGE)
def test_wrong_usage_is_exit_code_2_and_short(run: Any, name: str) -> None:
    arguments, words = BAD_USAGE[name]
    result = run(*arguments, stdin=GOOD, env={"KUBEAIRUNWAY_DISABLE_PROVIDERS": ""} if "nobody" in name else None)
    assert result.code == 2
    assert words.split("; installed")[0] in result.err
    assert result.err.count("\n") <= 2


def test_a_setting_from_the_environment_is_named_as_such(run: Any) -> None:
    result = run("controller", env={"KUBEAIRUNWAY_WORKERS": "many"})
    assert result.code == 2
    assert "KUBEAIRUNWAY_WORKERS 'many'" in result.err


def test_a_cluster_that_does_not_answer_is_exit_code_3(run: Any, tmp_path: Path) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n"
    )
    for arguments in (["explain", "one"], ["render", "--live", "-f", "-"]):
        result = run(*arguments, "--kubeconfig", str(kubeconfig), stdin=GOOD)
        assert result.code == 3
        assert result.err.splitlines()[-1].startswith("kubeairunway: cluster: ")


def test_no_kubeconfig_at_all_is_exit_code_2(run: Any) -> None:
    result = run("explain", "one")
    assert result.code == 2
    assert "no Kubernetes cluster" in result.err


def test_a_reader_that_goes_away_is_not_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; from kubeairunway.cli import main; sys.exit(main())", "crds"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:  # noqa: S603 - ours
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141


def test_an_interrupt_is_exit_code_130_and_quiet(tmp_path: Path) -> None:
    fifo = tmp_path / "x.yaml"
    os.mkfifo(fifo)
    command = [sys.executable, "-c", "import sys; from kubeairunway.cli import main; sys.exit(main())"]
    with subprocess.Popen([*command, "render", "-f", str(fifo)], stderr=subprocess.PIPE, cwd=tmp_path) as process:  # noqa: S603 - ours
        with fifo.open("w"):  # returns once the process is reading
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""
