"""The ingress as it is shipped: REST, server-sent events, gRPC and gRPC-Web, tokens, and how much may come.

Behind it are the real sidecars, and apps that answer as a test asks: what services really say is for tests/e2e.
Who may do what is in test_matrix.py; how what is wrong is answered, in test_requests.py.
"""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.api import httpbody_pb2
from google.rpc import code_pb2, status_pb2
from rostrum.agent.v1 import agent_service_pb2
from rostrum.debate.v1 import debate_pb2, debate_service_pb2

from mesh.manifests.texts import dump_texts, parse_text
from tests.mesh.ingress import AGENTS, DEBATES, Ingress, answers, fails
from tests.mesh.rostrum import NAMESPACE, shipped
from tests.support import mesh_calls as calls

MEGABYTE = 1_048_576


# ---- REST ----


def test_a_debate_is_created_by_json(ingress: Ingress) -> None:
    """POST /v1/debates: the body is the debate, the answer is the debate, with the protos' own names."""
    got = answers(ingress, f"{DEBATES}/CreateDebate", debate_pb2.Debate(name="debates/1", topic="Trams", turn_count=0))
    outcome = ingress.rest("POST", "/v1/debates?request_id=r1", {"topic": "Trams", "max_rounds": 2})
    assert outcome.status == 200
    assert outcome.all("content-type") == ["application/json"]
    assert (outcome.json_body["name"], outcome.json_body["turn_count"]) == ("debates/1", 0)
    request = debate_service_pb2.CreateDebateRequest.FromString(got[0])
    assert (request.debate.topic, request.debate.max_rounds, request.request_id) == ("Trams", 2, "r1")


REST = [
    ("GET", "/v1/debates?page_size=3", None, f"{DEBATES}/ListDebates", {"page_size": 3}, "moderator"),
    ("GET", "/v1/debates/7", None, f"{DEBATES}/GetDebate", {"name": "debates/7"}, "moderator"),
    ("GET", "/v1/debates/7/turns", None, f"{DEBATES}/ListTurns", {"parent": "debates/7"}, "moderator"),
    ("GET", "/v1/debates/7/events", None, f"{DEBATES}/ListEvents", {"parent": "debates/7"}, "moderator"),
    ("GET", "/v1/debates/7:watch", None, f"{DEBATES}/WatchDebateByHttp", {"name": "debates/7"}, "moderator"),
    ("POST", "/v1/debates?request_id=r", {}, f"{DEBATES}/CreateDebate", {"request_id": "r"}, "moderator"),
    ("POST", "/v1/debates/7:cancel", {}, f"{DEBATES}/CancelDebate", {"name": "debates/7"}, "moderator"),
    ("GET", "/v1/agents/team-a", None, f"{AGENTS}/GetAgent", {"name": "agents/team-a"}, "team-a"),
    ("GET", "/v1/agents/team-b", None, f"{AGENTS}/GetAgent", {"name": "agents/team-b"}, "team-b"),
    ("GET", "/v1/agents/team-b/utterances", None, f"{AGENTS}/ListUtterances", {"parent": "agents/team-b"}, "team-b"),
    (
        "GET",
        "/v1/agents/team-b:watchFloor?debate=debates/7&turn_number=3",
        None,
        f"{AGENTS}/WatchFloorByHttp",
        {"name": "agents/team-b", "debate": "debates/7", "turn_number": 3},
        "team-b",
    ),
    ("POST", "/v1/agents/team-a:ask", {"question": "Why?"}, f"{AGENTS}/Ask", {"question": "Why?"}, "team-a"),
]


@pytest.mark.parametrize(("method", "path", "body", "rpc", "fields", "pod"), REST)
def test_every_rpc_has_its_rest(
    ingress: Ingress, method: str, path: str, body: object, rpc: str, fields: dict[str, Any], pod: str
) -> None:
    """Each path of google.api.http reaches the pod that serves it, as the RPC with the request that the path says."""
    got = answers(ingress, rpc, debate_pb2.Debate())
    assert ingress.rest(method, path, body).status == 200
    assert [(seen.pod, seen.path) for seen in ingress.seen] == [(f"{pod}-0", rpc)]
    messages: Any = debate_service_pb2 if rpc.startswith(DEBATES) else agent_service_pb2
    request_class = getattr(messages, f"{rpc.rpartition('/')[2]}Request")
    request = request_class.FromString(got[0])
    assert {name: getattr(request, name) for name in fields} == fields


