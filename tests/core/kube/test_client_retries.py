"""Which failures are tried again, for which calls; no API server is needed to decide that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from kubeairunway.errors import ApiError, NotLeaderError, NotSentError, TransportError
from kubeairunway.kube.client import RETRY_CAP, Call, Client, build_adoption_patch, may_retry, retry_pause
from kubeairunway.kube.transport import Response, build_error, build_status_error, is_expired
from kubeairunway.objects.resources import Resource

if TYPE_CHECKING:
    from tests.core.kube.conftest import Recorded

    from kubeairunway.objects.resources import Json

RESOURCE = Resource("", "v1", "ConfigMap", "configmaps")
GET = Call("get", "GET", "/x", idempotent=True)
CREATE = Call("create", "POST", "/x")
APPLY = Call("apply", "PATCH", "/x", idempotent=True)
PATCH = Call("patch", "PATCH", "/x")


def api(status: int, retry_after: float | None = None) -> ApiError:
    return ApiError(status, "", "", retry_after=retry_after)


@pytest.mark.parametrize(
    ("error", "get", "create", "apply", "patch"),
    [
        pytest.param(NotSentError("refused"), True, True, True, True, id="nothing was sent"),
        pytest.param(TransportError("reset"), True, False, True, False, id="the outcome is unknown"),
        pytest.param(api(429), True, True, True, True, id="429"),
        pytest.param(api(503, 1.0), True, True, True, True, id="503 with Retry-After"),
        pytest.param(api(504, 1.0), True, True, True, True, id="504 with Retry-After"),
        pytest.param(api(503), True, False, True, False, id="503"),
        pytest.param(api(504), True, False, True, False, id="504"),
        pytest.param(api(500), True, False, False, False, id="500"),
        pytest.param(api(404), False, False, False, False, id="404"),
        pytest.param(api(409), False, False, False, False, id="409"),
        pytest.param(api(410), False, False, False, False, id="410"),
        pytest.param(api(422), False, False, False, False, id="422"),
    ],
)
def test_only_what_is_safe_and_may_help_is_tried_again(
    error: Exception, *, get: bool, create: bool, apply: bool, patch: bool
) -> None:
    assert [may_retry(call, error) for call in (GET, CREATE, APPLY, PATCH)] == [get, create, apply, patch]


def test_pauses_follow_retry_after_else_double_and_are_capped() -> None:
    assert 3.0 <= retry_pause(api(429, 3.0), 1) <= 3.75
    assert 0.1 <= retry_pause(api(429), 1) <= 0.125
    assert 0.8 <= retry_pause(TransportError("x"), 4) <= 1.0
    assert retry_pause(api(429, 86400.0), 1) <= RETRY_CAP * 1.25
    assert len({retry_pause(TransportError("x"), 3) for _ in range(20)}) > 1


async def test_a_body_that_is_no_json_object_is_a_broken_answer(recorded: Recorded) -> None:
    recorded.answers.append(Response(200, {}, b"<html>"))
    with pytest.raises(TransportError, match="not JSON"):
        await Client(recorded).get_path("/x")
    recorded.answers[0] = Response(200, {}, b"[]")
    with pytest.raises(TransportError, match="not a JSON object"):
        await Client(recorded).get_path("/x")


@pytest.mark.parametrize(
    ("response", "reason", "message", "retry_after"),
    [
        pytest.param(
            Response(409, {}, b'{"kind":"Status","reason":"AlreadyExists","message":"there"}'),
            "AlreadyExists",
            "there",
            None,
            id="a Status",
        ),
        pytest.param(Response(502, {}, b"<html>bad gateway"), "", "<html>bad gateway", None, id="a proxy's page"),
        pytest.param(Response(404, {}, b""), "NotFound", "HTTP 404", None, id="nothing"),
        pytest.param(Response(429, {"Retry-After": "7"}, b"busy"), "TooManyRequests", "busy", 7.0, id="seconds"),
        pytest.param(
            Response(429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, b""),
            "TooManyRequests",
            "HTTP 429",
            0.0,
            id="date",
        ),
        pytest.param(Response(429, {"Retry-After": "soon"}, b""), "TooManyRequests", "HTTP 429", None, id="nonsense"),
        pytest.param(
            Response(
                504, {}, b'{"kind":"Status","reason":"ServerTimeout","message":"m","details":{"retryAfterSeconds":2}}'
            ),
            "ServerTimeout",
            "m",
            2.0,
            id="seconds in the Status",
        ),
    ],
)
def test_an_error_is_built_from_whatever_came(
    response: Response, reason: str, message: str, retry_after: float | None
) -> None:
    error = build_error(response)
    assert (error.status, error.reason, error.message) == (response.status, reason, message)
    assert error.retry_after == retry_after


def test_the_error_event_of_a_watch_is_an_expiry() -> None:
    assert is_expired(build_status_error({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}))
    assert not is_expired(TransportError("x"))


def managed(*entries: tuple[str, str, str]) -> Json:
    fields = [
        {"manager": manager, "operation": operation} | ({"subresource": subresource} if subresource else {})
        for manager, operation, subresource in entries
    ]
    return {"metadata": {"uid": "u", "resourceVersion": "5", "managedFields": fields}}


@pytest.mark.parametrize(
    ("live", "index"),
    [
        pytest.param(managed(("us", "Update", "")), 0, id="created by us"),
        pytest.param(managed(("them", "Update", ""), ("us", "Update", "")), 1, id="second entry"),
        pytest.param(
            managed(("us", "Update", "status"), ("us", "Update", "")), 1, id="a status entry is another thing"
        ),
        pytest.param(managed(("us", "Apply", "")), None, id="adopted before"),
        pytest.param(managed(("us", "Apply", ""), ("us", "Update", "")), None, id="adopted and updated"),
        pytest.param(managed(("them", "Update", "")), None, id="not ours"),
        pytest.param(managed(), None, id="no entries"),
    ],
)
def test_adoption_touches_our_update_entry_and_no_other(live: Json, index: int | None) -> None:
    patch = build_adoption_patch(live, "us")
    if index is None:
        assert patch == []
        return
    assert [step["op"] for step in patch] == ["test", "test", "replace"]
    assert [step["value"] for step in patch] == ["u", "5", "Apply"]
    assert patch[2]["path"] == f"/metadata/managedFields/{index}/operation"


class Gate:
    """Lets so many attempts through."""

    def __init__(self, attempts: int) -> None:
        self.left = attempts

    def check(self) -> None:
        if self.left == 0:
            raise NotLeaderError("the lease is another's")
        self.left -= 1


async def test_the_gate_stands_before_every_attempt_of_a_write_and_before_no_read(recorded: Recorded) -> None:
    recorded.answer(429, Retry_After="0")
    recorded.answer(429, Retry_After="0")
    recorded.answer(200)
    client = Client(recorded, gate=Gate(2).check)
    with pytest.raises(NotLeaderError):
        await client.create(RESOURCE, {"metadata": {"name": "n", "namespace": "ns"}})
    assert [method for method, _, _ in recorded.requests] == ["POST", "POST"]
    await client.get(RESOURCE, "n", "ns")
    await client.ungated().create(RESOURCE, {"metadata": {"name": "n", "namespace": "ns"}})
