"""What is wrong with a request is said by the ingress, by name, as google.rpc.Status; nothing of it reaches a service.

How a right request is served is in test_ingress.py.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from google.rpc import code_pb2, error_details_pb2
from rostrum.debate.v1 import debate_service_pb2
from rostrum.errors.v1 import error_reason_pb2

from mesh.manifests.texts import dump_texts, parse_text
from mesh.rpc import status
from tests.mesh.ingress import AGENTS, DEBATES, Ingress, answers
from tests.mesh.rostrum import shipped
from tests.support import mesh_calls as calls

JSON = "application/json"


def _post(ingress: Ingress, path: str, body: bytes, content_type: str = JSON, **headers: str) -> calls.Outcome:
    sent = [*ingress.headers("operator"), ("content-type", content_type)]
    sent += [(name.replace("_", "-"), value) for name, value in headers.items()]
    return calls.request(ingress.place, "POST", path, host="localhost:8080", headers=sent, body=body)


def _check_status(outcome: calls.Outcome, http_status: int, code: int, *words: str) -> None:
    """Whether the answer is google.rpc.Status with these words in its message."""
    assert (outcome.status, outcome.all("content-type")) == (http_status, [JSON]), outcome
    assert outcome.json_body.keys() <= {"code", "message", "details"}
    assert outcome.json_body["code"] == code
    assert [word for word in words if word not in outcome.json_body["message"]] == [], outcome.json_body["message"]


FIELDS = [
    ('{"rounds": 1, "budget": 500}', "debate.rounds", ["there is no field debate.rounds", "max_rounds"]),
    ('{"topic": "x", "budget": 500}', "debate.budget", ["there is no field debate.budget", "token_budget"]),
    ('{"topic": "x", "": 1}', "debate.", ["there is no field debate."]),
    ('{"topic": "x", "a\\"b": 1}', 'debate.a\\"b', ["there is no field"]),
    (
        '{"seats": [{"agent": "a"}, {"agnet": "b"}]}',
        "debate.seats[1].agnet",
        ["there is no field debate.seats[1].agnet"],
    ),
    ('{"settings": {"max_attempts": 1, "deadline": "9s"}}', "debate.settings.deadline", ["turn_deadline"]),
    ('{"topic": "x", "topic": "y"}', "debate.topic", ["twice"]),
    ('{"max_rounds": 1, "maxRounds": 2}', "debate.max_rounds", ["twice"]),
    ('{"to\\u0070ic": "x", "topic": "y"}', "debate.topic", ["twice"]),
    ('{"topic": 7}', "debate.topic", ["text"]),
    ('{"topic": ["x"]}', "debate.topic", ["no list"]),
    ('{"topic": {"x": 1}}', "debate.topic", ["no object"]),
    ('{"seats": {"agent": "a"}}', "debate.seats", ["list"]),
    ('{"seats": ["team-a"]}', "debate.seats[0]", ["object"]),
    ('{"seats": [{"agent": "a", "stance": "FORR"}]}', "debate.seats[0].stance", ["AGAINST, FOR"]),
    ('{"max_rounds": 1.5}', "debate.max_rounds", ["1.5", "int32"]),
    ('{"max_rounds": 99999999999}', "debate.max_rounds", ["99999999999"]),
    ('{"max_rounds": "many"}', "debate.max_rounds", ["many"]),
    ('{"max_rounds": true}', "debate.max_rounds", ["number"]),
    ('{"max_rounds": 1e999}', "debate.max_rounds", ["1e999"]),
    ('{"settings": {"redundant_share": 1e999}}', "debate.settings.redundant_share", ["too large"]),
    ("[" * 100_000, "debate", ["JSON object"]),
    ('{"seats": ' + "[" * 100_000, "debate.seats[0]", ["object"]),
    ('{"topic": ' + '{"a":' * 100_000, "debate.topic", ["no object"]),
    ("[]", "debate", ["JSON object"]),
    ('"topic"', "debate", ["JSON object"]),
    ("null", "debate", ["JSON object"]),
]


@pytest.mark.parametrize(("body", "field", "words"), FIELDS, ids=[body[:40] for body, _, _ in FIELDS])
def test_a_wrong_field_is_named(ingress: Ingress, body: str, field: str, words: list[str]) -> None:
    """400 with the field, in the message and as ErrorInfo, as the service itself would say it."""
    outcome = _post(ingress, "/v1/debates", body.encode())
    _check_status(outcome, 400, code_pb2.INVALID_ARGUMENT, *words)
    (detail,) = outcome.json_body["details"]
    assert detail == {
        "@type": f"type.googleapis.com/{error_details_pb2.ErrorInfo.DESCRIPTOR.full_name}",
        "reason": error_reason_pb2.ErrorReason.Name(error_reason_pb2.INVALID_ARGUMENT),
        "domain": status.DOMAIN,
        "metadata": {"field": field.replace('\\"', '"')},
    }
    assert ingress.seen == []


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"topic": "x"', ["line 1, column 14", "the end"]),
        (b'{"topic": "x",}', ["column 15"]),
        (b"{'topic': 'x'}", ["a name in"]),
        (b'{\n "topic": x}', ["line 2, column 11", "'x'"]),
        (b'{"topic": "x"} {}', ["nothing after"]),
        (b'{"topic": "x" // tea\n}', ["column 15"]),
        (b'{"topic": "a\nb"}', ["control characters"]),
        (b'{"topic": "\\x41"}', ["escape"]),
        (b'{"topic": "\\ud800"}', ["surrogates"]),
        (b'{"max_rounds": 01}', ["a value"]),
        (b'{"max_rounds": +1}', ["a value"]),
        (b'{"max_rounds": NaN}', ["a value"]),
        (b'\xef\xbb\xbf{"topic": "x"}', ["byte order mark"]),
        ('{"topic": "x"}'.encode("utf-16"), ["UTF-16"]),
        ('{"topic": "x"}'.encode("utf-16-le"), ["UTF-16"]),
        (b'{"topic": "\xe4"}', ["not UTF-8", "byte 12"]),
        (b'{"topic": "\xed\xa0\x80"}', ["not UTF-8"]),
        (b'{"topic": "\xc0\xaf"}', ["not UTF-8"]),
        (b'{"topic": "\xf4\x90\x80\x80"}', ["not UTF-8"]),
        (b'{"topic": "\xe2\x82\xac\xe2\x82"}', ["not UTF-8", "byte 15"]),
        (b'{"topic": "\x00"}', ["control characters"]),
        (b"topic=x", ["JSON object"]),
    ],
)
def test_a_body_that_is_no_json_is_refused(ingress: Ingress, body: bytes, words: list[str]) -> None:
    """400 with the place and what is expected there, also for what lenient parsers take."""
    _check_status(_post(ingress, "/v1/debates", body), 400, code_pb2.INVALID_ARGUMENT, *words)
    assert ingress.seen == []


@pytest.mark.parametrize(
    ("content_type", "headers", "words"),
    [
        (JSON, {"content_encoding": "gzip"}, ["content-encoding gzip"]),
        (JSON, {"content_encoding": "br"}, ["content-encoding br"]),
        ("application/json; charset=latin1", {}, ["charset latin1"]),
        ('application/json;charset="UTF-16"', {}, ["charset utf-16"]),
        ("text/plain", {}, ["content-type text/plain", JSON]),
        ("multipart/form-data; boundary=x", {}, ["multipart/form-data"]),
    ],
)
def test_a_coding_that_is_not_taken_is_refused(
    ingress: Ingress, content_type: str, headers: dict[str, str], words: list[str]
) -> None:
    """415 for another content-encoding, charset or media type than JSON in UTF-8."""
    body = gzip.compress(b'{"topic": "x"}') if headers else b'{"topic": "x"}'
    outcome = _post(ingress, "/v1/debates", body, content_type, **headers)
    _check_status(outcome, 415, code_pb2.INVALID_ARGUMENT, *words)
    assert ingress.seen == []


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ('{"topic": "Tee ist \U0001f375 \\ud83d\\ude00", "max_rounds": 2}', JSON),
        ('{"topic": "x", "maxRounds": "2", "seats": [], "settings": {}}', "application/json; charset=UTF-8"),
        (' {"topic" : "x" , "seats": [{"agent": "a", "stance": "FOR"}, {"agent": "b", "stance": 2}]}\r\n', JSON),
        ('{"topic": "x", "settings": {"turn_deadline": "30s", "redundant_share": 0.5e0}}', JSON),
        ('{"topic": "x", "language": null, "seats": null, "settings": null}', JSON),
        ('{"topic": "x", "create_time": "2026-01-01T00:00:00Z"}', JSON),
        ('{"topic": "curl -d"}', "application/x-www-form-urlencoded"),
        ('{"topic": "' + "\xe9" * 100_000 + '"}', JSON),
    ],
)
def test_a_right_body_passes(ingress: Ingress, body: str, content_type: str) -> None:
    """Both spellings of a name, numbers as text, enums by name and number, nulls, durations, escapes, long texts."""
    got = answers(ingress, f"{DEBATES}/CreateDebate")
    assert _post(ingress, "/v1/debates", body.encode(), content_type).status == 200
    assert debate_service_pb2.CreateDebateRequest.FromString(got[0]).debate.topic


def test_a_body_may_be_left_out(ingress: Ingress) -> None:
    """A POST without a body is one with an empty object; a GET takes none."""
    for method, path, body, expected in (
        ("POST", "/v1/debates/7:cancel", b"", 200),
        ("POST", "/v1/debates", b"", 200),
        ("GET", "/v1/debates", b"", 200),
        ("GET", "/v1/debates", b"{}", 400),
    ):
        headers = ingress.headers("operator")
        assert calls.request(ingress.place, method, path, headers=headers, body=body).status == expected


@pytest.mark.parametrize(
    ("method", "path", "http_status", "code", "words"),
    [
        ("DELETE", "/v1/debates/7", 405, code_pb2.UNIMPLEMENTED, ["DELETE", "GET"]),
        ("PUT", "/v1/agents/team-a:ask", 405, code_pb2.UNIMPLEMENTED, ["PUT", "POST"]),
        ("PATCH", "/v1/debates", 405, code_pb2.UNIMPLEMENTED, ["PATCH", "GET, POST"]),
        ("GET", "/v1/debates/", 404, code_pb2.NOT_FOUND, ["/v1/debates/", "there is /v1/debates"]),
        ("POST", "/v1/debates/7:cancel/", 404, code_pb2.NOT_FOUND, ["there is /v1/debates/7:cancel"]),
        ("GET", "/v1/debates/7//turns", 404, code_pb2.NOT_FOUND, ["there is /v1/debates/7/turns"]),
        ("GET", "/v1/agents/nobody", 404, code_pb2.NOT_FOUND, ["/v1/agents/nobody"]),
        ("GET", "/v1/debates/7/votes", 404, code_pb2.NOT_FOUND, ["/v1/debates/7/votes"]),
        ("GET", "/v1/nothing", 403, code_pb2.PERMISSION_DENIED, ["RBAC"]),
        ("GET", "/v1/debates?unknown=1", 400, code_pb2.INVALID_ARGUMENT, ["unknown"]),
        ("GET", "/v1/debates?page_size=x", 400, code_pb2.INVALID_ARGUMENT, ["page_size"]),
        ("GET", "/v1/debates?page_size=1&page_size=2", 400, code_pb2.INVALID_ARGUMENT, ["page_size", "twice"]),
    ],
)
def test_a_wrong_path_or_method_is_said(
    ingress: Ingress, method: str, path: str, http_status: int, code: int, words: list[str]
) -> None:
    """With the methods that the path takes, or the path that was meant."""
    outcome = calls.request(ingress.place, method, path, headers=ingress.headers("operator"))
    _check_status(outcome, http_status, code, *words)
    assert bool(outcome.all("allow")) == (http_status == 405)
    assert ingress.seen == []


@pytest.mark.parametrize(
    ("path", "body", "word"),
    [
        ("/v1/debates?debate.topic=x", b'{"topic": "y"}', "topic"),
        ("/v1/debates/7:cancel", b'{"name": "debates/8"}', "name"),
        ("/v1/agents/team-a:ask", b'{"name": "agents/team-b", "question": "x"}', "name"),
    ],
)
def test_what_is_said_twice_is_refused(ingress: Ingress, path: str, body: bytes, word: str) -> None:
    """A field of the path or the query that the body has, too: neither of them wins in silence."""
    got = [answers(ingress, rpc) for rpc in (f"{DEBATES}/CreateDebate", f"{DEBATES}/CancelDebate", f"{AGENTS}/Ask")]
    _check_status(_post(ingress, path, body), 400, code_pb2.INVALID_ARGUMENT, word)
    assert got == [[], [], []]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_a_token_comes_by_a_scheme_in_any_usual_case(ingress: Ingress, scheme: str) -> None:
    """RFC 9110: a scheme's case means nothing; both sidecars on the way read it."""
    headers = [("authorization", f"{scheme} {ingress.tokens.good['viewer']}")]
    assert calls.request(ingress.place, "GET", "/v1/debates", headers=headers).status == 200


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"GET /v1/debates HTTP/1.1\r\n\r\n", ["missing_host"]),
        (b"GET\r\n\r\n", ["Bad Request"]),
        (b"POST /v1/debates HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{} ", ["Bad Request"]),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", ["Bad Request"]),
    ],
    ids=["no host", "half a line", "two lengths", "TLS"],
)
def test_bytes_that_are_no_request_are_answered(ingress: Ingress, sent: bytes, words: list[str]) -> None:
    """400 of the same form, with Envoy's own word for what is wrong."""
    _check_status(calls.raw(ingress.place, sent), 400, code_pb2.INVALID_ARGUMENT, *words)