def test_a_debate_is_followed_by_server_sent_events(ingress: Ingress) -> None:
    """GET :watch with `curl -N`: what the service writes comes as it is, and it gets the last id, even by HTTP/1.0."""
    frames = [b"retry: 2000\n\n", b'id: 4\ndata: {"number":4}\n\n', b": nothing yet\n\n"]
    answers(
        ingress,
        f"{DEBATES}/WatchDebateByHttp",
        *(httpbody_pb2.HttpBody(content_type="text/event-stream", data=frame) for frame in frames),
    )
    sent = [("accept", "text/event-stream"), ("last-event-id", "3")]
    outcome = ingress.rest("GET", "/v1/debates/7:watch", headers=sent)
    assert (outcome.status, outcome.all("content-type")) == (200, ["text/event-stream"])
    assert outcome.body == b"".join(frames)
    assert ingress.seen[0].all("last-event-id") == ["3"]
    headers = b"".join(f"{name}: {value}\r\n".encode() for name, value in ingress.headers("viewer"))
    old = calls.raw(ingress.place, b"GET /v1/debates/7:watch HTTP/1.0\r\nhost: x\r\n" + headers + b"\r\n")
    assert (old.status, old.body) == (200, b"".join(frames))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (code_pb2.INVALID_ARGUMENT, 400),
        (code_pb2.FAILED_PRECONDITION, 400),
        (code_pb2.UNAUTHENTICATED, 401),
        (code_pb2.PERMISSION_DENIED, 403),
        (code_pb2.NOT_FOUND, 404),
        (code_pb2.ALREADY_EXISTS, 409),
        (code_pb2.ABORTED, 409),
        (code_pb2.RESOURCE_EXHAUSTED, 429),
        (code_pb2.INTERNAL, 500),
        (code_pb2.UNIMPLEMENTED, 501),
        (code_pb2.DEADLINE_EXCEEDED, 504),
    ],
)
def test_errors_have_their_http_status_and_a_json_body(ingress: Ingress, code: int, status: int) -> None:
    """A gRPC error is the HTTP status that google.rpc.Code says, with code, message and reason as JSON."""
    fails(ingress, f"{DEBATES}/GetDebate", code, "there is no debates/7", "DEBATE_NOT_FOUND")
    outcome = ingress.rest("GET", "/v1/debates/7")
    assert (outcome.status, outcome.all("content-type")) == (status, ["application/json"])
    assert (outcome.json_body["code"], outcome.json_body["message"]) == (code, "there is no debates/7")
    assert outcome.json_body["details"][0]["reason"] == "DEBATE_NOT_FOUND"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/nothing", None, 403),
        ("GET", "/", None, 403),
        ("GET", "/v1/agents/nobody", None, 404),
        ("DELETE", "/v1/debates/7", None, 405),
        ("GET", "/v1/debates/7?unknown=1", None, 400),
    ],
)
def test_what_is_nobodys_rest_is_refused(ingress: Ingress, method: str, path: str, body: object, status: int) -> None:
    """Unknown paths, methods and parameters end at the ingress: no app sees anything."""
    assert ingress.rest(method, path, body).status == status
    assert ingress.seen == []


@pytest.mark.parametrize("body", [b"{topic", b'{"max_rounds": "many"}', b"[]"], ids=["no JSON", "a type", "a list"])
def test_a_body_that_is_no_debate_is_refused(ingress: Ingress, body: bytes) -> None:
    """400; the service may see that a call began, and gets no request."""
    got = answers(ingress, f"{DEBATES}/CreateDebate")
    headers = [*ingress.headers("operator"), ("content-type", "application/json")]
    outcome = calls.request(ingress.place, "POST", "/v1/debates", headers=headers, body=body)
    assert outcome.status == 400
    assert got == []


# ---- gRPC and gRPC-Web ----


def test_grpc_goes_to_whom_the_authority_names(ingress: Ingress) -> None:
    """DebateService by any name, an agent's service by its own, health and reflection of whom is asked."""
    for path, authority, pod in (
        (f"{DEBATES}/GetDebate", "", "moderator"),
        (f"{DEBATES}/GetDebate", "localhost:8080", "moderator"),
        (f"{AGENTS}/GetAgent", "team-a", "team-a"),
        (f"{AGENTS}/GetAgent", "team-b:8080", "team-b"),
        ("/grpc.health.v1.Health/Check", "", "moderator"),
        ("/grpc.health.v1.Health/Check", "team-b", "team-b"),
        ("/grpc.health.v1.Health/Check", "mybox", "moderator"),
        ("/grpc.health.v1.Health/Check", "mybox:8080", "moderator"),
        ("/grpc.health.v1.Health/Check", "127.0.0.1", "moderator"),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "localhost", "moderator"),
        (f"{DEBATES}/GetDebate", "mybox", "moderator"),
        ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "", "moderator"),
        ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "team-a", "team-a"),
    ):
        ingress.mesh.script.clear()
        assert ingress.rpc(path, authority=authority, brings="viewer").code is grpc.StatusCode.OK, (path, authority)
        assert [(seen.pod, seen.path) for seen in ingress.seen] == [(f"{pod}-0", path)], authority


def test_grpc_errors_keep_their_details(ingress: Ingress) -> None:
    """A gRPC caller gets code, message and google.rpc.Status as the service sent them."""
    fails(ingress, f"{DEBATES}/GetDebate", code_pb2.NOT_FOUND, "there is no debates/7", "DEBATE_NOT_FOUND")
    outcome = ingress.rpc(f"{DEBATES}/GetDebate")
    assert (outcome.code, outcome.details) == (grpc.StatusCode.NOT_FOUND, "there is no debates/7")
    sent: Any = dict(outcome.metadata)["grpc-status-details-bin"]
    assert status_pb2.Status.FromString(sent).details[0].type_url.endswith("google.rpc.ErrorInfo")


