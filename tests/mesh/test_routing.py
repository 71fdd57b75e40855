"""Conformance: where a call goes, how often it is tried, how long it may take, and what is done to it on the way.

The rows are those of mesh/sidecar/README.md about VirtualService, DestinationRule, Gateway and hosts.
Calls are made as an app makes them: at its own sidecar's outbound socket.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence

import grpc
import pytest
from google.rpc import code_pb2, status_pb2

from tests.mesh.shop import STRICT, case, pod, shop
from tests.support import mesh_calls as calls
from tests.support.mesh import RunningMesh, running
from tests.support.mesh_apps import Answer, FailedError
from tests.support.mesh_calls import Outcome
from tests.support.waiting import wait_until

CLIENT = pod("client")
HTTP = pod("backend", {"http": 8080})
RPCS = pod("backend", {"grpc": 50051})
TO_BACKEND = "route: [{destination: {host: backend}}]"
OUTLIERS = "interval: 100ms, baseEjectionTime: 300s"


def get(
    mesh: RunningMesh, path: str, host: str = "backend", port: int = 8080, **more: Sequence[tuple[str, str]]
) -> Outcome:
    """GET by the client's own sidecar."""
    return calls.request(mesh.pod("client").outbound(port), "GET", path, host=host, headers=more.get("headers", ()))


def rpc(mesh: RunningMesh, path: str, host: str = "backend", client: str = "client") -> grpc.StatusCode:
    """An RPC by a pod's own sidecar."""
    with calls.plain_channel(f"unix:{mesh.pod(client).outbound(50051)}", host) as channel:
        return calls.rpc(channel, path).code


def routes(rules: str, host: str = "backend") -> str:
    """A VirtualService of the shop with these HTTP rules."""
    return f"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {host}, namespace: shop}}
spec: {{hosts: [{host}], http: [{rules}]}}"""


def destination(policy: str, subsets: str = "[]") -> str:
    """A DestinationRule of the backend."""
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: backend, namespace: shop}}
spec: {{host: backend, trafficPolicy: {policy}, subsets: {subsets}}}"""


def fails(code: int) -> Answer:
    """An RPC that fails so."""

    def answer(_: bytes) -> Sequence[bytes]:
        raise FailedError(status_pb2.Status(code=code, message="no"))

    return answer


def flags(mesh: RunningMesh, count: int = 1) -> list[tuple[str, str]]:
    """Flag and details of the client's log, once it has so many lines."""
    lines = wait_until("the log", lambda: found if len(found := mesh.pod("client").accesses()) >= count else [])
    return [(str(line["response_flags"]), str(line["response_code_details"])) for line in lines]


# ---- retries and timeouts ----


@pytest.mark.parametrize(
    ("code", "tries"),
    [
        (code_pb2.UNAVAILABLE, 3),
        (code_pb2.CANCELLED, 3),
        (code_pb2.INTERNAL, 1),
        (code_pb2.RESOURCE_EXHAUSTED, 1),
        (code_pb2.DEADLINE_EXCEEDED, 1),
    ],
)
def test_the_default_policy_of_retries(code: int, tries: int) -> None:
    """Row 17: without a word about retries UNAVAILABLE and CANCELLED are tried twice more, and nothing else."""
    with running(shop(RPCS, CLIENT, STRICT)) as mesh:
        mesh.script.answers["/a.B/C"] = fails(code)
        assert rpc(mesh, "/a.B/C").value[0] == code
        assert len(mesh.script.seen) == tries
        counts = [seen.all("x-envoy-attempt-count") for seen in mesh.script.seen]
        assert counts == [[str(number)] for number in range(1, tries + 1)]


def test_a_call_that_works_at_the_second_try_works() -> None:
    """The caller does not see a failure that a retry made good."""
    with running(shop(RPCS, CLIENT, STRICT)) as mesh:

        def second_time(request: bytes) -> Sequence[bytes]:
            return fails(code_pb2.UNAVAILABLE)(request) if len(mesh.script.seen) < 2 else [b""]

        mesh.script.answers["/a.B/C"] = second_time
        assert rpc(mesh, "/a.B/C") is grpc.StatusCode.OK
        assert len(mesh.script.seen) == 2


def test_no_retries_and_as_many_as_are_asked_for() -> None:
    """Rows 17 and 18: attempts 0 is none, 3 is three more; a number in retryOn is a status; by default 503 is final."""
    rules = [
        f"{{match: [{{uri: {{prefix: {path}}}}}], {TO_BACKEND}, retries: {{{retries}}}}}"
        for path, retries in (
            ("/never", "attempts: 0"),
            ("/thrice", 'attempts: 3, retryOn: "503"'),
            ("/other", 'attempts: 3, retryOn: "504"'),
        )
    ]
    with running(shop(HTTP, CLIENT, STRICT, routes(", ".join([*rules, f"{{{TO_BACKEND}}}"])))) as mesh:
        mesh.script.statuses["backend-0"] = 503
        for path, tries in {"/never": 1, "/thrice": 4, "/other": 1, "/default": 1}.items():
            mesh.script.clear()
            assert get(mesh, path).status == 503
            assert len(mesh.script.seen) == tries, path
        assert any(flag == "URX" for flag, _ in flags(mesh, 4))