def test_too_late_and_unavailable_are_said(ingress: Ingress) -> None:
    """504 after a route's timeout, 503 by a fault of the ingress's own; by gRPC UNAVAILABLE with the same text."""
    changed = shipped()
    file = next(name for name in changed if name.endswith("team-b/traffic.yaml"))
    documents = parse_text(changed[file], file)
    for route in documents[1]["spec"]["http"]:
        route |= {"timeout": "0.3s", "retries": {"attempts": 0}}
    changed[file] = dump_texts(documents)
    late = threading.Event()

    def wait(_: bytes) -> Sequence[bytes]:
        late.wait(30)
        return [b""]

    try:
        ingress.mesh.apply(changed)
        ingress.mesh.script.answers[f"{AGENTS}/GetAgent"] = wait
        _check_status(ingress.rest("GET", "/v1/agents/team-b"), 504, code_pb2.DEADLINE_EXCEEDED, "timeout")
        for route in documents[1]["spec"]["http"]:
            route["fault"] = {"abort": {"httpStatus": 503, "percentage": {"value": 100}}}
        ingress.mesh.apply({**changed, file: dump_texts(documents)})
        _check_status(ingress.rest("GET", "/v1/agents/team-b"), 503, code_pb2.UNAVAILABLE, "abort")
        refused = ingress.rpc(f"{AGENTS}/GetAgent", authority="team-b")
        assert (refused.code, refused.details) == (grpc.StatusCode.UNAVAILABLE, "fault filter abort")
    finally:
        late.set()
        ingress.mesh.apply(shipped())