def test_grpc_web_is_served(ingress: Ingress) -> None:
    """A browser's gRPC-Web call over HTTP/1.1: the message in a data frame, then the trailers in another."""
    answers(ingress, f"{DEBATES}/GetDebate", debate_pb2.Debate(name="debates/7"))
    message = debate_service_pb2.GetDebateRequest(name="debates/7").SerializeToString()
    headers = [*ingress.headers("viewer"), ("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1")]
    body = b"\x00" + len(message).to_bytes(4, "big") + message
    outcome = calls.request(ingress.place, "POST", f"{DEBATES}/GetDebate", host="localhost", headers=headers, body=body)
    assert (outcome.status, outcome.all("content-type")) == (200, ["application/grpc-web+proto"])
    length = int.from_bytes(outcome.body[1:5], "big")
    assert debate_pb2.Debate.FromString(outcome.body[5 : 5 + length]).name == "debates/7"
    trailers = outcome.body[5 + length :]
    assert trailers[0] == 0x80
    assert b"grpc-status:0" in trailers


# ---- tokens and limits ----


def test_without_a_token_nothing_passes(ingress: Ingress) -> None:
    """REST and gRPC: none is 403, a bad one 401; a token in the URL does not count."""
    assert ingress.rest("GET", "/v1/debates", brings="no token").status == 403
    assert ingress.rest("GET", "/v1/debates", brings="forged").status == 401
    assert (
        ingress.rest("GET", f"/v1/debates?access_token={ingress.tokens.good['operator']}", brings="no token").status
        == 403
    )
    assert ingress.rpc(f"{DEBATES}/GetDebate", brings="no token").code is grpc.StatusCode.PERMISSION_DENIED
    assert ingress.rpc(f"{DEBATES}/GetDebate", brings="expired").code is grpc.StatusCode.UNAUTHENTICATED
    assert ingress.seen == []


def test_a_viewer_reads_and_does_not_write(ingress: Ingress) -> None:
    """By REST the same rights as by gRPC."""
    assert ingress.rest("GET", "/v1/debates", brings="viewer").status == 200
    for path, body in (("/v1/debates", {"topic": "x"}), ("/v1/debates/7:cancel", {}), ("/v1/agents/team-a:ask", {})):
        ingress.mesh.script.clear()
        assert ingress.rest("POST", path, body, brings="viewer").status == 403
        assert ingress.seen == []


def test_requests_are_limited_in_size(ingress: Ingress) -> None:
    """A body above 1 MiB is 413, by REST and gRPC, and is no app's; a large one below passes."""
    got = answers(ingress, f"{DEBATES}/CreateDebate", debate_pb2.Debate())
    assert ingress.rest("POST", "/v1/debates", {"topic": "x" * MEGABYTE}).status == 413
    large = debate_service_pb2.CreateDebateRequest(debate=debate_pb2.Debate(topic="x" * MEGABYTE)).SerializeToString()
    assert ingress.rpc(f"{DEBATES}/CreateDebate", large).code is not grpc.StatusCode.OK
    assert got == []
    assert ingress.rest("POST", "/v1/debates", {"topic": "x" * (MEGABYTE // 2)}).status == 200
    assert len(got) == 1


def test_requests_are_limited_in_rate(ingress: Ingress) -> None:
    """With a bucket of three, the fourth call is 429 with retry-after, in gRPC RESOURCE_EXHAUSTED, token or not."""
    changed = shipped()
    file = next(name for name in changed if name.endswith("limits.yaml"))
    documents = parse_text(changed[file], file)
    limit = documents[0]["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]
    limit["token_bucket"] = {"max_tokens": 3, "tokens_per_fill": 1, "fill_interval": "3600s"}
    changed[file] = dump_texts(documents)
    try:
        ingress.mesh.apply(changed)
        assert [ingress.rest("GET", "/v1/debates").status for _ in range(3)] == [200] * 3
        refused = ingress.rest("GET", "/v1/debates", brings="no token")
        assert (refused.status, refused.all("retry-after")) == (429, ["1"])
        assert refused.json_body["code"] == code_pb2.RESOURCE_EXHAUSTED
        assert ingress.rpc(f"{DEBATES}/GetDebate").code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(ingress.seen) == 3
    finally:
        ingress.mesh.apply(shipped())


def test_apps_know_the_ingress_by_its_name(ingress: Ingress) -> None:
    """Behind it the caller is the ingress, and the token came along for the service's own sidecar to read."""
    assert ingress.rest("GET", "/v1/debates").status == 200
    seen = ingress.seen[0]
    assert f"URI=spiffe://cluster.local/ns/{NAMESPACE}/sa/ingress" in seen.all("x-forwarded-client-cert")[0]
    assert seen.all("authorization") == [value for _, value in ingress.tokens.headers("operator")]