def test_a_route_has_a_time_limit() -> None:
    """Row 20: an answer that comes later than the route's timeout is a failure of the callee; without one it is waited
    for, unless the caller itself has a deadline."""
    quick = f"{{match: [{{uri: {{prefix: /quick}}}}], {TO_BACKEND}, timeout: 100ms, retries: {{attempts: 0}}}}"
    with running(shop(RPCS, CLIENT, STRICT, routes(f"{quick}, {{{TO_BACKEND}}}"))) as mesh:
        later = threading.Event()

        def late(_: bytes) -> Sequence[bytes]:
            later.wait(1.0)
            return [b""]

        mesh.script.answers.update({"/quick.B/C": late, "/slow.B/C": late})
        try:
            began = time.monotonic()
            # The callee is notified of the limit too, and on a busy machine ends the call before its caller's sidecar.
            ended = rpc(mesh, "/quick.B/C")
            assert ended in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
            assert time.monotonic() - began < 0.9
            assert ended is grpc.StatusCode.DEADLINE_EXCEEDED or flags(mesh)[0][0] == "UT"
            assert rpc(mesh, "/slow.B/C") is grpc.StatusCode.OK
        finally:
            later.set()


# ---- which route ----


def test_the_first_rule_that_matches_counts() -> None:
    """Rows 21 and 22: rules in their order, and nothing after one that takes everything."""
    answer = "directResponse: {{status: 200, body: {{string: {0}}}}}"
    rules = ", ".join(
        f"{{{match}{answer.format(name)}}}"
        for match, name in (
            ("match: [{uri: {exact: /one}}, {uri: {regex: '/two.*'}}], ", "first"),
            ('match: [{headers: {x-any: {regex: ".*"}}}], ', "header"),
            ("match: [{headers: {x-role: {exact: admin}, x-team: {prefix: blue}}}], ", "both"),
            ("match: [{uri: {prefix: /post}, method: {exact: POST}}], ", "post"),
            ("match: [{uri: {prefix: /case}, ignoreUriCase: true, queryParams: {q: {exact: '1'}}}], ", "query"),
            ("match: [{uri: {prefix: /without}, withoutHeaders: {x-set: {}}}], ", "without"),
            ("match: [{uri: {prefix: /from}, sourceLabels: {app: client}}], ", "labels"),
            ("match: [{uri: {prefix: /elsewhere}, sourceNamespace: elsewhere}], ", "never"),
            ("match: [{uri: {prefix: /}}], ", "all"),
            ("match: [{uri: {prefix: /last}}], ", "never"),
        )
    )
    with running(shop(HTTP, CLIENT, STRICT, routes(rules))) as mesh:
        for path, headers, name in (
            ("/one", (), "first"),
            ("/one/more", (), "all"),
            ("/two/more", (), "first"),
            ("/x", (("x-any", ""),), "header"),
            ("/x", (("x-role", "admin"), ("x-team", "blue-1")), "both"),
            ("/x", (("x-role", "admin"),), "all"),
            ("/post", (), "all"),
            ("/CASE?q=1", (), "query"),
            ("/case?q=2", (), "all"),
            ("/without", (), "without"),
            ("/without", (("x-set", "1"),), "all"),
            ("/from", (), "labels"),
            ("/elsewhere", (), "all"),
            ("/last", (), "all"),
        ):
            assert get(mesh, path, headers=headers).body.decode() == name, (path, headers)


def test_unknown_hosts_are_refused() -> None:
    """Row 25: a host that nobody declared is 502 at the caller's own sidecar."""
    with running(shop(HTTP, CLIENT, STRICT)) as mesh:
        assert get(mesh, "/x", "nowhere.example.com").status == 502
        assert mesh.script.seen == []


def test_names_by_which_a_service_is_called() -> None:
    """Row 26: within the namespace by its bare name, from elsewhere only with the namespace; with a dot, a port, in
    capitals."""
    with running(case("26-virtual-host-domains")) as mesh:
        short = ["backend", "BACKEND", "backend:50051"]
        long = [f"backend.shop{end}" for end in ("", ".svc", ".svc.cluster.local", ".svc.cluster.local.")]
        for host in (*short, *long):
            assert rpc(mesh, "/a.B/C", host) is grpc.StatusCode.OK, host
        for host in long:
            assert rpc(mesh, "/a.B/C", host, "far") is grpc.StatusCode.OK, host
        for host in short:
            assert rpc(mesh, "/a.B/C", host, "far") is grpc.StatusCode.UNAVAILABLE, host