def test_head_says_what_is_taken(ingress: Ingress) -> None:
    """HEAD has no answer in words: 405 with the methods."""
    outcome = calls.request(ingress.place, "HEAD", "/v1/debates", headers=ingress.headers("operator"))
    assert (outcome.status, outcome.all("allow")) == (405, ["GET, POST"])


@pytest.mark.parametrize("upgrade", ["websocket", "foo"])
def test_an_upgrade_is_answered(ingress: Ingress, upgrade: str) -> None:
    """400 at once, for an upgrade that the proxy knows and for any other."""
    headers = [*ingress.headers("operator"), ("connection", "upgrade"), ("upgrade", upgrade)]
    outcome = calls.request(ingress.place, "GET", "/v1/debates/7:watch", headers=headers)
    _check_status(outcome, 400, code_pb2.INVALID_ARGUMENT, f"no upgrade to {upgrade}")


@pytest.mark.parametrize("host", [b"host: localhost\r\n", b""])
def test_http_1_0_is_spoken(ingress: Ingress, host: bytes) -> None:
    """A client of HTTP/1.0, as nginx is by default, gets its answer, with or without a host."""
    headers = b"".join(f"{name}: {value}\r\n".encode() for name, value in ingress.headers("viewer"))
    outcome = calls.raw(ingress.place, b"GET /v1/debates HTTP/1.0\r\n" + host + headers + b"\r\n")
    assert outcome.status == 200
    assert outcome.json_body == {"debates": [], "next_page_token": ""}


