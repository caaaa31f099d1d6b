"""How `explain` shows the call to paste."""

import shlex

from kubeairunway.cli.explain import case_json, describe_case
from kubeairunway.cli.situation import Case
from kubeairunway.decide.endpoint_call import Call

CALL = Call("kubectl port-forward -n team service/qwen 8080:80", ("curl http://x/v1", "-H 'A: b'", "-d '{}'"))


def test_the_call_ends_the_text_and_a_shell_reads_it_as_two_commands() -> None:
    text = "\n".join(describe_case(Case("qwen", "team", None, (), call=CALL)))
    head, _, commands = text.partition("  to call it:\n")
    assert head.startswith("team/qwen: ")
    forward, _, curl = commands.partition("\n")
    assert forward == f"    {CALL.port_forward}"
    assert curl.splitlines()[0] == "    curl http://x/v1 \\"
    joined = curl.replace("\\\n", "")  # as a shell does, and shlex does not
    assert shlex.split(joined) == ["curl", "http://x/v1", "-H", "A: b", "-d", "{}"]


def test_json_has_both_commands_on_one_line_each() -> None:
    assert case_json(Case("qwen", "team", None, (), call=CALL))["call"] == {
        "portForward": CALL.port_forward,
        "curl": "curl http://x/v1 -H 'A: b' -d '{}'",
    }


def test_without_a_call_nothing_is_said_of_one() -> None:
    case = Case("qwen", "team", None, ())
    assert "call" not in case_json(case)
    assert "to call it" not in "\n".join(describe_case(case))