def test_a_sidecar_sees_what_it_is_shown() -> None:
    """A Sidecar resource: hosts beyond it are as unknown as ones that do not exist."""
    with running(case("54-sidecar")) as mesh:
        assert rpc(mesh, "/a.B/C", "backend") is grpc.StatusCode.OK
        assert rpc(mesh, "/a.B/C", "far.elsewhere") is grpc.StatusCode.OK
        assert rpc(mesh, "/a.B/C", "other") is grpc.StatusCode.UNAVAILABLE
        assert {seen.pod for seen in mesh.script.seen} == {"backend-0", "far-0"}


# ---- shares, faults, headers ----

VERSIONS = "[{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]"
TWO = (
    pod("backend-v1", {"http": 8080}, app="backend", service=False),
    pod("backend-v2", {"http": 8080}, app="backend", version="v2"),
    CLIENT,
    STRICT,
    destination("{tls: {mode: ISTIO_MUTUAL}}", VERSIONS),
)


def test_weights_and_mirror() -> None:
    """A share of 30 % is about that; a weight of zero gets nothing; a mirror sees the call too, and its answer does not
    count."""
    v1, v2 = ("destination: {host: backend, subset: v1}", "destination: {host: backend, subset: v2}")
    rules = ", ".join(
        (
            f"{{match: [{{uri: {{prefix: /all}}}}], route: [{{{v1}, weight: 100}}, {{{v2}, weight: 0}}]}}",
            f"{{match: [{{uri: {{prefix: /mirror}}}}], route: [{{{v1}}}], mirror: {{host: backend, subset: v2}}}}",
            f"{{route: [{{{v1}, weight: 70}}, {{{v2}, weight: 30}}]}}",
        )
    )
    with running(shop(*TWO, routes(rules))) as mesh:
        share = Counter(get(mesh, "/some").json_body["pod"] for _ in range(300))
        assert 50 <= share["backend-v2-0"] <= 130
        assert {get(mesh, "/all").json_body["pod"] for _ in range(30)} == {"backend-v1-0"}
        mesh.script.clear()
        mesh.script.statuses["backend-v2-0"] = 500
        assert [get(mesh, "/mirror").status for _ in range(5)] == [200] * 5
        wait_until("the mirrored calls", lambda: len(mesh.script.seen) == 10)
        assert {seen.all("host")[0] for seen in mesh.script.seen if seen.pod == "backend-v2-0"} == {"backend"}


def test_faults_by_their_share() -> None:
    """An abort of 100 % always comes, in gRPC as its status, and no app is asked; a delay comes before the answer."""
    always = "percentage: {value: 100}"
    rules = ", ".join(
        f"{{match: [{{uri: {{prefix: {path}}}}}], fault: {{{fault}, {always}}}}}, {TO_BACKEND}, timeout: 100ms}}"
        for path, fault in (
            ("/gone", "abort: {httpStatus: 503"),
            ("/slow", "delay: {fixedDelay: 300ms"),
            ("/grpc", "abort: {grpcStatus: NOT_FOUND"),
        )
    )
    with running(shop(RPCS, CLIENT, STRICT, routes(rules))) as mesh:
        assert rpc(mesh, "/gone.B/C") is grpc.StatusCode.UNAVAILABLE
        assert rpc(mesh, "/grpc.B/C") is grpc.StatusCode.NOT_FOUND
        assert mesh.script.seen == []
        assert [flag for flag, _ in flags(mesh, 2)] == ["FI", "FI"]
        began = time.monotonic()
        assert rpc(mesh, "/slow.B/C") is grpc.StatusCode.OK, "a delay does not count against the route's timeout"
        assert time.monotonic() - began >= 0.3


def test_headers_paths_and_answers_are_changed() -> None:
    """Headers set, added and removed; host and path rewritten; redirects and answers by the sidecar itself."""
    with running(case("52-headers-rewrite", STRICT)) as mesh:
        answer = get(mesh, "/headers", headers=(("x-a", "0"), ("x-b", "0"), ("x-c", "0")))
        sent = {name: [v for n, v in answer.json_body["headers"] if n == name] for name in ("x-a", "x-b", "x-c")}
        assert sent == {"x-a": ["1"], "x-b": ["0", "2"], "x-c": []}
        assert (answer.all("x-d"), answer.all("x-e")) == (["3"], ["4"])
        assert ["host", "other.example"] in get(mesh, "/host").json_body["headers"]
        assert get(mesh, "/rewrite/x").json_body["path"] == "/new/x"
        assert get(mesh, "/regex/y").json_body["path"] == "/y"
        moved = get(mesh, "/moved")
        assert (moved.status, moved.all("location")) == (308, ["https://there.example/there"])
        assert get(mesh, "/old").status == 301
        assert (get(mesh, "/teapot").status, get(mesh, "/teapot").body) == (418, b"short and stout")


