"""Names that Kubernetes or upstream does not bear, of objects and of what upstream makes beside them."""

import pytest

from kubeairunway.decide.rendering import Rendered, check_names
from kubeairunway.plugin import CONFIG_MAP, SERVICE, Kind

SERVER = Kind(group="acme.dev", name="ModelServer", versions=("v1",), max_name=40)


def made(kind: Kind, name: str) -> Rendered:
    return Rendered(kind=kind, api_version="v1", name=name, body={})


def claimed(kind: Kind, name: str) -> Rendered:
    return Rendered(kind=SERVER, api_version="v1", name="m", body={}, claims=((kind, "v1", name),))


CASES = {
    "as long as can be": (made(SERVER, "1" * 40), []),
    "too long": (made(SERVER, "m" * 41), ["NameTooLong"]),
    "a Service": (made(SERVICE, "m" * 63), []),
    "a Service that begins with a digit": (made(SERVICE, "1m"), ["NotAServiceName"]),
    "a Service of upstream's": (claimed(SERVICE, "m-frontend"), []),
    "one that begins with a digit": (claimed(SERVICE, "1m-frontend"), ["NotAServiceName"]),
    "one that is too long": (claimed(SERVICE, "m" * 64), ["NameTooLong"]),
    "a digit where no Service is": (made(CONFIG_MAP, "1m"), []),
}


@pytest.mark.parametrize("case", CASES)
def test_names_that_cannot_be_are_refused(case: str) -> None:
    rendered, codes = CASES[case]
    problems = list(check_names((made(SERVER, "m"), rendered)))
    assert [(problem.path, problem.code) for problem in problems] == [("metadata.name", code) for code in codes]


def test_two_services_that_begin_with_a_digit_are_one_problem_that_says_what_is_right() -> None:
    (problem,) = check_names((made(SERVICE, "1m"), made(SERVICE, "1m-api")))
    assert problem.message == "a Service cannot be named '1m': its name begins with a letter; use a name that does"