def test_every_reply_of_the_ingress_is_a_status(ingress: Ingress) -> None:
    """No token, a bad one, too large a body, too large headers: google.rpc.Status with the code of each."""
    megabytes = b'{"topic": "' + b"x" * 2**21 + b'"}'
    many = [("x-many", "x" * 70_000)]
    for outcome, http_status, code in (
        (ingress.rest("GET", "/v1/debates", brings="forged"), 401, code_pb2.UNAUTHENTICATED),
        (ingress.rest("GET", "/v1/debates", brings="no token"), 403, code_pb2.PERMISSION_DENIED),
        (_post(ingress, "/v1/debates", megabytes), 413, code_pb2.INVALID_ARGUMENT),
        (ingress.rest("GET", "/v1/debates", headers=many), 431, code_pb2.INVALID_ARGUMENT),
    ):
        _check_status(outcome, http_status, code)
        assert outcome.json_body["message"]


def test_a_role_that_may_not_is_told_so_behind_the_ingress(ingress: Ingress) -> None:
    """A refusal by the service's own sidecar has the same form."""
    outcome = ingress.rest("POST", "/v1/debates", {"topic": "x"}, brings="viewer")
    _check_status(outcome, 403, code_pb2.PERMISSION_DENIED)


def test_grpc_has_the_text_in_its_trailers(ingress: Ingress) -> None:
    """By gRPC the same replies are a code and a text, never JSON."""
    large = b"\x0a" + b"x" * 2**21
    for path, message, brings, code, words in (
        (f"{DEBATES}/GetDebate", b"", "forged", grpc.StatusCode.UNAUTHENTICATED, "Jwt"),
        (f"{DEBATES}/GetDebate", b"", "no token", grpc.StatusCode.PERMISSION_DENIED, "RBAC"),
        (f"{DEBATES}/Nonsense", b"", "operator", grpc.StatusCode.UNIMPLEMENTED, "there is no such RPC"),
        (f"{AGENTS}/GetAgent", b"", "operator", grpc.StatusCode.UNIMPLEMENTED, "no agent"),
        (f"{DEBATES}/CreateDebate", large, "operator", grpc.StatusCode.INVALID_ARGUMENT, "above 1 MiB"),
    ):
        outcome: Any = ingress.rpc(path, message, brings=brings)
        assert outcome.code is code, outcome
        assert words in outcome.details
        assert "{" not in outcome.details