# ---- destinations ----


def test_a_sick_replica_is_left_alone() -> None:
    """Row 43: after three errors in a row one of two replicas gets no more calls while the other answers."""
    rule = f"{{outlierDetection: {{consecutive5xxErrors: 3, {OUTLIERS}, maxEjectionPercent: 50}}}}"
    with running(shop(pod("backend", {"http": 8080}, replicas=2), CLIENT, STRICT, destination(rule))) as mesh:
        mesh.script.statuses["backend-1"] = 500
        wait_until("its ejection", lambda: {get(mesh, "/x").status for _ in range(20)} == {200})
        mesh.script.clear()
        assert {get(mesh, "/x").status for _ in range(40)} == {200}
        assert {seen.pod for seen in mesh.script.seen} == {"backend-0"}


def test_errors_that_do_not_count_eject_nobody() -> None:
    """Row 43: consecutive5xxErrors 0 counts none, and Envoy's own measure of success is off."""
    rule = f"{{outlierDetection: {{consecutive5xxErrors: 0, {OUTLIERS}, maxEjectionPercent: 100}}}}"
    with running(shop(pod("backend", {"http": 8080}, replicas=2), CLIENT, STRICT, destination(rule))) as mesh:
        mesh.script.statuses["backend-1"] = 500
        for _ in range(60):
            get(mesh, "/x")
        assert Counter(seen.pod for seen in mesh.script.seen)["backend-1"] > 10


def test_the_same_user_comes_to_the_same_replica() -> None:
    """Row 19: consistentHash by a header; different users are spread."""
    rule = "{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}"
    with running(shop(pod("backend", {"http": 8080}, replicas=3), CLIENT, STRICT, destination(rule))) as mesh:
        pods = {}
        for number in range(20):
            headers = (("x-user", f"user {number}"),)
            found = {get(mesh, "/x", headers=headers).json_body["pod"] for _ in range(5)}
            assert len(found) == 1
            pods[number] = found.pop()
        assert len(set(pods.values())) > 1


def test_what_is_beyond_the_pool_is_refused() -> None:
    """One request at a time and none waiting: the next one is 503 with flag UO, until the first has ended."""
    rule = "{connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1, http2MaxRequests: 1}}}"
    once = routes(f"{{{TO_BACKEND}, retries: {{attempts: 0}}}}")
    with running(shop(RPCS, CLIENT, STRICT, destination(rule), once)) as mesh:
        entered, go_on = threading.Event(), threading.Event()

        def held(_: bytes) -> Sequence[bytes]:
            entered.set()
            go_on.wait(5.0)
            return [b""]

        mesh.script.answers["/held.B/C"] = held
        codes: list[grpc.StatusCode] = []
        first = threading.Thread(target=lambda: codes.append(rpc(mesh, "/held.B/C")))
        first.start()
        try:
            assert entered.wait(5.0)
            assert rpc(mesh, "/next.B/C") is grpc.StatusCode.UNAVAILABLE
            assert flags(mesh)[0][0] == "UO"
        finally:
            go_on.set()
            first.join()
        assert codes == [grpc.StatusCode.OK]
        assert rpc(mesh, "/next.B/C") is grpc.StatusCode.OK


# ---- gateways ----


def get_from_gateway(mesh: RunningMesh, path: str, host: str) -> Outcome:
    """GET at the gateway."""
    return calls.request((mesh.pod("gate").ip, 8080), "GET", path, host=host)


def test_a_gateway_serves_its_hosts_and_paths() -> None:
    """Row 27: routes of all VirtualServices of a host, the one that takes all last; another host is 404."""
    with running(case("27-gateway", STRICT)) as mesh:
        with calls.plain_channel(f"{mesh.pod('gate').ip}:8080", "debates.example.com") as channel:
            assert calls.rpc(channel, "/productpage").code is grpc.StatusCode.OK
        assert get_from_gateway(mesh, "/else", "debates.example.com").json_body["pod"] == "other-0"
        assert {seen.pod for seen in mesh.script.seen} == {"backend-0", "other-0"}
        mesh.script.clear()
        assert get_from_gateway(mesh, "/productpage", "elsewhere.example.com").status == 404
        assert get_from_gateway(mesh, "/v2", "a.example.org").status == 404
        assert mesh.script.seen == []


def test_a_gateway_without_routes_is_404() -> None:
    """Everything is not found, and nothing is reached."""
    with running(case("28-gateway-alone", STRICT)) as mesh:
        assert get_from_gateway(mesh, "/", "any.example.com").status == 404
        assert mesh.script.seen == []
